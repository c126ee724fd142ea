"""The pairs of tokens that communicate, in the form in which they are cheap.

Axes: B samples, b B or 1, N target tokens of the padded view, n N or 1, M source tokens.

`Dense` over the padded view (a mask, or none), `Sparse` over the flat view (sorted edges), `Ragged`
over packed rows.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from tokennet.structure import Packed, SortedEdges


@dataclass(frozen=True, eq=False)
class Dense:
    """Pairs of the padded view. `mask [B or 1, N or 1, M]`: True = communicates; None = all do.

    `causal` adds source <= target, kept as a flag because kernels know it.
    """

    mask: Bool[Tensor, "b n M"] | None = None
    causal: bool = False

    def full_mask(self, num_targets: int, num_sources: int, device: torch.device) -> Tensor:
        """The whole mask `[B or 1, N, M]`."""
        mask = torch.ones(1, num_targets, num_sources, dtype=torch.bool, device=device)
        if self.causal:
            mask = mask.tril()
        return mask if self.mask is None else mask & self.mask


@dataclass(frozen=True, eq=False)
class Sparse:
    """Pairs of the flat view, as sorted edges; their `keep` says which of them count."""

    edges: SortedEdges


Pairs = Dense | Sparse


@dataclass(frozen=True, eq=False)
class Ragged:
    """All pairs within each sample of packed rows, for kernels that need no padding.

    `causal` leaves out the sources that stand behind a target. Says what `Dense` pairs with the
    padding masked say.
    """

    targets: Packed
    sources: Packed
    causal: bool = False
