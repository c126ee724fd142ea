"""A second set of tokens that is read, and lists of tokens with the sample of each.

Axes: B samples, N tokens, M memory tokens, T tokens of all samples, D channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.utils import to_dense_batch

from corpus.demonstrations import built, call, difference
from corpus.entry import planted
from corpus.parts import Projections, Readout, scatter_mean
from corpus.tasks import DIM, PACKED, WITH_MEMORY, features

ANY_ORDER = ("MemoryPermutation",)


class Cross(nn.Module):
    """Tokens attend to the memory of their sample."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.q, self.k, self.v = (nn.Linear(DIM, DIM) for _ in range(3))
        self.out = Readout(DIM)

    def read(self, x: Tensor, memory: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(self.q(x), self.k(memory), self.v(memory))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        return x + self.out(self.read(x, memory))


def turned(length: int = 5):
    """Memory in another order gives another output."""

    def shows(make) -> float:
        module, x, memory = built(make), features(), features(tokens=length, seed=1)
        return difference(call(module, x, memory), call(module, x, memory.roll(2, 1)))

    return shows


@planted(
    "memory-with-the-decoders-positions",
    WITH_MEMORY,
    broken=ANY_ORDER,
    difficulty="always",
    echo="position codes added inside the attention, to the keys of a set as well",
    shows=turned(),
)
class MemoryPositions(Cross):
    """Keys of the memory are shifted by where they stand."""

    def read(self, x: Tensor, memory: Tensor) -> Tensor:
        if self.bug:
            place = torch.arange(memory.shape[1], dtype=x.dtype, device=x.device)[:, None]
            memory = memory + torch.sin(place)
        return super().read(x, memory)


@planted(
    "memory-cut-to-the-length-of-the-queries",
    WITH_MEMORY,
    broken=ANY_ORDER,
    difficulty="size",
    echo="memory[:, : x.shape[1]]: right while both are of the same length",
    shows=turned(12),
)
class MemoryCut(Cross):
    """A longer memory loses its end."""

    def read(self, x: Tensor, memory: Tensor) -> Tensor:
        return super().read(x, memory[:, : x.shape[1]] if self.bug else memory)


@planted(
    "causal-flag-on-the-memory",
    WITH_MEMORY,
    broken=(*ANY_ORDER, "Permutation"),
    difficulty="always",
    echo="https://github.com/pytorch/pytorch/issues/108108",
    shows=turned(),
)
class CausalMemory(Cross):
    """The decoder's flag is handed to the cross-attention too."""

    def read(self, x: Tensor, memory: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(memory), self.v(memory)
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.bug)


@planted(
    "memory-of-the-first-sample",
    WITH_MEMORY,
    broken=("BatchIndependence",),
    difficulty="always",
    echo="memory[:1].expand(...), written for one prompt with many candidates",
    shows=lambda make: other_memory(make),
)
class FirstMemory(Cross):
    """All samples read what the first one remembers."""

    def read(self, x: Tensor, memory: Tensor) -> Tensor:
        return super().read(x, memory[:1].expand_as(memory) if self.bug else memory)


def other_memory(make) -> float:
    """The last sample beside another first one."""
    module, x, memory = built(make), features(), features(tokens=5, seed=1)
    changed = memory.clone()
    changed[0] += 1
    return difference(call(module, x, memory)[2], call(module, x, changed)[2])


def mixed(make) -> float:
    """Rows of all samples in a random order, with their sample numbers."""
    module, (x, batch) = built(make), PACKED.example()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return difference(call(module, x, batch)[order], call(module, x[order], batch[order]))


@planted(
    "batch-taken-to-be-sorted",
    PACKED,
    broken=("Interleaving",),
    difficulty="value",
    echo="https://github.com/pyg-team/pytorch_geometric/issues/6103",
    shows=mixed,
)
class DenseBatch(nn.Module):
    """Filling a dense tensor wants the samples one after the other."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.project, self.out = Projections(DIM), Readout(DIM)

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        order = batch.argsort(stable=True)
        back = order.argsort()
        if self.bug:
            order = back = torch.arange(len(batch), device=batch.device)
        most = int(torch.bincount(batch).max()) if len(batch) else 0
        dense, real = to_dense_batch(x[order], batch[order].sort().values, max_num_nodes=most)
        q, k, v = self.project(dense)
        y = F.scaled_dot_product_attention(q, k, v, real[:, None])
        return x + self.out(y[real])[back]


@planted(
    "samples-cut-at-their-counts",
    PACKED,
    broken=("Interleaving",),
    difficulty="value",
    echo="x.split(counts): right for samples that stand one after the other",
    shows=mixed,
)
class SplitByCount(nn.Module):
    """Rows are dealt out by the number of tokens of each sample."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.out = Readout(DIM)

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        count = torch.bincount(batch)
        index = torch.arange(len(count), device=x.device).repeat_interleave(count)
        index = index if self.bug else batch
        return self.out(x - scatter_mean(x, index, len(count))[index])
