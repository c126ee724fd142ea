"""Rules that say, given a structure, which tokens communicate.

Axes: B samples, N tokens of the padded view, T rows of the flat view.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.laws import (
    Causality,
    CyclicShift,
    GridShift,
    Law,
    MemoryPermutation,
    Permutation,
    closure,
)
from tokennet.pairs import Dense, Pairs, Ragged, Sparse
from tokennet.structure import Packed, SortedEdges, Structure


class Topology(ABC):
    """A rule for pairs. `claims`: what an operator keeps that mixes by content over these pairs."""

    claims: ClassVar[frozenset[Law]] = frozenset()
    reads: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def pairs(self, structure: Structure) -> Pairs:
        """The pairs that communicate."""

    def ragged(self, structure: Structure) -> Ragged | None:
        """The pairs in a form without padding, where rows are packed and the rule is that plain."""
        return None

    def __and__(self, other: "Topology") -> "Topology":
        return Intersection(self, other)

    def __str__(self) -> str:
        """Short, for tables: `Window(2, wrap)`."""
        names: list[str] = [f.name for f in fields(self)] if is_dataclass(self) else []
        given = {name: getattr(self, name) for name in names}
        given = {name: value for name, value in given.items() if value is not False}
        shown = [name if value is True else str(value) for name, value in given.items()]
        return type(self).__name__ + (f"({', '.join(shown)})" if shown else "")

    def matrix(self, structure: Structure) -> Bool[Tensor, "T T"]:
        """All pairs as a matrix over the flat view, `[target, source]`: to look at, and to test."""
        layout, pairs = structure.layout, self.pairs(structure)
        rows = torch.zeros(layout.rows, layout.rows, dtype=torch.bool, device=layout.device)
        if isinstance(pairs, Sparse):
            edges = pairs.edges
            keep = slice(None) if edges.keep is None else edges.keep
            rows[edges.target[keep], edges.source[keep]] = True
            return rows & layout.valid.flatten()[:, None]  # self-loops are added to padding too
        size = layout.max_length
        mask = pairs.full_mask(size, size, layout.device).expand(layout.batch, size, size)
        slot = torch.arange(layout.rows, device=layout.device)
        number = layout.pad(layout.unflat(slot)[..., None]).squeeze(-1)  # [B, N], row of each slot
        valid = layout.padded_valid
        if valid is not None:
            mask = mask & valid[:, :, None] & valid[:, None, :]
        b, n, m = mask.nonzero(as_tuple=True)
        rows[number[b, n], number[b, m]] = True
        return rows


def _keys(structure: Structure) -> Tensor | None:
    valid = structure.layout.padded_valid
    return None if valid is None else valid[:, None, :]


def _both(mask: Tensor, other: Tensor | None) -> Tensor:
    return mask if other is None else mask & other


def _packed(targets: Structure, sources: Structure, *, causal: bool = False) -> Ragged | None:
    own, other = targets.layout, sources.layout
    if isinstance(own, Packed) and isinstance(other, Packed):
        return Ragged(own, other, causal)
    return None


@dataclass(frozen=True)
class Full(Topology):
    """Every token with every token of its sample, itself included."""

    claims: ClassVar[frozenset[Law]] = closure({Permutation()})

    def pairs(self, structure: Structure) -> Dense:
        return Dense(_keys(structure))

    def ragged(self, structure: Structure) -> Ragged | None:
        return _packed(structure, structure)


@dataclass(frozen=True)
class Causal(Topology):
    """Every token with those up to its own position."""

    claims: ClassVar[frozenset[Law]] = frozenset({Causality()})
    reads: ClassVar[frozenset[str]] = frozenset({"position"})

    def pairs(self, structure: Structure) -> Dense:
        return Dense(_keys(structure) if structure.layout.causal_needs_mask else None, causal=True)

    def ragged(self, structure: Structure) -> Ragged | None:
        return _packed(structure, structure, causal=True)


@dataclass(frozen=True)
class Window(Topology):
    """Tokens at most `radius` positions apart; `wrap` closes each sample to a ring."""

    radius: int
    wrap: bool = False
    reads: ClassVar[frozenset[str]] = frozenset({"position"})

    def __post_init__(self) -> None:
        positive("radius", self.radius, minimum=0)

    @property
    def claims(self) -> frozenset[Law]:  # type: ignore[override]
        return frozenset({CyclicShift()}) if self.wrap else frozenset()

    def pairs(self, structure: Structure) -> Dense:
        layout = structure.layout
        place = layout.padded_position  # [B or 1, N]
        apart = (place[:, :, None] - place[:, None, :]).abs()
        if self.wrap:
            apart = torch.minimum(apart, (layout.lengths[:, None, None] - apart).abs())
        return Dense(_both(apart <= self.radius, _keys(structure)))


@dataclass(frozen=True)
class Neighborhood(Topology):
    """Cells of the grid at most `radius` apart along every axis; `wrap` makes it a torus."""

    radius: int
    wrap: bool = False
    reads: ClassVar[frozenset[str]] = frozenset({"grid"})

    def __post_init__(self) -> None:
        positive("radius", self.radius, minimum=0)

    @property
    def claims(self) -> frozenset[Law]:  # type: ignore[override]
        return frozenset({GridShift()}) if self.wrap else frozenset()

    def pairs(self, structure: Structure) -> Dense:
        structure.require(self.reads, "Neighborhood")
        assert structure.grid is not None
        place, near = structure.layout.padded_position, None
        for size in reversed(structure.grid):
            at = place % size
            apart = (at[:, :, None] - at[:, None, :]).abs()
            if self.wrap:
                apart = torch.minimum(apart, size - apart)
            near = apart <= self.radius if near is None else near & (apart <= self.radius)
            place = place // size
        assert near is not None
        return Dense(_both(near, _keys(structure)))


@dataclass(frozen=True)
class EdgeList(Topology):
    """The structure's edges, from source to target; `self_loops` adds one to each token without."""

    self_loops: bool = False
    claims: ClassVar[frozenset[Law]] = closure({Permutation()})
    reads: ClassVar[frozenset[str]] = frozenset({"edges"})

    def pairs(self, structure: Structure) -> Sparse:
        edges = structure.sorted_edges
        return Sparse(edges.with_self_loops if self.self_loops else edges)


