"""Gradients by columns: of the keys and the values, from what the row pass has kept of each edge.

Axes: S = R L slots, R columns, L lanes, B heads of a program, H heads, D channels of a key, C of a
value, E edges, I pieces of long columns, P programs.

A program owns columns of the transposed form, so nothing is added up by atomics and two runs give
the same bits. The weights and the scores' gradients come from `PAIR`: recomputing them took 50
instructions an edge instead of 35.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import triton
import triton.language as tl

from tokennet.ops.triton.attend_tiles import (
    SIZES,
    lane_sum2,
    lane_sum3,
    load_heads,
    load_index,
    load_numbers,
    load_pairs,
    load_shared,
    store_heads,
    store_numbers,
)
from tokennet.ops.triton.slots import places, slots


@triton.jit(do_not_specialize=SIZES)
def attend_columns(
    Q, K, SIDE, KEPT,
    TABLE, INDEX, PLACE,
    GRAD, MEAN, PAIR,
    DK, DV, DVECTOR,
    count, chunk, blocks, stride_q, stride_k, factor, share,
    SCORE: tl.constexpr, UNIT: tl.constexpr, H: tl.constexpr, D: tl.constexpr, C: tl.constexpr,
    BH: tl.constexpr, BD: tl.constexpr, BC: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, SPLIT: tl.constexpr, STAGES: tl.constexpr,
    OVER_KEYS: tl.constexpr,
):  # fmt: skip
    """`DK [T, H, D]` and `DV [T, H, C]`, those that are given; with SPLIT, one for a piece.

    OVER_KEYS: the messages are the keys, whose gradient holds both parts. `DVECTOR [P, H, D]` gets
    sum_j k_j G_j of the columns of a program: see `attend_rows.finish`.
    """
    PUSHES: tl.constexpr = DK is not None
    SENDS: tl.constexpr = (DV is not None) or OVER_KEYS
    S: tl.constexpr = ROWS * LANES
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    d = tl.arange(0, BD)
    c = tl.arange(0, BC)
    if SCORE == "gatv2":
        vector = load_shared(SIDE, h, d, H, D)
    dvector = tl.zeros((BH, BD), dtype=tl.float32)

    for block in range(tl.program_id(0), blocks, tl.num_programs(0)):
        row, first, end, live, steps = slots(block, TABLE, count, chunk, ROWS, LANES, SPLIT)
        row = row.to(tl.int64)
        if SCORE == "gatv2":
            k = load_heads(K, row, stride_k * UNIT, h, d, live, H, D)
        if SCORE == "gat":
            pushed = tl.zeros((S, BH), dtype=tl.float32)
        else:
            pushed = tl.zeros((S, BH, BD), dtype=tl.float32)
        sent = tl.zeros((S, BH, BC), dtype=tl.float32)

        coming = load_index(INDEX, first, end)
        coming_edge = load_index(PLACE, first, end)
        for step in tl.range(0, steps, num_stages=STAGES):
            entry = first + step * LANES
            there = entry < end
            target, edge = coming, coming_edge
            coming = load_index(INDEX, entry + LANES, end)
            coming_edge = load_index(PLACE, entry + LANES, end)
            w, wg = load_pairs(PAIR, edge, h, there, H)
            if PUSHES:
                ds = wg - tl.abs(w) * load_numbers(MEAN, target, H, h, there, H)
                if SCORE == "dot":
                    q = load_heads(Q, target, stride_q * UNIT, h, d, there, H, D)
                    pushed += ds[:, :, None] * q
                elif SCORE == "gat":
                    pushed += tl.where(w > 0, ds, ds * factor)
                else:
                    q = load_heads(Q, target, stride_q * UNIT, h, d, there, H, D)
                    pushed += ds[:, :, None] * tl.where(q + k > 0, 1.0, factor)
            if SENDS:
                used = tl.abs(w)
                if KEPT is not None:
                    used = used * (load_numbers(KEPT, edge, H, h, there, H) * share)
                sent += used[:, :, None] * load_heads(GRAD, target, H * C, h, c, there, H, C)

        place, live = places(block, TABLE, count, chunk, ROWS, SPLIT)
        if PUSHES:
            if SCORE == "gat":
                store_numbers(DK, place, h, live, lane_sum2(pushed, ROWS, LANES), H)
            else:
                pushed = lane_sum3(pushed, ROWS, LANES)
        if SENDS:
            sent = lane_sum3(sent, ROWS, LANES)
        if PUSHES:
            if SCORE == "dot":
                store_heads(DK, place, h, d, live, pushed * factor, H, D)
            elif SCORE == "gatv2":
                if OVER_KEYS:
                    store_heads(DK, place, h, d, live, pushed * vector + sent, H, D)
                else:
                    store_heads(DK, place, h, d, live, pushed * vector, H, D)
                if DVECTOR is not None:
                    item = block * ROWS + tl.arange(0, ROWS)
                    owner = item.to(tl.int64)
                    if SPLIT:
                        owner = tl.load(TABLE + owner * 3, mask=live, other=0).to(tl.int64)
                    own = load_heads(K, owner, stride_k * UNIT, h, d, live, H, D)
                    dvector += tl.sum(own * pushed, axis=0)
        if DV is not None:
            store_heads(DV, place, h, c, live, sent, H, C)
    if DVECTOR is not None:
        program = tl.program_id(0) + tl.zeros((1,), tl.int64)
        store_heads(DVECTOR, program, h, d, program >= 0, dvector[None], H, D)
