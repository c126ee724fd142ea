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
from tokennet.net import Block, EmbeddingTokenizer, PreNorm, TokenNet, TokenReadout
from tokennet.topology import Causal, Topology, Window

SIZES = {  # what a configuration that does not say them means
    "Llama": (32000, 11008, None),
    "Mistral": (32000, 14336, 8),
    "Qwen2": (151936, 22016, 32),
}
"""Ids, hidden channels of the MLP, heads of keys and values."""


def read(options: Options) -> Draft:
    """Ids `[B, N]` to hidden states, or to scores of the next id."""
    plain(options)
    no_labels(options)
    # the code is computed for any number of tokens
    options.ignore("max_position_embeddings", "pretraining_tp")
    family = options.name.removesuffix("Model").removesuffix("ForCausalLM")
    ids, hidden, groups = SIZES[family]
    size, dim = options.take("vocab_size", ids), options.take("hidden_size", 4096)
    layers = options.take("num_hidden_layers", 32)
    norm = partial(RoundedRMSNorm, eps=float(options.take("rms_norm_eps", 1e-6)))
    bias = _biases(options, family)
    attention = _attention(options, dim, groups, bias)
    mlp = partial(
        GatedMLP, dim, options.take("intermediate_size", hidden),
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
    heads = options.take("num_attention_heads", 32)
    kv_heads = options.take("num_key_value_heads", groups) or heads
    head_dim = options.take("head_dim", None) or dim // heads
    base, dropout = _base(options), options.take("attention_dropout", 0.0)

    def attention(topology: Topology) -> Mixer:
        made = Attention(
            dim, Heads(heads, head_dim=head_dim, kv_heads=kv_heads, bias=bias[0]), topology,
            score=DotScore(Rotary(head_dim, base=base, angles=torch.float32)), dropout=dropout,
        )  # fmt: skip
        if bias[1] != bias[0]:
            made.with_maps(output=nn.Linear(heads * head_dim, dim, bias=bias[1]))
        return made

    return attention


def _base(options: Options) -> float:
    """The base of the rotary codes; scaled ones for longer texts are refused."""
    options.fixed(partial_rotary_factor=1.0)
    base = options.take("rope_theta", 10_000.0)
    for key in ("rope_parameters", "rope_scaling"):  # the second: before version 5
        given: Any = options.take(key, None)
        if given is not None:
            inner = Options(f"{options.name}.{key}", given)
            inner.fixed(rope_type="default", type="default", partial_rotary_factor=1.0)
            base = inner.take("rope_theta", base)
            inner.finish()
    return float(base)


def _topologies(options: Options, family: str, layers: int) -> list[Topology]:
    """For each layer which tokens are heard: all so far, or the last `sliding_window` of them."""
    if family == "Llama":
        return [Causal()] * layers
    window = options.take("sliding_window", 4096)
    slides = [window is not None] * layers
    if family == "Qwen2":
        first = options.take("max_window_layers", 28)
        used = options.take("use_sliding_window", False, among=(True, False))
        slides = [used and window is not None and i >= first for i in range(layers)]
        names = options.take("layer_types", None)
        if names is not None:
            allowed = ("full_attention", "sliding_attention")
            odd = [n for n in names if n not in allowed]
            if odd or len(names) != layers:
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
