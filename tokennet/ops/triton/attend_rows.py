"""Gradients by rows: of the queries, and what the other passes need of each edge.

Axes: S = R L slots, R rows, L lanes, B heads of a program, H heads, D channels of a key, C of a
value, F features of an edge, E edges, I pieces of long rows, P programs.

With w_e = exp(s_e - log_sum), the weight of an edge, and g_e = keep_e <dO, m_e> the gradient of its
weight, the gradient of its score is w_e (g_e - mean), mean = sum_e w_e g_e over the row. So for
whatever k_e is summed with the scores' gradients,

    sum_e w_e (g_e - mean) k_e = sum_e w_e g_e k_e - mean sum_e w_e k_e:

one pass over the edges, without the output and its product with dO. (That product is of no use in
half precision: from a rounded output it costs 0.2% of dQ for dot products, about 1% for additive
scores.) The mean is divided by sum_e w_e, which is 1 only up to the rounding of log_sum: where one
edge has all the weight, the two sums are large and their difference is not.

Of each edge and head two numbers are kept, `PAIR [E, H, 2]`: w_e, with a minus where the leaky ReLU
of "gat" was on its flat side, and w_e g_e. They lie side by side since the column pass reads them
at random places: one sector of memory for four heads.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import triton
import triton.language as tl

from tokennet.ops.triton.attend_rows_merge import finish, mean_of, store_sums
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
    store_pairs,
)
from tokennet.ops.triton.slots import places, slots


@triton.jit(do_not_specialize=SIZES)
def attend_rows(
    Q, K, V, SIDE, BIAS, ATTR, KEPT,
    TABLE, INDEX,
    LOG_SUM, GRAD, GRAD_EDGE,
    DQ, DQUERY, MEAN, PAIR, DVECTOR,
    count, chunk, blocks, stride_q, stride_k, stride_v, factor, share,
    SCORE: tl.constexpr, UNIT: tl.constexpr,
    H: tl.constexpr, D: tl.constexpr, C: tl.constexpr, F: tl.constexpr,
    BH: tl.constexpr, BD: tl.constexpr, BC: tl.constexpr, BF: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, SPLIT: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """`DQ [T, H, D]`, `DQUERY [T, H, F]`, `MEAN [T, H]` and `PAIR`; those that are given.

    With SPLIT the two sums of a piece go to `DQ [2, I, H, D]`, `DQUERY [2, I, H, F]` and
    `MEAN [2, I, H]`, for `merge_rows`. `DVECTOR [P, H, D]` gets sum_i q_i G_i of the rows of a
    program: see `finish`.
    """
    PULLS: tl.constexpr = DQ is not None
    ASKS: tl.constexpr = DQUERY is not None
    S: tl.constexpr = ROWS * LANES
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    d = tl.arange(0, BD)
    c = tl.arange(0, BC)
    f = tl.arange(0, BF)
    vector = 0.0
    if SCORE == "gatv2":
        vector = load_shared(SIDE, h, d, H, D)
    dvector = tl.zeros((BH, BD), dtype=tl.float32)

    for block in range(tl.program_id(0), blocks, tl.num_programs(0)):
        row, first, end, live, steps = slots(block, TABLE, count, chunk, ROWS, LANES, SPLIT)
        row = row.to(tl.int64)
        log_sum = load_numbers(LOG_SUM, row, H, h, live, H)
        grad = load_heads(GRAD, row, H * C, h, c, live, H, C)
        weighed = tl.zeros((S, BH), dtype=tl.float32)
        mass = tl.zeros((S, BH), dtype=tl.float32)
        if SCORE == "gat":
            q = load_numbers(Q, row, stride_q, h, live, H)
            pulled = tl.zeros((S, BH), dtype=tl.float32)
            plain = tl.zeros((S, BH), dtype=tl.float32)
        else:
            q = load_heads(Q, row, stride_q * UNIT, h, d, live, H, D)
            pulled = tl.zeros((S, BH, BD), dtype=tl.float32)
            plain = tl.zeros((S, BH, BD), dtype=tl.float32)
        if SCORE == "dot":
            q = q * factor
        if ATTR is not None:
            if SCORE == "dot":
                query = load_heads(SIDE, row, H * F, h, f, live, H, F) * factor
            if GRAD_EDGE is not None:
                grad_edge = load_heads(GRAD_EDGE, row, H * F, h, f, live, H, F)
            pulled_attr = tl.zeros((S, BH, BF), dtype=tl.float32)
            plain_attr = tl.zeros((S, BH, BF), dtype=tl.float32)

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
            g = tl.sum(grad * v, axis=2)
            if ATTR is not None:
                attr = load_features(ATTR, edge, h, f, there, F)
                if SCORE == "dot":
                    s += tl.sum(query * attr, axis=2)
                if GRAD_EDGE is not None:
                    g += tl.sum(grad_edge * attr, axis=2)
            if BIAS is not None:
                s += load_numbers(BIAS, edge, H, h, there, H)
            if KEPT is not None:
                g = g * (load_numbers(KEPT, edge, H, h, there, H) * share)
            rising = s > 0
            if SCORE == "gat":
                s = bent(s, factor)
            w = tl.where(there[:, None], tl.exp(s - log_sum), 0.0)
            wg = w * g
            weighed += wg
            mass += w
            if PAIR is not None:
                signed = w
                if SCORE == "gat":
                    signed = tl.where(rising, w, -w)
                store_pairs(PAIR, edge, h, there, signed, wg, H)
            if PULLS:
                if SCORE == "dot":
                    pulled += wg[:, :, None] * k
                    plain += w[:, :, None] * k
                elif SCORE == "gat":
                    steep = tl.where(rising, 1.0, factor)
                    pulled += wg * steep
                    plain += w * steep
                else:
                    steep = tl.where(q + k > 0, 1.0, factor)
                    pulled += wg[:, :, None] * steep
                    plain += w[:, :, None] * steep
            if ASKS:
                pulled_attr += wg[:, :, None] * attr
                plain_attr += w[:, :, None] * attr

        place, live = places(block, TABLE, count, chunk, ROWS, SPLIT)
        weighed = lane_sum2(weighed, ROWS, LANES)
        mass = lane_sum2(mass, ROWS, LANES)
        mean = mean_of(weighed, mass)
        if SPLIT:
            store_sums(MEAN, place, count, h, d, live, weighed, mass, "gat", H, D)
        else:
            store_numbers(MEAN, place, h, live, mean, H)
        if PULLS:
            if SCORE == "gat":
                pulled = lane_sum2(pulled, ROWS, LANES)
                plain = lane_sum2(plain, ROWS, LANES)
            else:
                pulled = lane_sum3(pulled, ROWS, LANES)
                plain = lane_sum3(plain, ROWS, LANES)
            if SPLIT:
                store_sums(DQ, place, count, h, d, live, pulled, plain, SCORE, H, D)
            else:
                change = finish(
                    DQ, place, h, d, live, pulled, plain, mean, vector, factor, SCORE, H, D
                )
                if DVECTOR is not None:
                    own = load_heads(Q, place, stride_q * UNIT, h, d, live, H, D)
                    dvector += tl.sum(own * change, axis=0)
        if ASKS:
            pulled_attr = lane_sum3(pulled_attr, ROWS, LANES)
            plain_attr = lane_sum3(plain_attr, ROWS, LANES)
            if SPLIT:
                store_sums(DQUERY, place, count, h, f, live, pulled_attr, plain_attr, "dot", H, F)
            else:
                finish(
                    DQUERY, place, h, f, live, pulled_attr, plain_attr, mean, vector, factor,
                    "dot", H, F,
                )  # fmt: skip
    if DVECTOR is not None:
        program = tl.program_id(0) + tl.zeros((1,), tl.int64)
        store_heads(DVECTOR, program, h, d, program >= 0, dvector[None], H, D)
