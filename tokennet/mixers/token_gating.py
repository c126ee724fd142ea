"""Gates over the channels, made by a linear map over the tokens.

Axes: B samples, N tokens of the longest sample, P positions of the weights, D channels, K hidden.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import maker, positive, value_error
from tokennet.mixers.base import Mixer
from tokennet.mixers.stepping import check_state, check_token
from tokennet.structure import Structure
from tokennet.topology import Causal, Full, Topology


class TokenGating(Mixer):
    """y = V (z_1 * (W norm(z_2) + b)), with (z_1, z_2) = act(U x) halved: the block of gMLP.

    Liu et al. 2021, "Pay attention to MLPs" (equations 1 to 4). W `[P, P]` mixes the tokens of each
    channel and starts near 0, b `[P]` at 1: at first the gate is open. `PreNorm(dim, TokenGating(
    dim, hidden_dim, num_tokens))` is a gMLP layer. With `Causal()` the lower triangle of W counts
    alone. It knows every position and holds at most `num_tokens`: `max_tokens`. A shorter sample is
    read as if zeros followed z_2. Shapes: [*, dim] -> [*, dim].
    """

    reads = frozenset({"position"})

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        num_tokens: int,
        topology: Topology | None = None,
        *,
        activation: Callable[[], nn.Module] = nn.GELU,
    ):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        if positive("hidden_dim", hidden_dim) % 2:
            raise value_error(
                "hidden_dim", hidden_dim, "an even number", "one half gates the other"
            )
        self.num_tokens = self.max_tokens = positive("num_tokens", num_tokens)
        self.topology = Full() if topology is None else topology
        if not isinstance(self.topology, (Full, Causal)):
            raise value_error("topology", topology, "Full() or Causal()")
        self.expand = nn.Linear(dim, hidden_dim)
        self.activation = maker("activation", activation, "nn.GELU")()
        self.norm = nn.LayerNorm(hidden_dim // 2)
        self.weight = nn.Parameter(torch.empty(num_tokens, num_tokens).uniform_(-1, 1) * 1e-3)
        self.bias = nn.Parameter(torch.ones(num_tokens))
        self.contract = nn.Linear(hidden_dim // 2, dim)

    @property
    def claims(self):  # type: ignore[override]
        return Causal.claims if isinstance(self.topology, Causal) else frozenset()

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        z, gated = self.activation(self.expand(layout.clear(x))).chunk(2, -1)
        front = layout.compact(self.norm(gated))  # [B, N, K / 2]
        length = front.shape[1]
        front = front[:, : self.num_tokens]  # what lies beyond is padding: `check` has seen to it
        seen = torch.arange(front.shape[1], device=x.device)
        # not [:seen, :seen]: torch.export would then refuse the full length, or all but that
        weight = self.weight.index_select(0, seen).index_select(1, seen)
        if isinstance(self.topology, Causal):
            weight = weight.tril()
        gate = weight @ front + self.bias.index_select(0, seen)[:, None]
        gate = F.pad(gate, (0, 0, 0, length - front.shape[1]))
        return self.contract(z * layout.spread(gate))

    def start(self, structure: Structure) -> Float[Tensor, "B t K_half"]:
        """No tokens yet: the state is norm(z_2) of those so far."""
        self.check_steps(structure)
        return self.weight.new_zeros(structure.batch, 0, self.norm.weight.shape[0])

    def step(
        self, x: Float[Tensor, "B D"], state: Float[Tensor, "B t K_half"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B t_new K_half"]]:
        check_state(state, "[B, t, K / 2]", isinstance(state, Tensor) and state.ndim == 3)
        check_token(x, len(state), self.dim or 0)
        here = state.shape[1]
        if here == self.num_tokens:
            name = f"tokens of {type(self).__name__}"
            raise value_error(name, here + 1, f"at most max_tokens ({here})")
        z, gated = self.activation(self.expand(x)).chunk(2, -1)
        state = torch.cat([state, self.norm(gated)[:, None]], 1)
        gate = torch.einsum("n,bnk->bk", self.weight[here, : here + 1], state) + self.bias[here]
        return self.contract(z * gate), state
