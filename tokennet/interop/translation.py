"""Names of weights in two worlds: how a state dict of theirs becomes ours, and back, bit by bit.

Every line is a rearrangement of numbers and no arithmetic, so it holds for gradients too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Shapes = Sequence[torch.Size]


@dataclass(frozen=True)
class Line:
    """One tensor of theirs, and the parameters or buffers of our net that hold its numbers.

    Args:
        theirs: its name in their state dict.
        ours: names in our net, in the order of `read`; none: theirs is a constant.
        read: their tensor and our shapes to our tensors.
        write: our tensors to their tensor.
        again: a second name of weights that another line has (tied weights): it may be missing,
            and must hold the same numbers where it is there.
        rows: theirs is these rows of ours only, other lines have the others; `read` gets the shapes
            of the rows, `write` the whole tensors.
    """

    theirs: str
    ours: tuple[str, ...]
    read: Callable[[Tensor, Shapes], Sequence[Tensor]]
    write: Callable[[Sequence[Tensor]], Tensor]
    again: bool = False
    rows: slice | None = None


def same(theirs: str, ours: str, *, again: bool = False) -> Line:
    """Equal shapes, equal numbers."""
    return Line(theirs, (ours,), lambda t, _: [t], lambda own: own[0], again)


def turned(theirs: str, ours: str, *, again: bool = False) -> Line:
    """A matrix that they keep transposed, such as GPT-2's `Conv1D`."""
    return Line(theirs, (ours,), lambda t, _: [t.t()], lambda own: own[0].t(), again)


def shaped(theirs: str, ours: str, shape: Sequence[int]) -> Line:
    """The same numbers in the same order; `shape` is theirs."""
    size = torch.Size(shape)
    return Line(theirs, (ours,), lambda t, s: [t.reshape(s[0])], lambda own: own[0].reshape(size))


def joined(theirs: str, *ours: str, turned: bool = False) -> Line:
    """Ours one below the other along the first axis; `turned`: they keep the whole transposed."""

    def read(t: Tensor, shapes: Shapes) -> Sequence[Tensor]:
        return (t.t() if turned else t).split([s[0] for s in shapes])

    def write(own: Sequence[Tensor]) -> Tensor:
        whole = torch.cat(list(own))
        return whole.t() if turned else whole

    return Line(theirs, ours, read, write)


def rows(theirs: str, ours: str, first: int, last: int, shape: Sequence[int]) -> Line:
    """Rows `first` to `last` (not included) of ours; `shape` is theirs."""
    size, part = torch.Size(shape), slice(first, last)
    return Line(
        theirs, (ours,), lambda t, s: [t.reshape(s[0])], lambda own: own[0][part].reshape(size),
        rows=part,
    )  # fmt: skip


def constant(theirs: str, value: Tensor) -> Line:
    """A buffer of theirs that follows from the configuration; another value is refused."""
    return Line(theirs, (), lambda t, _: [], lambda own: value, again=True)


def module(theirs: str, ours: str, *names: str) -> list[Line]:
    """`same` for the weight and bias (or `names`) of a module on both sides."""
    return [same(f"{theirs}.{n}", f"{ours}.{n}") for n in names or ("weight", "bias")]
