"""What the kernels decide before a launch: the tile of a program, and which rows are split.

Axes: T rows, E entries, I pieces of long rows.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from tokennet.checks import positive, switch, value_error
from tokennet.structure import Compressed

MAX_ENTRIES = 2**31 - 2**16
"""Entries and rows are numbered in 32 bits, and a loop may look a chunk beyond the last of them;
offsets into their values take 64."""
WHOLE = 2**31 - 1
"""A chunk that no row is longer than: nothing is split."""


class Tile(NamedTuple):
    """Rows, lanes of a row and heads of a program, channels of a tile (a power of 2), warps."""

    rows: int
    lanes: int
    heads: int
    channels: int
    warps: int


class Pieces(NamedTuple):
    """Rows of more than a chunk of entries, cut into pieces of at most a chunk."""

    table: Tensor
    """(row, start, end) of each piece: `[I, 3]`."""
    row: Tensor
    """The long rows."""
    first: Tensor
    """`[len(row) + 1]`: the pieces of row i are `first[i] : first[i + 1]`."""


@dataclass(frozen=True)
class Plan:
    """How the rows of a compressed form are shared out; `count` entries are in rows at all.

    `count` is None where it could not be asked for.
    """

    num_rows: int
    chunk: int
    mean_degree: float
    pieces: Pieces | None = None
    count: int | None = None

    def covers(self, num_entries: int) -> bool:
        """Whether it is known that the rows reach each of the entries."""
        return self.count == num_entries


@dataclass
class _Options:
    """Read at each launch. Plain module state: a backward pass may run in another thread."""

    atomics: bool = False
    chunk: int | None = None


_OPTIONS = _Options()
_PLANS: MutableMapping[Tensor, tuple[int, int, int, Plan]] = WeakIdKeyDictionary()


def use_atomics(enabled: bool) -> None:
    """Whether `attend_backward` adds up the gradients of keys and values by atomic additions.

    One pass over the edges instead of two, but with another order of the sums in each run: no two
    runs give the same bits. Refused under `torch.use_deterministic_algorithms(True)`.
    """
    _OPTIONS.atomics = switch("enabled", enabled)


def atomics() -> bool:
    """Whether atomic additions are to be used; RuntimeError where torch forbids them."""
    if _OPTIONS.atomics and torch.are_deterministic_algorithms_enabled():
        raise RuntimeError(
            "the atomic backward of sparse attention is not deterministic; call "
            "tokennet.ops.triton.plan.use_atomics(False) or "
            "torch.use_deterministic_algorithms(False)"
        )
    return _OPTIONS.atomics


def use_chunk(entries: int | None) -> None:
    """Rows of more entries than this are split; None: chosen from the mean degree."""
    _OPTIONS.chunk = None if entries is None else positive("entries", entries)


def plan_of(form: Compressed, num_entries: int) -> Plan:
    """The plan of a compressed form, made once for each pointer and kept as long as it lives.

    Waits for the device at the first sight of a pointer (or of new contents in it). While a CUDA
    graph is captured nothing is asked of the device: a pointer that is not known then is planned
    without splitting, which is right whatever will stand in it; that of a known one must keep its
    contents if it has long rows.
    """
    ptr = form.ptr
    if max(num_entries, form.num_rows) > MAX_ENTRIES:
        raise value_error("num_entries", num_entries, f"at most {MAX_ENTRIES}")
    mean = num_entries / max(form.num_rows, 1)
    chunk = _OPTIONS.chunk or chunk_of(mean)
    version = 0 if ptr.is_inference() else ptr._version
    known = _PLANS.get(ptr)
    if known is not None and known[:3] == (version, chunk, num_entries):
        return known[3]
    if ptr.is_cuda and torch.cuda.is_current_stream_capturing():
        return Plan(form.num_rows, WHOLE, mean)
    plan = _made(ptr, chunk, mean)
    _PLANS[ptr] = (version, chunk, num_entries, plan)
    return plan


def chunk_of(mean_degree: float) -> int:
    """Where rows are split: a few times the mean, so that most are whole; bounded both ways.

    At 4096 one warp is busy for some 50 us, about as long as a whole small graph takes.
    """
    return int(min(max(4 * mean_degree, 256), 4096))


def _made(ptr: Tensor, chunk: int, mean_degree: float) -> Plan:
    num_rows = ptr.shape[0] - 1
    degree = ptr.diff()
    if num_rows < 1:
        return Plan(num_rows, WHOLE, mean_degree, count=0)
    largest, count = torch.stack([degree.max(), ptr[-1] - ptr[0]]).tolist()
    if largest <= chunk:
        return Plan(num_rows, WHOLE, mean_degree, count=count)
    with torch.inference_mode(False):
        row = (degree > chunk).nonzero().squeeze(1)
        number = (degree[row] + chunk - 1) // chunk
        first = torch.cat([number.new_zeros(1), number.cumsum(0)])
        owner = torch.repeat_interleave(number)  # of each piece, among the long rows
        within = torch.arange(len(owner), device=ptr.device) - first[owner]
        start = ptr[row[owner]] + within * chunk
        end = torch.minimum(start + chunk, ptr[row[owner] + 1])
        table = torch.stack([row[owner], start, end], dim=1)
    pieces = Pieces(table.int(), row.int(), first.int())
    return Plan(num_rows, chunk, mean_degree, pieces, count)


def power_of_2(number: int) -> int:
    """The smallest power of two that is not less."""
    return 1 << max(number - 1, 0).bit_length()


@lru_cache(maxsize=1024)  # asked for at every launch
def tile_of(num_heads: int, channels: int, mean_degree: float, elements: int = 512) -> Tile:
    """The tile of a program: about `elements` numbers of one accumulator in a warp.

    With 512, which is 16 registers a thread, the forward kernel takes at most 64 registers for
    every shape of heads tried, and half of a multiprocessor's warps stay resident. Heads that do
    not fit go to other programs; a head that is too wide for a warp gets more warps. A row gets a
    lane for every four edges of the mean row.
    """
    width = power_of_2(channels)
    heads = power_of_2(num_heads)
    while heads > 1 and heads * width > elements:
        heads //= 2
    warps = min(max(heads * width // elements, 1), 8)
    slots = min(max(elements // (heads * width), 1), 32)  # more would have a thread hold two rows
    lanes = 1
    while lanes < slots and 4 * lanes <= mean_degree:
        lanes *= 2
    return Tile(slots // lanes, lanes, heads, width, warps)


class Launch(NamedTuple):
    """One launch over rows or pieces: the table of `slots.span`, its length, and the tile."""

    table: Tensor
    items: int
    split: bool
    rows: int
    lanes: int

    @property
    def programs(self) -> int:
        return -(-self.items // self.rows)


def launches(plan: Plan, ptr: Tensor, tile: Tile) -> list[Launch]:
    """The rows that are whole, then the pieces of the others, all lanes on one piece."""
    found = []
    if plan.num_rows > 0:
        found.append(Launch(ptr, plan.num_rows, False, tile.rows, tile.lanes))
    if plan.pieces is not None:
        pieces = plan.pieces.table
        found.append(Launch(pieces, pieces.shape[0], True, 1, tile.rows * tile.lanes))
    return found
