"""Attention over edges, forward and backward: checks, and the call.

Axes: T rows of the flat view, E edges, H heads, D channels of a key, C of a value, K of an edge.
"""

import ctypes

import torch
from torch import Tensor

from tokennet.checks import type_error
from tokennet.ops.cpu.library import kernels
from tokennet.ops.kernel import SCORES, Inputs, Result
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


def _form(rows: Compressed) -> Compressed:
    assert rows.index is not None
    return Compressed(rows.ptr.contiguous(), rows.index.contiguous())


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
    values, assumed = inputs.values, lambda x: 0 if x is None else x.data_ptr()
    return Call(
        SCORES.index(inputs.score),
        rows.num_rows,
        values.shape[1],
        inputs.q.shape[2] if inputs.q.ndim == 3 else 1,
        values.shape[2],
        0 if inputs.attr is None else inputs.attr.shape[1],
        torch.get_num_threads(),
        rows.ptr.data_ptr(),
        assumed(rows.index),
        inputs.q.data_ptr(),
        inputs.k.data_ptr(),
        values.data_ptr(),
        inputs.q.stride(0),
        inputs.k.stride(0),
        values.stride(0),
        *map(assumed, (inputs.vector, inputs.bias, inputs.edge_query, inputs.attr, inputs.kept)),
        inputs.scale,
        inputs.slope,
        1 / (1 - inputs.dropout),
        *map(assumed, (out, edge_out, log_sum)),
    )
