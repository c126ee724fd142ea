"""Where the tokens and the samples are in what a module gives: found by calls of other sizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import value_error
from tokennet.structure import Structure

FIELDS = ("last_hidden_state", "logits", "hidden_states", "output", "out", "x")


def chosen(answer: Any, output: Any) -> Tensor:
    """The tensor that is judged, of all that a module gives."""
    found = _taken(answer, output)
    if not isinstance(found, Tensor):
        raise value_error(
            "output", repr(output), "what leads to a tensor",
            f"it led to {type(found).__name__}, in an answer of {type(answer).__name__}",
        )  # fmt: skip
    if found.is_complex():
        return torch.view_as_real(found)
    return found if found.is_floating_point() else found.double()


def _taken(answer: Any, output: Any) -> Any:
    if callable(output):
        return output(answer)
    if isinstance(output, int):
        return tuple(answer.values())[output] if isinstance(answer, Mapping) else answer[output]
    if isinstance(output, str):
        return answer[output] if isinstance(answer, Mapping) else getattr(answer, output)
    return _first(answer)


def _first(answer: Any) -> Any:
    """The field with the usual name, or the first tensor."""
    if isinstance(answer, Tensor):
        return answer
    if isinstance(answer, Mapping) or hasattr(answer, "last_hidden_state"):
        get = answer.get if isinstance(answer, Mapping) else lambda n: getattr(answer, n, None)
        for name in FIELDS:
            if isinstance(get(name), Tensor):
                return get(name)
        answer = tuple(answer.values()) if isinstance(answer, Mapping) else ()
    if isinstance(answer, (tuple, list)):
        for part in answer:
            found = _first(part)
            if isinstance(found, Tensor):
                return found
    return None


class RowsMissingError(Exception):
    """An answer with another number of rows than there are samples."""


@dataclass(frozen=True)
class Form:
    """Axes of the answer: of samples, of tokens (with `front` rows before them that are none).

    Without an axis of tokens the answer is of the samples; without one of samples too, of the whole
    call. `packed`: the tokens of all samples share one axis.
    """

    samples: int | None
    tokens: int | None
    front: int = 0
    packed: bool = False

    @property
    def pooled(self) -> bool:
        return self.tokens is None

    def rows(self, y: Tensor, structure: Structure) -> Tensor:
        """The answer as [*tokens, O], or [B, O]."""
        if self.samples is not None and not self.packed:
            found = y.shape[self.samples] if self.samples < y.ndim else 0
            if found != structure.batch:
                raise RowsMissingError(f"{found} rows for {structure.batch} samples")
        if self.tokens is None:
            if self.samples is None:
                return y.reshape(1, -1)
            return y.movedim(self.samples, 0).flatten(1) if y.ndim > 1 else y[:, None]
        if self.front:
            y = y.narrow(self.tokens, self.front, y.shape[self.tokens] - self.front)
        if self.packed:
            y = y.movedim(self.tokens, 0)
            return y.flatten(1) if y.ndim > 1 else y[:, None]
        if self.samples is None:
            y = y.movedim(self.tokens, 0)[None]
        else:
            y = y.movedim((self.samples, self.tokens), (0, 1))
        return y.flatten(2) if y.ndim > 2 else y[..., None]


@dataclass(frozen=True)
class Probe:
    """A call and the shape of its answer: samples, tokens of each, rows in all."""

    batch: int
    length: int
    rows: int
    shape: tuple[int, ...]


def form_of(probes: list[Probe], *, packed: bool, single: bool) -> Form:
    """The axes that go with the number of samples and with that of tokens."""
    first = probes[0]
    if any(len(p.shape) != len(first.shape) for p in probes):
        raise value_error(
            "output", [p.shape for p in probes], "of as many axes, whatever the input's size",
            "name the output to judge in an Adapter",
        )  # fmt: skip
    axes = range(len(first.shape))

    def following(count: Callable[[Probe], int]) -> list[tuple[int, int]]:
        """Axes whose size is the count and a constant, which is returned too."""
        varied = len({count(p) for p in probes}) > 1
        found = []
        for a in axes:
            gap = first.shape[a] - count(first)
            if gap >= 0 and all(p.shape[a] - count(p) == gap for p in probes):
                found.append((a, gap))
        found = found if varied else [f for f in found if f[1] == 0]
        return sorted(found, key=lambda f: f[1])

    rows = following(lambda p: p.rows if packed else p.length)
    samples = [a for a, gap in following(lambda p: p.batch) if gap == 0]
    if packed:
        if rows and rows[0][1] == 0:
            return Form(None, rows[0][0], 0, packed=True)
        return Form(samples[0] if samples and not single else None, None)
    if single and len(first.shape) and not (samples and rows and samples[0] != rows[0][0]):
        return Form(None, rows[0][0], rows[0][1]) if rows else Form(None, None)
    rows = [r for r in rows if not samples or r[0] != samples[0]] or rows
    if len(rows) and samples and samples[0] == rows[0][0]:
        others = [a for a in samples if a != rows[0][0]]
        samples = others or samples
    if not rows or (samples and rows[0][0] == samples[0]):
        return Form(samples[0] if samples else None, None)
    return Form(samples[0] if samples else None, rows[0][0], rows[0][1])
