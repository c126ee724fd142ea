"""A sequence through a latent state, with any maps from state to state and from state to output.

Axes: B samples, N tokens of the padded view, D channels in, S channels of the state, O out.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.laws import Causality
from tokennet.mixers.base import Mixer
from tokennet.mixers.stepping import check_state, check_token
from tokennet.structure import Structure


class LatentState(Mixer):
    """h_i = f([h_(i-1), x_i]) from h_0 = 0, y_i = g(h_i): what was seen so far is in h_i alone.

    The state-space form of a recurrent network (Elman 1990, "Finding structure in time"), for any
    modules f and g that act on each row by itself. Causal, with the state `[B, S]` for `start` and
    `step`. Compiled, it is unrolled: once for each length. Shapes: [*, dim] -> [*, O].

    Args:
        transition: f, `[*, S + D] -> [*, S]`; None: Linear, Tanh, Linear, Tanh.
        output: g, `[*, S] -> [*, O]`; None: Linear, GELU, Linear, with O = dim.
    """

    claims = frozenset({Causality()})
    reads = frozenset({"position"})

    def __init__(
        self,
        dim: int,
        state_dim: int,
        *,
        transition: nn.Module | None = None,
        output: nn.Module | None = None,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.state_dim = size = positive("state_dim", state_dim)
        for name, module in (("transition", transition), ("output", output)):
            if module is not None and not isinstance(module, nn.Module):
                raise type_error(name, kind_of(module), "a module or None")
        self.transition = transition or nn.Sequential(
            nn.Linear(size + dim, 2 * size), nn.Tanh(), nn.Linear(2 * size, size), nn.Tanh()
        )
        self.output = output or nn.Sequential(
            nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, dim)
        )
        self.out_dim = dim if output is None else None

    def width(self, dim: int | None) -> int | None:
        return self.out_dim  # a module does not tell

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        front = structure.layout.compact(x)  # [B, N, D]
        h = x.new_zeros(front.shape[0], self.state_dim)
        states = []
        for token in front.unbind(1):
            h = self._next(h, token)
            states.append(h)
        if not states:  # no tokens at all, but f still has its say in the gradients
            states.append(self._next(h, x.new_zeros(len(h), x.shape[-1])))
        y = self.output(torch.stack(states, 1)[:, : front.shape[1]])
        return structure.layout.spread(y)

    def _next(self, h: Float[Tensor, "B S"], x: Float[Tensor, "B D"]) -> Float[Tensor, "B S"]:
        new = self.transition(torch.cat([h, x], -1))
        if new.shape != h.shape:
            raise value_error("output of transition", list(new.shape), f"{list(h.shape)}, a state")
        return new

    def start(self, structure: Structure) -> Float[Tensor, "B S"]:
        """Zeros, one state for each sample."""
        self.check_steps(structure)
        like = next(self.parameters(), torch.zeros((), device=structure.device))
        return like.new_zeros(structure.batch, self.state_dim)

    def step(
        self, x: Float[Tensor, "B D"], state: Float[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B O"], Float[Tensor, "B S"]]:
        check_state(state, "[B, S]", isinstance(state, Tensor) and state.ndim == 2)
        check_token(x, len(state), self.dim or 0)
        state = self._next(state, x)
        return self.output(state[:, None])[:, 0], state
