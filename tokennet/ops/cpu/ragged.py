"""Full attention within samples of different lengths, one after the other: checks, and the call.

Axes: B samples, T target and M source tokens of all samples, H heads, D channels of a key, C of a
value.
"""

import torch
from torch import Tensor

from tokennet.ops.buckets import check_samples
from tokennet.ops.cpu.launch import flat, launch, rows_apart


def ragged_attend(
    q: Tensor, k: Tensor, v: Tensor, ptr: Tensor, k_ptr: Tensor, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """softmax(scale q.k) v over the sources of each sample, `[T, H, C]`, and its log_sum `[T, H]`.

    q is `[T, H, D]`, k `[M, H, D]`, v `[M, H, C]`, their last two axes contiguous; sample b has the
    targets ptr[b]:ptr[b+1] and the sources k_ptr[b]:k_ptr[b+1]. Causal: target i of a sample sees
    its sources 0 to i. Without sources 0, and log_sum infinite.
    """
    check_samples(q, k, v, ptr, k_ptr)
    out = v.new_empty(len(q), *v.shape[1:])
    log_sum = q.new_empty(q.shape[:2])
    if log_sum.numel():
        launch(
            "tokennet_ragged_attend", *_call(q, k, v, ptr, k_ptr, causal, scale), out, log_sum,
            torch.get_num_threads(),
        )  # fmt: skip
    return out, log_sum


def ragged_attend_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    log_sum: Tensor,
    ptr: Tensor,
    k_ptr: Tensor,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v, from that of `out`."""
    check_samples(q, k, v, ptr, k_ptr)
    dq, dk, dv = (t.new_empty(t.shape) for t in (q, k, v))
    if q.shape[1]:
        launch(
            "tokennet_ragged_attend_backward", *_call(q, k, v, ptr, k_ptr, causal, scale),
            flat("grad", grad), flat("out", out), flat("log_sum", log_sum), dq, dk, dv,
            torch.get_num_threads(),
        )  # fmt: skip
    return dq, dk, dv


def _call(
    q: Tensor, k: Tensor, v: Tensor, ptr: Tensor, k_ptr: Tensor, causal: bool, scale: float
) -> tuple[Tensor | int | float, ...]:
    q, k, v = rows_apart("q", q), rows_apart("k", k), rows_apart("v", v)
    ptr, k_ptr = (t.to(torch.int64).contiguous() for t in (ptr, k_ptr))
    sizes = (len(ptr) - 1, *q.shape[1:], v.shape[2])
    rows = (q, q.stride(0), k, k.stride(0), v, v.stride(0))
    return (ptr, k_ptr, *sizes, *rows, int(causal), float(scale))
