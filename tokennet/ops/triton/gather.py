"""Weighted sums of rows that are gathered by index, in Triton.

Axes: T rows of the table, S rows of the form, E entries, H heads, D channels of a head.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import torch
import triton
import triton.language as tl
from torch import Tensor

from tokennet.ops.triton.plan import Plan, launches, plan_of, power_of_2, tile_of
from tokennet.ops.triton.slots import places, slots, sum_pieces
from tokennet.ops.triton.tables import packed, table_of
from tokennet.structure import Compressed

WIDEST = 512
"""Channels of a program at most: 16 registers a thread. Wider rows are shared out."""


@triton.jit
def entry(INDEX, e, end):
    """What entry e points to; without an index itself. Asked for one step ahead of its use."""
    return e if INDEX is None else tl.load(INDEX + e, mask=e < end, other=0)


@triton.jit(do_not_specialize=["items", "chunk", "stride"])
def gather_sum_kernel(
    X, WEIGHT, OUT,
    TABLE, INDEX, PLACE,
    items, chunk, stride,
    UNIT: tl.constexpr, H: tl.constexpr, D: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, HEADS: tl.constexpr, CHANNELS: tl.constexpr,
    SPLIT: tl.constexpr,
):  # fmt: skip
    """One program: ROWS rows of the form, HEADS heads, CHANNELS channels of each."""
    block = tl.program_id(0)
    _, first, end, live, steps = slots(block, TABLE, items, chunk, ROWS, LANES, SPLIT)
    parts: tl.constexpr = (D + CHANNELS - 1) // CHANNELS
    h = tl.program_id(1) // parts * HEADS + tl.arange(0, HEADS)
    d = tl.program_id(1) % parts * CHANNELS + tl.arange(0, CHANNELS)
    inside = (h < H)[:, None] & (d < D)[None, :]
    at = h[:, None] * D + d[None, :]
    total = tl.zeros((ROWS * LANES, HEADS, CHANNELS), dtype=tl.float32)
    j, place = entry(INDEX, first, end), entry(PLACE, first, end)
    for step in range(0, steps):
        e = first + step * LANES
        reached = e < end
        next_j = entry(INDEX, e + LANES, end)
        next_place = entry(PLACE, e + LANES, end)
        begin = j.to(tl.int64)[:, None, None] * (stride * UNIT)
        mask = reached[:, None, None] & inside[None]
        x = tl.load(X + begin + at[None], mask=mask, other=0.0).to(tl.float32)
        if WEIGHT is not None:
            own = place.to(tl.int64)[:, None] * H + h[None, :]
            w = tl.load(WEIGHT + own, mask=reached[:, None] & (h < H)[None, :], other=0.0)
            x = x * w.to(tl.float32)[:, :, None]
        total += x
        j, place = next_j, next_place
    total = tl.sum(tl.reshape(total, (ROWS, LANES, HEADS, CHANNELS)), axis=1)
    place, live = places(block, TABLE, items, chunk, ROWS, SPLIT)
    out = OUT + place[:, None, None] * (H * D) + at[None]
    tl.store(out, total.to(OUT.dtype.element_ty), mask=live[:, None, None] & inside[None])


def gather_sum(x: Tensor, weight: Tensor | None, form: Compressed) -> Tensor:
    """out[s] = sum over the entries of row s of weight[place] x[index]: `[S, H, D]`.

    x is `[T, H, D]`, weight `[E, H]`, or None for all ones.
    """
    out = x.new_empty(form.num_rows, *x.shape[1:])
    table = table_of("x", x)
    weight = None if weight is None else packed("weight", weight)
    if out.numel() == 0:
        return out
    entries = form.index if form.index is not None else x if weight is None else weight
    plan = plan_of(form, len(entries))
    # without weights the heads make no difference: one head of all channels
    heads, channels = (1, out[0].numel()) if weight is None else x.shape[1:]
    tile = tile_of(heads, min(channels, WIDEST), plan.mean_degree)
    across = triton.cdiv(heads, tile.heads) * triton.cdiv(channels, tile.channels)
    with torch.cuda.device_of(x):  # Triton launches on the current device
        for launch in launches(plan, form.ptr, tile):
            to = (
                torch.empty(launch.items, heads, channels, device=x.device) if launch.split else out
            )
            gather_sum_kernel[(launch.programs, across)](
                table.data, weight, to,
                launch.table, form.index, form.place,
                launch.items, plan.chunk, table.stride,
                UNIT=table.unit, H=heads, D=channels,
                ROWS=launch.rows, LANES=launch.lanes, HEADS=tile.heads, CHANNELS=tile.channels,
                SPLIT=launch.split, num_warps=tile.warps,
            )  # fmt: skip
            if launch.split:
                add_pieces(to, plan, out)
    return out


def add_pieces(part: Tensor, plan: Plan, out: Tensor) -> None:
    """Puts the sums over the pieces of each long row into its place of `out`."""
    assert plan.pieces is not None
    width = part[0].numel()
    block = min(power_of_2(width), WIDEST)
    sum_pieces[(len(plan.pieces.row), triton.cdiv(width, block))](
        part, plan.pieces.row, plan.pieces.first, out, WIDTH=width, BLOCK=block, num_warps=1
    )
