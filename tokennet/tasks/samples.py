"""Samples of a task, by batches: inputs with their structure, and what is to be said of them.

Axes: B samples, T tokens, D channels.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import positive, value_error
from tokennet.structure import Structure, Tokens
from tokennet.structure.transform import concatenate


@dataclass(frozen=True, eq=False)
class Batch:
    """What a net gets (`net(inputs, structure)`), the targets, and which answers count.

    `counts`: a mask over the answers' rows, e.g. the labelled tokens of a graph; None: all.
    """

    inputs: Any
    targets: Tensor
    structure: Structure | None = None
    counts: Tensor | None = None

    def to(self, device: torch.device | str) -> "Batch":
        move = lambda value: value.to(device) if hasattr(value, "to") else value  # noqa: E731
        return Batch(*map(move, (self.inputs, self.targets, self.structure, self.counts)))


class Samples(ABC):
    """A part of a data set: `len(samples)`, and `samples.batch(index)` for some of them."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, index: Tensor) -> Batch:
        """The samples at `index`, in its order."""

    def first(self, count: int = 1) -> Batch:
        """The first ones."""
        return self.batch(torch.arange(min(count, len(self))))


@dataclass(frozen=True, eq=False)
class Arrays(Samples):
    """Samples of one shape: inputs `[S, ...]`, targets `[S, ...]`.

    `counts`: which of a sample's answers count, `[S, N]`; None: all.
    """

    inputs: Tensor
    targets: Tensor
    counts: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index: Tensor) -> Batch:
        counts = None if self.counts is None else self.counts[index]
        return Batch(self.inputs[index], self.targets[index], counts=counts)

    def chosen(self, index: Tensor | slice) -> "Arrays":
        """Some of the samples, by a mask, numbers or a slice."""
        counts = None if self.counts is None else self.counts[index]
        return Arrays(self.inputs[index], self.targets[index], counts)

    @staticmethod
    def joined(parts: Sequence["Arrays"]) -> "Arrays":
        """The samples of all of them."""
        counts = [part.counts for part in parts if part.counts is not None]
        return Arrays(
            torch.cat([part.inputs for part in parts]),
            torch.cat([part.targets for part in parts]),
            torch.cat(counts) if counts else None,
        )


@dataclass(frozen=True, eq=False)
class Ragged(Samples):
    """Samples of any length, packed: a list of `[T_i, ...]` tensors, and targets.

    Targets are a tensor `[S, ...]`, one row a sample, or a list of `[T_i, ...]`, one row a token.
    """

    inputs: list[Tensor]
    targets: Tensor | list[Tensor]

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, index: Tensor) -> Batch:
        chosen = index.tolist()
        inputs = [self.inputs[i] for i in chosen]
        structure = Structure.packed([len(x) for x in inputs])
        if isinstance(self.targets, Tensor):
            return Batch(torch.cat(inputs), self.targets[index], structure)
        return Batch(torch.cat(inputs), torch.cat([self.targets[i] for i in chosen]), structure)


@dataclass(frozen=True, eq=False)
class Graphs(Samples):
    """Graphs, one sample each: their tokens, and targets `[S, ...]`."""

    graphs: list[Tokens]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.graphs)

    def batch(self, index: Tensor) -> Batch:
        x, structure = concatenate([self.graphs[i] for i in index.tolist()])
        return Batch(x, self.targets[index], structure)


@dataclass(frozen=True, eq=False)
class OneGraph(Samples):
    """One graph, always whole; `counts` says whose answers are asked for."""

    x: Tensor
    structure: Structure
    targets: Tensor
    counts: Tensor

    def __len__(self) -> int:
        return 1

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.x, self.targets, self.structure, self.counts)


@dataclass(frozen=True, eq=False)
class Chosen(Samples):
    """Some of the samples of another part."""

    samples: Samples
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, index: Tensor) -> Batch:
        return self.samples.batch(self.index[index])


def limited(samples: Samples, limit: int | None, seed: int) -> Samples:
    """`limit` of the samples, drawn by the seed: the smaller draw is part of the larger."""
    if limit is None:
        return samples
    if positive("limit", limit) > len(samples):
        raise value_error("limit", limit, f"at most {len(samples)}, the samples to fit")
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    return Chosen(samples, order[:limit])
