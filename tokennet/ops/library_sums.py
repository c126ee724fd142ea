"""Sums, maxima and softmax over edges and segments as operations of torch.

Axes: T rows of the flat view, E edges or values, S rows of a form, H heads, D channels, F channels
of all heads.

Where a form has a transpose, gradients run over it: no scattered additions, so the same bits in
every run. `gather_sum` and `sddmm` are each other's derivatives, to any order.
"""

from typing import Any

import torch
from torch import Tensor

from tokennet.checks import value_error
from tokennet.ops.backend import kernels
from tokennet.ops.kernel import check_shape
from tokennet.ops.library import LIBRARY, register
from tokennet.structure import Compressed

_FORM = "Tensor ptr, Tensor? index, Tensor? place"
_OTHER = "Tensor? other_ptr, Tensor? other_index, Tensor? other_place"
_PLAIN = "Tensor ptr, Tensor index, Tensor? other_ptr, Tensor? other_index, Tensor? other_place"
LIBRARY.define(f"gather_sum(Tensor x, Tensor? weight, {_FORM}, {_OTHER}) -> Tensor")
LIBRARY.define(f"sddmm(Tensor q, Tensor k, {_PLAIN}) -> Tensor")
LIBRARY.define(
    "gather_max(Tensor x, Tensor ptr, Tensor index, Tensor? other_ptr, Tensor? other_index)"
    " -> (Tensor, Tensor)"
)
LIBRARY.define(
    "gather_max_backward(Tensor grad, Tensor x, Tensor out, Tensor count, Tensor other_ptr, "
    "Tensor other_index) -> Tensor"
)
LIBRARY.define("segment_sum(Tensor values, Tensor ptr, Tensor segment) -> Tensor")
LIBRARY.define("segment_max(Tensor values, Tensor ptr, Tensor segment) -> (Tensor, Tensor)")
LIBRARY.define("segment_softmax(Tensor scores, Tensor ptr) -> Tensor")
LIBRARY.define("segment_softmax_backward(Tensor weights, Tensor grad, Tensor ptr) -> Tensor")
NOTHING = Compressed(None, None, None)  # type: ignore[arg-type]

# -- weighted sums, and their transpose -----------------------------------------------------------


def gather_sum_op(
    x: Tensor, weight: Tensor | None, form: Compressed, other: Compressed | None
) -> Tensor:
    """out[s] = sum of weight[place] x[index] over row s; `other` is the form's transpose."""
    return torch.ops.tokennet.gather_sum.default(x, weight, *form, *(other or NOTHING))


def _gather_sum(x: Tensor, weight: Tensor | None, *forms: Any) -> Tensor:
    form = Compressed(*forms[:3])
    check_shape("x", x, form.num_rows, *x.shape[1:])
    if weight is not None and form.index is not None:
        check_shape("weights", weight, len(form.index), x.shape[1])
    return kernels("gather_sum", x.device).gather_sum(x.contiguous(), weight, form)


def _gather_sum_fake(x: Tensor, weight: Tensor | None, ptr: Tensor, *_: Any) -> Tensor:
    return x.new_empty(ptr.shape[0] - 1, *x.shape[1:])


