"""Laws of influence: what an output may not depend on.

`BatchIndependence` and `LayoutAgreement` belong to the contract of every mixer. `Locality` does not
compose, so it is no claim.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokennet.laws.change import changed, with_memory
from tokennet.laws.law import Case, Law
from tokennet.laws.rows import pick, real_rows, rows_of_samples
from tokennet.structure import Edges, Padded, Tokens
from tokennet.structure.transform import select, to_packed, to_padded


@dataclass(frozen=True)
class Locality(Law):
    """An output moves only if a token does from which the topology lists a pair (or it itself).

    Given `hops` instead of a topology: only if a token does that is so many edges away, or fewer;
    with `directed=False` edges lead both ways.
    """

    statement: ClassVar[str] = "f(x)[i] depends only on x[i] and on x[j] for listed pairs (j, i)"
    topology: Any = None
    hops: int | None = None
    directed: bool = True

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        rows = real_rows(tokens)
        if not len(rows):
            return None
        target = rows[pick(rng, 0, len(rows) - 1)]
        near = self._near(tokens, int(target))
        if near is None:
            return None
        near[target] = True
        layout = tokens.structure.layout
        real = layout.valid.flatten()
        others = real & ~near
        if self.hops is not None:  # other samples are another law's
            others &= layout.sample == layout.sample[target]
        if not others.any():
            return None
        sources = (near & real).nonzero().squeeze(1)
        new = changed(tokens, others, rng)
        if self.hops is not None and pick(rng, 0, 1):
            new = _without_edges_among(new, others)
        one = target[None]
        where = f"tokens from which row {int(target)} hears nothing changed"
        return Case(new, one, one, where, sources=sources, source_image=sources)

    def _near(self, tokens: Tokens, target: int) -> Tensor | None:
        """Which flat rows the target may hear."""
        if self.hops is None:
            return self.topology.matrix(tokens.structure)[target]
        edges = tokens.structure.edges
        if edges is None:
            return None
        source, goal = edges.index.long()
        near = torch.zeros(tokens.structure.layout.rows, dtype=torch.bool)
        near[target] = True
        for _ in range(self.hops):
            reached = near.clone()
            reached[source[near[goal]]] = True
            if not self.directed:
                reached[goal[near[source]]] = True
            near = reached
        return near


def _without_edges_among(tokens: Tokens, rows: Tensor) -> Tokens:
    """The tokens without the edges that join two of the rows."""
    edges = tokens.structure.edges
    assert edges is not None
    kept = ~rows[edges.index.long()].all(0)
    take = lambda t: None if t is None else t[kept]  # noqa: E731
    left = Edges(edges.index[:, kept], take(edges.weight), take(edges.attr))
    return Tokens(tokens.x, tokens.structure.with_facts(edges=left))


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
        b, kind = able[pick(rng, 0, len(able) - 1)], pick(rng, 0, 3)
        rows, one = rows_of_samples(tokens)[b], torch.tensor([b])
        if kind == 0 and count > 1:
            other = torch.ones(tokens.structure.layout.rows, dtype=torch.bool)
            other[rows] = False
            new = changed(tokens, other & tokens.structure.layout.valid.flatten(), rng)
            memory = tokens.structure.memory
            if memory is not None:
                heard = memory.structure.layout
                strangers = (heard.sample != b) & heard.valid.flatten()
                new = with_memory(new, changed(memory, strangers, rng))
            return Case(new, rows, rows, f"samples beside sample {b} changed", one, one)
        company = [b]
        if kind != 1 or count == 1:
            company = [pick(rng, 0, count - 1) for _ in range(pick(rng, 1, 3))]
            company.insert(pick(rng, 0, len(company)), b)
        new, place = select(tokens, company), company.index(b)
        image, there = rows_of_samples(new)[place], torch.tensor([place])
        return Case(new, rows, image, f"sample {b} in the company of {company}", one, there)


def _turned(tokens: Tokens) -> Tokens:
    """The tokens in the other kind of layout."""
    padded = isinstance(tokens.structure.layout, Padded)
    return to_packed(tokens) if padded else to_padded(tokens)


@dataclass(frozen=True)
class LayoutAgreement(Law):
    """Padded and packed tokens give the same rows."""

    statement: ClassVar[str] = "f(padded) and f(packed) agree at real tokens"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        layout = tokens.structure.layout
        old = layout.valid.flatten().nonzero().squeeze(1)
        new = _turned(tokens)
        memory = tokens.structure.memory
        if memory is not None:
            new = with_memory(new, _turned(memory))
        image = new.structure.layout.valid.flatten().nonzero().squeeze(1)
        names = ("padded", "packed") if isinstance(layout, Padded) else ("packed", "padded")
        everyone = torch.arange(layout.batch)
        witness = f"{names[0]} against {names[1]}"
        return Case(new, old, image, witness, everyone, everyone, padding=True)
