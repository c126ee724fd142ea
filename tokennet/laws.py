"""Laws that mixers obey, each a relation between two inputs. Plain torch: a claim costs nothing.

A law changes an input and says which rows of the output must be equal before and after
(`rows` and `image`), and on which rows of the input they may depend (`sources`). From this one
statement follow the check of outputs, of input gradients and of parameter gradients.

The contract of every mixer: `BatchIndependence`, `PaddingBlindness`, `LayoutAgreement`.
What a mixer may claim, because it is closed under composition: `Permutation`, `CyclicShift`,
`GridShift`, `Causality`, `MemoryPermutation`. `Locality` holds for one operator, and is no claim.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from tokennet.structure import Edges, Packed, Padded, Tokens
from tokennet.structure.transform import pad_into, permute, select, to_packed, to_padded


@dataclass(frozen=True, eq=False)
class Case:
    """A changed input, and what has to stay: output rows `rows` equal the new rows `image`.

    Rows are of the flat view. `samples` and `sample_image` say the same of pooled outputs, None
    where the law says nothing of them. Only `sources` (new: `source_image`) may have a gradient.
    """

    tokens: Tokens
    rows: Int[Tensor, " R"]
    image: Int[Tensor, " R"]
    witness: str
    samples: Int[Tensor, " S"] | None = None
    sample_image: Int[Tensor, " S"] | None = None
    sources: Int[Tensor, " Q"] | None = None
    source_image: Int[Tensor, " Q"] | None = None
    gradients: bool = True


@dataclass(frozen=True)
class Law(ABC):
    """A property of mixers. Laws are equal if they are of one kind with equal fields."""

    statement: ClassVar[str]
    implied: ClassVar[tuple[type["Law"], ...]] = ()
    padded_only: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return type(self).__name__

    @abstractmethod
    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        """A changed input at random; None where the law has nothing to say about this one."""


def closure(laws: Iterable[Law]) -> frozenset[Law]:
    """The laws together with those that follow from them."""
    found = set(laws)
    return frozenset(found | {law() for known in found for law in known.implied})


def _pick(rng: torch.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


def _noise(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=rng, dtype=torch.float64).to(like) * 2


def _rows_of_samples(tokens: Tokens) -> list[Tensor]:
    """Flat rows of the real tokens, for each sample."""
    layout = tokens.structure.layout
    rows = layout.valid.flatten().nonzero().squeeze(1)
    return list(rows.split(layout.lengths.tolist()))


def _relabelled(tokens: Tokens, order: Tensor, witness: str, rng: torch.Generator) -> Case:
    """The case where new row i is old row order[i] and the output must go along.

    The list of edges is shuffled too: its order is no fact about the tokens.
    """
    real = tokens.structure.layout.valid.flatten().nonzero().squeeze(1)
    everyone = torch.arange(tokens.structure.batch)
    new = permute(tokens, order)
    edges = new.structure.edges
    if edges is not None:
        mixed = torch.randperm(edges.num_edges, generator=rng)
        pick = lambda t: None if t is None else t[mixed]  # noqa: E731
        edges = Edges(edges.index[:, mixed], pick(edges.weight), pick(edges.attr))
        new = Tokens(new.x, new.structure.with_facts(edges=edges))
    return Case(new, order[real], real, witness, everyone, everyone)


def _order(tokens: Tokens) -> Tensor:
    return torch.arange(tokens.structure.layout.rows)


@dataclass(frozen=True)
class CyclicShift(Law):
    """Turning the tokens of each sample round by some places turns the output along."""

    statement: ClassVar[str] = "f(shift x) = shift f(x), edges relabelled along"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        order, steps = _order(tokens), _pick(rng, 1, 3)
        for rows in _rows_of_samples(tokens):
            order[rows] = rows.roll(steps)
        if torch.equal(order, _order(tokens)):
            return None
        return _relabelled(tokens, order, f"tokens shifted by {steps}", rng)


@dataclass(frozen=True)
class GridShift(Law):
    """Turning the grid round along its axes turns the output along."""

    statement: ClassVar[str] = "f(shift x) = shift f(x) for shifts of the grid"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        grid = tokens.structure.grid
        if grid is None or math.prod(grid) < 2:
            return None
        steps = tuple(_pick(rng, 0, n - 1) for n in grid)
        steps = steps if any(steps) else tuple(int(n > 1) for n in grid)
        order = _order(tokens)
        for rows in _rows_of_samples(tokens):
            order[rows] = rows.view(grid).roll(steps, tuple(range(len(grid)))).flatten()
        return _relabelled(tokens, order, f"grid {grid} shifted by {steps}", rng)


@dataclass(frozen=True)
class Permutation(Law):
    """Relabelling tokens and edges together relabels the output; a readout does not change."""

    statement: ClassVar[str] = "f(P x) = P f(x), edges relabelled along; readout(P x) = readout(x)"
    implied: ClassVar[tuple[type[Law], ...]] = (CyclicShift, GridShift)

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        order, kind = _order(tokens), _pick(rng, 0, 2)
        for rows in _rows_of_samples(tokens):
            n = len(rows)
            if n < 2:
                continue
            if kind == 0:  # one transposition
                i, j = torch.randperm(n, generator=rng)[:2].tolist()
                order[rows[[i, j]]] = rows[[j, i]]
            elif kind == 1:
                order[rows] = rows.roll(1)
            else:
                order[rows] = rows[torch.randperm(n, generator=rng)]
        if torch.equal(order, _order(tokens)):
            return None
        name = ("two tokens exchanged", "tokens turned by one", "tokens permuted")[kind]
        return _relabelled(tokens, order, name, rng)


@dataclass(frozen=True)
class MemoryPermutation(Law):
    """The order of the memory tokens does not matter."""

    statement: ClassVar[str] = "f(x, P memory) = f(x, memory)"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        memory = tokens.structure.memory
        inner = None if memory is None else Permutation().case(memory, rng)
        if inner is None:
            return None
        rows = torch.cat([*_rows_of_samples(tokens), _order(tokens)[:0]])
        new = Tokens(tokens.x, tokens.structure.with_facts(memory=inner.tokens))
        everyone = torch.arange(tokens.structure.batch)
        return Case(new, rows, rows, f"memory: {inner.witness}", everyone, everyone)


@dataclass(frozen=True)
class Causality(Law):
    """The output at a position depends on no later position."""

    statement: ClassVar[str] = "f(x)[t] depends only on x[0..t]"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        layout = tokens.structure.layout
        longest = int(layout.lengths.max()) if layout.batch else 0
        if longest < 2:
            return None
        cut = _pick(rng, 0, longest - 2)
        real = layout.valid.flatten()
        future = real & (layout.position > cut)
        rows = (real & (layout.position <= cut)).nonzero().squeeze(1)
        new = _changed(tokens, future, rng)
        return Case(new, rows, rows, f"tokens after position {cut} changed")


@dataclass(frozen=True)
class Locality(Law):
    """An output moves only if a token does from which the topology lists a pair (or it itself)."""

    statement: ClassVar[str] = "f(x)[i] depends only on x[i] and on x[j] for listed pairs (j, i)"
    topology: Any = None

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        rows = torch.cat([*_rows_of_samples(tokens), _order(tokens)[:0]])
        if not len(rows):
            return None
        target = rows[_pick(rng, 0, len(rows) - 1)]
        allowed = self.topology.matrix(tokens.structure)[target]
        allowed[target] = True
        others = tokens.structure.layout.valid.flatten() & ~allowed
        if not others.any():
            return None
        sources = (allowed & tokens.structure.layout.valid.flatten()).nonzero().squeeze(1)
        new = _changed(tokens, others, rng)
        one = target[None]
        where = f"tokens from which row {int(target)} hears nothing changed"
        return Case(new, one, one, where, sources=sources, source_image=sources)


@dataclass(frozen=True)
class BatchIndependence(Law):
    """A sample's output does not depend on the other samples of its batch."""

    statement: ClassVar[str] = "f(batch)[b] = f([sample b])"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        count = tokens.structure.batch
        lengths = tokens.structure.lengths.tolist()
        able = [b for b in range(count) if lengths[b]]
        if not able:
            return None
        b, kind = able[_pick(rng, 0, len(able) - 1)], _pick(rng, 0, 3)
        rows, one = _rows_of_samples(tokens)[b], torch.tensor([b])
        if kind == 0 and count > 1:
            other = torch.ones(tokens.structure.layout.rows, dtype=torch.bool)
            other[rows] = False
            new = _changed(tokens, other & tokens.structure.layout.valid.flatten(), rng)
            return Case(new, rows, rows, f"samples beside sample {b} changed", one, one)
        company = [b]
        if kind != 1 or count == 1:
            company = [_pick(rng, 0, count - 1) for _ in range(_pick(rng, 1, 3))]
            company.insert(_pick(rng, 0, len(company)), b)
        new, place = select(tokens, company), company.index(b)
        image, there = _rows_of_samples(new)[place], torch.tensor([place])
        return Case(new, rows, image, f"sample {b} in the company of {company}", one, there)


