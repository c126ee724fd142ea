"""Gradients of what belongs to an edge: its bias and its features.

Axes: S = R L slots, R rows, L lanes, B >= H heads, F features of an edge, E edges.

A pass of its own, since a score's gradient is known only when its row is done, and a feature's sums
over all heads. It reads nothing at random places.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import triton
import triton.language as tl

from tokennet.ops.triton.attend_tiles import (
    load_heads,
    load_numbers,
    load_pairs,
    store_heads,
    store_numbers,
)
from tokennet.ops.triton.slots import slots


@triton.jit(do_not_specialize=["count", "chunk"])
def attend_edges(
    QUERY, KEPT,
    TABLE,
    MEAN, PAIR, GRAD_EDGE,
    DBIAS, DATTR,
    count, chunk, factor, share,
    SCORE: tl.constexpr, H: tl.constexpr, F: tl.constexpr, BH: tl.constexpr, BF: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """`DBIAS [E, H]` and `DATTR [E, F]`, those that are given."""
    row, first, end, live, steps = slots(tl.program_id(0), TABLE, count, chunk, ROWS, LANES, SPLIT)
    row = row.to(tl.int64)
    h = tl.arange(0, BH)
    f = tl.arange(0, BF)
    one = tl.arange(0, 1)
    mean = load_numbers(MEAN, row, H, h, live, H)
    if DATTR is not None:
        if QUERY is not None:
            query = load_heads(QUERY, row, H * F, h, f, live, H, F) * factor
        if GRAD_EDGE is not None:
            grad_edge = load_heads(GRAD_EDGE, row, H * F, h, f, live, H, F)

    for step in range(0, steps):
        entry = first + step * LANES
        there = entry < end
        edge = entry.to(tl.int64)
        w, wg = load_pairs(PAIR, edge, h, there, H)
        ds = wg - tl.abs(w) * mean
        if SCORE == "gat":
            ds = tl.where(w > 0, ds, ds * factor)
        if DBIAS is not None:
            store_numbers(DBIAS, edge, h, there, ds, H)
        if DATTR is not None:
            change = tl.zeros((ROWS * LANES, BF), dtype=tl.float32)
            if QUERY is not None:
                change += tl.sum(ds[:, :, None] * query, axis=1)
            if GRAD_EDGE is not None:
                used = tl.abs(w)
                if KEPT is not None:
                    used = used * (load_numbers(KEPT, edge, H, h, there, H) * share)
                change += tl.sum(used[:, :, None] * grad_edge, axis=1)
            store_heads(DATTR, edge, one, f, there, change[:, None, :], 1, F)
