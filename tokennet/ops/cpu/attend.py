"""Attention over edges, forward and backward: checks, and the call.

Axes: T rows of the flat view, E edges, H heads, D channels of a key, C of a value, K of an edge.
"""

import ctypes

import torch
from torch import Tensor

from tokennet.checks import type_error, value_error
from tokennet.ops.cpu.library import kernels
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
    inputs, rows = _prepared(inputs), _form(rows)
    values = inputs.values
    heads, num_rows = values.shape[1], rows.num_rows
    out = values.new_empty(num_rows, heads, values.shape[2])
    log_sum = values.new_empty(num_rows, heads)
    features = 0 if inputs.attr is None else inputs.attr.shape[1]
    edge_out = values.new_empty((num_rows, heads, features) if features else 0)
    call = _call(inputs, rows, out, edge_out, log_sum)
    kernels().tokennet_attend(ctypes.byref(call))
    return Result(out, edge_out, log_sum)


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
    inputs, rows, columns = _prepared(inputs), _form(rows), _form(columns)
    grad = grad.contiguous()
    grad_edge = None if grad_edge is None or inputs.attr is None else grad_edge.contiguous()
    result = Result(*(t.contiguous() for t in result))
    wanted = Gradients(
        *(
            torch.empty(t.shape) if t is not None and need else None
            for t, need in zip(_differentiable(inputs), needs, strict=True)
        )
    )
    num_edges = next((len(t) for t in (inputs.bias, inputs.attr) if t is not None), 0)
    call = _call(inputs, rows, *result)
    gradients = GradientsCall(
        grad.data_ptr(),
        _address(grad_edge),
        columns.num_rows,
        num_edges,
        columns.ptr.data_ptr(),
        _address(columns.index),
        _address(columns.place),
        *map(_address, wanted),
    )
    if kernels().tokennet_attend_backward(ctypes.byref(call), ctypes.byref(gradients)):
        raise value_error("columns.place", "out of order", "ascending within each column")
    return wanted


def _differentiable(inputs: Inputs) -> Gradients:
    """The tensors of `Inputs` that have a gradient."""
    return Gradients(*(getattr(inputs, name) for name in Gradients._fields))


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def _form(rows: Compressed) -> Compressed:
    assert rows.index is not None
    place = None if rows.place is None else rows.place.contiguous()
    return Compressed(rows.ptr.contiguous(), rows.index.contiguous(), place)


def _rows_apart(name: str, x: Tensor) -> Tensor:
    """float32 on the CPU, the channels of a row side by side, rows any stride apart."""
    if x.dtype != torch.float32 or x.device.type != "cpu":
        raise type_error(name, f"{x.dtype} on {x.device}", "torch.float32 on the cpu")
    inner = x.stride()[1:] == (x.shape[2], 1) if x.ndim == 3 else x.stride(1) == 1
    return x if inner else x.contiguous()


def _prepared(inputs: Inputs) -> Inputs:
    """What the kernels can read: float32, and contiguous but for the rows of q, k and v."""
    changes: dict[str, Tensor] = {}
    for name in ("q", "k", "v"):
        x = getattr(inputs, name)
        if x is not None:
            changes[name] = _rows_apart(name, x)
    for name in ("vector", "bias", "edge_query", "attr"):
        x = getattr(inputs, name)
        if x is not None:
            changes[name] = _rows_apart(name, x).contiguous()
    if inputs.kept is not None:
        changes["kept"] = inputs.kept.contiguous()
    return inputs._replace(**changes)


def _call(inputs: Inputs, rows: Compressed, out: Tensor, edge_out: Tensor, log_sum: Tensor) -> Call:
    values = inputs.values
    return Call(
        SCORES.index(inputs.score),
        rows.num_rows,
        values.shape[1],
        inputs.q.shape[2] if inputs.q.ndim == 3 else 1,
        values.shape[2],
        0 if inputs.attr is None else inputs.attr.shape[1],
        torch.get_num_threads(),
        rows.ptr.data_ptr(),
        _address(rows.index),
        inputs.q.data_ptr(),
        inputs.k.data_ptr(),
        values.data_ptr(),
        inputs.q.stride(0),
        inputs.k.stride(0),
        values.stride(0),
        *map(_address, (inputs.vector, inputs.bias, inputs.edge_query, inputs.attr, inputs.kept)),
        inputs.scale,
        inputs.slope,
        1 / (1 - inputs.dropout),
        *map(_address, (out, edge_out, log_sum)),
    )
