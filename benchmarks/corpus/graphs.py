"""Graphs: directions, repeated edges, their order, statistics that reach beyond the neighbours.

Axes: T tokens, E edges, D channels. Rows of `edge_index` are source and target.
"""

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import coalesce

from corpus.demonstrations import built, call, difference
from corpus.entry import Shows, planted
from corpus.parts import Readout, scatter_sum
from corpus.tasks import DIM, ON_ATTRIBUTED, ON_GRAPH

NEAR = ("Locality", "GradientOf(Locality)")


def reaches(source: int, target: int, *, hops: int = 1) -> Shows:
    """Output `target` moves with token `source`, which no path of that many edges joins to it."""

    def shows(make) -> float:
        module, (x, edges) = built(make), ON_GRAPH.example()
        reach = torch.eye(len(x), dtype=torch.bool)
        for _ in range(hops):
            reach = reach | (
                reach[edges[0]]
                .new_zeros(reach.shape)
                .index_put((edges[1],), reach[edges[0]], accumulate=True)
            )
        assert not reach[target, source]
        moved = x.clone()
        moved[source] += 3
        return difference(call(module, x, edges)[target], call(module, moved, edges)[target])

    return shows


def reordered(task=ON_GRAPH) -> Shows:
    """The same edges in another order give another output."""

    def shows(make) -> float:
        module, (x, edges, *others) = built(make), task.example()
        order = torch.arange(edges.shape[1]).flip(0)
        there = [o[order] for o in others]
        return difference(call(module, x, edges, *others), call(module, x, edges[:, order], *there))

    return shows


def twice(*edge: int) -> Shows:
    """An edge that is listed twice more gives another output than listed once."""

    def shows(make) -> float:
        module, (x, edges) = built(make), ON_GRAPH.example()
        one = torch.cat([edges, torch.tensor(edge)[:, None]], 1)
        more = torch.cat([one, one[:, -1:], one[:, -1:]], 1)
        return difference(call(module, x, one), call(module, x, more))

    return shows


def renamed(keep: int) -> Shows:
    """The tokens under other names give other outputs; only edges among the first are kept."""

    def shows(make) -> float:
        module, (x, edges) = built(make), ON_GRAPH.example()
        edges = edges[:, (edges < keep).all(0)]
        order = torch.arange(len(x)).flip(0)  # new name of token i is order[i]
        y = call(module, x, edges)
        return difference(y[order], call(module, x[order], order[edges]))

    return shows


class Sum(MessagePassing):
    """Messages added up at the target, or at the source."""

    def __init__(self, bug: bool):
        super().__init__(aggr="add", flow="target_to_source" if bug else "source_to_target")
        self.lin = Readout(DIM)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return x + self.propagate(edge_index, x=self.lin(x))

    def message(self, x_j: Tensor) -> Tensor:
        return x_j


@planted(
    "edges-followed-backwards",
    ON_GRAPH,
    broken=NEAR,
    difficulty="always",
    echo="https://github.com/pyg-team/pytorch_geometric/issues/126",
    shows=reaches(1, 0),
)
class Backwards(Sum):
    """Messages flow from the target to the source."""


@planted(
    "sources-and-targets-mirrored",
    ON_GRAPH,
    broken=NEAR,
    difficulty="always",
    echo="a directed graph taken for an undirected one of which one half is listed",
    shows=reaches(1, 0),
)
class Mirrored(Sum):
    """Each edge is also used the other way around."""

    def __init__(self, bug: bool):
        super().__init__(False)
        self.mirror = bug

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        edges = torch.cat([edge_index, edge_index.flip(0)], 1) if self.mirror else edge_index
        return super().forward(x, edges)


class Graph(nn.Module):
    """Messages of the sources, mixed at the targets."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.value, self.out = Readout(DIM), nn.Linear(DIM, DIM)

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        return scatter_sum(h[source], target, len(h))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return x + self.out(self.mix(self.value(x), *edge_index))


@planted(
    "repeated-edges-counted",
    ON_GRAPH,
    broken=("DuplicateEdges",),
    difficulty="always",
    echo="https://github.com/dmlc/dgl/pull/482",
    shows=twice(4, 1),
)
class Repeated(Graph):
    """A set of edges is promised; the list is summed as it stands."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        edges = edge_index if self.bug else coalesce(edge_index, num_nodes=len(x))
        return super().forward(x, edges)


