"""Attention over edges as an operation of torch: shapes, gradients, what is refused.

Axes: T rows of the flat view, E edges, H heads, D channels of a key, C of a value, K of an edge.

`torch.ops.tokennet.attend` is opaque to `torch.compile`, which sees its shapes alone; which kernel
computes it is decided when it runs. The other operations stand in `ops.library_sums`.
"""

from typing import Any

import torch
from torch import Tensor

from tokennet.ops.backend import kernels
from tokennet.ops.kernel import FLOATS, Inputs, Result, check_shape
from tokennet.structure import Compressed

LIBRARY = torch.library.Library("tokennet", "FRAGMENT")
_FLOATS = "Tensor q, Tensor k, Tensor? v, Tensor? vector, Tensor? bias, Tensor? edge_query, "
_FLOATS += "Tensor? attr, Tensor? kept, "
_ROWS = "Tensor ptr, Tensor index, "
_COLUMNS = "Tensor? column_ptr, Tensor? column_index, Tensor? column_place, "
_NUMBERS = "str score, float scale, float slope, float dropout"
LIBRARY.define(f"attend({_FLOATS}{_ROWS}{_COLUMNS}{_NUMBERS}) -> (Tensor, Tensor, Tensor)")
LIBRARY.define(
    "attend_backward(Tensor grad, Tensor? grad_edge, Tensor out, Tensor edge_out, Tensor log_sum, "
    f"bool[] needs, {_FLOATS}{_ROWS}{_COLUMNS}{_NUMBERS}) -> Tensor[]"
)


def attend_op(inputs: Inputs, rows: Compressed, columns: Compressed | None) -> Result:
    """Attention over the edges into each row. `columns` are needed for gradients alone."""
    given = (inputs.q, inputs.k, inputs.v, inputs.vector, inputs.bias, inputs.edge_query)
    out = torch.ops.tokennet.attend.default(
        *given, inputs.attr, inputs.kept, rows.ptr, rows.index,
        *((None, None, None) if columns is None else columns),
        inputs.score, inputs.scale, inputs.slope, inputs.dropout,
    )  # fmt: skip
    return Result(*out)


def _parts(given: tuple[Any, ...]) -> tuple[Inputs, Compressed, Compressed]:
    """Inputs and forms from the arguments of the operations."""
    floats, (ptr, index), columns, numbers = given[:8], given[8:10], given[10:13], given[13:]
    score, scale, slope, dropout = numbers
    laid: list[Any] = [t if t is None else heads_together(t) for t in floats[:3]]
    plain: list[Any] = [t if t is None else t.contiguous() for t in floats[3:]]
    inputs = Inputs._make([score, *laid, *plain, scale, slope, dropout])
    return inputs, Compressed(ptr, index), Compressed(*columns)


def _check(inputs: Inputs, rows: Compressed) -> None:
    """Raises where the shapes of the inputs don't belong together."""
    num_rows, (heads, channels) = rows.num_rows, inputs.values.shape[1:]
    num_edges = 0 if rows.index is None else len(rows.index)
    features = 0 if inputs.attr is None else inputs.attr.shape[-1]
    own = () if inputs.score == "gat" else (inputs.q.shape[-1],)
    check_shape("q", inputs.q, num_rows, heads, *own)
    check_shape("k", inputs.k, num_rows, heads, *own)
    check_shape("v", inputs.v, num_rows, heads, channels)
    check_shape("vector", inputs.vector, heads, *own)
    check_shape("bias", inputs.bias, num_edges, heads)
    check_shape("kept", inputs.kept, num_edges, heads)
    check_shape("attr", inputs.attr, num_edges, features)
    check_shape("edge_query", inputs.edge_query, num_rows, heads, features)


def heads_together(x: Tensor) -> Tensor:
    """Rows may lie any stride apart, as those of a joint projection do; not what a row holds."""
    return x if x[:1].is_contiguous() else x.contiguous()


