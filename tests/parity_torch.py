"""`nn.TransformerEncoder`, `nn.TransformerDecoder`, `nn.Transformer`, `nn.MultiheadAttention`
beside their imports.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from parity import Case
from parity_torch_inputs import DIM, Given, audit_one, audit_two, inputs
from torch import Tensor, nn

import tokennet as tn

NAN = {"NaNPadding": "a NaN at padding reaches real tokens, since a weight of 0 times NaN is NaN"}
EMPTY = {
    "Finite": "a token with nobody to listen to gets NaN; here the bias of the output map",
    "GradientOf(Finite)": "and so do all gradients",
}
FRONT = {"GradientOf(LeftPadding)": "padding in front has nobody before it: NaN in all gradients"}
ACTIVATIONS = (F.gelu, F.silu, torch.tanh, F.relu, nn.GELU(approximate="tanh"))


def _mask(tokens: int, causal: bool) -> Tensor | None:
    return torch.ones(tokens, tokens, dtype=torch.bool).triu(1) if causal else None


def _options(seed: int, given: dict[str, Any]) -> dict[str, Any]:
    """Of a layer: some by the seed, those that the case is about given."""
    drawn = {
        "dim_feedforward": 5 + seed % 9,
        "norm_first": bool(seed % 3 % 2),
        "activation": ACTIVATIONS[seed % 5],
        "layer_norm_eps": [1e-5, 1e-3][seed % 2],
    }
    return {**drawn, **given, "dropout": 0.0, "batch_first": True}


def _encoder(seed: int, given: dict[str, Any], norm: bool, layer_only: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(DIM, [1, 2, 4][seed % 3], **_options(seed, given))
    if layer_only:
        return layer
    last = nn.LayerNorm(DIM) if norm else None
    return nn.TransformerEncoder(layer, 1 + seed % 3, last, enable_nested_tensor=False)


def _decoder(seed: int, given: dict[str, Any], norm: bool, layer_only: bool) -> nn.Module:
    layer = nn.TransformerDecoderLayer(DIM, [1, 2, 4][seed % 3], **_options(seed, given))
    if layer_only:
        return layer
    return nn.TransformerDecoder(layer, 1 + seed % 3, nn.LayerNorm(DIM) if norm else None)


def _call_encoder(model: Any, x: Tensor, valid: Tensor, causal: bool) -> Tensor:
    mask = _mask(x.shape[1], causal)
    return model(x, mask, src_key_padding_mask=~valid, is_causal=causal)


def _call_decoder(
    model: Any, x: Tensor, memory: Tensor, valid: Tensor, memory_valid: Tensor, causal: bool
) -> Tensor:
    return model(
        x, memory, _mask(x.shape[1], causal), tgt_is_causal=causal,
        tgt_key_padding_mask=~valid, memory_key_padding_mask=~memory_valid,
    )  # fmt: skip


def _theirs(model: Any, given: Given, call: Callable[..., Tensor]) -> dict[str, Tensor]:
    """The output, and the tokens after each layer where there are several."""
    x, found = given.x, {}
    for i, layer in enumerate(getattr(model, "layers", [])):
        x = call(layer, given, x)
        found[f"layer {i}"] = x[given.valid]
    return {"output": call(model, given, given.x)[given.valid], **found}


def _ours(net: "tn.TokenNet", given: Given, *, memory: bool) -> dict[str, Tensor]:
    inputs = given.ours(memory=memory)
    found = {}
    if net.origin.kind.endswith("coder"):
        states = tn.inspect.hidden_states(net, *inputs)[1:]
        found = {f"layer {i}": given.rows(y) for i, y in enumerate(states)}
    return {"output": given.rows(net(*inputs)), **found}


def encoder_case(
    name: str, *, causal: bool = False, norm: bool = True, layer_only: bool = False,
    differs: dict[str, str] | None = None, **options: Any,
) -> Case:  # fmt: skip
    run = functools.partial(_call_encoder, causal=causal)
    return Case(
        name, "torch",
        lambda seed: _encoder(seed, options, norm, layer_only),
        functools.partial(tn.interop.from_torch, causal=causal),
        inputs,
        lambda m, given: _theirs(m, given, lambda part, g, x: run(part, x, g.valid)),
        functools.partial(_ours, memory=False),
        functools.partial(audit_one, run=run),
        {**NAN, **(differs or {})},
    )  # fmt: skip


def decoder_case(
    name: str, *, causal: bool = True, norm: bool = True, layer_only: bool = False,
    differs: dict[str, str] | None = None, **options: Any,
) -> Case:  # fmt: skip
    run = functools.partial(_call_decoder, causal=causal)

    def call(part: nn.Module, g: Given, x: Tensor) -> Tensor:
        return run(part, x, g.memory, g.valid, g.memory_valid)

    return Case(
        name, "torch",
        lambda seed: _decoder(seed, options, norm, layer_only),
        functools.partial(tn.interop.from_torch, causal=causal),
        inputs,
        functools.partial(_theirs, call=call),
        functools.partial(_ours, memory=True),
        functools.partial(audit_two, run=run),
        {**NAN, **(differs or {})},
    )  # fmt: skip


def _transformer(seed: int) -> nn.Module:
    layers = 1 + seed % 2, 1 + seed % 3
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor", UserWarning)
        model = nn.Transformer(DIM, [1, 2, 4][seed % 3], *layers, **_options(seed, {}))
    model.encoder.use_nested_tensor = False  # what it changes has a test of its own
    return model


def _call_transformer(
    model: Any, target: Tensor, source: Tensor, valid: Tensor, source_valid: Tensor
) -> Tensor:
    return model(
        source, target, tgt_mask=_mask(target.shape[1], True), tgt_is_causal=True,
        src_key_padding_mask=~source_valid, tgt_key_padding_mask=~valid,
        memory_key_padding_mask=~source_valid,
    )  # fmt: skip


def _their_transformer(model: Any, g: Given) -> dict[str, Tensor]:
    memory = model.encoder(g.memory, src_key_padding_mask=~g.memory_valid)
    y = _call_transformer(model, g.x, g.memory, g.valid, g.memory_valid)
    return {"output": y[g.valid], "memory": memory[g.memory_valid]}


def _our_transformer(net: Any, g: Given) -> dict[str, Tensor]:
    x, structure = g.ours()
    source, facts = g.swapped().ours()
    y, memory = net((source, x, facts), structure), net.tokenizer.encoder(source, facts)
    return {"output": g.rows(y), "memory": g.swapped().rows(memory)}


def _run_transformer(
    net: Any, x: Tensor, source: Tensor, valid: Tensor, source_valid: Tensor
) -> Tensor:
    facts = tn.Structure.padded(source_valid.bool())
    return net((source, x, facts), tn.Structure.padded(valid.bool()))


def _attention(seed: int, source: int | None, bias: bool = True) -> nn.Module:
    heads = [1, 2, 4][seed % 3]
    return nn.MultiheadAttention(DIM, heads, kdim=source, vdim=source, bias=bias, batch_first=True)


def _call_attention(model: Any, x: Tensor, valid: Tensor, causal: bool = False) -> Tensor:
    return _weighed(model, x, x, valid, _mask(x.shape[1], causal))[0]


def _call_cross(
    model: Any, x: Tensor, memory: Tensor, valid: Tensor, memory_valid: Tensor
) -> Tensor:
    return _weighed(model, x, memory, memory_valid, None)[0]


def _weighed(
    model: Any, x: Tensor, source: Tensor, valid: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    return model(
        x, source, source, key_padding_mask=~valid, attn_mask=mask, average_attn_weights=False
    )


def _their_attention(model: Any, g: Given, *, memory: bool, causal: bool) -> dict[str, Tensor]:
    source, valid = (g.memory, g.memory_valid) if memory else (g.x, g.valid)
    y, weights = _weighed(model, g.x, source, valid, _mask(g.x.shape[1], causal))
    return {"output": y[g.valid], "weights": weights.transpose(1, 2)[g.valid]}


def _our_attention(net: Any, g: Given, *, memory: bool) -> dict[str, Tensor]:
    inputs = g.ours(memory=memory)
    weights = net.mixers[0].weights(*inputs)  # of the padded view
    return {"output": g.rows(net(*inputs)), "weights": weights.transpose(1, 2)[g.valid]}


def attention_case(
    name: str, *, source: int | None = None, memory: bool = False, causal: bool = False,
    bias: bool = True, differs: dict[str, str] | None = None,
) -> Case:  # fmt: skip
    run = functools.partial(_call_attention, causal=causal)
    audit: Any = functools.partial(audit_one, run=run)
    return Case(
        name, "torch",
        lambda seed: _attention(seed, source, bias),
        functools.partial(tn.interop.from_torch, causal=causal, memory=memory),
        inputs,
        functools.partial(_their_attention, memory=memory, causal=causal),
        functools.partial(_our_attention, memory=memory),
        functools.partial(audit_two, run=_call_cross) if memory else audit,
        {**NAN, **(differs or {})},
    )  # fmt: skip


_ALL = (
    encoder_case("nn.TransformerEncoderLayer, padded", layer_only=True),
    encoder_case("nn.TransformerEncoder, post-norm, padded", norm_first=False, norm=False),
    encoder_case(
        "nn.TransformerEncoder, pre-norm, GELU, padded", norm_first=True, activation=F.gelu
    ),
    encoder_case("nn.TransformerEncoder, no biases, padded", bias=False),
    encoder_case("nn.TransformerEncoder, causal, padded", causal=True),
    decoder_case("nn.TransformerDecoderLayer, causal, padded", layer_only=True),
    decoder_case("nn.TransformerDecoder, post-norm, causal, padded", norm_first=False, norm=False),
    decoder_case("nn.TransformerDecoder, pre-norm, padded", norm_first=True, causal=False),
    Case(
        "nn.Transformer, causal, padded", "torch", _transformer,
        functools.partial(tn.interop.from_torch, causal=True), inputs,
        _their_transformer, _our_transformer,
        functools.partial(audit_two, run=_call_transformer, own=_run_transformer), NAN,
    ),
    attention_case("nn.MultiheadAttention, padded", differs=EMPTY),
    attention_case("nn.MultiheadAttention, causal, padded", causal=True, differs=EMPTY | FRONT),
    attention_case("nn.MultiheadAttention, to memory, padded", memory=True, bias=False),
    attention_case("nn.MultiheadAttention, kdim and vdim, padded", memory=True, source=5),
)  # fmt: skip
CASES = {case.name: case for case in _ALL}
