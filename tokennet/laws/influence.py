"""Laws of influence: what an output may not depend on.

`BatchIndependence`, `PaddingBlindness` and `LayoutAgreement` are the contract of every mixer.
`Causality` can be claimed; `Locality` does not compose, so it is no claim.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokennet.laws.law import Case, Law
from tokennet.laws.rows import pick, real_rows, rows_of_samples
from tokennet.structure import Packed, Padded, Tokens
from tokennet.structure.transform import pad_into, rearrange, select, to_packed, to_padded


def _noise(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=rng, dtype=torch.float64).to(like) * 2


def _changed(tokens: Tokens, where: Tensor, rng: torch.Generator) -> Tokens:
    """Other features in the flat rows `where`."""
    layout = tokens.structure.layout
    flat = layout.flat(tokens.x)
    new = torch.where(where[:, None], flat + _noise(flat, rng) + 1, flat)
    return Tokens(layout.unflat(new), tokens.structure)


def _with_memory(tokens: Tokens, memory: Tokens) -> Tokens:
    return Tokens(tokens.x, tokens.structure.with_facts(memory=memory))


def _content(like: Tensor, kind: int, rng: torch.Generator) -> Tensor:
    """What padding holds: zeros, noise, large values or NaN."""
    if kind in (0, 3):
        return torch.full_like(like, math.nan if kind else 0.0)
    return _noise(like, rng) * (1e3 if kind == 2 else 1)


def _repadded(memory: Tokens, extra: int, kind: int, rng: torch.Generator) -> Tokens:
    """Memory tokens with `extra` more columns of padding behind them, and other content there."""
    old = memory.padded().structure.layout
    valid = torch.cat([old.valid, old.valid.new_zeros(old.batch, extra)], 1)
    new = pad_into(memory, valid)
    x = torch.where(valid[..., None], new.x, _content(new.x, kind, rng))
    return Tokens(x, new.structure)


@dataclass(frozen=True)
class Causality(Law):
    """The output at a position depends on no later position, nor on whether there is one."""

    statement: ClassVar[str] = "f(x)[t] depends only on x[0..t]: f(x)[0..t] = f(x[0..t])"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        layout = tokens.structure.layout
        longest = int(layout.lengths.max()) if layout.batch else 0
        if longest < 2:
            return None
        cut = pick(rng, 0, longest - 2)
        real = layout.valid.flatten()
        future = real & (layout.position > cut)
        rows = (real & (layout.position <= cut)).nonzero().squeeze(1)
        if pick(rng, 0, 1) and _can_end(tokens, future):
            new, image = _without(tokens, future)
            return Case(new, rows, image, f"tokens after position {cut} left out")
        new = _changed(tokens, future, rng)
        return Case(new, rows, rows, f"tokens after position {cut} changed")


def _can_end(tokens: Tokens, future: Tensor) -> bool:
    """Whether the rest is a sample of its own: no grid to tear, no edge between now and later."""
    structure = tokens.structure
    if structure.grid is not None:
        return False
    if structure.edges is None:
        return True
    source, target = structure.edges.index.long()
    return torch.equal(future[source], future[target])


def _without(tokens: Tokens, gone: Tensor) -> tuple[Tokens, Tensor]:
    """The tokens without some of them, and where the others are now: in their order."""
    layout = tokens.structure.layout
    if isinstance(layout, Padded):
        kept = layout.valid & ~gone.view(layout.shape)
        origin = torch.where(kept.flatten(), torch.arange(layout.rows), -1)
        new = rearrange(tokens, Padded(kept), origin)
        return new, real_rows(new)
    lengths = [int((~gone[rows]).sum()) for rows in rows_of_samples(tokens)]
    new = rearrange(tokens, Packed.of(lengths), (~gone).nonzero().squeeze(1))
    return new, real_rows(new)


@dataclass(frozen=True)
class Locality(Law):
    """An output moves only if a token does from which the topology lists a pair (or it itself)."""

    statement: ClassVar[str] = "f(x)[i] depends only on x[i] and on x[j] for listed pairs (j, i)"
    topology: Any = None

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        rows = real_rows(tokens)
        if not len(rows):
            return None
        target = rows[pick(rng, 0, len(rows) - 1)]
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
        b, kind = able[pick(rng, 0, len(able) - 1)], pick(rng, 0, 3)
        rows, one = rows_of_samples(tokens)[b], torch.tensor([b])
        if kind == 0 and count > 1:
            other = torch.ones(tokens.structure.layout.rows, dtype=torch.bool)
            other[rows] = False
            new = _changed(tokens, other & tokens.structure.layout.valid.flatten(), rng)
            memory = tokens.structure.memory
            if memory is not None:
                heard = memory.structure.layout
                strangers = (heard.sample != b) & heard.valid.flatten()
                new = _with_memory(new, _changed(memory, strangers, rng))
            return Case(new, rows, rows, f"samples beside sample {b} changed", one, one)
        company = [b]
        if kind != 1 or count == 1:
            company = [pick(rng, 0, count - 1) for _ in range(pick(rng, 1, 3))]
            company.insert(pick(rng, 0, len(company)), b)
        new, place = select(tokens, company), company.index(b)
        image, there = rows_of_samples(new)[place], torch.tensor([place])
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
        extra, kind, place = pick(rng, 0, 4), pick(rng, 0, 3), pick(rng, 0, 2)
        valid = torch.cat([layout.valid, layout.valid.new_zeros(layout.batch, extra)], 1)
        if place == 1:
            valid = valid.flip(1)
        elif place == 2:
            valid = valid[:, torch.randperm(valid.shape[1], generator=rng)]
        if valid.all():
            return None
        new = pad_into(tokens, valid)
        memory = tokens.structure.memory
        if memory is not None:
            new = _with_memory(new, _repadded(memory, extra, kind, rng))
        x = torch.where(valid[..., None], new.x, _content(new.x, kind, rng))
        old = layout.valid.flatten().nonzero().squeeze(1)
        image = valid.flatten().nonzero().squeeze(1)
        name = ("zeros", "noise", "large values", "NaN")[kind]
        where = ("at the end", "in front", "anywhere")[place]
        everyone = torch.arange(layout.batch)
        witness = f"{extra} more columns of padding, {where}, holding {name}"
        changed = Tokens(x, new.structure)
        # NaN times a zero gradient is NaN in any linear map's weights: forward only.
        return Case(
            changed, old, image, witness, everyone, everyone, gradients=kind < 3, padding=True
        )


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
            new = _with_memory(new, _turned(memory))
        image = new.structure.layout.valid.flatten().nonzero().squeeze(1)
        names = ("padded", "packed") if isinstance(layout, Padded) else ("packed", "padded")
        everyone = torch.arange(layout.batch)
        witness = f"{names[0]} against {names[1]}"
        return Case(new, old, image, witness, everyone, everyone, padding=True)