def _attend(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
    inputs, rows, _ = _parts(given)
    _check(inputs, rows)
    out, edge_out, log_sum = kernels("attend", inputs.q.device).attend(inputs, rows)
    return out, edge_out, log_sum


def _attend_fake(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
    (_, k, v, *_), attr, num_rows = given, given[6], given[8].shape[0] - 1
    values = k if v is None else v
    out = values.new_empty(num_rows, *values.shape[1:])
    wide = torch.promote_types(k.dtype, torch.float32)
    log_sum = k.new_empty(num_rows, values.shape[1], dtype=wide)
    if attr is None:
        return out, log_sum.new_empty(0), log_sum
    return out, log_sum.new_empty(num_rows, values.shape[1], attr.shape[1]), log_sum


def _attend_backward(
    grad: Tensor, grad_edge: Tensor | None, out: Tensor, edge_out: Tensor, log_sum: Tensor,
    needs: list[bool], *given: Any,
) -> list[Tensor]:  # fmt: skip
    inputs, rows, columns = _parts(given)
    found = kernels("attend_backward", grad.device).attend_backward(
        inputs, Result(out, edge_out, log_sum), grad, grad_edge, rows, columns, needs
    )
    pairs = zip(found, needs, strict=True)
    return [g if n and g is not None else grad.new_empty(0) for g, n in pairs]


def _attend_backward_fake(
    grad: Tensor, grad_edge: Tensor | None, out: Tensor, edge_out: Tensor, log_sum: Tensor,
    needs: list[bool], *given: Any,
) -> list[Tensor]:  # fmt: skip
    return [
        t.new_empty(t.shape) if n and t is not None else grad.new_empty(0)
        for t, n in zip(given[: len(FLOATS)], needs, strict=True)
    ]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, ctx.score, ctx.scale, ctx.slope, ctx.dropout = inputs
    ctx.save_for_backward(*output, *tensors)
    ctx.mark_non_differentiable(output[2])
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, grad: Tensor | None, grad_edge: Tensor | None, _: Any) -> tuple[Any, ...]:
    needs = list(ctx.needs_input_grad[: len(FLOATS)])
    rest = (None,) * (len(ctx.needs_input_grad) - len(FLOATS))
    if grad is None and grad_edge is None:
        return (None,) * len(FLOATS) + rest
    out, edge_out, log_sum, *tensors = ctx.saved_tensors
    grad = torch.zeros_like(out) if grad is None else grad.contiguous()
    grad_edge = grad_edge if grad_edge is None else grad_edge.contiguous()
    found = torch.ops.tokennet.attend_backward.default(
        grad, grad_edge, out, edge_out, log_sum, needs,
        *tensors, ctx.score, ctx.scale, ctx.slope, ctx.dropout,
    )  # fmt: skip
    return tuple(g if n else None for g, n in zip(found, needs, strict=True)) + rest


def register(name: str, run: Any, fake: Any, save: Any = None, gradients: Any = None) -> None:
    """An operation's kernel, its shapes, its gradients (None: refused), and no vmap."""
    LIBRARY.impl(name, run, "CompositeExplicitAutograd")
    full = f"tokennet::{name}"
    torch.library.register_fake(full, fake, lib=LIBRARY)

    def refuse(*_: Any) -> Any:
        raise NotImplementedError(
            f"{full} has no second derivative: run forward and backward under "
            "tn.backend('torch'), whose operations have all of them"
        )

    def refuse_vmap(*_: Any) -> Any:
        raise NotImplementedError(
            f"{full} can't be vmapped: call it under tn.backend('torch'), or put the samples "
            "into one structure"
        )

    torch.library.register_autograd(full, gradients or refuse, setup_context=save, lib=LIBRARY)
    torch.library.register_vmap(full, refuse_vmap, lib=LIBRARY)


register("attend", _attend, _attend_fake, _save, _gradients)
register("attend_backward", _attend_backward, _attend_backward_fake)