@dataclass(frozen=True)
class Memory(Topology):
    """Every token with all tokens of `structure.memory` of its sample: cross-attention."""

    claims: ClassVar[frozenset[Law]] = closure({Permutation(), Causality(), MemoryPermutation()})
    reads: ClassVar[frozenset[str]] = frozenset({"memory"})

    def pairs(self, structure: Structure) -> Dense:
        structure.require(self.reads, "Memory")
        assert structure.memory is not None
        return Dense(_keys(structure.memory.structure))

    def ragged(self, structure: Structure) -> Ragged | None:
        return None if structure.memory is None else _packed(structure, structure.memory.structure)

    def matrix(self, structure: Structure) -> Bool[Tensor, "T T"]:
        """No pairs among the tokens themselves."""
        rows = structure.layout.rows
        return torch.zeros(rows, rows, dtype=torch.bool, device=structure.device)


@dataclass(frozen=True)
class Intersection(Topology):
    """The pairs that both rules allow: `Causal() & Window(128)`."""

    first: Topology
    second: Topology

    def __post_init__(self) -> None:
        for part in (self.first, self.second):
            if not isinstance(part, Topology):
                raise type_error("topology", kind_of(part), "a Topology on both sides of &")
            if isinstance(part, Memory):
                raise value_error(
                    "topology", "Memory() & ...", "topologies among the tokens themselves",
                    "memory tokens have no order or edges to the tokens",
                )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.first} & {self.second}"

    @property
    def claims(self) -> frozenset[Law]:  # type: ignore[override]
        causal = {Causality()} & (self.first.claims | self.second.claims)  # either part is enough
        return (self.first.claims & self.second.claims) | causal

    @property
    def reads(self) -> frozenset[str]:  # type: ignore[override]
        return self.first.reads | self.second.reads

    def pairs(self, structure: Structure) -> Pairs:
        one, two = self.first.pairs(structure), self.second.pairs(structure)
        if isinstance(one, Dense) and isinstance(two, Dense):
            masks = [m for m in (one.mask, two.mask) if m is not None]
            mask = masks[0] & masks[1] if len(masks) == 2 else (masks[0] if masks else None)
            return Dense(mask, one.causal or two.causal)
        if isinstance(one, Sparse):
            return Sparse(_restrict(one.edges, two, structure))
        assert isinstance(two, Sparse)
        return Sparse(_restrict(two.edges, one, structure))


def _restrict(edges: SortedEdges, other: Pairs, structure: Structure) -> SortedEdges:
    """The edges, with `keep` False where the other rule forbids them."""
    layout = structure.layout
    if isinstance(other, Sparse):
        there = other.edges
        known = there.target * layout.rows + there.source
        known = known if there.keep is None else torch.where(there.keep, known, -1)
        allowed = torch.isin(edges.target * layout.rows + edges.source, known)
    else:
        size = layout.max_length
        mask = other.full_mask(size, size, layout.device).expand(layout.batch, size, size)
        number = torch.arange(layout.batch * size, device=layout.device).view(layout.batch, size, 1)
        slot = layout.flat(layout.unpad(number)).squeeze(-1)  # [T], row of the padded view
        target, source = slot[edges.target], slot[edges.source]
        allowed = mask[target // size, target % size, source % size] if size else edges.target > 0
    return edges.restricted(allowed)
