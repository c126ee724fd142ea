"""Full attention over samples of different lengths, one after the other, without padding.

Axes: B samples, T target and M source tokens of all samples, H heads, D channels of a head (C of
its values).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.ops import reference
from tokennet.ops.backend import constant_result, current, kernels, note, record_flops
from tokennet.ops.buckets import attend_buckets
from tokennet.ops.library import LIBRARY, heads_together, register
from tokennet.ops.sparse import kernel_dtype
from tokennet.pairs import Ragged

LONGEST = {"AVX512": 4096, "AVX2": 4096}
"""Tokens of a sample up to which this was measured to beat torch's kernel, even of equal lengths
(1.06 to 1.9 times); with narrower vectors it does not from 64 on."""

LIBRARY.define(
    "ragged_attend(Tensor q, Tensor k, Tensor v, Tensor ptr, Tensor source_ptr, bool causal, "
    "float scale) -> (Tensor, Tensor)"
)
LIBRARY.define(
    "ragged_attend_backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor out, Tensor log_sum, "
    "Tensor ptr, Tensor source_ptr, bool causal, float scale) -> (Tensor, Tensor, Tensor)"
)


def runs_ragged(x: Tensor, pairs: Ragged) -> bool:
    """Whether attention over these samples is faster without padding: on a CPU, not in float64."""
    if x.device.type != "cpu" or x.dtype == torch.float64:
        return False
    if current() not in ("auto", "cpp", "bag"):
        return False
    if _has_kernel():
        return pairs.sources.max_length <= _longest()
    return not torch.compiler.is_compiling()  # buckets have shapes that depend on the lengths


def attend_ragged(
    q: Float[Tensor, "T H D"],
    k: Float[Tensor, "M H D"],
    v: Float[Tensor, "M H C"],
    pairs: Ragged,
    *,
    scale: float,
) -> Float[Tensor, "T H C"]:
    """softmax(scale q.k) v over all pairs within a sample; 0 where a sample has no sources."""
    ptr, source_ptr, causal = pairs.targets.ptr, pairs.sources.ptr, pairs.causal
    if current() == "reference":
        return reference.attend_ragged(q, k, v, ptr, source_ptr, causal, scale)
    dtype = torch.promote_types(torch.promote_types(q.dtype, k.dtype), v.dtype)
    inner = kernel_dtype(q, k, v)
    q, k, v = q.to(inner), k.to(inner), v.to(inner)
    places = pairs.targets.num_tokens * pairs.sources.max_length  # at most: as if padded
    record_flops(2 * places * q.shape[1] * (q.shape[2] + v.shape[2]))
    if q.shape[0] == 0 or k.shape[0] == 0:  # an empty sum, through which gradients still pass
        return torch.einsum("thm,mhc->thc", torch.einsum("thd,mhd->thm", q, k), v).to(dtype)
    if q.device.type == "cpu" and inner == torch.float32 and _has_kernel():
        run = torch.ops.tokennet.ragged_attend.default
        return run(q, k, v, ptr, source_ptr, causal, scale)[0].to(dtype)
    note("attend_ragged", "bag", "padded in buckets of about equal lengths")
    return attend_buckets(q, k, v, ptr, source_ptr, causal, scale).to(dtype)


@constant_result
def _longest() -> int:
    return LONGEST.get(torch.backends.cpu.get_cpu_capability(), 64)


def _has_kernel() -> bool:
    return current() != "bag" and _is_compiled()


@constant_result  # a cached function is not traced
def _is_compiled() -> bool:
    from tokennet.ops.cpu import library

    return library.status().ready


def _run(q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    run = kernels("ragged_attend", q.device).ragged_attend
    return run(heads_together(q), heads_together(k), heads_together(v), *rest)


def _run_fake(q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return v.new_empty(q.shape[0], *v.shape[1:]), q.new_empty(q.shape[0], q.shape[1])


def _backward(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    run = kernels("ragged_attend_backward", q.device).ragged_attend_backward
    return run(grad.contiguous(), heads_together(q), heads_together(k), heads_together(v), *rest)


def _backward_fake(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, ptr, source_ptr, ctx.causal, ctx.scale = inputs
    ctx.save_for_backward(q, k, v, *output, ptr, source_ptr)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, grad: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 7
    run = torch.ops.tokennet.ragged_attend_backward.default
    found = run(grad, *ctx.saved_tensors, ctx.causal, ctx.scale)
    return (*found, None, None, None, None)


register("ragged_attend", _run, _run_fake, _save, _gradients)
register("ragged_attend_backward", _backward, _backward_fake)
