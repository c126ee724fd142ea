"""Each token receives a summary of those that it hears, without any weights.

Axes: B samples, N tokens of the padded view, T rows, E edges, D channels.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import kind_of, type_error, value_error
from tokennet.mixers.base import Mixer
from tokennet.ops import gather_reduce, sample_max, sample_mean, segment_sum
from tokennet.ops.backend import is_reference
from tokennet.pairs import Dense, Sparse
from tokennet.structure import SortedEdges, Structure
from tokennet.topology import Full, Memory, Neighborhood, Topology


class _Pool(Mixer, ABC):
    """What the poolings share: the pairs."""

    def __init__(self, topology: Topology | None = None):
        super().__init__()
        self.topology = Full() if topology is None else topology
        if not isinstance(self.topology, Topology):
            raise type_error("topology", kind_of(topology), "a Topology")
        if isinstance(self.topology, Memory):
            raise value_error("topology", "Memory()", "a topology of the tokens themselves")

    @property
    def claims(self):  # type: ignore[override]
        return self.topology.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.topology.reads

    @abstractmethod
    def _samples(self, x: Tensor, structure: Structure) -> Float[Tensor, "B D"]:
        """The summary of each whole sample."""

    @abstractmethod
    def _dense(self, x: Tensor, mask: Tensor) -> Float[Tensor, "B N D"]:
        """The summaries over a mask `[B or 1, N, N]`."""

    @abstractmethod
    def _sparse(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "T D"]:
        """The summaries over edges."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        if isinstance(self.topology, Full):  # one summary for all tokens of a sample
            each = self._samples(x, structure).index_select(0, layout.sample)
            return layout.unflat(each)
        pairs = self.topology.pairs(structure)
        if isinstance(pairs, Sparse):
            return layout.unflat(self._sparse(layout.flat(x), pairs.edges))
        padded = layout.pad(layout.clear(x))
        mask = pairs.full_mask(padded.shape[1], padded.shape[1], x.device)
        return layout.unpad(self._dense(padded, mask))


class Pooling(_Pool):
    """y_i = mean of x_j over the pairs (i, j); 0 for a token that hears nobody.

    The mixer of PoolFormer (Yu et al. 2022, "MetaFormer is actually what you need for vision") over
    `Neighborhood(r)`, of Deep Sets (Zaheer et al. 2017) over `Full()`. Shapes: [*, D] -> [*, D].
    """

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        grid = self._window(structure)
        if grid is None:
            return super().forward(x, structure)
        radius, layout = self.topology.radius, structure.layout  # type: ignore[attr-defined]
        image = layout.pad(x).transpose(1, 2).unflatten(2, grid)  # [B, D, H, W]
        y = F.avg_pool2d(image, 2 * radius + 1, 1, radius, count_include_pad=False)
        return layout.unpad(y.flatten(2).transpose(1, 2))

    def _window(self, structure: Structure) -> tuple[int, int] | None:
        """Rows and columns, where the pairs are a window of a grid with a token in every cell."""
        grid, layout = structure.grid, structure.layout
        plain = isinstance(self.topology, Neighborhood) and not self.topology.wrap
        if not plain or is_reference() or grid is None or len(grid) != 2:
            return None
        full = layout.padded_valid is None and layout.max_length == grid[0] * grid[1]
        return (grid[0], grid[1]) if full and layout.rows else None

    def _samples(self, x: Tensor, structure: Structure) -> Float[Tensor, "B D"]:
        return sample_mean(x, structure.layout)

    def _dense(self, x: Tensor, mask: Tensor) -> Float[Tensor, "B N D"]:
        return self._dense_weights(mask, x.dtype) @ x

    def _sparse(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "T D"]:
        return gather_reduce(x, edges, "mean")

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor | tuple:
        """1 / (number of pairs): `[B, 1, N, N]`, padded view, or over edges (index, `[E, 1]`)."""
        self.check(x, structure)
        pairs = self.topology.pairs(structure)
        if isinstance(pairs, Dense):
            size = structure.layout.max_length
            mask = pairs.full_mask(size, size, x.device)
            return self._dense_weights(mask, x.dtype).expand(structure.batch, -1, -1)[:, None]
        edges = pairs.edges
        one = torch.ones_like(edges.source, dtype=x.dtype)
        one = one if edges.keep is None else one * edges.keep
        count = segment_sum(one, edges.target, edges.num_rows).clamp_min(1)
        return edges.index, (one / count[edges.target])[:, None]

    @staticmethod
    def _dense_weights(mask: Tensor, dtype: torch.dtype) -> Tensor:
        weights = mask.to(dtype)
        return weights / weights.sum(-1, keepdim=True).clamp_min(1)


class MaxPooling(_Pool):
    """y_i = channel-wise maximum of x_j over the pairs (i, j); 0 for a token that hears nobody.

    PointNet's summary (Qi et al. 2017) over `Full()`. Shapes: [*, D] -> [*, D].
    """

    def _samples(self, x: Tensor, structure: Structure) -> Float[Tensor, "B D"]:
        return sample_max(x, structure.layout)

    def _dense(self, x: Tensor, mask: Tensor) -> Float[Tensor, "B N D"]:
        if x.shape[1] == 0:
            return x
        each = x[:, None].masked_fill(~mask[..., None], -math.inf)  # [B, N, N, D]
        return each.amax(2).masked_fill(~mask.any(-1, keepdim=True), 0)

    def _sparse(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "T D"]:
        return gather_reduce(x, edges, "max")
