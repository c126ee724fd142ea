"""Laws of symmetry: the output goes along when tokens are relabelled.

Closed under composition, so all of them can be claimed.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tokennet.laws.law import Case, Law
from tokennet.laws.rows import pick, real_rows, rows_of_samples
from tokennet.structure import Edges, Tokens
from tokennet.structure.transform import permute


def _relabelled(tokens: Tokens, order: Tensor, witness: str, rng: torch.Generator) -> Case:
    """The case where new row i is old row order[i] and the output must go along.

    The list of edges is shuffled too: its order is no fact about the tokens.
    """
    real = real_rows(tokens)
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
        order, steps = _order(tokens), pick(rng, 1, 3)
        for rows in rows_of_samples(tokens):
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
        steps = tuple(pick(rng, 0, n - 1) for n in grid)
        steps = steps if any(steps) else tuple(int(n > 1) for n in grid)
        order = _order(tokens)
        for rows in rows_of_samples(tokens):
            order[rows] = rows.view(grid).roll(steps, tuple(range(len(grid)))).flatten()
        return _relabelled(tokens, order, f"grid {grid} shifted by {steps}", rng)


@dataclass(frozen=True)
class Permutation(Law):
    """Relabelling tokens and edges together relabels the output; a readout does not change."""

    statement: ClassVar[str] = "f(P x) = P f(x), edges relabelled along; readout(P x) = readout(x)"
    implied: ClassVar[tuple[type[Law], ...]] = (CyclicShift, GridShift)

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        order, kind = _order(tokens), pick(rng, 0, 2)
        for rows in rows_of_samples(tokens):
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
        rows = real_rows(tokens)
        new = Tokens(tokens.x, tokens.structure.with_facts(memory=inner.tokens))
        everyone = torch.arange(tokens.structure.batch)
        return Case(new, rows, rows, f"memory: {inner.witness}", everyone, everyone)
