"""`MlpMixer`: MLP-Mixer, and gMLP with its `SpatialGatingBlock`."""

from functools import partial
from typing import Any

from torch import nn

from tokennet.checks import value_error
from tokennet.interop.draft import Draft
from tokennet.interop.options import LARGEST, Options
from tokennet.interop.timm_models import parts
from tokennet.interop.translation import Line, module, same
from tokennet.mixers import Mixer, Pointwise, TokenGating, TokenMLP, TokenWise
from tokennet.net import Block, MeanReadout, PreNorm, TokenNet, TokenReadout

HOME = "timm.models.mlp_mixer"
MLPS = {"MixerBlock": "Mlp", "SpatialGatingBlock": "GatedMlp"}
GATE_EPS = 1e-5  # of the norm in the gate, which `TokenGating` has too


def read(options: Options) -> Draft:
    """Both kinds of blocks; `block_layer` tells which."""
    dim, depth = options.take_int("embed_dim", 512), options.take_depth("num_blocks", 8)
    kind = options.take("block_layer", "MixerBlock", among=tuple(MLPS))
    options.fixed(mlp_layer=MLPS[kind], proj_drop_rate=0.0, gate_norm_eps=GATE_EPS)
    options.fixed(flatten=True, dynamic_img_pad=False)
    options.ignore("nlhb")
    options.take("norm_layer", None, among=(None, "layernorm"))
    eps = options.take_number("norm_eps", 1e-6)
    tokenizer, count = parts.patches(options, dim)
    mixers: list[Mixer] = []
    lines = module("stem.proj", "tokenizer.map")
    if options.take_flag("stem_norm", False):
        mixers.append(TokenWise(nn.LayerNorm(dim, eps=eps)))
        lines += module("stem.norm", "mixers.0.map")
    path = options.take_rate("drop_path_rate", 0.0)
    residual = partial(PreNorm, norm=partial(nn.LayerNorm, eps=eps), drop_path=path)
    act, ratio = parts.activation(options, "act_layer"), _ratio(options)
    for i in range(depth):
        theirs, ours = f"blocks.{i}", f"mixers.{len(mixers)}"
        if kind == "MixerBlock":
            over, channels = ratio if isinstance(ratio, list | tuple) else (ratio, ratio)
            token = TokenMLP(count, int(dim * over), activation=act)
            mlp = Pointwise(dim, int(dim * channels), activation=act)
            mixers.append(Block(dim, token, mlp=mlp, residual=residual))
            lines += _mixer_lines(theirs, ours)
        else:
            if isinstance(ratio, list | tuple):
                raise options.refused("mlp_ratio", ratio, "one number for SpatialGatingBlock")
            gating = TokenGating(dim, int(dim * ratio), count, activation=act)
            mixers.append(residual(dim, gating))
            lines += _gating_lines(theirs, ours)
    lines += module("norm", "readout.norm")
    map, out, own = parts.head(options, dim, "readout.map")
    pool = options.take("global_pool", "avg", among=("avg", ""))
    kinds: dict[str, Any] = {"avg": MeanReadout, "": TokenReadout}
    readout = kinds[pool](dim, out, norm=partial(nn.LayerNorm, eps=eps), map=map)
    return Draft(TokenNet(tokenizer, mixers, readout), lines + own)


def _ratio(options: Options) -> Any:
    """Hidden channels for each channel; two of it for the two MLPs of a mixer's block."""
    ratio = options.take("mlp_ratio", (0.5, 4.0))
    both = ratio if isinstance(ratio, list | tuple) and len(ratio) == 2 else [ratio]
    if any(type(n) not in (int, float) or not 0 < n < LARGEST for n in both):
        raise options.refused("mlp_ratio", ratio, "a number above 0, or two")
    return ratio


def _mixer_lines(theirs: str, ours: str) -> list[Line]:
    tokens, channels = f"{ours}.mixers.0", f"{ours}.mixers.1"
    return [
        *module(f"{theirs}.norm1", f"{tokens}.norm"),
        *module(f"{theirs}.mlp_tokens.fc1", f"{tokens}.mixer.expand"),
        *module(f"{theirs}.mlp_tokens.fc2", f"{tokens}.mixer.contract"),
        *module(f"{theirs}.norm2", f"{channels}.norm"),
        *module(f"{theirs}.mlp_channels.fc1", f"{channels}.mixer.map.0"),
        *module(f"{theirs}.mlp_channels.fc2", f"{channels}.mixer.map.3"),
    ]


def _gating_lines(theirs: str, ours: str) -> list[Line]:
    mlp, own = f"{theirs}.mlp_channels", f"{ours}.mixer"
    return [
        *module(f"{theirs}.norm", f"{ours}.norm"),
        *module(f"{mlp}.fc1", f"{own}.expand"),
        *module(f"{mlp}.gate.norm", f"{own}.norm"),
        same(f"{mlp}.gate.proj.weight", f"{own}.weight"),
        same(f"{mlp}.gate.proj.bias", f"{own}.bias"),
        *module(f"{mlp}.fc2", f"{own}.contract"),
    ]


READ = {"MlpMixer": read}


def describe(model: Any) -> dict[str, Any]:
    """The options of a live module, read off its parts."""
    blocks = list(model.blocks)
    if not blocks:
        raise value_error("blocks", "none", "at least one")
    block, stem, dim = blocks[0], model.stem, model.embed_dim
    kind = parts.class_name(block, HOME)
    parts.check_class("block_layer", kind, *MLPS)
    parts.alike(blocks, "blocks")
    mixing = kind == "MixerBlock"
    mlps = [block.mlp_tokens, block.mlp_channels] if mixing else [block.mlp_channels]
    ratios = [parts.ratio(mlp.fc1.out_features, dim) for mlp in mlps]
    norms = [model.norm, *([block.norm1, block.norm2] if mixing else [block.norm])]
    if parts.is_there(stem.norm):
        norms.append(stem.norm)
    inner = [mlp.norm for mlp in mlps if parts.is_there(mlp.norm)]
    if inner:
        raise value_error("norm inside mlp_channels", parts.class_name(inner[0]), "none")
    found = {
        **parts.patch_options(stem, "stem"),
        "embed_dim": dim,
        "num_blocks": len(blocks),
        "num_classes": model.num_classes,
        "global_pool": model.global_pool,
        "mlp_ratio": ratios if mixing else ratios[0],
        "block_layer": kind,
        "mlp_layer": parts.one_of("mlp_layer", map(parts.class_name, mlps)),
        "stem_norm": parts.is_there(stem.norm),
        "norm_layer": parts.one_of("norm_layer", map(parts.norm_name, norms)),
        "norm_eps": parts.one_of("eps of the norms", (n.eps for n in norms)),
        "act_layer": parts.one_of("act_layer", (parts.activation_name(m.act) for m in mlps)),
        "drop_rate": parts.rate(model.head_drop),
        "proj_drop_rate": max(parts.rate(d) for m in mlps for d in (m.drop1, m.drop2)),
        "drop_path_rate": parts.one_of("drop_path_rate", (parts.rate(b.drop_path) for b in blocks)),
    }
    if not mixing:
        gate = block.mlp_channels.gate
        parts.check_class("gate_layer", parts.class_name(gate, HOME), "SpatialGatingUnit")
        found["gate_norm_eps"] = gate.norm.eps
    return found
