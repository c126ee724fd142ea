"""`VisionTransformer`, and DeiT's `VisionTransformerDistilled` with two tokens and two heads."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.checks import value_error
from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.timm_models import parts
from tokennet.interop.translation import Line, Shapes, joined, module, same, shaped
from tokennet.mixers import Attention, Heads, Mixer, Pointwise, TokenWise
from tokennet.net import (
    Block,
    ClassReadout,
    ClassToken,
    LearnedPosition,
    MeanReadout,
    PreNorm,
    TokenNet,
    TokenReadout,
)
from tokennet.net.prefix_readouts import PrefixReadout, RestReadout
from tokennet.net.stages import StageTokenizer
from tokennet.net.tokenizers import Tokenizer

PLAIN = {
    "dynamic_img_size": False, "dynamic_img_pad": False, "scale_attn_norm": False,
    "scale_mlp_norm": False, "patch_drop_rate": 0.0, "embed_norm_layer": None,
    "block_fn": "Block", "attn_layer": "Attention", "mlp_layer": "Mlp", "embed_layer": "PatchEmbed",
    "gated": False, "flatten": True,
}  # fmt: skip
"""Options with one value that is understood."""
HOME = "timm.models.vision_transformer"


def read(options: Options) -> Draft:
    """Both classes; `options.name` tells which."""
    distilled = options.name == "VisionTransformerDistilled"
    dim, depth = options.take_int("embed_dim", 768), options.take_depth("depth", 12)
    options.fixed(**PLAIN)
    options.ignore("weight_init", "fix_init")
    options.take("norm_layer", None, among=(None, "layernorm"))
    eps, pre_norm = options.take_number("norm_eps", 1e-6), options.take_flag("pre_norm", False)
    tokenizer, mixers, lines, prefix = _embedding(options, dim, distilled, pre_norm)
    if pre_norm:
        lines += module("norm_pre", f"mixers.{len(mixers)}.map")
        mixers.append(TokenWise(nn.LayerNorm(dim, eps=eps)))
    first = len(mixers)
    blocks, layer_lines = _block_reader(options, dim, eps)
    for i, path in enumerate(parts.drop_paths(options, depth)):
        mixers.append(blocks(path))
        lines += layer_lines(f"blocks.{i}", f"mixers.{first + i}")
    readout, own = _readout(options, dim, eps, distilled, prefix)
    return Draft(TokenNet(tokenizer, mixers, readout), [*lines, *own])


def _embedding(
    options: Options, dim: int, distilled: bool, pre_norm: bool
) -> tuple[Tokenizer, list[Mixer], list[Line], int]:
    """Patches, tokens in front and positions; how many tokens stand in front."""
    patches, count = parts.patches(options, dim, bias=not pre_norm)
    learned = options.take("pos_embed", "learn", among=("learn", "none", "")) == "learn"
    outside = options.take_flag("no_embed_class", False)
    class_token = options.take_flag("class_token", True)
    registers = options.take_int("reg_tokens", 0, least=0)
    if distilled and (not class_token or registers):
        raise options.refused("reg_tokens", registers, "0 with the distillation token")
    if distilled and outside:  # timm's own has a table of another length then, and fails
        raise options.refused("no_embed_class", outside, "False with the distillation token")
    prefix = int(class_token) + int(distilled) + registers
    tokenizer: Tokenizer = patches
    lines: list[Line] = []
    mixers: list[Mixer] = []
    position = LearnedPosition(count + (0 if outside else prefix), dim) if learned else None
    shape = (1, 0 if position is None else len(position.code), dim)
    here = "tokenizer." * (prefix + 1)  # of the patches, or of the stage around them
    if position is not None and outside and prefix:
        tokenizer = StageTokenizer(patches, [position])
        lines.append(shaped("pos_embed", f"{here}mixers.0.code", shape))
        here += "tokenizer."
    elif position is not None:
        mixers.append(position)
        lines.append(shaped("pos_embed", "mixers.0.code", shape))
    lines += module("patch_embed.proj", f"{here}map", *(("weight",) if pre_norm else ()))
    for _ in range(prefix):
        tokenizer = ClassToken(tokenizer)
    own = ["tokenizer." * (i + 1) + "token" for i in range(prefix)]  # from the first on
    for name in ["cls_token"] * class_token + ["dist_token"] * distilled:
        lines.append(shaped(name, own.pop(0), (1, 1, dim)))
    if registers:
        lines.append(_registers("reg_token", own))
    drop = options.take_rate("pos_drop_rate", 0.0)
    if drop and learned:  # timm leaves it out where there are no positions
        mixers.append(TokenWise(nn.Dropout(drop)))
    return tokenizer, mixers, lines, prefix


def _registers(theirs: str, ours: Sequence[str]) -> Line:
    """`[1, R, D]` there, R vectors here."""

    def read(t: Tensor, shapes: Shapes) -> Sequence[Tensor]:
        return t[0].unbind()

    return Line(theirs, tuple(ours), read, lambda own: torch.stack(list(own))[None])


def _block_reader(options: Options, dim: int, eps: float) -> Any:
    """A function that makes a block with its rate of dropped paths, and one for its lines."""
    heads = options.take_int("num_heads", 12)
    hidden = int(dim * options.take_number("mlp_ratio", 4.0))
    qkv_bias, qk_norm = options.take_flag("qkv_bias", True), options.take_flag("qk_norm", False)
    bias, scale = options.take_flag("proj_bias", True), options.take_number("init_values", None)
    drop = options.take_rate("proj_drop_rate", 0.0)
    attention_drop = options.take_rate("attn_drop_rate", 0.0)
    act, norm = parts.activation(options, "act_layer"), partial(nn.LayerNorm, eps=eps)

    def normed(map: nn.Module) -> nn.Module:
        """A map with a norm of each head."""
        split = nn.Unflatten(-1, (heads, dim // heads))
        return nn.Sequential(map, split, norm(dim // heads), nn.Flatten(-2))

    def make(path: float) -> Mixer:
        attention = Attention(dim, Heads(heads, bias=qkv_bias), dropout=attention_drop)
        if qkv_bias != bias:
            attention.with_maps(output=nn.Linear(dim, dim, bias=bias))
        if qk_norm:
            attention.with_maps(query=normed(attention.query), key=normed(attention.key))
        mlp = Pointwise(dim, hidden, activation=act, dropout=drop, bias=bias)
        residual = partial(PreNorm, norm=norm, layer_scale=scale or None, drop_path=path)
        return Block(dim, attention, mlp=mlp, residual=residual, dropout=drop)

    def lines(theirs: str, ours: str) -> list[Line]:
        attention, mlp, inner = f"{ours}.mixers.0", f"{ours}.mixers.1", ".0" if qk_norm else ""
        found = module(f"{theirs}.norm1", f"{attention}.norm")
        found += module(f"{theirs}.norm2", f"{mlp}.norm")
        for name in ("weight", "bias") if qkv_bias else ("weight",):
            maps = (f"query{inner}", f"key{inner}", "value")
            own = [f"{attention}.mixer.{one}.{name}" for one in maps]
            found.append(joined(f"{theirs}.attn.qkv.{name}", *own))
        if qk_norm:
            found += module(f"{theirs}.attn.q_norm", f"{attention}.mixer.query.2")
            found += module(f"{theirs}.attn.k_norm", f"{attention}.mixer.key.2")
        for name in ("weight", "bias") if bias else ("weight",):
            found.append(same(f"{theirs}.attn.proj.{name}", f"{attention}.mixer.output.{name}"))
            found.append(same(f"{theirs}.mlp.fc1.{name}", f"{mlp}.mixer.map.0.{name}"))
            found.append(same(f"{theirs}.mlp.fc2.{name}", f"{mlp}.mixer.map.3.{name}"))
        if scale:
            found.append(same(f"{theirs}.ls1.gamma", f"{attention}.scale"))
            found.append(same(f"{theirs}.ls2.gamma", f"{mlp}.scale"))
        return found

    return make, lines


def _readout(
    options: Options, dim: int, eps: float, distilled: bool, prefix: int
) -> tuple[Mixer, list[Line]]:
    pool = options.take("global_pool", "token", among=("token", "avg", ""))
    after = options.take("fc_norm", None, among=(None, True, False))
    after = pool == "avg" if after is None else after
    final = options.take_flag("final_norm", True)
    whole = options.take_flag("pool_include_prefix", False)
    if distilled and (pool != "token" or (after and final)):
        raise options.refused("fc_norm", after, "False: the distilled heads don't read it")
    norm = partial(nn.LayerNorm, eps=eps) if final and not after else None
    lines = module("norm", "readout.norm") if norm else []
    if distilled:
        one, out, own = parts.head(options, dim, "readout.maps.0")
        two, _, more = parts.head(options, dim, "readout.maps.1", name="head_dist")
        return PrefixReadout(dim, out, [one, two], norm=norm), [*lines, *own, *more]
    pooled = ("fc_norm", eps) if final and after else None
    map, out, own = parts.head(options, dim, "readout.map", norm=pooled)
    if pool == "avg" and prefix and not whole:
        return RestReadout(dim, out, prefix, norm=norm, map=map), lines + own
    kinds: dict[str, Any] = {"token": ClassReadout, "avg": MeanReadout, "": TokenReadout}
    return kinds[pool](dim, out, norm=norm, map=map), lines + own


READ = {"VisionTransformer": read, "VisionTransformerDistilled": read}


def describe(model: Any) -> dict[str, Any]:
    """The options of a live module, read off its parts."""
    blocks = list(model.blocks)
    if not blocks:
        raise value_error("blocks", "none", "at least one")
    parts.alike(blocks, "blocks")
    block = blocks[0]
    parts.check_class("block_fn", parts.class_name(block, HOME), "Block")
    attention, mlp = block.attn, block.mlp
    parts.check_class("attn_layer", parts.class_name(attention), "Attention")
    parts.check_class("mlp_layer", parts.class_name(mlp), "Mlp")
    if getattr(model, "distilled_training", False):
        hint = "its output is a pair in train mode; call set_distilled_training(False)"
        raise value_error("distilled_training", True, "False", hint)
    if getattr(model, "attn_pool", None) is not None:
        raise value_error("global_pool", model.global_pool, "token, avg or ''")
    if attention.scale != attention.head_dim**-0.5:
        raise value_error("attn.scale", attention.scale, "head_dim ** -0.5")
    after = parts.is_there(model.fc_norm)
    norms = [block.norm1, block.norm2, *(n for n in (
        model.norm_pre, model.norm, model.fc_norm, attention.q_norm, attention.k_norm,
    ) if parts.is_there(n))]  # fmt: skip
    drops = (attention.proj_drop, mlp.drop1, mlp.drop2)
    embed, dim = model.patch_embed, model.embed_dim
    return {
        **parts.patch_options(embed, "patch_embed"),
        "embed_norm_layer": parts.norm_name(embed.norm) if parts.is_there(embed.norm) else None,
        "embed_dim": dim,
        "depth": len(blocks),
        "num_heads": parts.one_of("num_heads", (b.attn.num_heads for b in blocks)),
        "mlp_ratio": parts.ratio(mlp.fc1.out_features, dim),
        "num_classes": model.num_classes,
        "global_pool": model.global_pool,
        "qkv_bias": attention.qkv.bias is not None,
        "qk_norm": parts.is_there(attention.q_norm),
        "proj_bias": attention.proj.bias is not None,
        "init_values": block.ls1.init_values if parts.is_there(block.ls1) else None,
        "class_token": model.has_class_token,
        "reg_tokens": model.num_reg_tokens,
        "pos_embed": "none" if model.pos_embed is None else "learn",
        "no_embed_class": model.no_embed_class,
        "pre_norm": parts.is_there(model.norm_pre),
        "final_norm": after or parts.is_there(model.norm),
        "fc_norm": after,
        "pool_include_prefix": model.pool_include_prefix,
        "dynamic_img_size": model.dynamic_img_size,
        "scale_attn_norm": parts.is_there(attention.norm),
        "scale_mlp_norm": parts.is_there(mlp.norm),
        "gated": getattr(attention, "gate", None) is not None,
        "drop_rate": parts.rate(model.head_drop),
        "pos_drop_rate": parts.rate(model.pos_drop),
        "patch_drop_rate": getattr(model.patch_drop, "prob", 0.0),
        "proj_drop_rate": parts.one_of("proj_drop_rate", map(parts.rate, drops)),
        "attn_drop_rate": parts.rate(attention.attn_drop),
        "drop_path_rate": parts.drop_path_rate(blocks),
        "norm_layer": parts.one_of("norm_layer", map(parts.norm_name, norms)),
        "norm_eps": parts.one_of("eps of the norms", (n.eps for n in norms)),
        "act_layer": parts.activation_name(mlp.act),
    }
