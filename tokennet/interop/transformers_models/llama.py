"""Llama, Mistral, Qwen 2: rotary codes, grouped queries, a gated MLP.

At an id `pad_token_id` among the real tokens, its embedding gets a gradient here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.common import (
    activation,
    attention_lines,
    no_labels,
    plain,
)
from tokennet.interop.translation import Line, module, same
from tokennet.mixers import Attention, DotScore, GatedMLP, Heads, Mixer, Rotary, TokenWise
from tokennet.mixers.rounded_norm import RoundedRMSNorm
from tokennet.mixers.stretched_rotary import StretchedRotary
from tokennet.net import Block, EmbeddingTokenizer, PreNorm, TokenNet, TokenReadout
from tokennet.topology import Causal, Topology, Window

SIZES = {  # what a configuration that does not say them means
    "Llama": (32000, 11008, None),
    "Mistral": (32000, 14336, 8),
    "Qwen2": (151936, 22016, 32),
}
"""Ids, hidden channels of the MLP, heads of keys and values."""
SPELLED_OUT: dict[str, dict[str, bool]] = {
    "Llama": {"rope_interleaved": False},
    "Mistral": {},
    "Qwen2": {"use_mrope": False},
}
"""What the classes have no option for, but published files name: SmolLM's and Qwen 2.5's."""


def read(options: Options) -> Draft:
    """Ids `[B, N]` to hidden states, or to scores of the next id."""
    plain(options)
    no_labels(options)
    # the code is computed for any number of tokens
    options.ignore("max_position_embeddings", "pretraining_tp", "is_llama_config")
    family = options.name.removesuffix("Model").removesuffix("ForCausalLM")
    options.fixed(**SPELLED_OUT[family])
    ids, hidden, groups = SIZES[family]
    size, dim = options.take_int("vocab_size", ids), options.take_int("hidden_size", 4096)
    layers = options.take_depth("num_hidden_layers", 32)
    norm = partial(RoundedRMSNorm, eps=float(options.take_number("rms_norm_eps", 1e-6)))
    bias = _biases(options, family)
    attention = _attention(options, dim, groups, bias)
    mlp = partial(
        GatedMLP, dim, options.take_int("intermediate_size", hidden),
        activation=activation(options, "hidden_act", "silu"), bias=bias[-1],
    )  # fmt: skip
    residual = partial(PreNorm, norm=norm)
    tokenizer = EmbeddingTokenizer(size, dim)
    blocks = [
        Block(dim, attention(topology), mlp=mlp(), residual=residual)
        for topology in _topologies(options, family, layers)
    ]
    tied = options.take("tie_word_embeddings", False, among=(True, False))
    readout: Mixer = TokenWise(norm(dim))
    has_head = options.name.endswith("ForCausalLM")
    if has_head:
        head = nn.Linear(dim, size, bias=False)
        if tied:
            head.weight = tokenizer.embedding.weight
        readout = TokenReadout(dim, size, norm=norm, map=head)
    net = TokenNet(tokenizer, blocks, readout)
    prefix = "model." if has_head else ""
    lines = _lines(prefix, layers, bias)
    lines.append(same(f"{prefix}norm.weight", f"readout.{'norm' if has_head else 'map'}.weight"))
    if has_head:
        lines.append(same("lm_head.weight", "readout.map.weight", again=tied))
    # files of before 2023 have the frequencies of the code, which the options tell
    kept = [f"{prefix}layers.{i}.self_attn.rotary_emb.inv_freq" for i in range(layers)]
    return Draft(net, lines, tuple(kept))


def _biases(options: Options, family: str) -> tuple[bool, bool, bool]:
    """Whether query, key and value, the output, and the MLP have one."""
    if family != "Llama":
        return family == "Qwen2", False, False
    both = options.take("attention_bias", False, among=(True, False))
    return both, both, options.take("mlp_bias", False, among=(True, False))


def _attention(
    options: Options, dim: int, groups: int | None, bias: tuple[bool, bool, bool]
) -> Callable[[Topology], Mixer]:
    heads = options.take_int("num_attention_heads", 32)
    kv_heads = options.take("num_key_value_heads", groups)
    kv_heads = heads if kv_heads is None else options.whole("num_key_value_heads", kv_heads)
    head_dim = options.take_int("head_dim", None) or dim // heads
    code, dropout = _code(options), options.take_rate("attention_dropout", 0.0)

    def attention(topology: Topology) -> Mixer:
        made = Attention(
            dim, Heads(heads, head_dim=head_dim, kv_heads=kv_heads, bias=bias[0]), topology,
            score=DotScore(code(head_dim)), dropout=dropout,
        )  # fmt: skip
        if bias[1] != bias[0]:
            made.with_maps(output=nn.Linear(heads * head_dim, dim, bias=bias[1]))
        return made

    return attention


def _code(options: Options) -> Callable[[int], Rotary]:
    """A maker of the rotary codes; of the ways to stretch them there is Llama 3.1's."""
    options.fixed(partial_rotary_factor=1.0)
    base = options.take_number("rope_theta", 10_000.0)
    stretch: dict[str, Any] = {}
    for key in ("rope_parameters", "rope_scaling"):  # the second: before version 5
        given: Any = options.take(key, None)
        if given is None:
            continue
        inner = Options(f"{options.name}.{key}", given)
        inner.fixed(partial_rotary_factor=1.0)
        names = [n for n in ("rope_type", "type") if inner.has(n)]
        kinds = [inner.take(n, among=("default", "llama3")) for n in names]
        base = inner.take_number("rope_theta", base)
        if "llama3" in kinds:
            stretch = {
                "factor": inner.take_number("factor", least=1.0),
                "low": inner.take_number("low_freq_factor"),
                "high": inner.take_number("high_freq_factor"),
                "original_tokens": inner.take_int("original_max_position_embeddings"),
            }
            if stretch["high"] <= stretch["low"]:
                raise inner.refused("high_freq_factor", stretch["high"], "above low_freq_factor")
        inner.finish()
    if not base > 1:
        raise options.refused("rope_theta", base, "a number greater than 1")
    made = partial(StretchedRotary, **stretch) if stretch else Rotary
    return partial(made, base=base, angles=torch.float32)


