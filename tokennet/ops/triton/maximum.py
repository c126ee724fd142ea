"""The largest of the rows that are gathered, channel by channel, and its gradient, in Triton.

Axes: T rows of the table, S rows of the form, F channels, P pieces.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from tokennet.ops.triton.gather import WIDEST, add_pieces, entry
from tokennet.ops.triton.plan import launches, plan_of, power_of_2, tile_of
from tokennet.ops.triton.slots import places, slots
from tokennet.ops.triton.tables import packed, table_of
from tokennet.structure import Compressed


@triton.jit
def larger(a, b):
    """The larger of two; a NaN if one of them is."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def finished(best, ties):
    """A row of no entries gives 0; a NaN is the largest, and no entry equals it."""
    return tl.where((ties == 0) & (best == float("-inf")), 0.0, best)


@triton.jit(do_not_specialize=["items", "chunk", "stride"])
def gather_max_kernel(
    X, OUT, TIES,
    TABLE, INDEX,
    items, chunk, stride,
    UNIT: tl.constexpr, F: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, CHANNELS: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """One program: ROWS rows of the form, CHANNELS channels. A piece keeps -inf if it is empty."""
    block = tl.program_id(0)
    _, first, end, live, steps = slots(block, TABLE, items, chunk, ROWS, LANES, SPLIT)
    f = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    best = tl.full((ROWS * LANES, CHANNELS), float("-inf"), dtype=tl.float32)
    ties = tl.zeros((ROWS * LANES, CHANNELS), dtype=tl.float32)
    j = entry(INDEX, first, end)
    for step in range(0, steps):
        e = first + step * LANES
        reached = e < end
        next_j = entry(INDEX, e + LANES, end)
        begin = j.to(tl.int64)[:, None] * (stride * UNIT)
        mask = reached[:, None] & (f < F)[None, :]
        x = tl.load(X + begin + f[None, :], mask=mask, other=float("-inf")).to(tl.float32)
        more = larger(best, x)
        ties = ties * (more == best).to(tl.float32) + (x == more).to(tl.float32)
        best = more
        j = next_j
    # of nothing but -inf: its entries, and not the steps without one, which count there too
    number = tl.maximum((end - first + (LANES - 1)) // LANES, 0).to(tl.float32)
    ties = tl.where(best == float("-inf"), number[:, None], ties)
    # over the lanes of a row; max() would lose a NaN
    several = tl.reshape(best, (ROWS, LANES, CHANNELS))
    nan = tl.max((several != several).to(tl.int32), axis=1)
    best = tl.where(nan > 0, float("nan"), tl.max(several, axis=1))
    same = several == best[:, None, :]
    ties = tl.sum(tl.where(same, tl.reshape(ties, (ROWS, LANES, CHANNELS)), 0.0), axis=1)
    if not SPLIT:
        best = finished(best, ties)
    place, live = places(block, TABLE, items, chunk, ROWS, SPLIT)
    out = place[:, None] * F + f[None, :]
    mask = live[:, None] & (f < F)[None, :]
    tl.store(OUT + out, best.to(OUT.dtype.element_ty), mask=mask)
    tl.store(TIES + out, ties.to(TIES.dtype.element_ty), mask=mask)


@triton.jit
def max_pieces(
    BEST, EQUAL,
    ROW, FIRST,
    OUT, TIES,
    F: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """One long row: the maximum over its pieces, and how many entries of all of them share it."""
    row = tl.load(ROW + tl.program_id(0)).to(tl.int64)
    first = tl.load(FIRST + tl.program_id(0)).to(tl.int64)
    last = tl.load(FIRST + tl.program_id(0) + 1).to(tl.int64)
    f = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    best = tl.full((CHANNELS,), float("-inf"), dtype=tl.float32)
    ties = tl.zeros((CHANNELS,), dtype=tl.float32)
    for piece in range(0, last - first):
        at = (first + piece) * F + f
        x = tl.load(BEST + at, mask=f < F, other=0.0)
        equal = tl.load(EQUAL + at, mask=f < F, other=0.0)
        more = larger(best, x)
        ties = ties * (more == best).to(tl.float32) + equal * (x == more).to(tl.float32)
        best = more
    tl.store(OUT + row * F + f, finished(best, ties).to(OUT.dtype.element_ty), mask=f < F)
    tl.store(TIES + row * F + f, ties.to(TIES.dtype.element_ty), mask=f < F)


@triton.jit(do_not_specialize=["items", "chunk", "stride"])
def gather_max_backward_kernel(
    X, LARGEST, SHARE, OUT,
    TABLE, INDEX,
    items, chunk, stride,
    UNIT: tl.constexpr, F: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, CHANNELS: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """One program: ROWS rows of x, which take their shares from the results they went into."""
    block = tl.program_id(0)
    row, first, end, live, steps = slots(block, TABLE, items, chunk, ROWS, LANES, SPLIT)
    f = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    begin = row.to(tl.int64)[:, None] * (stride * UNIT)
    mask = live[:, None] & (f < F)[None, :]
    x = tl.load(X + begin + f[None, :], mask=mask, other=0.0)
    total = tl.zeros((ROWS * LANES, CHANNELS), dtype=tl.float32)
    j = entry(INDEX, first, end)
    for step in range(0, steps):
        e = first + step * LANES
        reached = e < end
        next_j = entry(INDEX, e + LANES, end)
        at = j.to(tl.int64)[:, None] * F + f[None, :]
        mask = reached[:, None] & (f < F)[None, :]
        largest = tl.load(LARGEST + at, mask=mask, other=0.0)
        share = tl.load(SHARE + at, mask=mask, other=0.0).to(tl.float32)
        total += tl.where(x == largest, share, 0.0)
        j = next_j
    total = tl.sum(tl.reshape(total, (ROWS, LANES, CHANNELS)), axis=1)
    place, live = places(block, TABLE, items, chunk, ROWS, SPLIT)
    out = OUT + place[:, None] * F + f[None, :]
    tl.store(out, total.to(OUT.dtype.element_ty), mask=live[:, None] & (f < F)[None, :])


def gather_max(x: Tensor, form: Compressed) -> tuple[Tensor, Tensor]:
    """The largest x[index] over the entries of each row, and how many are as large: both `[S, F]`.

    x is `[T, F]`. Without entries 0, and a count of 0.
    """
    channels = x.shape[1]
    out, ties = (x.new_empty(form.num_rows, channels) for _ in range(2))
    table = table_of("x", x)
    if out.numel() == 0:
        return out, ties
    plan = plan_of(form, len(x if form.index is None else form.index))
    tile = tile_of(1, min(channels, WIDEST), plan.mean_degree)
    across = triton.cdiv(channels, tile.channels)
    with torch.cuda.device_of(x):  # Triton launches on the current device
        for launch in launches(plan, form.ptr, tile):
            to: Sequence[Tensor] = (out, ties)
            if launch.split:
                to = torch.empty(2, launch.items, channels, device=x.device).unbind()
            gather_max_kernel[(launch.programs, across)](
                table.data, *to,
                launch.table, form.index,
                launch.items, plan.chunk, table.stride,
                UNIT=table.unit, F=channels,
                ROWS=launch.rows, LANES=launch.lanes, CHANNELS=tile.channels,
                SPLIT=launch.split, num_warps=tile.warps,
            )  # fmt: skip
            if launch.split and plan.pieces is not None:
                block = min(power_of_2(channels), WIDEST)
                max_pieces[(len(plan.pieces.row), triton.cdiv(channels, block))](
                    *to, plan.pieces.row, plan.pieces.first, out, ties,
                    F=channels, CHANNELS=block, num_warps=1,
                )  # fmt: skip
    return out, ties


def gather_max_backward(
    grad: Tensor, x: Tensor, out: Tensor, count: Tensor, columns: Compressed
) -> Tensor:
    """Every entry that is as large as the maximum gets an equal share of the gradient: `[T, F]`.

    `columns` is the transposed form: row t of it lists the results that x[t] went into.
    """
    dx = x.new_empty(x.shape)
    table, largest = table_of("x", x), packed("out", out)
    share = packed("grad", grad / count.clamp_min(1))
    channels = x.shape[1]
    if dx.numel() == 0:
        return dx
    plan = plan_of(columns, len(out if columns.index is None else columns.index))
    tile = tile_of(1, min(channels, WIDEST), plan.mean_degree)
    across = triton.cdiv(channels, tile.channels)
    with torch.cuda.device_of(x):  # Triton launches on the current device
        for launch in launches(plan, columns.ptr, tile):
            to = torch.empty(launch.items, channels, device=x.device) if launch.split else dx
            gather_max_backward_kernel[(launch.programs, across)](
                table.data, largest, share, to,
                launch.table, columns.index,
                launch.items, plan.chunk, table.stride,
                UNIT=table.unit, F=channels,
                ROWS=launch.rows, LANES=launch.lanes, CHANNELS=tile.channels,
                SPLIT=launch.split, num_warps=tile.warps,
            )  # fmt: skip
            if launch.split:
                add_pieces(to, plan, dx)
    return dx
