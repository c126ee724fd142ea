"""DETR's transformer: an encoder of image features, and a decoder of object queries.

Position codes are inputs of theirs, and in every layer added to queries and keys, never to values.
Here tokens carry them: inputs are `torch.cat([features, codes], -1)`, of 2 * d_model channels, and
so is the decoder's memory; the outputs are the d_model channels of the content.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.common import activation, no_labels, plain
from tokennet.interop.translation import Line, module
from tokennet.mixers import Attention, Heads, Mixer, TokenWise
from tokennet.mixers.channels import AddedCode, FirstChannels, OnFirst, ThenZeros
from tokennet.net import Block, FeatureTokenizer, PostNorm, TokenNet
from tokennet.topology import Full, Memory, Topology

OUTSIDE = (
    # what comes before and behind the two
    "backbone", "backbone_config", "backbone_kwargs", "dilation", "num_channels", "num_queries",
    "position_embedding_type", "use_pretrained_backbone", "use_timm_backbone",
    "tie_word_embeddings",
    # beginnings and losses
    "init_std", "init_xavier_std", "class_cost", "bbox_cost", "giou_cost", "eos_coefficient",
    "mask_loss_coefficient", "dice_loss_coefficient", "bbox_loss_coefficient",
    "giou_loss_coefficient",
)  # fmt: skip


def _norm(wide: int) -> nn.Module:
    """Of the content alone."""
    return OnFirst(nn.LayerNorm(wide // 2), wide // 2)


def _attention(dim: int, heads: int, topology: Topology, dropout: float) -> Attention:
    given = Heads(heads, head_dim=dim // heads)
    return Attention(2 * dim, given, topology, dropout=dropout).with_maps(
        query=nn.Sequential(AddedCode(dim), nn.Linear(dim, dim)),
        key=nn.Sequential(AddedCode(dim), nn.Linear(dim, dim)),
        value=nn.Sequential(FirstChannels(dim), nn.Linear(dim, dim)),
        output=nn.Sequential(nn.Linear(dim, dim), ThenZeros(dim)),
    )


def _attention_lines(theirs: str, ours: str) -> list[Line]:
    names = {"q": "query.1", "k": "key.1", "v": "value.1", "o": "output.0"}
    return [
        line
        for their, own in names.items()
        for line in module(f"{theirs}.{their}_proj", f"{ours}.{own}")
    ]


def _common(options: Options, side: str) -> tuple[int, Callable[[int], list[Mixer]], int, float]:
    """Channels, a maker of a block's parts, how many blocks, and the dropout."""
    plain(options, encoder_decoder=True)  # as a whole
    no_labels(options)
    options.ignore(*OUTSIDE)
    other = "decoder" if side == "encoder" else "encoder"
    options.ignore(f"{other}_layers", f"{other}_ffn_dim", f"{other}_attention_heads")
    options.fixed(encoder_layerdrop=0.0, decoder_layerdrop=0.0)
    dim, heads = options.take_int("d_model", 256), options.take_int(f"{side}_attention_heads", 8)
    if dim % heads:
        raise options.refused(f"{side}_attention_heads", heads, f"a divisor of d_model ({dim})")
    hidden = options.take_int(f"{side}_ffn_dim", 2048)
    act = activation(options, "activation_function", "relu")
    weights = options.take_rate("attention_dropout", 0.0)
    inner = options.take_rate("activation_dropout", 0.0)
    dropout = options.take_rate("dropout", 0.1)

    def make(count: int) -> list[Mixer]:
        topologies: list[Topology] = [Full(), Memory()][:count]
        mlp = TokenWise(
            FirstChannels(dim), nn.Linear(dim, hidden), act(), nn.Dropout(inner),
            nn.Linear(hidden, dim), ThenZeros(dim),
        )  # fmt: skip
        return [*(_attention(dim, heads, t, weights) for t in topologies), mlp]

    return dim, make, options.take_depth(f"{side}_layers", 6), dropout


def _block(dim: int, parts: list[Mixer], dropout: float) -> Block:
    residual: Any = partial(PostNorm, norm=_norm)
    return Block(2 * dim, *parts[:-1], mlp=parts[-1], residual=residual, dropout=dropout)


def _mlp_lines(theirs: str, ours: str) -> list[Line]:
    return [
        *module(f"{theirs}.mlp.fc1", f"{ours}.mixer.map.1"),
        *module(f"{theirs}.mlp.fc2", f"{ours}.mixer.map.4"),
        *module(f"{theirs}.final_layer_norm", f"{ours}.norm.module"),
    ]


def _encoder(options: Options) -> Draft:
    options.ignore("auxiliary_loss")  # of the decoder
    dim, make, count, dropout = _common(options, "encoder")
    mixers: list[Mixer] = [TokenWise(OnFirst(nn.Dropout(dropout), dim))]
    lines: list[Line] = []
    for i in range(count):
        mixers.append(_block(dim, make(1), dropout))
        theirs, ours = f"layers.{i}", f"mixers.{i + 1}.mixers"
        lines += _attention_lines(f"{theirs}.self_attn", f"{ours}.0.mixer")
        lines += module(f"{theirs}.self_attn_layer_norm", f"{ours}.0.norm.module")
        lines += _mlp_lines(theirs, f"{ours}.1")
    return Draft(TokenNet(FeatureTokenizer(2 * dim), mixers, TokenWise(FirstChannels(dim))), lines)


def _decoder(options: Options) -> Draft:
    # with it theirs feeds the last norm's outputs back into the layers, as DETR does not
    options.fixed(auxiliary_loss=False)
    dim, make, count, dropout = _common(options, "decoder")
    mixers: list[Mixer] = []
    lines: list[Line] = []
    for i in range(count):
        mixers.append(_block(dim, make(2), dropout))
        theirs, ours = f"layers.{i}", f"mixers.{i}.mixers"
        for j, name in enumerate(("self_attn", "encoder_attn")):
            lines += _attention_lines(f"{theirs}.{name}", f"{ours}.{j}.mixer")
            lines += module(f"{theirs}.{name}_layer_norm", f"{ours}.{j}.norm.module")
        lines += _mlp_lines(theirs, f"{ours}.2")
    last = TokenWise(FirstChannels(dim), nn.LayerNorm(dim))
    lines += module("layernorm", "readout.map.1")
    return Draft(TokenNet(FeatureTokenizer(2 * dim), mixers, last), lines)


READ = {"DetrDecoder": _decoder, "DetrEncoder": _encoder}
