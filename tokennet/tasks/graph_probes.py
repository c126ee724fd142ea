"""Probes on graphs: how far is it to the marked token, what do the neighbours hold on average?

Axes: S samples (graphs), N tokens of each, E edges of each, both directions, D channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.mixers import GINConvolution, Mixer, SAGEConvolution
from tokennet.net import FeatureTokenizer, PreNorm, Tokenizer, TokenReadout
from tokennet.structure import Edges, Structure
from tokennet.tasks.base import Reference, Sums
from tokennet.tasks.probes import Probe
from tokennet.tasks.samples import Batch, Samples
from tokennet.tasks.training import Recipe


@dataclass(frozen=True, eq=False)
class EqualGraphs(Samples):
    """Graphs of as many tokens and edges each: x `[S, N, D]`, edges `[S, 2, E]`, targets `[S, N]`.

    Batches are packed.
    """

    x: Tensor
    edges: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index: Tensor) -> Batch:
        x, pairs = self.x[index], self.edges[index]
        graphs, size = x.shape[:2]
        pairs = pairs + size * torch.arange(graphs)[:, None, None]
        edges = Edges(pairs.transpose(0, 1).flatten(1))
        structure = Structure.packed([size] * graphs, edges=edges)
        return Batch(x.flatten(0, 1), self.targets[index].flatten(0, 1), structure)


class GraphProbe(Probe):
    """A probe on random graphs of `length` tokens, each of as many undirected edges, none twice.

    Facts for parts: `num_tokens`, `features` and `classes`.
    """

    features: int
    classes: int

    def check_length(self, name: str, length: int) -> None:
        if length < 4:
            raise value_error(name, length, "at least 4 tokens")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_tokens": self.largest, "features": self.features, "classes": self.classes}

    def tokenizer(self, dim: int) -> Tokenizer:
        return FeatureTokenizer(self.features, dim)


def random_edges(count: int, size: int, number: int, generator: torch.Generator) -> Tensor:
    """`[count, 2, 2 number]`: different pairs of tokens, drawn for each graph, both directions."""
    first, second = torch.triu_indices(size, size, 1)
    drawn = torch.rand(count, len(first), generator=generator).argsort(1)[:, :number]
    pairs = torch.stack([first[drawn], second[drawn]], 1)
    return torch.cat([pairs, pairs.flip(1)], 2)


class ShortestPath(GraphProbe):
    """How many edges is each token away from the marked one: 0 to 4, or more?

    Ability: to carry a mark along edges, one edge a block at best; without edges the other tokens
    are all alike, and `chance` is what the most frequent answer gets for those that are not marked.
    Whoever can't be reached counts as farther than 4. Random graphs of 16 tokens and 20 edges; 4
    blocks; 3,000 samples to fit, 1,000 to test; accuracy of single tokens.

    Args:
        farthest: the greatest distance to tell, in edges.
    """

    length = 16
    features = 2
    samples = 3_000
    recipe = Recipe(epochs=8, lr=3e-3)
    reference = Reference(1.0, "by construction; chance 0.316")

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        length: int | None = None,
        test_length: int | None = None,
        samples: int | None = None,
        farthest: int = 4,
    ) -> None:
        self.farthest = positive("farthest", farthest)
        self.classes = farthest + 2
        self.own = {"mixer": hear, "depth": farthest}  # type: ignore[misc]
        super().__init__(
            recipe, epochs=epochs, length=length, test_length=test_length, samples=samples
        )

    @property
    def chance(self) -> float:
        test = self.data(0).test
        assert isinstance(test, EqualGraphs)
        found = torch.bincount(test.targets.flatten())
        return float(found[0] + found[1:].max()) / test.targets.numel()

    def draw(self, count: int, length: int, generator: torch.Generator) -> EqualGraphs:
        edges = random_edges(count, length, length + length // 4, generator)
        marked = torch.randint(length, (count,), generator=generator)
        graph = torch.arange(count)
        adjacency = torch.zeros(count, length, length)
        adjacency[graph[:, None], edges[:, 1], edges[:, 0]] = 1
        distance = torch.full((count, length), self.farthest + 1)
        front = torch.zeros(count, length)
        front[graph, marked] = 1
        for step in range(self.farthest + 1):
            distance[(front > 0) & (distance > step)] = step
            front = (adjacency @ front[..., None]).squeeze(-1)
        mark = (distance == 0).float()
        return EqualGraphs(torch.stack([mark, 1 - mark], -1), edges, distance)

    def readout(self, dim: int) -> Mixer:
        return TokenReadout(dim, self.classes)


def hear(dim: int) -> Mixer:
    """What a net of `ShortestPath` mixes with where nothing is chosen."""
    return GINConvolution(dim, nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)))


class NeighbourMean(GraphProbe):
    """The mean of the neighbours' number, for each token: 0 where it has no neighbour.

    Ability: to hear the neighbours, all of them, and no other. Numbers are normal and independent,
    so a token that hears nobody can't do better than to say 0, which is a relative error of 1:
    chance. One that hears all tokens but does not know the edges is left with 0.78. The
    metric is the sum of the squared errors divided by that of the squared answers. Random graphs of
    16 tokens and 32 edges; 2,000 samples to fit, 1,000 to test. The net has no norm, as that would
    bend what is linear in the numbers.
    """

    metric = "relative_error"
    higher_is_better = False
    best = 0.0
    length = 16
    features = classes = 1
    samples = 2_000
    recipe = Recipe(epochs=12, lr=5e-3)
    own: ClassVar[Mapping[str, Any]] = {
        "mixer": SAGEConvolution,
        "residual": partial(PreNorm, norm=nn.Identity),
    }
    reference = Reference(0.0, "by construction; chance 1.0")

    @property
    def chance(self) -> float:
        return 1.0

    def draw(self, count: int, length: int, generator: torch.Generator) -> EqualGraphs:
        most = length * (length - 1) // 2
        edges = random_edges(count, length, min(2 * length, most), generator)
        x = torch.randn(count, length, generator=generator)
        source, target = edges.unbind(1)
        heard = torch.zeros_like(x).scatter_add(1, target, x.gather(1, source))
        often = torch.zeros_like(x).scatter_add(1, target, torch.ones(source.shape))
        return EqualGraphs(x[..., None], edges, heard / often.clamp_min(1))

    def readout(self, dim: int) -> Mixer:
        return TokenReadout(dim, 1, norm=None)

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        return (answer.squeeze(-1) - batch.targets).square().mean()

    def scores(self, answer: Tensor, batch: Batch) -> Sums:
        error = float((answer.squeeze(-1) - batch.targets).square().sum())
        count = batch.targets.numel()
        return {
            "relative_error": (error, float(batch.targets.square().sum())), "loss": (error, count)
        }  # fmt: skip
