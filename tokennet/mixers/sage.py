"""GraphSAGE: the token itself and a summary of those that it hears, each through its own map.

Axes: T rows of the flat view, E edges, D channels in, O channels out.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, type_error, value_error
from tokennet.laws import Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.ops import gather_reduce, segment_max, segment_mean, segment_min, segment_sum
from tokennet.ops.backend import record_flops
from tokennet.ops.sparse import Reduction
from tokennet.structure import SortedEdges, Structure

Pool = Callable[[Tensor, Tensor, int], Tensor]
REDUCTIONS: dict[Pool, Reduction] = {
    segment_sum: "sum",
    segment_mean: "mean",
    segment_max: "max",
    segment_min: "min",
}
"""Those that run without a message for each edge."""


class SAGEConvolution(Mixer):
    """y_i = W1 x_i + W2 pool_j x_j + b over the edges j -> i.

    GraphSAGE: Hamilton et al. 2017, "Inductive representation learning on large graphs" (algorithm
    1). `pool(values, segment, num_segments)` is `ops.segment_mean` unless given, or `segment_sum`,
    `segment_max`, or any function of the kind whose result does not depend on the order of the
    values. With `normalize` each y_i has length 1. Edge weights and features are not read. Shapes:
    [*, dim] -> [*, out_dim].
    """

    claims = closure({Permutation()})
    reads = frozenset({"edges"})

    def __init__(
        self,
        dim: int,
        *,
        out_dim: int | None = None,
        pool: Pool = segment_mean,
        normalize: bool = False,
        bias: bool = True,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        if not callable(pool):
            raise type_error("pool", repr(pool), "a function", "e.g. tokennet.ops.segment_max")
        self.pool, self.normalize = pool, normalize
        self.own = nn.Linear(dim, self.out_dim, bias=False)
        self.heard = nn.Linear(dim, self.out_dim, bias=bias)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, edges = structure.layout, structure.sorted_edges
        flat = layout.flat(layout.clear(x))
        y = self.heard(self._pooled(flat, edges))
        same = y.dtype == flat.dtype  # not so under autocast
        y = torch.addmm(y, flat, self.own.weight.T) if same else y + self.own(flat)
        return layout.unflat(F.normalize(y, dim=-1) if self.normalize else y)

    def _pooled(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "T D"]:
        if self.pool in REDUCTIONS:
            return gather_reduce(x, edges, REDUCTIONS[self.pool])
        record_flops(edges.num_edges * x.shape[1])
        return self.pool(x.index_select(0, edges.source), edges.target, edges.num_rows)

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> tuple[Tensor, Tensor]:
        """(index `[2, E]`, weights `[E, 1]`) of what is heard, where `pool` is a mean or a sum."""
        self.check(x, structure)
        if self.pool not in (segment_mean, segment_sum):
            name = getattr(self.pool, "__name__", repr(self.pool))
            raise value_error("pool", name, "segment_mean or segment_sum", "others have no matrix")
        edges = structure.sorted_edges
        one = torch.ones_like(edges.target, dtype=x.dtype)
        if self.pool is segment_mean:
            one = one / segment_sum(one, edges.target, edges.num_rows)[edges.target]
        return edges.index, one[:, None]