@dataclass(frozen=True)
class PaddingBlindness(Law):
    """Neither the content, nor the amount, nor the place of padding matters."""

    statement: ClassVar[str] = "f(x, padded anyhow) is the same at real tokens"
    padded_only: ClassVar[bool] = True

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        layout = tokens.structure.layout
        if isinstance(layout, Packed) or not layout.rows:
            return None
        extra, kind, place = _pick(rng, 0, 4), _pick(rng, 0, 3), _pick(rng, 0, 2)
        valid = torch.cat([layout.valid, layout.valid.new_zeros(layout.batch, extra)], 1)
        if place == 1:
            valid = valid.flip(1)
        elif place == 2:
            valid = valid[:, torch.randperm(valid.shape[1], generator=rng)]
        if valid.all():
            return None
        new = pad_into(tokens, valid)
        content = [torch.zeros_like(new.x), _noise(new.x, rng), 1e3 * _noise(new.x, rng)]
        content.append(torch.full_like(new.x, math.nan))
        fill = content[kind]
        x = torch.where(valid[..., None], new.x, fill)
        old = layout.valid.flatten().nonzero().squeeze(1)
        image = valid.flatten().nonzero().squeeze(1)
        name = ("zeros", "noise", "large values", "NaN")[kind]
        where = ("at the end", "in front", "anywhere")[place]
        everyone = torch.arange(layout.batch)
        witness = f"{extra} more columns of padding, {where}, holding {name}"
        changed = Tokens(x, new.structure)
        # NaN times a zero gradient is NaN in any linear map's weights: forward only.
        return Case(changed, old, image, witness, everyone, everyone, gradients=kind < 3)


