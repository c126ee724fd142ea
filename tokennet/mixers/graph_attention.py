"""Graph attention with additive scores over the edges.

Axes: T rows of the flat view, E edges, H heads, D channels of a head.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, probability, split_heads
from tokennet.laws import Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.ops import attend_gat, attend_gatv2, edge_softmax
from tokennet.structure import SortedEdges, Structure
from tokennet.topology import EdgeList


class _AdditiveAttention(Mixer, ABC):
    """What GAT and GATv2 share: everything but the score.

    Every token hears itself unless `self_loops=False`; edge weights and features are not read.
    `mean_heads` averages the heads, as in the paper's last layer, else they are joined.
    """

    claims = closure({Permutation()})
    reads = frozenset({"edges"})

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        out_dim: int | None = None,
        self_loops: bool = True,
        mean_heads: bool = False,
        slope: float = 0.2,
        dropout: float = 0.0,
        bias: bool = True,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        self.num_heads = positive("num_heads", num_heads)
        name = "dim" if out_dim is None else "out_dim"
        self.head_dim = (
            self.out_dim if mean_heads else split_heads(self.out_dim, num_heads, name=name)
        )
        self.topology = EdgeList(self_loops)
        self.mean_heads, self.slope = mean_heads, slope
        self.dropout = probability("dropout", dropout)
        self._make_weights(dim, num_heads * self.head_dim)
        self.bias = nn.Parameter(torch.zeros(self.out_dim)) if bias else None

    @abstractmethod
    def _make_weights(self, dim: int, inner: int) -> None:
        """Makes `value`, `score` and what else the scores need."""

    @abstractmethod
    def _mix(self, x: Tensor, edges: SortedEdges, dropout: float) -> Float[Tensor, "T H D"]:
        """The weighted sums of the values."""

    @abstractmethod
    def _scores(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "E H"]:
        """Scores of the edges, to look at."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, edges = structure.layout, self.topology.pairs(structure).edges
        y = self._mix(layout.flat(x), edges, self.dropout if self.training else 0.0)
        y = y.mean(1) if self.mean_heads else y.flatten(1)
        return layout.unflat(y if self.bias is None else y + self.bias)

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> tuple[Tensor, Tensor]:
        """(index `[2, E]`, weights `[E, H]`); over the edges into a token they sum to one."""
        self.check(x, structure)
        edges = self.topology.pairs(structure).edges
        scores = self._scores(structure.layout.flat(x), edges)
        return edges.index, edge_softmax(scores, edges)


class GraphAttention(_AdditiveAttention):
    """y_i = sum_j softmax_j(LeakyReLU(a . W x_j + b . W x_i)) W x_j, edges j -> i, heads joined.

    GAT: Velickovic et al. 2018, "Graph attention networks" (equations 3 to 6). The ranking of the
    sources is the same for every target; `GraphAttentionV2` mends that. `dropout` acts on the
    weights. Shapes: [*, dim] -> [*, out_dim].
    """

    def _make_weights(self, dim: int, inner: int) -> None:
        self.value = nn.Linear(dim, inner, bias=False)
        self.score = nn.Parameter(self.value.weight.new_empty(2, self.num_heads, self.head_dim))
        for weight in (self.value.weight, *self.score):  # score: two maps, each of its own
            nn.init.xavier_uniform_(weight)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a token adds to a score as the target and as the source `[T, H]`; its value.

        a.(W x) as (a W) x: a product with 2 H columns, not two passes over all values.
        """
        v = self.value(x).unflatten(-1, (self.num_heads, self.head_dim))
        maps = self.value.weight.unflatten(0, (self.num_heads, self.head_dim))
        folded = torch.einsum("shd,hdi->shi", self.score, maps)  # [2, H, D of x]
        source, target = F.linear(x, folded.flatten(0, 1)).chunk(2, -1)
        return target, source, v

    def _mix(self, x: Tensor, edges: SortedEdges, dropout: float) -> Float[Tensor, "T H D"]:
        return attend_gat(*self._parts(x), edges, slope=self.slope, dropout=dropout)

    def _scores(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "E H"]:
        target, source, _ = self._parts(x)
        scores = source.index_select(0, edges.source) + target.index_select(0, edges.target)
        return F.leaky_relu(scores, self.slope)


class GraphAttentionV2(_AdditiveAttention):
    """y_i = sum_j softmax_j(a . LeakyReLU(W x_j + U x_i)) W x_j over edges j -> i, heads joined.

    GATv2: Brody et al. 2022, "How attentive are graph attention networks?" (equation 7), whose
    ranking of the sources depends on the target. Shapes: [*, dim] -> [*, out_dim].
    """

    def _make_weights(self, dim: int, inner: int) -> None:
        self.value = nn.Linear(dim, inner)
        self.target = nn.Linear(dim, inner)
        self.score = nn.Parameter(self.value.weight.new_empty(self.num_heads, self.head_dim))
        for weight in (self.value.weight, self.target.weight, self.score):
            nn.init.xavier_uniform_(weight)
        for linear in (self.value, self.target):
            nn.init.zeros_(linear.bias)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """U x and W x, `[T, H, D]`."""
        heads = (self.num_heads, self.head_dim)
        return self.target(x).unflatten(-1, heads), self.value(x).unflatten(-1, heads)

    def _mix(self, x: Tensor, edges: SortedEdges, dropout: float) -> Float[Tensor, "T H D"]:
        u, v = self._parts(x)
        return attend_gatv2(u, v, self.score, edges, slope=self.slope, dropout=dropout)

    def _scores(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "E H"]:
        u, v = self._parts(x)
        both = v.index_select(0, edges.source) + u.index_select(0, edges.target)  # [E, H, D]
        return (F.leaky_relu(both, self.slope) * self.score).sum(-1)
