"""Channel MLPs of which every token uses a few.

Axes: T rows of the flat view, D channels, E experts, K of them chosen.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, maker, positive, type_error, value_error
from tokennet.laws import Causality, Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.mixers.gated import GatedMLP
from tokennet.ops.backend import is_reference
from tokennet.structure import Structure

_TOKEN_WISE = closure({Permutation(), Causality()})


class MixtureOfExperts(Mixer):
    """y_i = sum_e p_ie f_e(x_i), p_i the softmax over the `top_k` largest of R x_i, elsewhere 0.

    Shazeer et al. 2017, "Outrageously large neural networks", without noise; the softmax over the
    chosen as in Mixtral (Jiang et al. 2024, section 2.1). Each token chooses its experts, and no
    expert refuses one (no capacity): so no token sees another. Where scores tie, the expert listed
    first is chosen. With `top_k=1` p is 1, and R learns nothing.

    `expert(dim, hidden_dim)` makes a token-wise mixer. Shapes: [*, D] -> [*, D].
    """

    claims = _TOKEN_WISE

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        num_experts: int,
        *,
        top_k: int = 2,
        expert: Callable[[int, int], Mixer] = GatedMLP,
    ):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.hidden_dim = positive("hidden_dim", hidden_dim)
        positive("num_experts", num_experts)
        self.top_k = positive("top_k", top_k)
        if top_k > num_experts:
            raise value_error("top_k", top_k, f"at most num_experts ({num_experts})")
        make = maker("expert", expert, "tn.GatedMLP")
        self.router = nn.Linear(dim, num_experts, bias=False)
        made = [make(dim, hidden_dim) for _ in range(num_experts)]
        self.experts = nn.ModuleList(_checked(e, dim) for e in made)

    def forward(
        self, x: Float[Tensor, "*tokens D"], structure: Structure
    ) -> Float[Tensor, "*tokens D"]:
        self.check(x, structure)
        layout = structure.layout
        x = layout.clear(x)
        share, chosen = self._choice(layout.flat(x))
        # how many tokens an expert gets is not known while compiling
        if is_reference() or torch.compiler.is_compiling():
            shares = layout.unflat(_spread(share, chosen, len(self.experts)))
            return self._dense(x, shares, structure)
        return layout.unflat(self._sparse(layout.flat(x), share, chosen))

    def shares(
        self, x: Float[Tensor, "*tokens D"], structure: Structure
    ) -> Float[Tensor, "*tokens E"]:
        """p: how much each token listens to each expert; for a loss that balances their load."""
        self.check(x, structure)
        share, chosen = self._choice(structure.layout.flat(x))
        return structure.layout.unflat(_spread(share, chosen, len(self.experts)))

    def start(self, structure: Structure) -> None:
        return None

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B D"], Any]:
        return self._sparse(x, *self._choice(x)), state

    def _choice(self, x: Float[Tensor, "T D"]) -> tuple[Tensor, Tensor]:
        """Shares `[T, K]` and numbers `[T, K]` of the chosen experts."""
        score, order = self.router(x).sort(dim=-1, descending=True, stable=True)
        return score[:, : self.top_k].softmax(-1), order[:, : self.top_k]

    def _sparse(self, x: Float[Tensor, "T D"], share: Tensor, chosen: Tensor) -> Tensor:
        """Each expert on its own tokens."""
        y = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            row, place = (chosen == e).nonzero(as_tuple=True)
            own = Structure.packed([len(row)], device=x.device)
            y = y.index_add(0, row, (share[row, place, None] * expert(x[row], own)).to(y))
        return y

    def _dense(self, x: Tensor, share: Float[Tensor, "*tokens E"], structure: Structure) -> Tensor:
        """All experts on all tokens: the definition."""
        return sum(
            share[..., e : e + 1] * expert(x, structure) for e, expert in enumerate(self.experts)
        )


def _spread(share: Tensor, chosen: Tensor, num_experts: int) -> Float[Tensor, "T E"]:
    return share.new_zeros(len(share), num_experts).scatter(-1, chosen, share)


def _checked(expert: Any, dim: int) -> Mixer:
    """`expert`, if it is a token-wise mixer from dim to dim."""
    if not isinstance(expert, Mixer):
        raise type_error("expert(dim, hidden_dim)", kind_of(expert), "a Mixer", "e.g. tn.GatedMLP")
    name = type(expert).__name__
    if not closure(expert.claims) >= _TOKEN_WISE or expert.reads or expert.pooled:
        raise value_error("expert(dim, hidden_dim)", name, "a token-wise mixer", "tn.GatedMLP")
    if expert.dim not in (None, dim) or expert.width(dim) not in (None, dim):
        raise value_error(f"dim and out_dim of {name}", (expert.dim, expert.out_dim), f"{dim}")
    return expert
