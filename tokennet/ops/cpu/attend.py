"""Attention over edges, forward and backward: checks, and the call.

Axes: T rows of the flat view, E edges, H heads, D channels of a key, C of a value, K of an edge.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import value_error
from tokennet.ops.cpu import launch
from tokennet.ops.kernel import SCORES, Gradients, Inputs, Result
from tokennet.structure import Compressed

SIZE, POINTER, NUMBER = ctypes.c_int64, ctypes.c_void_p, ctypes.c_double


class Call(ctypes.Structure):
    """As `Attend` in src/attend.h."""

    _fields_ = (
        *((name, SIZE) for name in ("score", "rows", "heads", "channels", "value_channels")),
        *((name, SIZE) for name in ("features", "threads")),
        *((name, POINTER) for name in ("ptr", "index", "q", "k", "v")),
        *((name, SIZE) for name in ("q_stride", "k_stride", "v_stride")),
        *((name, POINTER) for name in ("vector", "bias", "edge_query", "attr", "kept")),
        *((name, NUMBER) for name in ("scale", "slope", "share")),
        *((name, POINTER) for name in ("out", "edge_out", "log_sum")),
    )


class GradientsCall(ctypes.Structure):
    """As `AttendGradients` in src/attend.h."""

    _fields_ = (
        *((name, POINTER) for name in ("grad", "grad_edge")),
        *((name, SIZE) for name in ("columns", "edges")),
        *((name, POINTER) for name in ("column_ptr", "column_index", "column_place")),
        *((name, POINTER) for name in Gradients._fields),
    )


def attend(inputs: Inputs, rows: Compressed) -> Result:
    """Softmax over the edges into each row, times the messages."""
    inputs, rows = _prepared(inputs), _contiguous(rows)
    values = inputs.values
    heads, features = values.shape[1], _features(inputs)
    out = values.new_empty(rows.num_rows, heads, values.shape[2])
    edge_out = values.new_empty((rows.num_rows, heads, features) if features else 0)
    result = Result(out, edge_out, values.new_empty(rows.num_rows, heads))
    launch.kernels().tokennet_attend(ctypes.byref(_call(inputs, rows, result)))
    return result


def attend_backward(
    inputs: Inputs,
    result: Result,
    grad: Tensor,
    grad_edge: Tensor | None,
    rows: Compressed,
    columns: Compressed,
    needs: list[bool],
) -> Gradients:
    """Gradients of `attend`; `needs` says which, in the order of `Gradients`.

    The places of each column ascend, as those of `SortedEdges.columns` do.
    """
    inputs, rows, columns = _prepared(inputs), _contiguous(rows), _contiguous(columns)
    result = Result(*(t.contiguous() for t in result))
    grad = launch.flat("grad", grad)
    if grad_edge is not None:
        grad_edge = launch.flat("grad_edge", grad_edge) if _features(inputs) else None
    wanted = Gradients(
        *(
            t.new_empty(t.shape) if t is not None and need else None
            for t, need in zip(_differentiable(inputs), needs, strict=True)
        )
    )
    call = _call(inputs, rows, result)
    gradients = GradientsCall(
        *map(_address, (grad, grad_edge)),
        columns.num_rows,
        next((len(t) for t in (inputs.bias, inputs.attr) if t is not None), 0),
        *map(_address, (columns.ptr, columns.index, columns.place)),
        *map(_address, wanted),
    )
    if launch.kernels().tokennet_attend_backward(ctypes.byref(call), ctypes.byref(gradients)):
        raise value_error("columns.place", "out of order", "ascending within each column")
    return wanted


def _differentiable(inputs: Inputs) -> Gradients:
    """The tensors of `Inputs` that have a gradient."""
    return Gradients(*(getattr(inputs, name) for name in Gradients._fields))


def _features(inputs: Inputs) -> int:
    return 0 if inputs.attr is None else inputs.attr.shape[1]


def _contiguous(form: Compressed) -> Compressed:
    index, place = (None if t is None else t.contiguous() for t in form[1:])
    return Compressed(form.ptr.contiguous(), index, place)


def _prepared(inputs: Inputs) -> Inputs:
    """What the kernels can read: float32, and contiguous but for the rows of q, k and v."""
    changes: dict[str, Any] = {}
    for name in ("q", "k", "v", "vector", "bias", "edge_query", "attr"):
        x = getattr(inputs, name)
        if x is not None:
            check = launch.rows_apart if name in ("q", "k", "v") else launch.flat
            changes[name] = check(name, x)
    if inputs.kept is not None:
        changes["kept"] = inputs.kept.contiguous()
    return inputs._replace(**changes)


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def _call(inputs: Inputs, rows: Compressed, result: Result) -> Call:
    values = inputs.values
    return Call(
        SCORES.index(inputs.score),
        rows.num_rows,
        values.shape[1],
        inputs.q.shape[2] if inputs.q.ndim == 3 else 1,
        values.shape[2],
        _features(inputs),
        torch.get_num_threads(),
        *map(_address, (rows.ptr, rows.index, inputs.q, inputs.k, values)),
        *(t.stride(0) for t in (inputs.q, inputs.k, values)),
        *map(_address, (inputs.vector, inputs.bias, inputs.edge_query)),
        *map(_address, (inputs.attr if _features(inputs) else None, inputs.kept)),
        inputs.scale,
        inputs.slope,
        1 / (1 - inputs.dropout),
        *map(_address, result),
    )