@planted(
    "self-loops-added-beside-those-given",
    ON_GRAPH,
    broken=("DuplicateEdges",),
    difficulty="value",
    echo="https://github.com/pyg-team/pytorch_geometric/issues/2288",
    shows=twice(2, 2),
)
class SelfLoops(Graph):
    """Other edges are made unique; self-loops in the input are kept as often as they come."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        loop = edge_index[0] == edge_index[1]
        edges = coalesce(edge_index[:, ~loop], num_nodes=len(x))
        given = edge_index[:, loop]
        given = given if self.bug else coalesce(given, num_nodes=len(x))
        return super().forward(x, torch.cat([edges, given], 1))


@planted(
    "edges-taken-to-be-sorted",
    ON_GRAPH,
    broken=("EdgeOrder", "Permutation"),
    difficulty="always",
    echo="https://github.com/pyg-team/pytorch_geometric/pull/10685",
    shows=reordered(),
)
class Sorted(Graph):
    """Segments are cut by the targets' counts, as if edges came target by target."""

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        if self.bug:
            count = torch.bincount(target, minlength=len(h))
            target = torch.arange(len(h), device=h.device).repeat_interleave(count)
        return super().mix(h, source, target)


@planted(
    "last-message-wins",
    ON_GRAPH,
    broken=("EdgeOrder",),
    difficulty="always",
    echo="https://github.com/pytorch/pytorch/issues/60846",
    shows=reordered(),
)
class LastWins(Graph):
    """An indexed assignment where a scattered sum was meant."""

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        if not self.bug:
            return super().mix(h, source, target)
        out = torch.zeros_like(h)
        for s, t in zip(source.tolist(), target.tolist(), strict=True):
            out[t] = h[s]
        return out


@planted(
    "first-neighbours-only",
    ON_GRAPH,
    broken=("EdgeOrder",),
    difficulty="size",
    echo="neighbours sampled at evaluation by taking the first few of the list",
    shows=lambda make: crowded(make),
)
class FirstNeighbours(Graph):
    """At most four edges of a target are read."""

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        if self.bug and len(target):
            earlier = (target[:, None] == target).tril(-1).sum(1)
            source, target = source[earlier < 4], target[earlier < 4]
        return super().mix(h, source, target)


def crowded(make) -> float:
    """Six edges into one token, in two orders."""
    module, (x, _) = built(make), ON_GRAPH.example()
    edges = torch.stack([torch.arange(6), torch.zeros(6, dtype=torch.int64)])
    return difference(call(module, x, edges), call(module, x, edges.flip(1)))


@planted(
    "attributes-left-in-the-old-order",
    ON_ATTRIBUTED,
    broken=("EdgeOrder", "Permutation"),
    difficulty="always",
    echo="edges sorted by target while their attributes stay where they were",
    shows=reordered(ON_ATTRIBUTED),
)
class Attributes(nn.Module):
    """Edges are sorted; what belongs to them isn't."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.value, self.gate = Readout(DIM), nn.Linear(3, DIM)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        order = edge_index[1].argsort(stable=True)
        source, target = edge_index[:, order]
        gate = self.gate(edge_attr if self.bug else edge_attr[order])
        return x + scatter_sum(self.value(x)[source] * gate, target, len(x))


@planted(
    "tokens-counted-by-the-largest-index",
    ON_GRAPH,
    broken=("Permutation",),
    difficulty="value",
    echo="https://github.com/pyg-team/pytorch_geometric/issues/1580",
    shows=renamed(4),
)
class Counted(Graph):
    """Tokens after the last one that has an edge get no update."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        size = len(x)
        if self.bug and edge_index.numel():
            size = int(edge_index.max()) + 1
        h = self.value(x[:size])
        y = x[:size] + self.out(h + self.mix(h, *edge_index))
        return torch.cat([y, x[size:]])


@planted(
    "repeated-edges-weigh-more",
    ON_GRAPH,
    broken=("DuplicateEdges",),
    difficulty="always",
    echo="an average over edges where one over neighbours is promised",
    shows=twice(4, 1),
)
class RepeatedInMean(Graph):
    """The mean over incoming edges; the twin takes the maximum, which repetition can't move."""

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        way = "mean" if self.bug else "amax"
        there = target[:, None].expand(-1, h.shape[1])
        zero = torch.zeros_like(h)
        return zero.scatter_reduce(0, there, h[source], way, include_self=False)
