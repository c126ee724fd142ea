"""GPT-2."""

import math
from functools import partial
from typing import Any

import torch
from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.common import activation, no_labels, norm_of, plain
from tokennet.interop.translation import Line, constant, joined, module, same, turned
from tokennet.mixers import Attention, DotScore, Mixer, Pointwise, TokenWise
from tokennet.net import (
    Block,
    EmbeddingTokenizer,
    LearnedPosition,
    PreNorm,
    TokenNet,
    TokenReadout,
)
from tokennet.topology import Causal


def read(options: Options) -> Draft:
    """Ids `[B, N]` to hidden states, or to scores of the next id."""
    plain(options)
    no_labels(options)
    options.ignore(
        "n_ctx", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
        "summary_type", "summary_use_proj",
    )  # fmt: skip
    options.fixed(add_cross_attention=False, reorder_and_upcast_attn=False)
    dim, size = options.take_int("n_embd", 768), options.take_int("vocab_size", 50257)
    places, layers = options.take_int("n_positions", 1024), options.take_depth("n_layer", 12)
    norm = norm_of(options.take_number("layer_norm_epsilon", 1e-5))
    dropout = options.take_rate("embd_pdrop", 0.1)
    tokenizer = EmbeddingTokenizer(size, dim)
    first: list[Mixer] = [LearnedPosition(places, dim)]
    if dropout:
        first.append(TokenWise(nn.Dropout(dropout)))
    blocks = _blocks(options, dim, layers, norm)
    tied = options.take("tie_word_embeddings", True, among=(True, False))
    readout: Mixer = TokenWise(norm(dim))
    if options.name == "GPT2LMHeadModel":
        head = nn.Linear(dim, size, bias=False)
        if tied:
            head.weight = tokenizer.embedding.weight
        readout = TokenReadout(dim, size, norm=norm, map=head)
    net = TokenNet(tokenizer, [*first, *blocks], readout)
    return _draft(options.name, net, layers, len(first), places, tied)


def _blocks(options: Options, dim: int, layers: int, norm: Any) -> list[Mixer]:
    heads, hidden = options.take_int("n_head", 12), options.take_int("n_inner", None)
    scaled = options.take("scale_attn_weights", True, among=(True, False))
    by_layer = options.take("scale_attn_by_inverse_layer_idx", False, among=(True, False))
    act = activation(options, "activation_function", "gelu_new")
    inside, branch = options.take_rate("attn_pdrop", 0.1), options.take_rate("resid_pdrop", 0.1)
    if by_layer and dim == heads and layers > 1:
        key = "scale_attn_by_inverse_layer_idx"
        raise options.refused(key, True, "False with heads of one channel")

    def block(i: int) -> Mixer:
        power = 0.5 if scaled else 0.0
        if by_layer and i:  # D**-power: also divided by i + 1
            power += math.log(i + 1) / math.log(dim // heads)
        attention = Attention(
            dim, heads, Causal(), score=DotScore(power=power), dropout=inside
        )  # fmt: skip
        mlp = Pointwise(dim, 4 * dim if hidden is None else hidden, activation=act)
        return Block(
            dim, attention, mlp=mlp, residual=partial(PreNorm, norm=norm), dropout=branch
        )  # fmt: skip

    return [block(i) for i in range(layers)]


def _draft(kind: str, net: TokenNet, layers: int, first: int, places: int, tied: bool) -> Draft:
    has_head = kind == "GPT2LMHeadModel"
    prefix = "transformer." if has_head else ""
    lines: list[Line] = [
        same(f"{prefix}wte.weight", "tokenizer.embedding.weight"),
        same(f"{prefix}wpe.weight", "mixers.0.code"),
        *module(f"{prefix}ln_f", "readout.norm" if has_head else "readout.map"),
    ]
    mask = torch.ones(places, places).tril().view(1, 1, places, places)
    for i in range(layers):
        theirs, ours = f"{prefix}h.{i}", f"mixers.{first + i}.mixers"
        parts = [f"{ours}.0.mixer.{n}" for n in ("query", "key", "value")]
        lines += [
            *module(f"{theirs}.ln_1", f"{ours}.0.norm"),
            *module(f"{theirs}.ln_2", f"{ours}.1.norm"),
            joined(f"{theirs}.attn.c_attn.weight", *[f"{p}.weight" for p in parts], turned=True),
            joined(f"{theirs}.attn.c_attn.bias", *[f"{p}.bias" for p in parts]),
        ]
        for name, own in (
            ("attn.c_proj", "0.mixer.output"),
            ("mlp.c_fc", "1.mixer.map.0"),
            ("mlp.c_proj", "1.mixer.map.3"),
        ):
            lines.append(turned(f"{theirs}.{name}.weight", f"{ours}.{own}.weight"))
            lines.append(same(f"{theirs}.{name}.bias", f"{ours}.{own}.bias"))
        # files of before 2023 have the mask of the attention, and the number for what it hides
        lines.append(constant(f"{theirs}.attn.bias", mask))
        lines.append(constant(f"{theirs}.attn.masked_bias", torch.tensor(-1e4)))
    if has_head:
        lines.append(same("lm_head.weight", "readout.map.weight", again=tied))
    # the files of the first models were written by the one without the head
    older = ((r"^(wte|wpe|h|ln_f)\.", rf"{prefix}\1."),)
    return Draft(net, lines, older=older)


READ = dict.fromkeys(("GPT2Model", "GPT2LMHeadModel"), read)
