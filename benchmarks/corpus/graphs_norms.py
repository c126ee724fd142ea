"""Graphs: normalisers and readouts that reach beyond the neighbours, or divide by no neighbour.

Axes: T tokens, E edges, D channels. Rows of `edge_index` are source and target.
"""

import torch
from torch import Tensor, nn
from torch_geometric.nn import GraphNorm, LayerNorm
from torch_geometric.utils import dropout_edge, softmax

from corpus.demonstrations import built, call, difference, infinite, repeated
from corpus.entry import planted
from corpus.graphs import NEAR, Graph, reaches
from corpus.parts import Readout, scatter_mean, scatter_softmax, scatter_sum
from corpus.tasks import DIM, ON_GRAPH, ON_GRAPHS, ON_WEIGHTED, ring


def graphs(make) -> float:
    """The first graph beside another one, which changes."""
    module, (x, edges, batch) = built(make), ON_GRAPHS.example()
    other = x.clone()
    other[batch == 1] += 2
    first = batch == 0
    return difference(
        call(module, x, edges, batch)[first], call(module, other, edges, batch)[first]
    )


@planted(
    "layer-norm-over-the-graph",
    ON_GRAPH,
    broken=NEAR,
    difficulty="always",
    echo="https://github.com/pyg-team/pytorch_geometric/pull/4944",
    shows=reaches(1, 0),
)
class NormOverGraph(Graph):
    """One distant token changes the scale of all."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.norm = LayerNorm(DIM) if bug else LayerNorm(DIM, mode="node")

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        return super().mix(self.norm(h), source, target)


@planted(
    "softmax-over-all-edges",
    ON_GRAPH,
    broken=NEAR,
    difficulty="always",
    echo="softmax(score, dim=0) where each target needs its own",
    shows=reaches(1, 0),
)
class OverAllEdges(Graph):
    """Edges of other targets take their share of the weights."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.score = nn.Linear(DIM, 1)

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        score = self.score(h[source] + h[target])[:, 0]
        weight = score.softmax(0) if self.bug else scatter_softmax(score, target, len(h))
        return scatter_sum(weight[:, None] * h[source], target, len(h))


@planted(
    "one-layer-too-many",
    ON_GRAPH,
    broken=NEAR,
    difficulty="value",
    echo="a second propagation for the normaliser: neighbours of neighbours count",
    shows=reaches(4, 0),
)
class OneHopMore(Graph):
    """Weights are relative to the mean of the source's own neighbours."""

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        around = scatter_mean(h[source], target, len(h)) if self.bug else h
        return super().mix(torch.sigmoid(around) * h, source, target)


@planted(
    "graph-norm-without-the-batch",
    ON_GRAPHS,
    broken=("BatchIndependence", "GradientOf(BatchIndependence)"),
    difficulty="always",
    echo="https://github.com/pyg-team/pytorch_geometric/pull/7135",
    shows=graphs,
)
class NormWithoutBatch(nn.Module):
    """Without its second argument, the norm takes the batch for one graph."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.norm, self.readout = GraphNorm(DIM), Readout(DIM)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        source, target = edge_index
        h = x + scatter_sum(self.readout(x)[source], target, len(x))
        return self.norm(h, None if self.bug else batch)


@planted(
    "one-virtual-token-for-all-graphs",
    ON_GRAPHS,
    broken=("BatchIndependence", "GradientOf(BatchIndependence)"),
    difficulty="always",
    echo="https://github.com/pyg-team/pytorch_geometric/issues/258",
    shows=graphs,
)
class VirtualToken(nn.Module):
    """The token that all others talk to is shared by the graphs of a batch."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.value, self.readout = Readout(DIM), Readout(DIM)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        source, target = edge_index
        where = torch.zeros_like(batch) if self.bug else batch
        size = int(batch.max()) + 1 if len(batch) else 0
        centre = scatter_mean(self.value(x), where, size)[where]
        return x + self.readout(centre + scatter_mean(x[source], target, len(x)))


@planted(
    "single-graph-path",
    ON_GRAPHS,
    broken=("BatchIndependence",),
    difficulty="size",
    echo="a shortcut for a batch of one graph that sums where the batch averages",
    shows=lambda make: single(make),
)
class SingleGraph(VirtualToken):
    """One graph alone is summed, several are averaged."""

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        size = int(batch.max()) + 1 if len(batch) else 0
        pool = scatter_sum if self.bug and size == 1 else scatter_mean
        source, target = edge_index
        return x + self.readout(
            pool(self.value(x), batch, size)[batch] + scatter_mean(x[source], target, len(x))
        )


def single(make) -> float:
    """The first graph alone and beside the second."""
    module, (x, edges, batch) = built(make), ON_GRAPHS.example()
    own = edges[:, (edges < 6).all(0)]
    return difference(call(module, x, edges, batch)[:6], call(module, x[:6], own, batch[:6]))


@planted(
    "degree-of-an-isolated-token",
    ON_WEIGHTED,
    broken=("Finite",),
    difficulty="value",
    echo="degree ** -0.5 is infinite where no edge ends; infinite times zero is NaN",
    shows=lambda make: infinite(*isolated())(make),
)
class IsolatedDegree(nn.Module):
    """Symmetric normalisation without the guard for degree zero."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.value = Readout(DIM)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        source, target = edge_index
        degrees = scatter_sum(edge_weight.abs(), target, len(x))
        root = degrees.rsqrt() if self.bug else degrees.clamp(min=1e-6).rsqrt() * (degrees > 0)
        y = scatter_sum(self.value(x)[source] * edge_weight[:, None], target, len(x))
        return x + y * root[:, None]


def isolated() -> tuple[Tensor, ...]:
    x, edges, weight = ON_WEIGHTED.example()
    keep = (edges[1] != 5) & (edges[0] != 5)
    return x, edges[:, keep], weight[keep]


@planted(
    "edge-softmax-overflows",
    ON_GRAPH,
    broken=("Finite",),
    difficulty="value",
    echo="exp of attention scores without taking off each target's maximum",
    shows=lambda make: infinite(300 * ON_GRAPH.example()[0], ring(), dtype=torch.float32)(make),
)
class Overflow(Graph):
    """Scores in the hundreds overflow."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.score = nn.Linear(DIM, 1)

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        score = 5 * self.score(h[source])[:, 0]
        if self.bug:
            weight = score.exp()
            weight = weight / scatter_sum(weight, target, len(h))[target]
        else:
            weight = softmax(score, target, num_nodes=len(h))
        return scatter_sum(weight[:, None] * h[source], target, len(h))


@planted(
    "edges-dropped-at-evaluation",
    ON_GRAPH.without("TrainEval"),
    broken=("Repeatability", "Purity"),
    difficulty="always",
    echo="dropout_edge(edge_index) drops unless it is told training=False",
    shows=lambda make: repeated(*ON_GRAPH.example())(make),
)
class DroppedEdges(Graph):
    """The function's default is to drop."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        training = True if self.bug else self.training
        edges, _ = dropout_edge(edge_index, p=0.5, training=training)
        return super().forward(x, edges)
