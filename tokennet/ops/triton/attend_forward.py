"""Attention over the edges into each row, in one pass: softmax online, one state a slot.

Axes: S = R L slots, R rows, L lanes, B heads of a program, H heads, D channels of a key, C of a
value, F features of an edge.

The state starts at -1e30 instead of -inf, so that scores of -inf need no branch. A row of no edges,
or of nothing but -inf, gets 0 and an infinite log sum; with it exp(score - log_sum) is 0 in the
backward passes, again without a branch.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import triton
import triton.language as tl

from tokennet.ops.triton.attend_tiles import (
    SIZES,
    bent,
    lane_sum2,
    lane_sum3,
    load_features,
    load_heads,
    load_index,
    load_numbers,
    load_shared,
    scores,
    store_heads,
    store_numbers,
)
from tokennet.ops.triton.slots import places, slots


@triton.jit(do_not_specialize=SIZES)
def attend_forward(
    Q, K, V, SIDE, BIAS, ATTR, KEPT,
    TABLE, INDEX,
    OUT, EDGE_OUT, LOG_SUM,
    count, chunk, stride_q, stride_k, stride_v, factor, share,
    SCORE: tl.constexpr, UNIT: tl.constexpr,
    H: tl.constexpr, D: tl.constexpr, C: tl.constexpr, F: tl.constexpr,
    BH: tl.constexpr, BD: tl.constexpr, BC: tl.constexpr, BF: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, SPLIT: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Rows of `OUT [T, H, C]`, `EDGE_OUT [T, H, F]`, `LOG_SUM [T, H]`; with SPLIT, one for a piece.

    `SIDE` is the vector of "gatv2" or the edge queries of "dot"; `factor` is the scale of "dot" or
    the slope of the others; `share` is 1 / (1 - dropout).
    """
    block = tl.program_id(0)
    row, first, end, live, steps = slots(block, TABLE, count, chunk, ROWS, LANES, SPLIT)
    row = row.to(tl.int64)
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    d = tl.arange(0, BD)
    c = tl.arange(0, BC)
    f = tl.arange(0, BF)
    vector = 0.0
    if SCORE == "gat":
        q = load_numbers(Q, row, stride_q, h, live, H)
    else:
        q = load_heads(Q, row, stride_q * UNIT, h, d, live, H, D)
    if SCORE == "dot":
        q = q * factor
    if SCORE == "gatv2":
        vector = load_shared(SIDE, h, d, H, D)
    if ATTR is not None:
        if SCORE == "dot":
            query = load_heads(SIDE, row, H * F, h, f, live, H, F) * factor
        edge_sum = tl.zeros((ROWS * LANES, BH, BF), dtype=tl.float32)
    largest = tl.full((ROWS * LANES, BH), -1.0e30, dtype=tl.float32)
    total = tl.zeros((ROWS * LANES, BH), dtype=tl.float32)
    out = tl.zeros((ROWS * LANES, BH, BC), dtype=tl.float32)

    coming = load_index(INDEX, first, end)
    for step in tl.range(0, steps, num_stages=STAGES):
        entry = first + step * LANES
        there = entry < end
        source = coming
        coming = load_index(INDEX, entry + LANES, end)
        edge = entry.to(tl.int64)
        if SCORE == "gat":
            k = load_numbers(K, source, stride_k, h, there, H)
        else:
            k = load_heads(K, source, stride_k * UNIT, h, d, there, H, D)
        v = k
        if V is not None:
            v = load_heads(V, source, stride_v * UNIT, h, c, there, H, C)
        s = scores(q, k, vector, factor, SCORE)
        if ATTR is not None:
            attr = load_features(ATTR, edge, h, f, there, F)
            if SCORE == "dot":
                s += tl.sum(query * attr, axis=2)
        if BIAS is not None:
            s += load_numbers(BIAS, edge, H, h, there, H)
        if SCORE == "gat":
            s = bent(s, factor)
        s = tl.where(there[:, None], s, float("-inf"))
        higher = tl.maximum(largest, s)
        p = tl.exp(s - higher)
        shrink = tl.exp(largest - higher)
        largest = higher
        total = total * shrink + p
        if KEPT is not None:
            p = p * (load_numbers(KEPT, edge, H, h, there, H) * share)
        out = out * shrink[:, :, None] + p[:, :, None] * v
        if ATTR is not None:
            edge_sum = edge_sum * shrink[:, :, None] + p[:, :, None] * attr

    if LANES > 1:
        lanes = tl.reshape(largest, (ROWS, LANES, BH))
        largest = tl.max(lanes, axis=1)
        shrink = tl.reshape(tl.exp(lanes - largest[:, None, :]), (ROWS * LANES, BH))
        total = lane_sum2(total * shrink, ROWS, LANES)
        out = lane_sum3(out * shrink[:, :, None], ROWS, LANES)
        if ATTR is not None:
            edge_sum = lane_sum3(edge_sum * shrink[:, :, None], ROWS, LANES)
    place, live = places(block, TABLE, count, chunk, ROWS, SPLIT)
    scale = tl.where(total > 0, 1.0 / total, 0.0)[:, :, None]
    log_sum = tl.where(total > 0, largest + tl.log(total), float("inf"))
    store_heads(OUT, place, h, c, live, out * scale, H, C)
    store_numbers(LOG_SUM, place, h, live, log_sum, H)
    if ATTR is not None:
        store_heads(EDGE_OUT, place, h, f, live, edge_sum * scale, H, F)


