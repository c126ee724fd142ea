"""Reductions over segments: values with a segment number each, results one for each segment.

Axes: E values, S segments, H heads. Nothing is assumed of the order of the numbers, unless `ptr
[S+1]` says that they are sorted: segment s is then `values[ptr[s]:ptr[s+1]]`, and kernels run that
scatter nothing.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokennet.ops import reference
from tokennet.ops.backend import is_fused, is_reference
from tokennet.ops.library_sums import segment_max_op, segment_softmax_op, segment_sum_op


def segment_sum(
    values: Float[Tensor, "E *rest"],
    segment: Int[Tensor, " E"],
    num_segments: int,
    *,
    ptr: Int[Tensor, " S_plus_1"] | None = None,
) -> Float[Tensor, "S *rest"]:
    """out[s] = sum of the values with segment s, 0 without any."""
    if is_reference():
        return reference.segment_sum(values, segment, num_segments)
    if ptr is not None and is_fused("segment_sum", values):
        return _over_columns(segment_sum_op, values, ptr, segment)
    return values.new_zeros(num_segments, *values.shape[1:]).index_add(0, segment, values)


def segment_mean(
    values: Float[Tensor, "E *rest"],
    segment: Int[Tensor, " E"],
    num_segments: int,
    *,
    ptr: Int[Tensor, " S_plus_1"] | None = None,
) -> Float[Tensor, "S *rest"]:
    """out[s] = mean of the values with segment s, 0 without any."""
    if is_reference():
        return reference.segment_mean(values, segment, num_segments)
    total = segment_sum(values, segment, num_segments, ptr=ptr)
    if ptr is not None:
        count = ptr.diff().clamp_min(1).to(values.dtype)
        return total / count.view(-1, *[1] * (values.ndim - 1))
    ones = torch.ones_like(segment, dtype=values.dtype)
    count = segment_sum(ones, segment, num_segments).clamp_min(1)
    return total / count.view(-1, *[1] * (values.ndim - 1))


def segment_max(
    values: Float[Tensor, "E *rest"],
    segment: Int[Tensor, " E"],
    num_segments: int,
    *,
    ptr: Int[Tensor, " S_plus_1"] | None = None,
) -> Float[Tensor, "S *rest"]:
    """out[s] = largest of the values with segment s, 0 without any."""
    if is_reference():
        return reference.segment_max(values, segment, num_segments)
    if ptr is not None and is_fused("segment_max", values):
        return _over_columns(segment_max_op, values, ptr, segment)
    out = values.new_zeros(num_segments, *values.shape[1:])
    index = segment.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
    return out.scatter_reduce(0, index, values, "amax", include_self=False)


def segment_min(
    values: Float[Tensor, "E *rest"],
    segment: Int[Tensor, " E"],
    num_segments: int,
    *,
    ptr: Int[Tensor, " S_plus_1"] | None = None,
) -> Float[Tensor, "S *rest"]:
    """out[s] = smallest of the values with segment s, 0 without any."""
    if is_reference():
        return reference.segment_min(values, segment, num_segments)
    return -segment_max(-values, segment, num_segments, ptr=ptr)


def segment_std(
    values: Float[Tensor, "E *rest"],
    segment: Int[Tensor, " E"],
    num_segments: int,
    *,
    ptr: Int[Tensor, " S_plus_1"] | None = None,
) -> Float[Tensor, "S *rest"]:
    """out[s] = standard deviation (of the whole, not of a draw) of the values with segment s.

    0 without any, and 0 where the variance is at most 1e-5: there its gradient would grow without
    bound, so it is 0 too.
    """
    if is_reference():
        return reference.segment_std(values, segment, num_segments)
    mean = segment_mean(values, segment, num_segments, ptr=ptr)
    away = values - mean.index_select(0, segment)
    variance = segment_mean(away.square(), segment, num_segments, ptr=ptr)
    spread = variance > 1e-5
    return variance.where(spread, 1).sqrt() * spread


def segment_softmax(
    scores: Float[Tensor, "E H"],
    segment: Int[Tensor, " E"],
    num_segments: int,
    *,
    ptr: Int[Tensor, " S_plus_1"] | None = None,
) -> Float[Tensor, "E H"]:
    """exp(score) / sum of exp(score) over the segment; 0 where every score is -inf.

    Computed in float32 at least; the result has the dtype of the scores.
    """
    if is_reference():
        return reference.segment_softmax(scores, segment, num_segments)
    if ptr is not None and is_fused("segment_softmax", scores):
        return _over_columns(segment_softmax_op, scores, ptr, segment)
    wide = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    largest = segment_max(wide.detach(), segment, num_segments)
    largest = largest.masked_fill(largest.isinf(), 0)  # a segment of nothing but -inf
    power = (wide - largest.index_select(0, segment)).exp()
    total = segment_sum(power, segment, num_segments)
    total = total.where(total > 0, 1)
    return (power / total.index_select(0, segment)).to(scores.dtype)


def _over_columns(
    op: Callable[[Tensor, Tensor, Tensor], Tensor], values: Tensor, ptr: Tensor, segment: Tensor
) -> Tensor:
    """The operation on `[E, F]`, in float32 on a CPU, whose kernels know no halves."""
    narrow = values.dtype in (torch.float16, torch.bfloat16) and values.device.type == "cpu"
    flat = values.reshape(values.shape[0], math.prod(values.shape[1:]))
    y = op(flat.float() if narrow else flat, ptr, segment).to(values.dtype)
    return y.view(y.shape[0], *values.shape[1:])