def _topologies(options: Options, family: str, layers: int) -> list[Topology]:
    """For each layer which tokens are heard: all so far, or the last `sliding_window` of them."""
    if family == "Llama":
        return [Causal()] * layers
    window = options.take("sliding_window", 4096)
    if window is not None:
        options.whole("sliding_window", window)
    slides = [window is not None] * layers
    if family == "Qwen2":
        first = options.take_int("max_window_layers", 28, least=0)
        used = options.take("use_sliding_window", False, among=(True, False))
        slides = [used and window is not None and i >= first for i in range(layers)]
        names = options.take("layer_types", None)
        if names is not None:
            allowed = ("full_attention", "sliding_attention")
            known = isinstance(names, list) and all(n in allowed for n in names)
            if not known or len(names) != layers:
                what = f"a list of {layers}, each {' or '.join(allowed)}"
                raise options.refused("layer_types", names, what)
            slides = [n == "sliding_attention" and used for n in names]
    # the token itself is one of the window
    return [Causal() & Window(window - 1) if slide else Causal() for slide in slides]


def _lines(prefix: str, layers: int, bias: tuple[bool, bool, bool]) -> list[Line]:
    lines = [same(f"{prefix}embed_tokens.weight", "tokenizer.embedding.weight")]
    for i in range(layers):
        theirs, ours = f"{prefix}layers.{i}", f"mixers.{i}.mixers"
        maps = [f"{theirs}.self_attn.{n}_proj" for n in "qkvo"]
        has = (bias[0], bias[0], bias[0], bias[1])
        lines += [
            same(f"{theirs}.input_layernorm.weight", f"{ours}.0.norm.weight"),
            same(f"{theirs}.post_attention_layernorm.weight", f"{ours}.1.norm.weight"),
            *attention_lines(maps, f"{ours}.0.mixer", bias=has),
        ]
        names = ("weight", "bias") if bias[2] else ("weight",)
        for name, own in (("gate", "gate"), ("up", "value"), ("down", "output")):
            lines += module(f"{theirs}.mlp.{name}_proj", f"{ours}.1.mixer.{own}", *names)
    return lines


KINDS = [f"{family}{what}" for family in SIZES for what in ("Model", "ForCausalLM")]
READ = dict.fromkeys(KINDS, read)
