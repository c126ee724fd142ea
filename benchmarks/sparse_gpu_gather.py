"""The ceiling of whatever gathers rows: reading them by index, with nothing else to do, in Triton.

Axes: T rows of a table, E gathered rows, W numbers of a row.
"""

# ruff: noqa: N803 (capitals: pointers, and constants of the compiler)

import torch
import triton
import triton.language as tl
from torch import Tensor

SLOTS, STEPS = 8, 16  # rows at once, and how often: 1024 numbers at once, as much as attention has


@triton.jit
def gather_kernel(
    X, INDEX, OUT,
    count,
    W: tl.constexpr, SLOTS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    total = tl.zeros((SLOTS, W), dtype=tl.float32)
    w = tl.arange(0, W)
    for step in range(0, STEPS):
        e = (tl.program_id(0) * STEPS + step) * SLOTS + tl.arange(0, SLOTS)
        j = tl.load(INDEX + e, mask=e < count, other=0).to(tl.int64)
        at = X + j[:, None] * W + w[None, :]
        total += tl.load(at, mask=(e < count)[:, None], other=0.0).to(tl.float32)
    tl.store(OUT + tl.program_id(0).to(tl.int64) * W + w, tl.sum(total, axis=0))


def gather(table: Tensor, index: Tensor) -> Tensor:
    """Sums of so many gathered rows of `table [T, W]`, W a power of 2: `[E / 128, W]`."""
    width = table.shape[1]
    programs = triton.cdiv(len(index), SLOTS * STEPS)
    out = torch.empty(programs, width, device=table.device)
    gather_kernel[(programs,)](
        table, index, out, len(index), W=width, SLOTS=SLOTS, STEPS=STEPS, num_warps=1
    )
    return out
