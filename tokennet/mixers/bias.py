"""Biases of scores: by offset, by edge, by distance in the graph.

Axes: B samples, b B or 1, N target and M source tokens, T rows of the flat view, E edges, H heads,
K channels of an edge.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokennet.checks import positive, switch, type_error, value_error
from tokennet.mixers.score import CAUSAL_ONLY, Bias, Place
from tokennet.ops.graph import edge_places, hop_distances
from tokennet.pairs import Dense, Sparse
from tokennet.structure import SortedEdges


def _pairs_last(each: Tensor) -> Tensor:
    """A bias looked up for each pair, `[..., H]`, in the shape of scores."""
    return each if each.ndim == 2 else each.permute(0, 3, 1, 2)


class RelativeBias(Bias):
    """A learned number for each head and bucket of offsets: exact near by, log-wide far away.

    T5 (Raffel et al. 2020, section 2.1); Shaw et al. 2018 clip offsets where T5 widens buckets.
    Offsets of `max_distance` and more share the last bucket, so any length works.

    Args:
        causal: all buckets for earlier tokens; else half of them for later ones.
        scale: times the learned numbers; sqrt(head_dim) adds them to q.k before it is divided.
    """

    claims = CAUSAL_ONLY
    reads = frozenset({"position"})

    def __init__(
        self,
        num_heads: int,
        *,
        num_buckets: int = 32,
        max_distance: int = 128,
        causal: bool = False,
        scale: float = 1.0,
    ):
        super().__init__()
        self.num_heads = positive("num_heads", num_heads)
        self.num_buckets = positive("num_buckets", num_buckets, minimum=4)
        self.max_distance = positive("max_distance", max_distance)
        self.causal = switch("causal", causal)
        if isinstance(scale, bool) or not isinstance(scale, (int, float)):
            raise type_error("scale", repr(scale), "a number", "e.g. head_dim**0.5")
        self.scale = float(scale)
        side = num_buckets if causal else num_buckets // 2
        if max_distance <= side // 2:
            raise value_error(
                "max_distance", max_distance, f"more than {side // 2}, the offsets with a bucket "
                "of their own", "use more distance or fewer buckets",
            )  # fmt: skip
        self.table = nn.Parameter(torch.empty(num_buckets, num_heads))
        nn.init.normal_(self.table, std=0.02)

    def bucket(self, offset: Int[Tensor, "*pairs"]) -> Int[Tensor, "*pairs"]:
        """The bucket of each offset (source less target)."""
        size, later = self.num_buckets, torch.zeros_like(offset)
        if self.causal:
            distance = (-offset).clamp_min(0)
        else:
            size //= 2
            later, distance = (offset > 0) * size, offset.abs()
        exact = size // 2
        far = (distance.clamp_min(1).float() / exact).log() / math.log(self.max_distance / exact)
        wide = (exact + (far * (size - exact)).long()).clamp(max=size - 1)
        return later + torch.where(distance < exact, distance, wide)

    def forward(self, place: Place) -> Tensor:
        table = self.table if self.scale == 1 else self.table * self.scale
        most = self.max_distance  # beyond it all offsets share a bucket
        each = torch.arange(-most, most + 1, device=table.device)
        table = nn.functional.embedding(self.bucket(each), table)  # [2 most + 1, H]
        offset = place.offset.clamp(-most, most) + most
        return _pairs_last(nn.functional.embedding(offset, table))


class AlibiBias(Bias):
    """-m_h |offset| with fixed slopes m_h = 2**(-8 h / H), h = 1 to H: nearer counts more.

    Press et al. 2022, "Train short, test long: attention with linear biases". No parameters, any
    length. For H that is no power of two, the odd steps of the next power fill up, as there.
    """

    claims = CAUSAL_ONLY
    reads = frozenset({"position"})
    slope: Tensor

    def __init__(self, num_heads: int):
        super().__init__()
        self.num_heads = positive("num_heads", num_heads)
        power = 2 ** int(math.log2(num_heads))
        slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
        slopes += [2 ** (-4 * (2 * h + 1) / power) for h in range(num_heads - power)]
        self.register_buffer("slope", torch.tensor(slopes), persistent=False)

    def forward(self, place: Place) -> Tensor:
        distance = place.offset.abs()[..., None].to(self.slope.dtype)
        return _pairs_last(-distance * self.slope)


class EdgeBias(Bias):
    """W e_ij for the features of the edge j -> i; over dense pairs 0 where there is no edge.

    The edge encoding of Graphormer for direct edges (Ying et al. 2021, section 3.1.3), or GATv2's
    edge features in the score. A repeated edge adds up over dense pairs.
    """

    reads = frozenset({"edges"})

    def __init__(self, edge_dim: int, num_heads: int):
        super().__init__()
        self.edge_dim = positive("edge_dim", edge_dim)
        self.num_heads = positive("num_heads", num_heads)
        self.map = nn.Linear(edge_dim, num_heads, bias=False)

    def forward(self, place: Place) -> Tensor:
        pairs = place.pairs
        edges = place.structure.sorted_edges if isinstance(pairs, Dense) else pairs.edges
        each = self.map(edge_features(edges, self.edge_dim, "EdgeBias"))  # [E, H]
        if isinstance(pairs, Sparse):
            return each
        layout = place.structure.layout
        size, heads = layout.max_length, each.shape[1]
        matrix = each.new_zeros(layout.batch * size * size, heads)
        matrix = matrix.index_add(0, edge_places(place.structure), each)
        return matrix.view(layout.batch, size, size, heads).permute(0, 3, 1, 2)


class ShortestPathBias(Bias):
    """A learned number for each head and number of edges on the shortest path from j to i.

    The spatial encoding of Graphormer (Ying et al. 2021, "Do transformers really perform badly for
    graph representation?", equation 6). Beyond `max_distance`, and where no path leads, the last
    number counts. Distances are found once for each structure: O(max_distance N^3) a sample.
    """

    reads = frozenset({"edges"})

    def __init__(self, num_heads: int, *, max_distance: int = 8):
        super().__init__()
        self.max_distance = positive("max_distance", max_distance)
        size = max_distance + 2  # 0 to max_distance, and beyond
        self.num_heads = positive("num_heads", num_heads)
        self.table = nn.Parameter(torch.empty(size, num_heads))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, place: Place) -> Tensor:
        distance = hop_distances(place.structure, self.max_distance)  # [B, N, N]
        if isinstance(place.pairs, Sparse):
            edges = place.pairs.edges
            at = edge_places(place.structure, edges)
            distance = distance.flatten().index_select(0, at)
        return _pairs_last(nn.functional.embedding(distance, self.table))


def edge_features(edges: SortedEdges, edge_dim: int, reader: str) -> Float[Tensor, "E K"]:
    """The features of the edges, if they have as many channels as `reader` takes."""
    found = None if edges.attr is None else edges.attr.shape[1]
    if found != edge_dim:
        allowed = f"{edge_dim}, the edge_dim of {reader}"
        raise value_error("channels of edges.attr", found, allowed, "Edges(index, attr=[E, K])")
    assert edges.attr is not None
    return edges.attr
