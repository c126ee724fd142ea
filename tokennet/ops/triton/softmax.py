"""Softmax over the entries of each row, and its gradient, in Triton.

Axes: S rows of the form, E entries, H heads, R rows of a program, L lanes of a row, P pieces.

A row is read twice by its program, the second time out of the cache. Of a long row the pieces are
summed up by one launch, merged by another, and written by a third.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from tokennet.ops.triton.attend_tiles import lane_sum2
from tokennet.ops.triton.gather import add_pieces
from tokennet.ops.triton.plan import Launch, launches, plan_of, tile_of
from tokennet.ops.triton.slots import places, slots
from tokennet.ops.triton.tables import packed, result_of
from tokennet.structure import Compressed

WHOLE, SUM, WRITE = 0, 1, 2
"""What a launch does: all of a row; the sums of a piece; the entries of a piece."""


@triton.jit
def power(score, largest):
    """exp(score - largest), where the largest may be -inf: of a row of nothing else."""
    return tl.exp(score - tl.where(largest == float("-inf"), 0.0, largest))


@triton.jit
def spread(x, ROWS: tl.constexpr, LANES: tl.constexpr):
    """`[R, H]`, once for each lane: `[R L, H]`."""
    whole = tl.broadcast_to(x[:, None, :], (ROWS, LANES, x.shape[1]))
    return tl.reshape(whole, (ROWS * LANES, x.shape[1]))


@triton.jit
def lane_max(x, ROWS: tl.constexpr, LANES: tl.constexpr):
    """`[R L, H]`, the largest over the lanes of each row: `[R, H]`."""
    return tl.max(tl.reshape(x, (ROWS, LANES, x.shape[1])), axis=1)


@triton.jit(do_not_specialize=["items", "chunk"])
def softmax_kernel(
    SCORE, WEIGHT, LARGEST, TOTAL,
    TABLE, items, chunk,
    H: tl.constexpr, ROWS: tl.constexpr, LANES: tl.constexpr, HEADS: tl.constexpr,
    TASK: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """One program: ROWS rows, HEADS heads. LARGEST and TOTAL `[*, H]` belong to long rows alone."""
    block = tl.program_id(0)
    row, first, end, live, steps = slots(block, TABLE, items, chunk, ROWS, LANES, SPLIT)
    h = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    heads = (h < H)[None, :]
    if TASK != 2:
        largest = tl.full((ROWS * LANES, HEADS), float("-inf"), dtype=tl.float32)
        total = tl.zeros((ROWS * LANES, HEADS), dtype=tl.float32)
        for step in range(0, steps):
            e = first + step * LANES
            mask = (e < end)[:, None] & heads
            at = SCORE + e.to(tl.int64)[:, None] * H + h[None, :]
            score = tl.load(at, mask=mask, other=float("-inf")).to(tl.float32)
            more = tl.maximum(largest, score)
            total = total * power(largest, more) + power(score, more)
            largest = more
        most = lane_max(largest, ROWS, LANES)
        total = lane_sum2(total * power(largest, spread(most, ROWS, LANES)), ROWS, LANES)
    if TASK == 1:
        place, own = places(block, TABLE, items, chunk, ROWS, SPLIT)
        to = place[:, None] * H + h[None, :]
        tl.store(LARGEST + to, most, mask=own[:, None] & heads)
        tl.store(TOTAL + to, total, mask=own[:, None] & heads)
    else:
        if TASK == 2:
            own = row.to(tl.int64)[:, None] * H + h[None, :]
            most = tl.load(LARGEST + own, mask=live[:, None] & heads, other=0.0)
            total = tl.load(TOTAL + own, mask=live[:, None] & heads, other=0.0)
        else:
            most = spread(most, ROWS, LANES)
            total = spread(total, ROWS, LANES)
        share = tl.where(total == 0, 0.0, 1.0 / tl.where(total == 0, 1.0, total))
        for step in range(0, steps):
            e = first + step * LANES
            mask = (e < end)[:, None] & heads
            at = e.to(tl.int64)[:, None] * H + h[None, :]
            score = tl.load(SCORE + at, mask=mask, other=0.0).to(tl.float32)
            weight = power(score, most) * share
            tl.store(WEIGHT + at, weight.to(WEIGHT.dtype.element_ty), mask=mask)


@triton.jit
def softmax_pieces(
    PART_LARGEST, PART_TOTAL,
    ROW, FIRST,
    LARGEST, TOTAL,
    H: tl.constexpr, HEADS: tl.constexpr,
):  # fmt: skip
    """One long row: its largest score, and its sum of powers, from those of its pieces."""
    row = tl.load(ROW + tl.program_id(0)).to(tl.int64)
    first = tl.load(FIRST + tl.program_id(0)).to(tl.int64)
    last = tl.load(FIRST + tl.program_id(0) + 1).to(tl.int64)
    h = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    largest = tl.full((HEADS,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((HEADS,), dtype=tl.float32)
    for piece in range(0, last - first):
        at = (first + piece) * H + h
        other = tl.load(PART_LARGEST + at, mask=h < H, other=0.0)
        more = tl.maximum(largest, other)
        part = tl.load(PART_TOTAL + at, mask=h < H, other=0.0)
        total = total * power(largest, more) + part * power(other, more)
        largest = more
    tl.store(LARGEST + row * H + h, largest, mask=h < H)
    tl.store(TOTAL + row * H + h, total, mask=h < H)


@triton.jit(do_not_specialize=["items", "chunk"])
def softmax_backward_kernel(
    WEIGHT, GRAD, OUT, TOTAL,
    TABLE, items, chunk,
    H: tl.constexpr, ROWS: tl.constexpr, LANES: tl.constexpr, HEADS: tl.constexpr,
    TASK: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """One program: weight * (grad - sum of weight * grad over the row)."""
    block = tl.program_id(0)
    row, first, end, live, steps = slots(block, TABLE, items, chunk, ROWS, LANES, SPLIT)
    h = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    heads = (h < H)[None, :]
    if TASK != 2:
        total = tl.zeros((ROWS * LANES, HEADS), dtype=tl.float32)
        for step in range(0, steps):
            e = first + step * LANES
            mask = (e < end)[:, None] & heads
            at = e.to(tl.int64)[:, None] * H + h[None, :]
            weight = tl.load(WEIGHT + at, mask=mask, other=0.0).to(tl.float32)
            total += weight * tl.load(GRAD + at, mask=mask, other=0.0).to(tl.float32)
        total = lane_sum2(total, ROWS, LANES)
    if TASK == 1:
        place, own = places(block, TABLE, items, chunk, ROWS, SPLIT)
        tl.store(TOTAL + place[:, None] * H + h[None, :], total, mask=own[:, None] & heads)
    else:
        if TASK == 2:
            own = row.to(tl.int64)[:, None] * H + h[None, :]
            total = tl.load(TOTAL + own, mask=live[:, None] & heads, other=0.0)
        else:
            total = spread(total, ROWS, LANES)
        for step in range(0, steps):
            e = first + step * LANES
            mask = (e < end)[:, None] & heads
            at = e.to(tl.int64)[:, None] * H + h[None, :]
            weight = tl.load(WEIGHT + at, mask=mask, other=0.0).to(tl.float32)
            grad = tl.load(GRAD + at, mask=mask, other=0.0).to(tl.float32)
            change = weight * (grad - total)
            tl.store(OUT + at, change.to(OUT.dtype.element_ty), mask=mask)


def segment_softmax(scores: Tensor, form: Compressed) -> Tensor:
    """exp(score) / sum of exp(score) over each row, `[E, H]`; 0 where every score is -inf."""
    scores = packed("scores", scores)
    plan, heads = plan_of(form, len(scores)), scores.shape[1]
    out = result_of(plan, len(scores), scores, heads)
    if out.numel() == 0:
        return out
    tile = tile_of(heads, 1, plan.mean_degree)
    across = triton.cdiv(heads, tile.heads)
    with torch.cuda.device_of(scores):  # Triton launches on the current device
        for launch in launches(plan, form.ptr, tile):
            rows, parts = _sums(launch, form, 2, scores)
            for task in (SUM, WRITE) if launch.split else (WHOLE,):
                softmax_kernel[(launch.programs, across)](
                    scores, out, *(parts if task == SUM else rows),
                    launch.table, launch.items, plan.chunk,
                    H=heads, ROWS=launch.rows, LANES=launch.lanes, HEADS=tile.heads,
                    TASK=task, SPLIT=launch.split, num_warps=tile.warps,
                )  # fmt: skip
                if task == SUM and plan.pieces is not None:
                    softmax_pieces[(len(plan.pieces.row), across)](
                        *parts, plan.pieces.row, plan.pieces.first, *rows,
                        H=heads, HEADS=tile.heads, num_warps=tile.warps,
                    )  # fmt: skip
    return out


def segment_softmax_backward(weights: Tensor, grad: Tensor, form: Compressed) -> Tensor:
    """The gradient of the scores, from the weights and their gradient."""
    weights, grad = packed("weights", weights), packed("grad", grad)
    plan, heads = plan_of(form, len(grad)), grad.shape[1]
    out = result_of(plan, len(grad), grad, heads)
    if out.numel() == 0:
        return out
    tile = tile_of(heads, 1, plan.mean_degree)
    with torch.cuda.device_of(grad):  # Triton launches on the current device
        for launch in launches(plan, form.ptr, tile):
            (rows,), (parts,) = _sums(launch, form, 1, grad)
            for task in (SUM, WRITE) if launch.split else (WHOLE,):
                softmax_backward_kernel[(launch.programs, triton.cdiv(heads, tile.heads))](
                    weights, grad, out, parts if task == SUM else rows,
                    launch.table, launch.items, plan.chunk,
                    H=heads, ROWS=launch.rows, LANES=launch.lanes, HEADS=tile.heads,
                    TASK=task, SPLIT=launch.split, num_warps=tile.warps,
                )  # fmt: skip
                if task == SUM and parts is not None and rows is not None:
                    add_pieces(parts, plan, rows)
    return out


def _sums(
    launch: Launch, form: Compressed, number: int, like: Tensor
) -> tuple[Sequence[Tensor | None], Sequence[Tensor | None]]:
    """Room for what is summed up over long rows and over their pieces; none without such rows."""
    if not launch.split:
        return (None,) * number, (None,) * number
    make = lambda size: torch.empty(number, size, like.shape[1], device=like.device)  # noqa: E731
    return make(form.num_rows).unbind(), make(launch.items).unbind()
