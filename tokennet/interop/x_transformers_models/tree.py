"""Options from a live module: read where it shows them, and held against what they would make.

x-transformers has about a hundred options. Those that are read here make a module anew; whatever
part, attribute, shape or buffer then differs comes from an option that is not, and is refused.
"""

import functools
import importlib
import types
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokennet.checks import value_error

_LAYERS = ("Encoder", "Decoder")
MISSING = type("Missing", (), {"__repr__": lambda self: "missing"})()


def describe(module: nn.Module) -> dict[str, Any]:
    """The options of a live module; raises for all that they don't explain."""
    kind = type(module).__name__
    options = _layers(module) if kind in _LAYERS else _wrapper(module)
    for path, found, expected in differences(module, _again(kind, options)):
        hint = "it comes from an option for which tokennet has no import yet"
        raise value_error(f"{kind}.{path}", found, expected, hint)
    return options


def _again(kind: str, options: dict[str, Any]) -> nn.Module:
    """A module of these options, with weights of no use."""
    x_transformers = importlib.import_module("x_transformers")
    given = dict(options)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        if kind not in _LAYERS:
            inner = dict(given.pop("attn_layers"))
            given["attn_layers"] = _again(inner.pop("kind"), inner)
            return getattr(x_transformers, kind)(**given)
        return getattr(x_transformers, kind)(**given, verbose=False)


def _layers(module: Any) -> dict[str, Any]:
    dim = module.dim
    if not len(module.layers) or not hasattr(module.layers[0][1], "to_q"):
        raise value_error("layers of the model", len(module.layers), "attentions first")
    attention, memory = module.layers[0][1], module.layers[1][1] if module.cross_attend else None
    ff, norms = module.layers[-1][1], module.layers[0][0]
    norm = next((part for part in norms if part is not None), None)
    kind, found = type(norm).__name__, type(module.rel_pos).__name__
    options = {
        "dim": dim,
        "depth": module.depth,
        "heads": module.attn_heads,
        "attn_dim_head": module.attn_dim_head,
        "attn_kv_heads": attention.kv_heads,
        "attn_dropout": attention.attend.dropout,
        "attn_flash": attention.attend.flash,
        "pre_norm": module.pre_norm,
        "pre_norm_has_final_norm": type(module.final_norm).__name__ != "Identity",
        "sandwich_norm": module.sandwich_norm,
        "use_rmsnorm": kind == "RMSNorm",
        "use_simple_rmsnorm": kind == "SimpleRMSNorm",
        "norm_add_unit_offset": getattr(norm, "unit_offset", True),
        "disable_abs_pos_emb": module.disable_abs_pos_emb,
        "rotary_pos_emb": module.rotary_pos_emb is not None,
        "alibi_pos_bias": found == "AlibiPositionalBias",
        "rel_pos_bias": found == "RelativePositionBias",
        **_feed_forward(ff, dim),
    }
    if not module.pre_norm:
        options["pre_norm_has_final_norm"] = True  # there is none in any case
    if module.rotary_pos_emb is not None:
        options["rotary_emb_dim"] = _turning(module.rotary_pos_emb.inv_freq)
    if options["rel_pos_bias"]:
        options["rel_pos_num_buckets"] = module.rel_pos.num_buckets
        options["rel_pos_max_distance"] = module.rel_pos.max_distance
    if memory is not None:
        options["cross_attend"] = True
        options["cross_attn_dim_context"] = memory.to_k.in_features
    return options


def _turning(frequencies: Tensor) -> int:
    """The `rotary_emb_dim` of these frequencies, of which an odd one has as many as the next."""
    even = 2 * len(frequencies)
    odd = 10_000.0 ** -(torch.arange(0, even, 2) / (even - 1))
    fits = len(frequencies) > 1 and torch.allclose(frequencies.cpu().float(), odd, rtol=1e-4)
    return even - 1 if fits else even


