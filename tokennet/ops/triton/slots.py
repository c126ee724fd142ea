"""How a program walks over rows of edges: R rows at once, L lanes a row, one edge a lane a step.

Axes: R rows of a program, L lanes of a row, S = R L slots.

Slot s belongs to row s // L and takes the edges lane, lane + L, ... of it, so that the loop over a
row has no reduction between slots; the lanes of a row are summed once, after it. R > 1 with L = 1
serves rows of few edges, R = 1 with many lanes long ones: one kernel for both.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import triton
import triton.language as tl


@triton.jit
def span(
    item,
    TABLE,
    count,
    chunk,
    SPLIT: tl.constexpr,
):
    """(row, start, end, live) of each item.

    An item is a row of the pointer `TABLE [T+1]`, live where it has no more than `chunk` edges; or,
    with SPLIT, a piece of a longer row, of the table `[I, 3]` of (row, start, end).
    """
    live = item < count
    if SPLIT:
        at = TABLE + item.to(tl.int64) * 3
        row = tl.load(at, mask=live, other=0).to(tl.int32)
        start = tl.load(at + 1, mask=live, other=0).to(tl.int32)
        end = tl.load(at + 2, mask=live, other=0).to(tl.int32)
    else:
        row = item
        start = tl.load(TABLE + item, mask=live, other=0).to(tl.int32)
        end = tl.load(TABLE + item + 1, mask=live, other=0).to(tl.int32)
        live = live & (end - start <= chunk)
        end = tl.where(live, end, start)
    return row, start, end, live


@triton.jit
def slots(
    block,
    TABLE,
    count,
    chunk,
    ROWS: tl.constexpr,
    LANES: tl.constexpr,
    SPLIT: tl.constexpr,
):
    """(row `[S]`, first edge `[S]`, end `[S]`, live `[S]`, steps of the loop) of a program."""
    slot = tl.arange(0, ROWS * LANES)
    row, start, end, live = span(block * ROWS + slot // LANES, TABLE, count, chunk, SPLIT)
    steps = tl.max((end - start + (LANES - 1)) // LANES, axis=0)
    return row, start + slot % LANES, end, live, steps


@triton.jit
def places(
    block,
    TABLE,
    count,
    chunk,
    ROWS: tl.constexpr,
    SPLIT: tl.constexpr,
):
    """(place `[R]`, live `[R]`): where results of a program go, at its rows or at its pieces."""
    item = block * ROWS + tl.arange(0, ROWS)
    _, _, _, live = span(item, TABLE, count, chunk, SPLIT)
    return item.to(tl.int64), live


@triton.jit
def sum_pieces(
    PART,
    ROW,
    FIRST,
    OUT,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """OUT[ROW[i]] = the sum of PART[FIRST[i] : FIRST[i + 1]], in this order: `[*, WIDTH]`."""
    row = tl.load(ROW + tl.program_id(0)).to(tl.int64)
    first = tl.load(FIRST + tl.program_id(0)).to(tl.int64)
    last = tl.load(FIRST + tl.program_id(0) + 1).to(tl.int64)
    w = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for piece in range(0, last - first):
        total += tl.load(PART + (first + piece) * WIDTH + w, mask=w < WIDTH, other=0.0)
    tl.store(OUT + row * WIDTH + w, total.to(OUT.dtype.element_ty), mask=w < WIDTH)
