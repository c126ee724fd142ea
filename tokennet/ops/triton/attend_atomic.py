"""All gradients in one pass over the rows, those of keys and values by atomic additions.

Axes: S = R L slots, R rows, L lanes, B heads of a program, H heads, D channels of a key, C of a
value, F features of an edge, E edges, I pieces of long rows, P programs.

Not deterministic: only where it was asked for (`plan.use_atomics`). A score's gradient must be
known at its edge, so the mean of a row is made of its output beforehand: in half precision less
exact than `attend_rows`.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import triton
import triton.language as tl

from tokennet.ops.triton.attend_tiles import (
    SIZES,
    add_heads,
    add_numbers,
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
    store_pairs,
)
from tokennet.ops.triton.slots import places, slots


@triton.jit(do_not_specialize=SIZES)
def attend_atomic(
    Q, K, V, SIDE, BIAS, ATTR, KEPT,
    TABLE, INDEX,
    LOG_SUM, GRAD, GRAD_EDGE, OUT, EDGE_OUT,
    DQ, DQUERY, MEAN, PAIR, DVECTOR, DK, DV,
    count, chunk, blocks, stride_q, stride_k, stride_v, factor, share,
    SCORE: tl.constexpr, UNIT: tl.constexpr,
    H: tl.constexpr, D: tl.constexpr, C: tl.constexpr, F: tl.constexpr,
    BH: tl.constexpr, BD: tl.constexpr, BC: tl.constexpr, BF: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """`DQ [T, H, D]` and `DQUERY [T, H, F]` (with SPLIT, one for a piece); adds to `DK` and `DV`.

    Those that are given; `DVECTOR [P, H, D]` is a part of the whole for each program, and `MEAN`
    and `PAIR` are as `attend_rows` makes them.
    """
    S: tl.constexpr = ROWS * LANES
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    d = tl.arange(0, BD)
    c = tl.arange(0, BC)
    f = tl.arange(0, BF)
    vector = 0.0
    if SCORE == "gatv2":
        vector = load_shared(SIDE, h, d, H, D)
    dvector = tl.zeros((S, BH, BD), dtype=tl.float32)

    for block in range(tl.program_id(0), blocks, tl.num_programs(0)):
        row, first, end, live, steps = slots(block, TABLE, count, chunk, ROWS, LANES, SPLIT)
        row = row.to(tl.int64)
        log_sum = load_numbers(LOG_SUM, row, H, h, live, H)
        grad = load_heads(GRAD, row, H * C, h, c, live, H, C)
        mean = tl.sum(grad * load_heads(OUT, row, H * C, h, c, live, H, C), axis=2)
        if SCORE == "gat":
            q = load_numbers(Q, row, stride_q, h, live, H)
            dq = tl.zeros((S, BH), dtype=tl.float32)
        else:
            q = load_heads(Q, row, stride_q * UNIT, h, d, live, H, D)
            dq = tl.zeros((S, BH, BD), dtype=tl.float32)
        if SCORE == "dot":
            q = q * factor
        if ATTR is not None:
            if SCORE == "dot":
                query = load_heads(SIDE, row, H * F, h, f, live, H, F) * factor
            if GRAD_EDGE is not None:
                grad_edge = load_heads(GRAD_EDGE, row, H * F, h, f, live, H, F)
                edge_out = load_heads(EDGE_OUT, row, H * F, h, f, live, H, F)
                mean += tl.sum(grad_edge * edge_out, axis=2)
            dquery = tl.zeros((S, BH, BF), dtype=tl.float32)

        coming = load_index(INDEX, first, end)
        for step in range(0, steps):
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
            g = tl.sum(grad * v, axis=2)
            if ATTR is not None:
                attr = load_features(ATTR, edge, h, f, there, F)
                if SCORE == "dot":
                    s += tl.sum(query * attr, axis=2)
                if GRAD_EDGE is not None:
                    g += tl.sum(grad_edge * attr, axis=2)
            if BIAS is not None:
                s += load_numbers(BIAS, edge, H, h, there, H)
            rising = s > 0
            if SCORE == "gat":
                s = bent(s, factor)
            w = tl.where(there[:, None], tl.exp(s - log_sum), 0.0)
            used = w
            if KEPT is not None:
                keep = load_numbers(KEPT, edge, H, h, there, H) * share
                g = g * keep
                used = w * keep
            if PAIR is not None:
                signed = w
                if SCORE == "gat":
                    signed = tl.where(rising, w, -w)
                store_pairs(PAIR, edge, h, there, signed, w * g, H)
            ds = w * (g - mean)
            if SCORE == "dot":
                dq += ds[:, :, None] * k
                if DK is not None:
                    add_heads(DK, source, h, d, there, ds[:, :, None] * q, H, D)
            elif SCORE == "gat":
                ds = tl.where(rising, ds, ds * factor)
                dq += ds
                if DK is not None:
                    add_numbers(DK, source, h, there, ds, H)
            else:
                change = ds[:, :, None] * tl.where(q + k > 0, 1.0, factor)
                dq += change
                if DVECTOR is not None:
                    dvector += change * (q + k)
                change = change * vector
                if V is None:
                    change += used[:, :, None] * grad
                if DK is not None:
                    add_heads(DK, source, h, d, there, change, H, D)
            if DV is not None:
                add_heads(DV, source, h, c, there, used[:, :, None] * grad, H, C)
            if DQUERY is not None:
                dquery += ds[:, :, None] * attr

        store_numbers(MEAN, row, h, live, mean, H)  # the same from all lanes and pieces
        place, live = places(block, TABLE, count, chunk, ROWS, SPLIT)
        if DQ is not None:
            if SCORE == "gat":
                store_numbers(DQ, place, h, live, lane_sum2(dq, ROWS, LANES), H)
            elif SCORE == "dot":
                dq = lane_sum3(dq, ROWS, LANES)
                store_heads(DQ, place, h, d, live, dq * factor, H, D)
            else:
                dq = lane_sum3(dq, ROWS, LANES)
                store_heads(DQ, place, h, d, live, dq * vector, H, D)
        if DQUERY is not None:
            dquery = lane_sum3(dquery, ROWS, LANES)
            store_heads(DQUERY, place, h, f, live, dquery * factor, H, F)
    if DVECTOR is not None:
        program = tl.program_id(0) + tl.zeros((1,), tl.int64)
        whole = tl.sum(dvector, axis=0)[None]
        store_heads(DVECTOR, program, h, d, program >= 0, whole, H, D)
