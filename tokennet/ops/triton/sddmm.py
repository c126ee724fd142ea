"""Dot products of the two ends of each edge, in Triton.

Axes: T rows, S rows of the form, E entries, H heads, D channels of a head.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import torch
import triton
import triton.language as tl
from torch import Tensor

from tokennet.ops.triton.gather import WIDEST, entry
from tokennet.ops.triton.plan import launches, plan_of, tile_of
from tokennet.ops.triton.slots import slots
from tokennet.ops.triton.tables import result_of, table_of
from tokennet.structure import Compressed


@triton.jit(do_not_specialize=["items", "chunk", "stride_q", "stride_k"])
def sddmm_kernel(
    Q, K, OUT,
    TABLE, INDEX,
    items, chunk, stride_q, stride_k,
    UNIT_Q: tl.constexpr, UNIT_K: tl.constexpr, H: tl.constexpr, D: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, HEADS: tl.constexpr, CHANNELS: tl.constexpr,
    SPLIT: tl.constexpr,
):  # fmt: skip
    """One program: the edges of ROWS rows, HEADS heads, all channels in parts of CHANNELS."""
    row, first, end, live, steps = slots(tl.program_id(0), TABLE, items, chunk, ROWS, LANES, SPLIT)
    parts: tl.constexpr = (D + CHANNELS - 1) // CHANNELS
    h = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    d = tl.arange(0, CHANNELS)
    begin_q = row.to(tl.int64)[:, None, None] * (stride_q * UNIT_Q)
    at = (h[:, None] * D + d[None, :])[None]
    heads = (h < H)[None, :]
    inside = ((h < H)[:, None] & (d < D)[None, :])[None]
    if parts == 1:
        own = live[:, None, None] & inside
        q = tl.load(Q + begin_q + at, mask=own, other=0.0).to(tl.float32)
    j = entry(INDEX, first, end)
    for step in range(0, steps):
        e = first + step * LANES
        reached = e < end
        next_j = entry(INDEX, e + LANES, end)
        begin_k = j.to(tl.int64)[:, None, None] * (stride_k * UNIT_K)
        if parts == 1:
            mask = reached[:, None, None] & inside
            k = tl.load(K + begin_k + at, mask=mask, other=0.0).to(tl.float32)
            score = tl.sum(q * k, axis=2)
        else:
            score = tl.zeros((ROWS * LANES, HEADS), dtype=tl.float32)
            for part in range(0, parts):
                here = at + part * CHANNELS
                inner = (h < H)[:, None] & (d + part * CHANNELS < D)[None, :]
                mask = reached[:, None, None] & inner[None]
                one = tl.load(Q + begin_q + here, mask=mask, other=0.0).to(tl.float32)
                other = tl.load(K + begin_k + here, mask=mask, other=0.0).to(tl.float32)
                score += tl.sum(one * other, axis=2)
        out = OUT + e.to(tl.int64)[:, None] * H + h[None, :]
        tl.store(out, score.to(OUT.dtype.element_ty), mask=reached[:, None] & heads)
        j = next_j


def sddmm(q: Tensor, k: Tensor, form: Compressed, num_edges: int) -> Tensor:
    """q[row] . k[index] at `[E, H]`, for each entry of each row; form has no `place`."""
    heads, channels = q.shape[1:]
    plan = plan_of(form, num_edges)
    out = result_of(plan, num_edges, q, heads)
    left, right = table_of("q", q), table_of("k", k)
    if channels == 0:
        return out.zero_()
    if out.numel() == 0:
        return out
    tile = tile_of(heads, min(channels, WIDEST), plan.mean_degree)
    with torch.cuda.device_of(q):  # Triton launches on the current device
        for launch in launches(plan, form.ptr, tile):
            sddmm_kernel[(launch.programs, triton.cdiv(heads, tile.heads))](
                left.data, right.data, out,
                launch.table, form.index,
                launch.items, plan.chunk, left.stride, right.stride,
                UNIT_Q=left.unit, UNIT_K=right.unit, H=heads, D=channels,
                ROWS=launch.rows, LANES=launch.lanes, HEADS=tile.heads, CHANNELS=tile.channels,
                SPLIT=launch.split, num_warps=tile.warps,
            )  # fmt: skip
    return out
