"""ViT: pre-norm encoders over patches of one size of image."""

from functools import partial
from typing import Any

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.common import (
    activation,
    attention_lines,
    mlp_lines,
    no_labels,
    norm_of,
    num_labels,
    plain,
)
from tokennet.interop.translation import Line, module, shaped
from tokennet.mixers import Attention, Heads, Mixer, Pointwise, TokenWise
from tokennet.net import (
    Block,
    ClassReadout,
    ClassToken,
    LearnedPosition,
    PatchTokenizer,
    PreNorm,
    TokenNet,
)

OLDER = (
    (r"encoder\.layer\.(\d+)\.", r"layers.\1."),
    (r"attention\.attention\.query\.", "attention.q_proj."),
    (r"attention\.attention\.key\.", "attention.k_proj."),
    (r"attention\.attention\.value\.", "attention.v_proj."),
    (r"attention\.output\.dense\.", "attention.o_proj."),
    (r"intermediate\.dense\.", "mlp.fc1."),
    (r"output\.dense\.", "mlp.fc2."),
)
"""Names of files from before transformers 5, which it still writes."""


def encoder(options: Options, prefix: str) -> tuple[ClassToken, list[Mixer], list[Line]]:
    """The tokenizer and the mixers, without the last norm."""
    plain(options)
    options.ignore("encoder_stride", "pooler_output_size", "pooler_act", "tie_word_embeddings")
    dim, channels = options.take_int("hidden_size"), options.take_int("num_channels", 3)
    size, patch = _size(options)
    dropout = options.take_rate("hidden_dropout_prob", 0.0)
    bias = options.take("qkv_bias", True, among=(True, False))
    heads = Heads(options.take_int("num_attention_heads"), bias=bias)
    hidden, act = options.take_int("intermediate_size"), activation(options, "hidden_act", "gelu")
    weights_dropout = options.take_rate("attention_probs_dropout_prob", 0.0)
    norm = norm_of(options.take_number("layer_norm_eps", 1e-12))
    tokenizer = ClassToken(PatchTokenizer(channels, patch, dim, size=size))
    count = size[0] // patch * (size[1] // patch) + 1
    mixers: list[Mixer] = [LearnedPosition(count, dim), TokenWise(nn.Dropout(dropout))]
    at = f"{prefix}embeddings."
    lines = [
        shaped(f"{at}cls_token", "tokenizer.token", (1, 1, dim)),
        shaped(f"{at}position_embeddings", "mixers.0.code", (1, count, dim)),
        *module(f"{at}patch_embeddings.projection", "tokenizer.tokenizer.map"),
    ]
    for i in range(options.take_depth("num_hidden_layers")):
        attention = Attention(dim, heads, dropout=weights_dropout)
        if not bias:
            attention.with_maps(output=nn.Linear(dim, dim))  # the output map has one in any case
        mlp = Pointwise(dim, hidden, activation=act)
        residual = partial(PreNorm, norm=norm)
        mixers.append(Block(dim, attention, mlp=mlp, residual=residual, dropout=dropout))
        lines += _layer(f"{prefix}layers.{i}", f"mixers.{i + 2}.mixers", bias)
    return tokenizer, mixers, lines


def _size(options: Options) -> tuple[tuple[int, int], int]:
    """Height and width of the images, and the side of a patch."""
    image, patch = options.take("image_size"), options.take("patch_size")
    sides = _whole(options, "patch_size", patch)
    if len(sides) != 2 or sides[0] != sides[1]:
        raise options.refused("patch_size", patch, "a square")
    size = _whole(options, "image_size", image)
    if len(size) != 2 or any(n % sides[0] for n in size):
        raise options.refused("image_size", image, f"whole patches of patch_size {patch}")
    return (size[0], size[1]), sides[0]


def _whole(options: Options, key: str, given: Any) -> list[int]:
    both = given if isinstance(given, list | tuple) else (given, given)
    return [options.whole(key, n) for n in both]


def _layer(theirs: str, ours: str, bias: bool) -> list[Line]:
    maps = [f"{theirs}.attention.{name}_proj" for name in "qkvo"]
    return [
        *attention_lines(maps, f"{ours}.0.mixer", bias=(bias, bias, bias, True)),
        *module(f"{theirs}.layernorm_before", f"{ours}.0.norm"),
        *mlp_lines(f"{theirs}.mlp.fc1", f"{theirs}.mlp.fc2", f"{ours}.1.mixer"),
        *module(f"{theirs}.layernorm_after", f"{ours}.1.norm"),
    ]


def _norm(options: Options) -> Any:
    return norm_of(options.take_number("layer_norm_eps", 1e-12))


def _model(options: Options) -> Draft:
    """The hidden states behind the last norm; the pooler is kept for the way back."""
    no_labels(options)
    tokenizer, mixers, lines = encoder(options, "")
    net = TokenNet(tokenizer, mixers, TokenWise(_norm(options)(tokenizer.dim)))
    lines += module("layernorm", "readout.map")
    return Draft(net, lines, ("pooler.", "embeddings.mask_token"), OLDER)


def _images(options: Options) -> Draft:
    """A score for each label, from the class token."""
    tokenizer, mixers, lines = encoder(options, "vit.")
    labels, dim = num_labels(options), tokenizer.dim
    if labels < 1:
        raise options.refused("num_labels", labels, "at least 1")
    readout = ClassReadout(dim, labels, norm=_norm(options))
    lines += module("vit.layernorm", "readout.norm") + module("classifier", "readout.map")
    return Draft(TokenNet(tokenizer, mixers, readout), lines, ("vit.pooler.",), OLDER)


READ = {"ViTForImageClassification": _images, "ViTModel": _model}