@triton.jit
def merge_forward(
    PART, PART_EDGE, PART_LOG, ROW, FIRST,
    OUT, EDGE_OUT, LOG_SUM,
    H: tl.constexpr, C: tl.constexpr, F: tl.constexpr,
    BH: tl.constexpr, BC: tl.constexpr, BF: tl.constexpr,
):  # fmt: skip
    """The pieces of a long row, in their order: sums weighted by exp(log sum)."""
    row = tl.load(ROW + tl.program_id(0) + tl.arange(0, 1)).to(tl.int64)
    start = tl.load(FIRST + tl.program_id(0) + tl.arange(0, 1)).to(tl.int64)
    number = tl.load(FIRST + tl.program_id(0) + 1) - tl.load(FIRST + tl.program_id(0))
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    c = tl.arange(0, BC)
    f = tl.arange(0, BF)
    live = row >= 0
    largest = tl.full((1, BH), -1.0e30, dtype=tl.float32)
    total = tl.zeros((1, BH), dtype=tl.float32)
    out = tl.zeros((1, BH, BC), dtype=tl.float32)
    if EDGE_OUT is not None:
        edge_sum = tl.zeros((1, BH, BF), dtype=tl.float32)
    for step in range(0, number):
        piece = start + step
        s = load_numbers(PART_LOG, piece, H, h, live, H)
        s = tl.where(s == float("inf"), float("-inf"), s)  # a piece of nothing but -inf
        higher = tl.maximum(largest, s)
        p = tl.exp(s - higher)
        shrink = tl.exp(largest - higher)
        largest = higher
        total = total * shrink + p
        part = load_heads(PART, piece, H * C, h, c, live, H, C)
        out = out * shrink[:, :, None] + p[:, :, None] * part
        if EDGE_OUT is not None:
            part = load_heads(PART_EDGE, piece, H * F, h, f, live, H, F)
            edge_sum = edge_sum * shrink[:, :, None] + p[:, :, None] * part
    scale = tl.where(total > 0, 1.0 / total, 0.0)[:, :, None]
    log_sum = tl.where(total > 0, largest + tl.log(total), float("inf"))
    store_heads(OUT, row, h, c, live, out * scale, H, C)
    store_numbers(LOG_SUM, row, h, live, log_sum, H)
    if EDGE_OUT is not None:
        store_heads(EDGE_OUT, row, h, f, live, edge_sum * scale, H, F)
