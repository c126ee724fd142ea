"""The end of a row in the backward pass: where it is whole, and where it comes in pieces.

Axes: R rows of a program, B heads of it, H heads, D channels of a key, F features of an edge,
I pieces of long rows, P programs.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import triton
import triton.language as tl

from tokennet.ops.triton.attend_tiles import (
    SIZES,
    load_heads,
    load_numbers,
    load_shared,
    store_heads,
    store_numbers,
)


@triton.jit
def mean_of(weighed, mass):
    """The weights' gradients averaged over a row; 0 where nothing has a weight."""
    return weighed / tl.where(mass > 0, mass, 1.0)


@triton.jit
def finish(
    DQ, row, h, d, live, pulled, plain, mean, vector, factor,
    SCORE: tl.constexpr, H: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Stores the gradient of the queries; returns G, that of q_i + k_j before the vector.

    The vector's gradient is sum_ij ds_ij leaky(q_i + k_j) = sum_i q_i G_i + sum_j k_j G_j, since
    leaky(x) = x leaky'(x): so it needs no sum of its own over the edges.
    """
    if SCORE == "gat":
        change = pulled - mean * plain
        store_numbers(DQ, row, h, live, change, H)
    else:
        change = pulled - mean[:, :, None] * plain
        if SCORE == "dot":
            store_heads(DQ, row, h, d, live, change * factor, H, D)
        else:
            store_heads(DQ, row, h, d, live, change * vector, H, D)
    return change


@triton.jit
def store_sums(
    DQ, place, count, h, d, live, pulled, plain,
    SCORE: tl.constexpr, H: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Both sums of a piece, one plane each."""
    if SCORE == "gat":
        store_numbers(DQ, place, h, live, pulled, H)
        store_numbers(DQ, place + count, h, live, plain, H)
    else:
        store_heads(DQ, place, h, d, live, pulled, H, D)
        store_heads(DQ, place + count, h, d, live, plain, H, D)


@triton.jit(do_not_specialize=SIZES)
def merge_rows(
    Q, SIDE, PART, PART_QUERY, PART_MEAN, ROW, FIRST,
    DQ, DQUERY, MEAN, DVECTOR,
    count, stride_q, factor,
    SCORE: tl.constexpr, UNIT: tl.constexpr, H: tl.constexpr, D: tl.constexpr, F: tl.constexpr,
    BH: tl.constexpr, BD: tl.constexpr, BF: tl.constexpr,
):  # fmt: skip
    """The pieces of a long row, in their order; what `attend_rows` stores of a whole row."""
    row = tl.load(ROW + tl.program_id(0) + tl.arange(0, 1)).to(tl.int64)
    start = tl.load(FIRST + tl.program_id(0) + tl.arange(0, 1)).to(tl.int64)
    number = tl.load(FIRST + tl.program_id(0) + 1) - tl.load(FIRST + tl.program_id(0))
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    d = tl.arange(0, BD)
    f = tl.arange(0, BF)
    live = row >= 0
    vector = 0.0
    if SCORE == "gatv2":
        vector = load_shared(SIDE, h, d, H, D)
    weighed = tl.zeros((1, BH), dtype=tl.float32)
    mass = tl.zeros((1, BH), dtype=tl.float32)
    if SCORE == "gat":
        pulled = tl.zeros((1, BH), dtype=tl.float32)
        plain = tl.zeros((1, BH), dtype=tl.float32)
    else:
        pulled = tl.zeros((1, BH, BD), dtype=tl.float32)
        plain = tl.zeros((1, BH, BD), dtype=tl.float32)
    pulled_attr = tl.zeros((1, BH, BF), dtype=tl.float32)
    plain_attr = tl.zeros((1, BH, BF), dtype=tl.float32)
    for step in range(0, number):
        piece = start + step
        weighed += load_numbers(PART_MEAN, piece, H, h, live, H)
        mass += load_numbers(PART_MEAN, piece + count, H, h, live, H)
        if DQ is not None:
            if SCORE == "gat":
                pulled += load_numbers(PART, piece, H, h, live, H)
                plain += load_numbers(PART, piece + count, H, h, live, H)
            else:
                pulled += load_heads(PART, piece, H * D, h, d, live, H, D)
                plain += load_heads(PART, piece + count, H * D, h, d, live, H, D)
        if DQUERY is not None:
            pulled_attr += load_heads(PART_QUERY, piece, H * F, h, f, live, H, F)
            plain_attr += load_heads(PART_QUERY, piece + count, H * F, h, f, live, H, F)
    mean = mean_of(weighed, mass)
    store_numbers(MEAN, row, h, live, mean, H)
    if DQ is not None:
        change = finish(DQ, row, h, d, live, pulled, plain, mean, vector, factor, SCORE, H, D)
        if DVECTOR is not None:
            own = load_heads(Q, row, stride_q * UNIT, h, d, live, H, D)
            program = row * 0 + tl.program_id(0)
            store_heads(DVECTOR, program, h, d, live, own * change, H, D)
    if DQUERY is not None:
        finish(DQUERY, row, h, f, live, pulled_attr, plain_attr, mean, vector, factor, "dot", H, F)
