"""Laws of order: what comes later has no say."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tokennet.laws.change import changed
from tokennet.laws.law import Case, Law
from tokennet.laws.rows import in_front, pick, real_rows, rows_of_samples
from tokennet.structure import Packed, Padded, Tokens
from tokennet.structure.transform import rearrange


def _cut(tokens: Tokens, rng: torch.Generator) -> tuple[int, Tensor, Tensor] | None:
    """A position, the flat rows after it (a mask), and those that are not (their places)."""
    layout = tokens.structure.layout
    longest = int(layout.lengths.max()) if layout.batch else 0
    if longest < 2:
        return None
    cut = pick(rng, 0, longest - 2)
    real = layout.valid.flatten()
    future = real & (layout.position > cut)
    return cut, future, (real & (layout.position <= cut)).nonzero().squeeze(1)


@dataclass(frozen=True)
class Causality(Law):
    """The output at a position depends on no later position, nor on whether there is one.

    With `prefix=False` later tokens are changed, never left out: see `Prefix`.
    """

    statement: ClassVar[str] = "f(x)[t] depends only on x[0..t]: f(x)[0..t] = f(x[0..t])"
    prefix: bool = True

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        found = _cut(tokens, rng)
        if found is None:
            return None
        cut, future, rows = found
        if pick(rng, 0, 1) and self.prefix and _can_end(tokens, future):
            new, image = _without(tokens, future)
            return Case(new, rows, image, f"tokens after position {cut} left out")
        new = changed(tokens, future, rng)
        return Case(new, rows, rows, f"tokens after position {cut} changed")


@dataclass(frozen=True)
class Prefix(Law):
    """The outputs of the first tokens are those of the first tokens alone."""

    statement: ClassVar[str] = "f(x)[0..t] = f(x[0..t])"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        found = _cut(tokens, rng)
        if found is None or not _can_end(tokens, found[1]):
            return None
        cut, future, rows = found
        new, image = _without(tokens, future)
        return Case(new, rows, image, f"tokens after position {cut} left out")


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
        origin = torch.where(kept.flatten(), torch.arange(layout.rows), -1).view(layout.shape)
        if in_front(kept):
            size = int(kept.sum(1).max())
            kept, origin = kept[:, :size], origin[:, :size]
        even = layout.dense and bool(kept.all())
        place = Padded.dense_batch(*kept.shape) if even else Padded(kept)
        new = rearrange(tokens, place, origin.flatten())
        return new, real_rows(new)
    lengths = [int((~gone[rows]).sum()) for rows in rows_of_samples(tokens)]
    new = rearrange(tokens, Packed.of(lengths), (~gone).nonzero().squeeze(1))
    return new, real_rows(new)