@dataclass(frozen=True)
class LayoutAgreement(Law):
    """Padded and packed tokens give the same rows."""

    statement: ClassVar[str] = "f(padded) and f(packed) agree at real tokens"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        layout = tokens.structure.layout
        old = layout.valid.flatten().nonzero().squeeze(1)
        new = to_packed(tokens) if isinstance(layout, Padded) else to_padded(tokens)
        image = new.structure.layout.valid.flatten().nonzero().squeeze(1)
        names = ("padded", "packed") if isinstance(layout, Padded) else ("packed", "padded")
        everyone = torch.arange(layout.batch)
        return Case(new, old, image, f"{names[0]} against {names[1]}", everyone, everyone)


def _changed(tokens: Tokens, where: Tensor, rng: torch.Generator) -> Tokens:
    """Other features in the flat rows `where`."""
    layout = tokens.structure.layout
    flat = layout.flat(tokens.x)
    new = torch.where(where[:, None], flat + _noise(flat, rng) + 1, flat)
    return Tokens(layout.unflat(new), tokens.structure)


CONTRACT: tuple[Law, ...] = (BatchIndependence(), PaddingBlindness(), LayoutAgreement())
CLAIMABLE: tuple[Law, ...] = (
    Permutation(),
    CyclicShift(),
    GridShift(),
    Causality(),
    MemoryPermutation(),
)