def _save_factors(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """Each factor is needed for the gradient of the other alone."""
    one, two, *forms = inputs
    needs = ctx.needs_input_grad
    ctx.save_for_backward(one if needs[1] else None, two if needs[0] else None, *forms)


def _gather_sum_gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    x, weight, *forms = ctx.saved_tensors
    form, other = Compressed(*forms[:3]), Compressed(*forms[3:])
    dx = gather_sum_op(grad, weight, other, form) if ctx.needs_input_grad[0] else None
    dw = None
    if ctx.needs_input_grad[1]:  # in the order of the edges, which one of the two forms is in
        dw = (
            sddmm_op(grad, x, form, other) if form.place is None else sddmm_op(x, grad, other, form)
        )
    return dx, dw, *[None] * 6


def sddmm_op(q: Tensor, k: Tensor, form: Compressed, other: Compressed | None) -> Tensor:
    """q[row] . k[index] for each edge `[E, H]`; the form is in the order of the edges."""
    assert form.index is not None
    return torch.ops.tokennet.sddmm.default(q, k, form.ptr, form.index, *(other or NOTHING))


def _sddmm(q: Tensor, k: Tensor, ptr: Tensor, index: Tensor, *_: Any) -> Tensor:
    form = Compressed(ptr, index)
    check_shape("q", q, form.num_rows, *q.shape[1:])
    check_shape("k", k, *q.shape)
    return kernels("sddmm", q.device).sddmm(q.contiguous(), k.contiguous(), form, len(index))


def _sddmm_fake(q: Tensor, k: Tensor, ptr: Tensor, index: Tensor, *_: Any) -> Tensor:
    return q.new_empty(index.shape[0], q.shape[1])


def _sddmm_gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    q, k, ptr, index, *rest = ctx.saved_tensors
    form, other = Compressed(ptr, index), Compressed(*rest)
    dq = gather_sum_op(k, grad, form, other) if ctx.needs_input_grad[0] else None
    dk = gather_sum_op(q, grad, other, form) if ctx.needs_input_grad[1] else None
    return dq, dk, *[None] * 5


register("gather_sum", _gather_sum, _gather_sum_fake, _save_factors, _gather_sum_gradients)
register("sddmm", _sddmm, _sddmm_fake, _save_factors, _sddmm_gradients)

# -- maxima ---------------------------------------------------------------------------------------


def gather_max_op(x: Tensor, form: Compressed, other: Compressed | None) -> Tensor:
    """The largest x[index] over each row, channel by channel; ties share the gradient."""
    transpose = (None, None) if other is None else other[:2]
    return torch.ops.tokennet.gather_max.default(x, form.ptr, form.index, *transpose)[0]


def _gather_max(x: Tensor, ptr: Tensor, index: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    check_shape("x", x, ptr.shape[0] - 1, x.shape[1])
    return kernels("gather_max", x.device).gather_max(x.contiguous(), Compressed(ptr, index))


def _gather_max_fake(x: Tensor, ptr: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    out = x.new_empty(ptr.shape[0] - 1, x.shape[1])
    return out, torch.empty_like(out)


def _save_maximum(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[0], *output, *inputs[1:])
    ctx.mark_non_differentiable(output[1])


def _gather_max_gradients(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    x, out, count, _ptr, _index, ptr, index = ctx.saved_tensors
    dx = torch.ops.tokennet.gather_max_backward.default(grad, x, out, count, ptr, index)
    return dx, None, None, None, None


def _gather_max_backward(
    grad: Tensor, x: Tensor, out: Tensor, count: Tensor, ptr: Tensor, index: Tensor
) -> Tensor:
    run = kernels("gather_max_backward", x.device).gather_max_backward
    return run(grad.contiguous(), x.contiguous(), out, count, Compressed(ptr, index))


register("gather_max", _gather_max, _gather_max_fake, _save_maximum, _gather_max_gradients)
register("gather_max_backward", _gather_max_backward, lambda grad, x, *_: x.new_empty(x.shape))

# -- segments -------------------------------------------------------------------------------------


def segment_sum_op(values: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    """out[s] = sum of values[ptr[s]:ptr[s+1]], `[S, F]`."""
    return torch.ops.tokennet.segment_sum.default(values, ptr, segment)


def segment_max_op(values: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    """out[s] = largest of values[ptr[s]:ptr[s+1]]; ties share the gradient."""
    return torch.ops.tokennet.segment_max.default(values, ptr, segment)[0]


def segment_softmax_op(scores: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    """Softmax over each segment, `[E, H]`."""
    return torch.ops.tokennet.segment_softmax.default(scores, ptr)


def _check_segments(values: Tensor, ptr: Tensor) -> None:
    """Raises where segments reach beyond the values; on a GPU asking would wait for it."""
    if ptr.device.type == "cpu" and len(ptr) and int(ptr[-1]) > len(values):
        raise value_error("ptr[-1]", int(ptr[-1]), f"at most {len(values)}, the number of values")


def _segment_sum(values: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    _check_segments(values, ptr)
    run = kernels("segment_sum", values.device).gather_sum
    return run(values[:, None].contiguous(), None, Compressed(ptr)).squeeze(1)


def _segment_fake(values: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    return values.new_empty(ptr.shape[0] - 1, values.shape[1])


def _save_segments(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[2])


def _segment_sum_gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (segment,) = ctx.saved_tensors
    return grad.index_select(0, segment), None, None


def _segment_max(values: Tensor, ptr: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
    _check_segments(values, ptr)
    return kernels("segment_max", values.device).gather_max(values.contiguous(), Compressed(ptr))


def _segment_max_fake(values: Tensor, ptr: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
    return _segment_fake(values, ptr, segment), _segment_fake(values, ptr, segment)


def _segment_max_gradients(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    values, out, count, _, segment = ctx.saved_tensors
    share = (grad / count.clamp_min(1)).index_select(0, segment)
    won = values == out.index_select(0, segment)
    return share * won, None, None


register("segment_sum", _segment_sum, _segment_fake, _save_segments, _segment_sum_gradients)
register("segment_max", _segment_max, _segment_max_fake, _save_maximum, _segment_max_gradients)


def _segment_softmax(scores: Tensor, ptr: Tensor) -> Tensor:
    _check_segments(scores, ptr)
    run = kernels("segment_softmax", scores.device).segment_softmax
    return run(scores.contiguous(), Compressed(ptr))


def _save_weights(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(output, inputs[1])


def _softmax_gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    weights, ptr = ctx.saved_tensors
    return torch.ops.tokennet.segment_softmax_backward.default(weights, grad, ptr), None


def _segment_softmax_backward(weights: Tensor, grad: Tensor, ptr: Tensor) -> Tensor:
    run = kernels("segment_softmax_backward", grad.device).segment_softmax_backward
    return run(weights, grad.contiguous(), Compressed(ptr))


register(
    "segment_softmax", _segment_softmax, lambda scores, ptr: scores.new_empty(scores.shape),
    _save_weights, _softmax_gradients,
)  # fmt: skip
register(
    "segment_softmax_backward", _segment_softmax_backward,
    lambda weights, grad, ptr: grad.new_empty(grad.shape),
)  # fmt: skip
