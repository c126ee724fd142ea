"""What live modules of `nn.Transformer`'s family say of themselves: their layers are alike, or not.

Layers are copies of one, but anybody may have changed them since.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.interop.live import exact
from tokennet.interop.torch_models import attention

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_tanh": functools.partial(nn.GELU, approximate="tanh"),
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
_FUNCTIONS: dict[Any, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    F.gelu: "gelu",
    F.silu: "silu",
    torch.tanh: "tanh",
    F.tanh: "tanh",
}
_MODULES = {nn.ReLU: "relu", nn.SiLU: "silu", nn.Tanh: "tanh"}
_FUSED = {"relu": 1, "gelu": 2, "gelu_tanh": 2}
Found = dict[str, Any]


def describe(module: nn.Module) -> Found:
    """The options of a live module."""
    attention.check_untied(module)
    name = type(module).__name__
    if name.endswith("Layer"):
        return _layer(module, name)
    if name != "Transformer":
        return _stack(module, name)
    return _transformer(module)


def _transformer(model: Any) -> Found:
    stacks = {"encoder": nn.TransformerEncoder, "decoder": nn.TransformerDecoder}
    found: dict[str, Found] = {}
    for name, kind in stacks.items():
        stack = exact(getattr(model, name), kind, f"Transformer.{name}")
        found[name] = _stack(stack, f"Transformer.{name}")
        _last_norm(found[name], f"Transformer.{name}.norm")
    counts = {f"num_{name}_layers": found[name].pop("num_layers") for name in stacks}
    options = found["encoder"]
    # torch's decoder layers forget an activation that is a module when they are copied, and take
    # ReLU: what they compute counts, not what they were made with
    own = found["decoder"].pop("activation")
    found["decoder"]["activation"] = options["activation"]
    _equal(options, found["decoder"], "Transformer.decoder", "of the encoder")
    kept = {k: v for k, v in options.items() if not k.startswith("final")}
    return {**kept, **counts, "decoder_activation": own}


def _last_norm(found: Found, name: str) -> None:
    """Raises where the norm after the last layer is not the one that `nn.Transformer` makes."""
    if not found["final_norm"]:
        raise value_error(name, None, "a LayerNorm")
    _same(f"{name}.eps", found["final_norm_eps"], found["layer_norm_eps"], "of its layers")
    _same(f"{name}.bias", found["final_norm_bias"], found["bias"], "of its layers")


def _stack(stack: Any, name: str) -> Found:
    kind = (
        nn.TransformerDecoderLayer
        if isinstance(stack, nn.TransformerDecoder)
        else nn.TransformerEncoderLayer
    )
    layers = [
        _layer(exact(layer, kind, f"{name}.layers.{i}"), f"{name}.layers.{i}")
        for i, layer in enumerate(stack.layers)
    ]
    if not layers:
        raise value_error(f"{name}.layers", "empty", "at least one layer")
    for i, layer in enumerate(layers):
        _equal(layers[0], layer, f"{name}.layers.{i}", "of layers.0")
    found = {**layers[0], "num_layers": len(layers), "final_norm": stack.norm is not None}
    if stack.norm is not None:
        eps, bias = _norm(stack.norm, layers[0]["d_model"], f"{name}.norm")
        found |= {"final_norm_eps": eps, "final_norm_bias": bias}
    return found


def _layer(layer: Any, name: str) -> Found:
    """The options of one layer; its parts have to agree on those that they share."""
    names = ["self_attn", *(["multihead_attn"] if hasattr(layer, "multihead_attn") else [])]
    heads = [_attention(getattr(layer, n), f"{name}.{n}") for n in names]
    _equal(heads[0], heads[-1], f"{name}.multihead_attn", "of self_attn")
    dim, bias = heads[0]["embed_dim"], heads[0]["bias"]
    norms, linears = [f"norm{i + 1}" for i in range(len(names) + 1)], ("linear1", "linear2")
    dropouts = ("dropout", *(f"dropout{i + 1}" for i in range(len(norms))))
    eps = _norm(layer.norm1, dim, f"{name}.norm1")[0]
    for n in norms:
        found = _norm(getattr(layer, n), dim, f"{name}.{n}")
        _same(f"{name}.{n}.eps", found[0], eps, "of norm1")
        _same(f"{name}.{n}.bias", found[1], bias, "of self_attn")
    for n in linears:
        linear = exact(getattr(layer, n), nn.Linear, f"{name}.{n}")
        _same(f"{name}.{n}.bias", linear.bias is not None, bias, "of self_attn")
    for n in dropouts:
        p = exact(getattr(layer, n), nn.Dropout, f"{name}.{n}").p
        _same(f"{name}.{n}.p", p, heads[0]["dropout"], "of self_attn")
    activation = _activation(layer.activation, f"{name}.activation")
    fused = getattr(layer, "activation_relu_or_gelu", 0)  # for the kernel without gradients
    if fused and fused != _FUSED.get(activation):
        hint = "it was made with another one, which it takes without gradients: make a new layer"
        raise value_error(f"{name}.activation", activation, "that of its constructor", hint)
    return {
        "d_model": dim,
        "nhead": heads[0]["num_heads"],
        "dim_feedforward": layer.linear1.out_features,
        "dropout": heads[0]["dropout"],
        "activation": activation,
        "layer_norm_eps": eps,
        "batch_first": heads[0]["batch_first"],
        "norm_first": layer.norm_first,
        "bias": bias,
    }


def _attention(module: Any, name: str) -> Found:
    found = attention.describe(exact(module, nn.MultiheadAttention, name))
    dim = found["embed_dim"]
    plain = {"add_bias_kv": False, "add_zero_attn": False, "kdim": dim, "vdim": dim}
    for key, value in plain.items():
        if found[key] != value:
            raise value_error(f"{name}.{key}", found[key], repr(value))
    return found


def _norm(module: Any, dim: int, name: str) -> tuple[float, bool]:
    norm = exact(module, nn.LayerNorm, name)
    if norm.normalized_shape != (dim,):
        raise value_error(f"{name}.normalized_shape", norm.normalized_shape, f"({dim},)")
    if norm.weight is None:
        raise value_error(f"{name}.elementwise_affine", False, "True")
    return norm.eps, norm.bias is not None


def _activation(function: Any, name: str) -> str:
    """Its name; one that is not known is refused, and not taken for what it is called."""
    if isinstance(function, nn.GELU) and type(function) is nn.GELU:
        return {"none": "gelu", "tanh": "gelu_tanh"}[function.approximate]
    if isinstance(function, nn.Module):
        found = _MODULES.get(type(function))
    else:
        found = _FUNCTIONS.get(function)
    if found is None:
        given = getattr(function, "__name__", kind_of(function))
        raise type_error(name, given, "one of " + ", ".join(ACTIVATIONS), "as torch's function")
    return found


def _equal(first: Mapping[str, Any], other: Mapping[str, Any], name: str, owner: str) -> None:
    for key, value in first.items():
        _same(f"{name}.{key}", other[key], value, owner)


def _same(name: str, found: Any, expected: Any, owner: str) -> None:
    if found != expected:
        raise value_error(name, found, f"{expected} as {owner}")
