"""Products and reductions over the edges into each token.

Axes: T rows of the flat view, E edges (sorted by target), H heads, D channels of a head.

Edges that are left out (`SortedEdges.keep`) count for nothing: results at them are 0.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import value_error
from tokennet.ops import reference
from tokennet.ops.backend import is_fused, is_reference, record_flops
from tokennet.ops.library_sums import gather_max_op, gather_sum_op, sddmm_op
from tokennet.ops.segment import segment_max, segment_mean, segment_min, segment_sum
from tokennet.structure import Compressed, SortedEdges

Reduction = Literal["sum", "mean", "max", "min"]
_SEGMENTS = {
    "sum": segment_sum,
    "mean": segment_mean,
    "max": segment_max,
    "min": segment_min,
}


def sddmm(
    q: Float[Tensor, "T H D"], k: Float[Tensor, "T H D"], edges: SortedEdges
) -> Float[Tensor, "E H"]:
    """q[target] . k[source] for each edge: a product of matrices, sampled at the edges."""
    record_flops(2 * edges.num_edges * q.shape[1] * q.shape[2])
    if is_fused("sddmm", q, k):
        dtype = torch.promote_types(q.dtype, k.dtype)
        inner = kernel_dtype(q, k)
        return sddmm_op(q.to(inner), k.to(inner), edges.rows, transpose(edges, q, k)).to(dtype)
    if is_reference():
        return reference.sddmm(q, k, edges)
    each = (q.index_select(0, edges.target) * k.index_select(0, edges.source)).sum(-1)
    return each if edges.keep is None else each * edges.keep[:, None]


def spmm(
    weights: Float[Tensor, "E H"], v: Float[Tensor, "T H D"], edges: SortedEdges
) -> Float[Tensor, "T H D"]:
    """out[t] = sum over the edges into t of weight * v[source]; 0 for a token without edges."""
    record_flops(2 * edges.num_edges * v.shape[1] * v.shape[2])
    if is_fused("spmm", weights, v):
        dtype = torch.promote_types(weights.dtype, v.dtype)
        inner = kernel_dtype(weights, v)
        other = transpose(edges, weights, v)
        return gather_sum_op(v.to(inner), weights.to(inner), edges.rows, other).to(dtype)
    if is_reference():
        return reference.spmm(weights, v, edges)
    messages = weights[..., None] * v.index_select(0, edges.source)  # [E, H, D]
    return _sum(messages, edges)


def gather_reduce(
    x: Float[Tensor, "T *rest"],
    edges: SortedEdges,
    reduce: Reduction = "sum",
    *,
    weights: Float[Tensor, " E"] | None = None,
) -> Float[Tensor, "T *rest"]:
    """out[t] = reduction over the edges into t of weight * x[source]; 0 for a token without edges.

    The mean divides by the number of edges, whatever their weights. Equal extremes share the
    gradient, so that no order of the edges counts.

    Raises:
        ValueError: for another reduction than "sum", "mean", "max" and "min".
    """
    if reduce not in _SEGMENTS:
        raise value_error("reduce", repr(reduce), f"one of {', '.join(map(repr, _SEGMENTS))}")
    given = (x,) if weights is None else (x, weights)
    record_flops((1 if weights is None else 2) * edges.num_edges * x[:1].numel())
    extreme = reduce in ("max", "min")
    if is_fused("gather_reduce", *given) and not (extreme and weights is not None):
        return _gather_fused(x, edges, reduce, weights)
    if is_reference():
        return reference.gather_reduce(x, edges, reduce, weights)
    sent = x.index_select(0, edges.source)
    if weights is not None:
        sent = sent * weights.view(-1, *[1] * (x.ndim - 1))
    if edges.keep is None:
        return _SEGMENTS[reduce](sent, edges.target, edges.num_rows, ptr=edges.ptr)
    count = edges.num_rows + 1  # the edges that are left out go into a segment of their own
    row = edges.target.where(edges.keep, edges.num_rows)
    return _SEGMENTS[reduce](sent, row, count)[:-1]


def _gather_fused(
    x: Tensor, edges: SortedEdges, reduce: Reduction, weights: Tensor | None
) -> Tensor:
    given = (x,) if weights is None else (x, weights)
    dtype = x.dtype if weights is None else torch.promote_types(x.dtype, weights.dtype)
    flat = x.to(kernel_dtype(*given)).reshape(x.shape[0], math.prod(x.shape[1:]))
    other = transpose(edges, *given)
    if reduce in ("sum", "mean"):
        each = None if weights is None else weights.to(flat.dtype)[:, None]
        if reduce == "mean":  # a share for each edge: no pass over all rows, there and back
            share = _shares(edges, flat.dtype)
            each = share if each is None else each * share
        y = gather_sum_op(flat[:, None], each, edges.rows, other).squeeze(1)
    elif reduce == "max":
        y = gather_max_op(flat, edges.rows, other)
    else:
        y = -gather_max_op(-flat, edges.rows, other)
    return y.view(edges.num_rows, *x.shape[1:]).to(dtype)


def _shares(edges: SortedEdges, dtype: torch.dtype) -> Tensor:
    """1 / (number of edges into the target) of each edge, `[E, 1]`, found once."""

    def make() -> Tensor:
        share = edges.ptr.diff().clamp_min(1).to(dtype).reciprocal()
        return share.index_select(0, edges.target)[:, None]

    return edges.remember(f"shares_{dtype}", make)


def kernel_dtype(*tensors: Tensor | None) -> torch.dtype:
    """What a kernel computes on: the tensors' common dtype; on a CPU never a half one."""
    given = [t for t in tensors if t is not None]
    dtype = given[0].dtype
    for t in given[1:]:
        dtype = torch.promote_types(dtype, t.dtype)
    narrow = dtype in (torch.float16, torch.bfloat16)
    return torch.float32 if narrow and given[0].device.type == "cpu" else dtype


def transpose(edges: SortedEdges, *tensors: Tensor | None) -> Compressed | None:
    """The edges by source, where gradients will need them."""
    needed = any(t is not None and t.requires_grad for t in tensors)
    return edges.columns if needed and torch.is_grad_enabled() else None


def _sum(messages: Tensor, edges: SortedEdges) -> Tensor:
    if edges.keep is not None:
        messages = messages * edges.keep.view(-1, *[1] * (messages.ndim - 1))
    return segment_sum(messages, edges.target, edges.num_rows)
