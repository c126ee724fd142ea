"""Operations in ONNX that torch's exporter does not know, or says otherwise.

Axes: B samples, H heads, N target and M source tokens, D channels, E sorted values, V others.
"""

import importlib
import math
from typing import Any

import torch


def translations() -> dict[Any, Any]:
    """For `torch.onnx.export(custom_translation_table=)`."""
    aten = torch.ops.aten
    return {
        aten.sort.stable: _sort,
        aten.searchsorted.Tensor: _searchsorted,
        aten.scaled_dot_product_attention.default: _attend,
    }


def _opset() -> Any:
    return importlib.import_module("onnxscript").opset18


def _sort(values: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """Of equal values TopK puts the lower index first."""
    op = _opset()
    size = op.Gather(op.Shape(values), op.Constant(value_ints=[dim]), axis=0)
    return op.TopK(values, size, axis=dim, largest=int(descending), sorted=1)


def _searchsorted(ordered: Any, values: Any, out_int32: bool = False, right: bool = False) -> Any:
    """By counting: V E comparisons."""
    op = _opset()
    each = op.Unsqueeze(values, op.Constant(value_ints=[-1]))
    below = op.LessOrEqual(ordered, each) if right else op.Less(ordered, each)
    integer = 6 if out_int32 else 7
    return op.ReduceSum(op.Cast(below, to=integer), op.Constant(value_ints=[-1]), keepdims=0)


def _attend(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """`[B, H, N, D]`; 0 for a token that hears nobody, where torch's own translation gives a mean.

    An empty sample, or an empty memory, has such tokens.
    """
    op = _opset()
    scores = op.MatMul(query, op.Transpose(key, perm=[0, 1, 3, 2]))  # [B, H, N, M]
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1])
    scores = op.Mul(scores, op.CastLike(op.Constant(value_float=scale), query))
    nothing = op.CastLike(op.Constant(value_float=-math.inf), query)
    if is_causal:
        ones = op.CastLike(op.Constant(value_float=1.0), query)
        square = op.Trilu(op.Expand(ones, op.Shape(scores)), upper=0)
        scores = op.Where(op.Cast(square, to=9), scores, nothing)
    if attn_mask is not None and int(attn_mask.dtype) == 9:  # of booleans
        scores = op.Where(attn_mask, scores, nothing)
    elif attn_mask is not None:
        scores = op.Add(scores, attn_mask)
    largest = op.ReduceMax(scores, op.Constant(value_ints=[-1]), keepdims=1)
    live = op.Greater(largest, nothing)
    zero = op.CastLike(op.Constant(value_float=0.0), query)
    weights = op.Softmax(op.Where(live, scores, zero), axis=-1)
    return op.MatMul(op.Where(live, weights, zero), value)
