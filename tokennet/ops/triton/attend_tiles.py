"""Tiles that the attention kernels have in common: loads of heads, scores, sums over lanes.

Axes: S = R L slots, R rows, L lanes, B heads of a program, H heads, D channels.

What is loaded becomes float32 at once: in half precision neither sums nor exponentials are kept.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)
# ruff: noqa: RET505 (what follows a return that the compiler takes is still compiled)

import triton
import triton.language as tl

SIZES = ["count", "chunk", "blocks", "stride_q", "stride_k", "stride_v"]
"""Arguments for whose values nothing is compiled anew. Rows are `stride * UNIT` numbers apart, and
the unit, a power of 2, is known to the compiler: from it follows how much one load may take."""


@triton.jit
def load_index(INDEX, entry, end):
    """INDEX[entry]: asked for one step ahead, so that a step waits once, for what it points to."""
    return tl.load(INDEX + entry, mask=entry < end, other=0).to(tl.int64)


@triton.jit
def load_numbers(X, row, stride, h, there, H: tl.constexpr):
    """X[row, h]: `[S, B]`, 0 where nothing is there."""
    mask = there[:, None] & (h < H)[None, :]
    return tl.load(X + row[:, None] * stride + h[None, :], mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_heads(X, row, stride, h, d, there, H: tl.constexpr, D: tl.constexpr):
    """X[row, h, d]: `[S, B, D]`, 0 where nothing is there."""
    mask = there[:, None, None] & ((h < H)[:, None] & (d < D)[None, :])[None]
    inner = h[:, None] * D + d[None, :]
    at = X + row[:, None, None] * stride + inner[None]
    return tl.load(at, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_shared(X, h, d, H: tl.constexpr, D: tl.constexpr):
    """X[h, d], the same for all rows: `[1, B, D]`."""
    mask = (h < H)[:, None] & (d < D)[None, :]
    return tl.load(X + h[:, None] * D + d[None, :], mask=mask, other=0.0).to(tl.float32)[None]


@triton.jit
def load_features(X, edge, h, f, there, F: tl.constexpr):
    """X[edge, f], once for each head: `[S, B, F]`.

    Loaded as `[S, 1, F]` the same numbers would stand in several threads, and with them every tile
    they are multiplied into: 168 registers instead of 114 in the row pass.
    """
    mask = there[:, None, None] & (f < F)[None, None, :]
    at = X + edge[:, None, None] * F + f[None, None, :] + (h * 0)[None, :, None]
    return tl.load(at, mask=mask & (h >= 0)[None, :, None], other=0.0).to(tl.float32)


@triton.jit
def store_numbers(X, row, h, live, value, H: tl.constexpr):
    """X[row, h] = value `[S, B]`."""
    mask = live[:, None] & (h < H)[None, :]
    tl.store(X + row[:, None] * H + h[None, :], value.to(X.dtype.element_ty), mask=mask)


@triton.jit
def store_heads(X, row, h, d, live, value, H: tl.constexpr, D: tl.constexpr):
    """X[row, h, d] = value `[S, B, D]`."""
    mask = live[:, None, None] & ((h < H)[:, None] & (d < D)[None, :])[None]
    inner = h[:, None] * D + d[None, :]
    at = X + row[:, None, None] * (H * D) + inner[None]
    tl.store(at, value.to(X.dtype.element_ty), mask=mask)


@triton.jit
def add_numbers(X, row, h, there, value, H: tl.constexpr):
    """X[row, h] += value `[S, B]`, in float32 and in any order."""
    mask = there[:, None] & (h < H)[None, :]
    tl.atomic_add(X + row[:, None] * H + h[None, :], value, mask=mask, sem="relaxed")


@triton.jit
def add_heads(X, row, h, d, there, value, H: tl.constexpr, D: tl.constexpr):
    """X[row, h, d] += value `[S, B, D]`, in float32 and in any order."""
    mask = there[:, None, None] & ((h < H)[:, None] & (d < D)[None, :])[None]
    inner = h[:, None] * D + d[None, :]
    at = X + row[:, None, None] * (H * D) + inner[None]
    tl.atomic_add(at, value, mask=mask, sem="relaxed")


@triton.jit
def store_pairs(PAIR, edge, h, there, w, wg, H: tl.constexpr):
    """PAIR[edge, h] = (w, w g)."""
    at = (edge[:, None] * H + h[None, :])[:, :, None] * 2 + tl.arange(0, 2)[None, None, :]
    mask = (there[:, None] & (h < H)[None, :])[:, :, None]
    tl.store(PAIR + at, tl.join(w, wg), mask=mask)


@triton.jit
def load_pairs(PAIR, edge, h, there, H: tl.constexpr):
    """(w, w g) of edges and heads: `[S, B]` each."""
    at = (edge[:, None] * H + h[None, :])[:, :, None] * 2 + tl.arange(0, 2)[None, None, :]
    mask = (there[:, None] & (h < H)[None, :])[:, :, None]
    return tl.split(tl.load(PAIR + at, mask=mask, other=0.0))


@triton.jit
def bent(x, slope):
    """The leaky ReLU."""
    return tl.where(x > 0, x, x * slope)


@triton.jit
def scores(q, k, vector, slope, SCORE: tl.constexpr):
    """`[S, B]`: of "dot" with q scaled already; of "gat" what goes into the leaky ReLU."""
    if SCORE == "dot":
        return tl.sum(q * k, axis=2)
    elif SCORE == "gat":
        return q + k
    else:
        return tl.sum(vector * bent(q + k, slope), axis=2)


@triton.jit
def lane_sum2(x, ROWS: tl.constexpr, LANES: tl.constexpr):
    """`[S, B]` summed over the lanes of each row: `[R, B]`."""
    if LANES == 1:
        return x
    else:
        return tl.sum(tl.reshape(x, (ROWS, LANES, x.shape[1])), axis=1)


@triton.jit
def lane_sum3(x, ROWS: tl.constexpr, LANES: tl.constexpr):
    """`[S, B, D]` summed over the lanes of each row: `[R, B, D]`."""
    if LANES == 1:
        return x
    else:
        return tl.sum(tl.reshape(x, (ROWS, LANES, x.shape[1], x.shape[2])), axis=1)
