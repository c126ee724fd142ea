"""The sparse kernels in Triton, for CUDA devices: the functions of `ops.kernel.KERNELS`."""

from tokennet.ops.triton.attend import attend
from tokennet.ops.triton.attend_backward import attend_backward
from tokennet.ops.triton.gather import gather_sum
from tokennet.ops.triton.maximum import gather_max, gather_max_backward
from tokennet.ops.triton.sddmm import sddmm
from tokennet.ops.triton.softmax import segment_softmax, segment_softmax_backward

__all__ = [
    "attend",
    "attend_backward",
    "gather_max",
    "gather_max_backward",
    "gather_sum",
    "sddmm",
    "segment_softmax",
    "segment_softmax_backward",
]
