"""Laws of padding: rows that are no tokens have no say, however many and wherever they are."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tokennet.laws.change import content, with_memory
from tokennet.laws.law import Case, Law
from tokennet.laws.rows import in_front, pick
from tokennet.structure import Packed, Padded, Tokens
from tokennet.structure.transform import pad_into

_CONTENT = ("zeros", "noise", "large values", "NaN")


def _repadded(memory: Tokens, extra: int, kind: int, rng: torch.Generator) -> Tokens:
    """Memory tokens with `extra` more columns of padding behind them, and other content there."""
    old = memory.padded().structure.layout
    valid = torch.cat([old.valid, old.valid.new_zeros(old.batch, extra)], 1)
    new = pad_into(memory, valid)
    x = torch.where(valid[..., None], new.x, content(new.x, kind, rng))
    return Tokens(x, new.structure)


def _padded_as(
    tokens: Tokens, valid: Tensor, kind: int, where: str, rng: torch.Generator, extra: int = 0
) -> Case | None:
    """The case of the same tokens at other places, with padding that holds something else."""
    layout = tokens.structure.layout
    if valid.all():
        return None
    new = pad_into(tokens, valid)
    memory = tokens.structure.memory
    if memory is not None:
        new = with_memory(new, _repadded(memory, extra, kind, rng))
    x = torch.where(valid[..., None], new.x, content(new.x, kind, rng))
    old = layout.valid.flatten().nonzero().squeeze(1)
    image = valid.flatten().nonzero().squeeze(1)
    everyone = torch.arange(layout.batch)
    # NaN times a zero gradient is NaN in any linear map's weights: forward only.
    return Case(
        Tokens(x, new.structure), old, image, f"{where}, holding {_CONTENT[kind]}",
        everyone, everyone, gradients=kind < 3, padding=True,
    )  # fmt: skip


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
        where = ("at the end", "in front", "anywhere")[place]
        return _padded_as(
            tokens, valid, kind, f"{extra} more columns of padding, {where}", rng, extra
        )


def _longer(layout: Padded, rng: torch.Generator) -> tuple[Tensor, int]:
    """Which rows are real with more padding behind, or with less where some columns hold none."""
    valid, choice = layout.valid, pick(rng, 0, 7)
    extra = 30 if choice == 7 else choice % 4
    if choice == 6 and in_front(valid):
        valid = valid[:, : max(int(valid.sum(1).max()), 1)]
        extra = 0
    return torch.cat([valid, valid.new_zeros(layout.batch, extra)], 1), extra


@dataclass(frozen=True)
class Padding(Law):
    """Neither the finite content of padding matters, nor how much of it stands behind."""

    statement: ClassVar[str] = "f(x, more or other padding behind) is the same at real tokens"
    padded_only: ClassVar[bool] = True
    last_kind: ClassVar[int] = 2

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        layout = tokens.structure.layout
        if isinstance(layout, Packed) or not layout.rows:
            return None
        valid, extra = _longer(layout, rng)
        kind = self.last_kind if self.last_kind == 3 else pick(rng, 0, self.last_kind)
        where = f"{extra} more columns of padding" if extra else "padding of another content"
        return _padded_as(tokens, valid, kind, where, rng, extra)


@dataclass(frozen=True)
class NaNPadding(Padding):
    """Padding may hold NaN."""

    statement: ClassVar[str] = "f(x, NaN in padding) is the same at real tokens"
    last_kind: ClassVar[int] = 3


@dataclass(frozen=True)
class LeftPadding(Law):
    """Padding in front is as good as padding behind."""

    statement: ClassVar[str] = "f(x, padding in front) = f(x, padding behind) at real tokens"
    padded_only: ClassVar[bool] = True

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        layout = tokens.structure.layout
        if isinstance(layout, Packed) or not layout.rows or not in_front(layout.valid):
            return None
        extra = pick(rng, 0, 2)
        valid = torch.cat([layout.valid, layout.valid.new_zeros(layout.batch, extra)], 1)
        return _padded_as(
            tokens, valid.flip(1), pick(rng, 0, 1), "all padding put in front", rng, extra
        )
