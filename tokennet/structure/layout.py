"""How the tokens of a batch lie in memory: padded to one length, or packed one after the other.

Axes: B samples, N tokens of the longest sample, T rows of the flat view, D channels.

Both layouts offer one interface, so that no mixer asks which of the two it has:

* `shape`: the leading axes of x, `(B, N)` or `(T,)`; `rows`: rows of `x.flatten(0, -2)`;
* `flat` and `unflat`: to and from the flat view;
* `pad` and `unpad`: to and from `[B, N, ...]`, tokens where they lie;
* `compact` and `spread`: to and from `[B, N, ...]` with the real tokens of each sample in front;
* `sample`, `position` `[rows]` of the flat view; `valid`, of shape `shape`; `lengths` `[B]`.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tokennet.checks import type_error, value_error


@dataclass(frozen=True, eq=False)
class Padded:
    """Samples of one length `N`; `valid [B, N]` is True at a real token, False at padding.

    Padding may stand anywhere. A token's position is its rank among the real tokens of its sample.
    `dense=True` states that all are real (use `Padded.dense_batch`): then no mask is ever applied.
    """

    valid: Bool[Tensor, "B N"]
    dense: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.valid, Tensor):
            raise type_error("valid", type(self.valid).__name__, "a bool tensor [B, N]")
        if self.valid.dtype != torch.bool:
            raise type_error(
                "valid", self.valid.dtype, "torch.bool, True at a real token", "use mask.bool()"
            )
        if self.valid.ndim != 2:
            raise value_error("valid.shape", tuple(self.valid.shape), "[B, N]")
        on_cpu = self.device.type == "cpu"  # elsewhere it would wait for the device
        if self.dense and on_cpu and not torch.compiler.is_compiling() and not self.valid.all():
            raise value_error("dense", True, "False where valid has a False", "drop dense=True")

    @staticmethod
    def dense_batch(
        batch: int, num_tokens: int, *, device: torch.device | str | None = None
    ) -> "Padded":
        """The layout of `[batch, num_tokens, D]` without any padding."""
        return Padded(torch.ones(batch, num_tokens, dtype=torch.bool, device=device), dense=True)

    @property
    def batch(self) -> int:
        return self.valid.shape[0]

    @property
    def max_length(self) -> int:
        return self.valid.shape[1]

    @property
    def rows(self) -> int:
        return self.valid.shape[0] * self.valid.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.valid.shape[0], self.valid.shape[1])

    @property
    def device(self) -> torch.device:
        return self.valid.device

    @property
    def lengths(self) -> Int[Tensor, " B"]:
        return self.valid.sum(1)

    @property
    def sample(self) -> Int[Tensor, " T"]:
        return torch.arange(self.batch, device=self.device)[:, None].expand(self.shape).reshape(-1)

    @property
    def padded_position(self) -> Int[Tensor, "B N"]:
        """Position of each token of the padded view; one row `[1, N]` where all samples agree.

        Padding counts on from the last real token, so that positions never collide with real ones.
        """
        if self.dense:
            return torch.arange(self.max_length, device=self.device)[None]
        real = self.valid.cumsum(1) - 1
        behind = (~self.valid).cumsum(1) - 1 + self.lengths[:, None]
        return torch.where(self.valid, real, behind)

    @property
    def position(self) -> Int[Tensor, " T"]:
        return self.padded_position.expand(self.shape).reshape(-1)

    @property
    def padded_valid(self) -> Bool[Tensor, "B N"] | None:
        """`valid [B, N]` of the padded view; None where nothing is padding."""
        return None if self.dense else self.valid

    @property
    def causal_needs_mask(self) -> bool:
        """Whether an earlier row can be padding."""
        return not self.dense

    def flat(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1)

    def unflat(self, y: Tensor) -> Tensor:
        return y.unflatten(0, self.shape)

    def pad(self, x: Tensor) -> Tensor:
        return x

    def unpad(self, y: Tensor) -> Tensor:
        return y

    def compact(self, x: Tensor) -> Tensor:
        if self.dense:
            return x
        index = self._front.view(*self.shape, *[1] * (x.ndim - 2)).expand_as(x)
        return self.clear(x).gather(1, index)

    def spread(self, y: Tensor) -> Tensor:
        if self.dense:
            return y
        index = self.padded_position.view(*self.shape, *[1] * (y.ndim - 2)).expand_as(y)
        return y.gather(1, index)

    def clear(self, x: Tensor) -> Tensor:
        """x with zeros at padding, also where x holds NaN there."""
        if self.dense:
            return x
        return x.masked_fill(~self.valid.view(*self.shape, *[1] * (x.ndim - 2)), 0)

    def to(self, device: torch.device | str) -> "Padded":
        return Padded(self.valid.to(device), self.dense)

    @property
    def _front(self) -> Tensor:
        rank = self.padded_position
        place = torch.arange(self.max_length, device=self.device).expand_as(rank)
        return torch.empty_like(rank).scatter(1, rank, place)  # [B, N], real tokens first, in order


@dataclass(frozen=True, eq=False)
class Packed:
    """Samples of any length one after the other; sample b holds the rows `ptr[b]` to `ptr[b+1]`.

    `num_tokens` is the number of rows, `max_length` a length that no sample exceeds: two ints, so
    that nothing has to read `ptr` back from the device. Build it with `Packed.of(lengths)`.
    """

    ptr: Int[Tensor, " B_plus_1"]
    num_tokens: int
    max_length: int
    sample: Int[Tensor, " T"] = field(init=False, repr=False)
    position: Int[Tensor, " T"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ptr = self.ptr
        if not isinstance(ptr, Tensor):
            raise type_error("ptr", type(ptr).__name__, "an integer tensor [B + 1]")
        if ptr.dtype not in (torch.int64, torch.int32):
            raise type_error("ptr", ptr.dtype, "torch.int64 or torch.int32")
        if ptr.ndim != 1 or ptr.shape[0] < 1:
            raise value_error(
                "ptr", tuple(ptr.shape), "a tensor [B + 1]", "ptr[0] = 0, ptr[b + 1] ends sample b"
            )
        if not torch.compiler.is_compiling():
            self._check_values()
        lengths = ptr.diff()
        sample = torch.repeat_interleave(
            torch.arange(ptr.shape[0] - 1, device=ptr.device), lengths, output_size=self.num_tokens
        )
        position = torch.arange(self.num_tokens, device=ptr.device) - ptr[:-1].long()[sample]
        object.__setattr__(self, "sample", sample)
        object.__setattr__(self, "position", position)

    def _check_values(self) -> None:
        for name, value in (("num_tokens", self.num_tokens), ("max_length", self.max_length)):
            if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
                raise type_error(name, repr(value), "a whole number")
        values = self.ptr.tolist()
        longest = max((b - a for a, b in pairwise(values)), default=0)
        if values[0] != 0:
            raise value_error("ptr", values, "first entry 0")
        for b, (start, end) in enumerate(pairwise(values)):
            if end < start:
                raise value_error(
                    f"ptr[{b + 1}]", end, f"at least ptr[{b}] = {start}", "ptr must not decrease"
                )
        if values[-1] != self.num_tokens:
            raise value_error("num_tokens", self.num_tokens, f"ptr[-1] = {values[-1]}")
        if longest > self.max_length:
            raise value_error(
                "max_length", self.max_length, f"at least {longest}, the longest sample's length"
            )

    @staticmethod
    def of(
        lengths: Tensor | list[int] | tuple[int, ...], *, device: torch.device | str | None = None
    ) -> "Packed":
        """The layout of samples of these lengths."""
        values = lengths.tolist() if hasattr(lengths, "tolist") else lengths
        if isinstance(values, str) or not hasattr(values, "__iter__"):
            raise type_error("lengths", repr(lengths), "whole numbers, one for each sample")
        values = list(values)
        for b, n in enumerate(values):
            if isinstance(n, bool) or not hasattr(n, "__index__"):
                raise type_error(f"lengths[{b}]", repr(n), "a whole number")
            if n < 0:
                raise value_error(f"lengths[{b}]", n, "at least 0")
        values = [int(n) for n in values]
        if device is None and isinstance(lengths, Tensor):
            device = lengths.device
        ptr = torch.tensor([0, *values], device=device, dtype=torch.int64).cumsum(0)
        return Packed(ptr, sum(values), max(values, default=0))

    @property
    def batch(self) -> int:
        return self.ptr.shape[0] - 1

    @property
    def rows(self) -> int:
        return self.num_tokens

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.num_tokens,)

    @property
    def device(self) -> torch.device:
        return self.ptr.device

    @property
    def lengths(self) -> Int[Tensor, " B"]:
        return self.ptr.diff()

    @property
    def valid(self) -> Bool[Tensor, " T"]:
        return torch.ones(self.num_tokens, dtype=torch.bool, device=self.device)

    @property
    def full(self) -> bool:
        """Whether all samples have `max_length` tokens, so that padding is a view."""
        return self.num_tokens == self.batch * self.max_length

    @property
    def padded_position(self) -> Int[Tensor, "1 N"]:
        return torch.arange(self.max_length, device=self.device)[None]

    @property
    def padded_valid(self) -> Bool[Tensor, "B N"] | None:
        return None if self.full else self.padded_position < self.lengths[:, None]

    @property
    def causal_needs_mask(self) -> bool:
        return False  # padding comes last

    def flat(self, x: Tensor) -> Tensor:
        return x

    def unflat(self, y: Tensor) -> Tensor:
        return y

    def pad(self, x: Tensor) -> Tensor:
        if self.full:
            return x.unflatten(0, (self.batch, self.max_length))
        rows = x.new_zeros(self.batch * self.max_length, *x.shape[1:])
        return rows.index_copy(0, self._slot, x).unflatten(0, (self.batch, self.max_length))

    def unpad(self, y: Tensor) -> Tensor:
        rows = y.flatten(0, 1)
        return rows if self.full else rows.index_select(0, self._slot)

    def compact(self, x: Tensor) -> Tensor:
        return self.pad(x)

    def spread(self, y: Tensor) -> Tensor:
        return self.unpad(y)

    def clear(self, x: Tensor) -> Tensor:
        return x

    def to(self, device: torch.device | str) -> "Packed":
        return Packed(self.ptr.to(device), self.num_tokens, self.max_length)

    @property
    def _slot(self) -> Tensor:
        return self.sample * self.max_length + self.position  # [T], row of the padded view


Layout = Padded | Packed
