"""Sums, dot products, maxima and softmax over the rows of a compressed form: checks, and the call.

Axes: T rows of the flat view, E edges, S rows of a form, H heads, D channels, F channels of all
heads.
"""

import torch
from torch import Tensor

from tokennet.checks import value_error
from tokennet.ops.cpu.launch import flat, launch, rows_apart
from tokennet.structure import Compressed


def gather_sum(x: Tensor, weight: Tensor | None, form: Compressed) -> Tensor:
    """out[s] = sum over the entries of row s of weight[place] x[index]: `[S, H, D]`.

    x is `[T, H, D]`, its last two axes contiguous; weight `[E, H]`, or None for all ones.
    """
    heads, channels = x.shape[1:]
    if weight is not None:
        if weight.shape[1:] != (heads,):
            raise value_error("weight.shape", tuple(weight.shape), f"[E, {heads}], one a head")
        weight = flat("weight", weight)
    x = rows_apart("x", x)
    out = x.new_empty(form.num_rows, heads, channels)
    if out.numel():
        launch(
            "tokennet_gather_sum", *_pointers(form), form.num_rows, x, x.stride(0), weight, heads,
            channels, out, torch.get_num_threads(),
        )  # fmt: skip
    return out


def sddmm(q: Tensor, k: Tensor, form: Compressed, num_edges: int) -> Tensor:
    """q[row] . k[index] at `[E, H]`, for each entry of each row; form has no `place`."""
    heads, channels = q.shape[1:]
    if k.shape[1:] != q.shape[1:]:
        raise value_error("k.shape", tuple(k.shape), f"[T, {heads}, {channels}] as q")
    q, k = rows_apart("q", q), rows_apart("k", k)
    if form.index is None:
        form = form._replace(index=torch.arange(num_edges, dtype=torch.int32))
    out = q.new_empty(num_edges, heads)
    if channels == 0:
        return out.zero_()
    if out.numel():
        ptr, index, _ = _pointers(form)
        launch(
            "tokennet_sddmm", ptr, index, form.num_rows, q, q.stride(0), k, k.stride(0), heads,
            channels, num_edges, out, torch.get_num_threads(),
        )  # fmt: skip
    return out


def gather_max(x: Tensor, form: Compressed) -> tuple[Tensor, Tensor]:
    """The largest x[index] over the entries of each row, and how many are as large: both `[S, F]`.

    x is `[T, F]`. Without entries 0, and a count of 0.
    """
    x = rows_apart("x", x)
    out = x.new_empty(form.num_rows, x.shape[1])
    count = torch.empty_like(out)
    if out.numel():
        ptr, index, _ = _pointers(form)
        launch(
            "tokennet_gather_max", ptr, index, form.num_rows, x, x.stride(0), x.shape[1], out,
            count, torch.get_num_threads(),
        )  # fmt: skip
    return out, count


def gather_max_backward(
    grad: Tensor, x: Tensor, out: Tensor, count: Tensor, columns: Compressed
) -> Tensor:
    """Every entry that is as large as the maximum gets an equal share of the gradient: `[T, F]`.

    `columns` is the transposed form: row t of it lists the results that x[t] went into.
    """
    share = flat("grad", grad) / count.clamp_min(1)
    x, out = flat("x", x), flat("out", out)
    dx = torch.empty_like(x)
    if dx.numel():
        ptr, index, _ = _pointers(columns)
        launch(
            "tokennet_gather_max_backward", ptr, index, columns.num_rows, share, out, x,
            x.shape[1], dx, torch.get_num_threads(),
        )  # fmt: skip
    return dx


def segment_softmax(scores: Tensor, form: Compressed) -> Tensor:
    """exp(score) / sum of exp(score) over each row, `[E, H]`; 0 where every score is -inf."""
    return _softmax(flat("scores", scores), None, form)


def segment_softmax_backward(weights: Tensor, grad: Tensor, form: Compressed) -> Tensor:
    """The gradient of the scores, from the weights and their gradient."""
    return _softmax(flat("weights", weights), flat("grad", grad), form)


def _softmax(values: Tensor, grad: Tensor | None, form: Compressed) -> Tensor:
    out = torch.empty_like(values)
    if out.numel():
        ptr, _, _ = _pointers(form)
        launch(
            "tokennet_segment_softmax", ptr, form.num_rows, values, grad, values.shape[1],
            len(values), out, torch.get_num_threads(),
        )  # fmt: skip
    return out


def _pointers(form: Compressed) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The parts of a form as the kernels read them: ptr int64, the others int32."""
    small = lambda t: None if t is None else t.to(torch.int32).contiguous()  # noqa: E731
    return form.ptr.to(torch.int64).contiguous(), small(form.index), small(form.place)
