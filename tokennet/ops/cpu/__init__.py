"""Fused kernels for float32 on a CPU, compiled when the package is installed."""

from tokennet.ops.cpu.attend import attend, attend_backward
from tokennet.ops.cpu.gather import (
    gather_max,
    gather_max_backward,
    gather_sum,
    sddmm,
    segment_softmax,
    segment_softmax_backward,
)
from tokennet.ops.cpu.ragged import ragged_attend, ragged_attend_backward

__all__ = [
    "attend",
    "attend_backward",
    "gather_max",
    "gather_max_backward",
    "gather_sum",
    "ragged_attend",
    "ragged_attend_backward",
    "sddmm",
    "segment_softmax",
    "segment_softmax_backward",
]
