"""Planted bugs, each with its correct twin: the same module with `bug` False.

Axes: B samples, N tokens of the padded view, T rows, E edges, D channels.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.laws import Law, closure

DIM = 6
PERM = (tn.Permutation(),)

Body = Callable[["Mutant", Tensor, tn.Structure, bool], Tensor]


class Mutant(tn.Mixer):
    """A mixer around a function, with three linear maps, a gate that starts at zero, and a norm."""

    dim = DIM

    def __init__(self, body: Body, bug: bool, claims: Iterable[Law], reads: Iterable[str]):
        super().__init__()
        self.body, self.bug = body, bug
        self.claims, self.reads = closure(claims), frozenset(reads)
        self.q, self.k, self.v = (nn.Linear(DIM, DIM) for _ in range(3))
        self.gate = nn.Parameter(torch.zeros(()))
        self.norm = nn.BatchNorm1d(DIM)
        self.kept: Tensor | None = None

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        return self.body(self, x, structure, self.bug)


@dataclass(frozen=True)
class Planted:
    """A bug, and the laws of which at least one must break."""

    name: str
    laws: tuple[str, ...]
    make: Callable[[bool], tn.Mixer]


PLANTED: list[Planted] = []


def planted(
    name: str,
    *laws: str,
    claims: Iterable[Law] = PERM,
    reads: Iterable[str] = (),
    topology: tn.Topology | None = None,
    pooled: bool = False,
) -> Callable[[Body], Body]:
    """Registers a body as a bug and its twin."""

    def register(body: Body) -> Body:
        def make(bug: bool) -> tn.Mixer:
            mixer = Mutant(body, bug, claims, reads)
            mixer.pooled = pooled
            if topology is not None:
                mixer.topology = topology
            return mixer

        PLANTED.append(Planted(name, laws, make))
        return body

    return register


def mask_of(structure: tn.Structure) -> Tensor:
    """`[B, N]`, True at a real token of the padded view."""
    layout = structure.layout
    shape = (layout.batch, layout.max_length)
    valid = layout.padded_valid
    return torch.ones(shape, dtype=torch.bool) if valid is None else valid


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Over the last axis where mask is True; zeros where it never is."""
    live = mask.any(-1, keepdim=True)
    scores = scores.masked_fill(~mask, -math.inf).masked_fill(~live, 0)
    return scores.softmax(-1) * live


def heads(m: Mutant, x: Tensor, structure: tn.Structure) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v `[B, N, D]` of the padded view."""
    layout = structure.layout
    x = layout.clear(x)
    return layout.pad(m.q(x)), layout.pad(m.k(x)), layout.pad(m.v(x))


def attention(m: Mutant, x: Tensor, structure: tn.Structure, mask: Tensor | None = None) -> Tensor:
    """Correct single-head attention, with a further mask `[N, N]`."""
    q, k, v = heads(m, x, structure)
    allowed = mask_of(structure)[:, None, :].expand(-1, q.shape[1], -1)
    weights = softmax(q @ k.mT, allowed if mask is None else allowed & mask)
    return structure.layout.unpad(weights @ v)


def band(n: int, low: int, high: int) -> Tensor:
    """Pairs (i, j) with low <= j - i <= high."""
    gap = torch.arange(n)[None] - torch.arange(n)[:, None]
    return (gap >= low) & (gap <= high)


def edge_sum(m: Mutant, x: Tensor, structure: tn.Structure, *, swapped: bool = False) -> Tensor:
    """The sum of v over the edges into each token."""
    layout = structure.layout
    source, target = structure.edges.index.flip(0) if swapped else structure.edges.index
    v = m.v(layout.clear(x))
    flat = layout.flat(v)
    return layout.unflat(torch.zeros_like(flat).index_add(0, target, flat[source]))