def _feed_forward(module: Any, dim: int) -> dict[str, Any]:
    parts = getattr(module, "ff", None)
    if not isinstance(parts, nn.Sequential) or not isinstance(parts[-1], nn.Linear):
        return {}
    last, dropout = parts[-1], [part.p for part in parts if isinstance(part, nn.Dropout)]
    gated = type(parts[0]).__name__ == "GLU"
    inner = last.in_features
    plain = int(dim * (inner / dim)) == inner
    return {
        "ff_mult": inner / dim if plain else (inner + 0.5) / dim,  # it is rounded down there
        "ff_glu": gated,
        "ff_swish": any(isinstance(part, nn.SiLU) for part in parts[0].modules()),
        "ff_no_bias": last.bias is None,
        "ff_dropout": dropout[0] if dropout else 0.0,
    }


def _wrapper(module: Any) -> dict[str, Any]:
    inner, head = module.attn_layers, module.to_logits
    kind = type(inner).__name__
    if kind not in _LAYERS or not type(inner).__module__.startswith("x_transformers."):
        raise value_error("attn_layers of TransformerWrapper", kind, "an Encoder or a Decoder")
    options = {
        "num_tokens": module.num_tokens,
        "max_seq_len": module.max_seq_len,
        "attn_layers": {"kind": kind, **_layers(inner)},
        "emb_dim": module.emb_dim,
        "emb_dropout": module.emb_dropout.p,
        "post_emb_norm": type(module.post_emb_norm).__name__ == "LayerNorm",
        "use_abs_pos_emb": isinstance(module.pos_emb, nn.Module),
        "average_pool_embed": module.average_pool_embed,
        "max_mem_len": module.max_mem_len,
        "return_only_embed": head is None,
        "input_not_include_cache": module.input_not_include_cache,
    }
    if isinstance(head, nn.Linear):
        options["logits_dim"] = head.out_features
    elif head is not None and hasattr(module, "tie_embedding_scale"):
        options["tie_embedding"] = True
        options["tie_embedding_scale"] = module.tie_embedding_scale
    return options


def differences(one: nn.Module, two: nn.Module, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Where two modules of x-transformers are not alike, but for their weights: path and both."""
    mine, other = _facts(one), _facts(two)
    for name in dict.fromkeys([*mine, *other]):
        found, expected = mine.get(name, MISSING), other.get(name, MISSING)
        both = isinstance(found, nn.Module) and isinstance(expected, nn.Module)
        if both and type(found) is type(expected):
            yield from differences(found, expected, f"{path}{name}.")
        elif both or not _alike(found, expected):
            yield path + name, _words(found), _words(expected)


def _facts(module: nn.Module) -> dict[str, Any]:
    """Attributes, shapes of weights, buffers (they follow from options), parts."""
    found = {n: v for n, v in vars(module).items() if not n.startswith("_")}
    found |= {n: None if p is None else list(p.shape) for n, p in module._parameters.items()}
    found |= module._buffers | module._modules
    for name in ("training", "can_cache_kv", "can_cache_kv_outside_max_seq_len"):
        found.pop(name, None)  # follow from others
    if type(module).__name__ == "AlibiPositionalBias":
        found.pop("bias", None)  # made of the slopes at the first call
    return found


def _alike(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return one.shape == two.shape and torch.equal(one.cpu(), two.to(one.dtype))
    if type(one) is not type(two):
        return False
    if isinstance(one, functools.partial):
        if _is_softmax(one) and _is_softmax(two):
            return True
        return (one.func, one.args, one.keywords) == (two.func, two.args, two.keywords)
    if isinstance(one, types.FunctionType):
        return one.__code__ is two.__code__
    if type(one).__module__.startswith("x_transformers."):
        return vars(one) == vars(two)
    return bool(one == two)


def _is_softmax(call: functools.partial[Any]) -> bool:
    """In float32 or in the dtype of the scores: one and the same up to rounding."""
    left = {k: v for k, v in call.keywords.items() if k != "dtype"}
    dtype = call.keywords.get("dtype")
    known = dtype in (None, torch.float32, torch.float64)
    return call.func is F.softmax and not call.args and left == {"dim": -1} and known


def _words(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)}"
    if isinstance(value, nn.Module):
        return type(value).__name__
    return getattr(value, "__name__", None) or repr(value)[:60]
