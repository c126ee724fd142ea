"""`ConvMixer`: depthwise convolutions over the grid of patches."""

from typing import Any

from torch import nn

from tokennet.checks import value_error
from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.timm_models import parts
from tokennet.interop.translation import Line, module, same, shaped
from tokennet.mixers import Convolution, Mixer, Pointwise, Sequential, TokenWise
from tokennet.net import BatchNorm, MeanReadout, PatchTokenizer, PreNorm, TokenNet
from tokennet.topology import Neighborhood

HOME = "timm.models.convmixer"
STATISTICS = ("weight", "bias", "running_mean", "running_var")


def read(options: Options) -> Draft:
    dim, depth = options.take_int("dim"), options.take_depth("depth")
    kernel = parts.side(options, "kernel_size", 9)
    if kernel % 2 == 0:
        raise options.refused("kernel_size", kernel, "an odd number, the same on both sides")
    eps, momentum = options.take_number("norm_eps", 1e-5), options.take_number("norm_momentum", 0.1)
    options.fixed(norm_layer="BatchNorm2d", global_pool="avg")
    act = parts.activation(options, "act_layer")
    patch = parts.side(options, "patch_size", 7)
    tokenizer = PatchTokenizer(options.take_int("in_chans", 3), patch, dim)

    def normed(*mixers: Mixer) -> Sequential:
        return Sequential(*mixers, TokenWise(act()), BatchNorm(dim, momentum=momentum, eps=eps))

    mixers: list[Mixer] = [normed()]
    lines = [*module("stem.0", "tokenizer.map"), *_norm("stem.2", "mixers.0.mixers.1")]
    kept = ["stem.2.num_batches_tracked"]
    for i in range(depth):
        inner = normed(Convolution(dim, Neighborhood(kernel // 2), groups=dim))
        block = normed(PreNorm(dim, inner, norm=_no_norm), Pointwise(dim))
        theirs, ours = f"blocks.{i}", f"mixers.{i + 1}.mixers"
        lines += module(f"{theirs}.0.fn.0", f"{ours}.0.mixer.mixers.0")
        lines += _norm(f"{theirs}.0.fn.2", f"{ours}.0.mixer.mixers.2")
        lines.append(shaped(f"{theirs}.1.weight", f"{ours}.1.map.weight", (dim, dim, 1, 1)))
        lines.append(same(f"{theirs}.1.bias", f"{ours}.1.map.bias"))
        lines += _norm(f"{theirs}.3", f"{ours}.3")
        kept += [f"{theirs}.{name}.num_batches_tracked" for name in ("0.fn.2", "3")]
        mixers.append(block)
    map, out, own = parts.head(options, dim, "readout.map")
    readout = MeanReadout(dim, out, norm=None, map=map)
    return Draft(TokenNet(tokenizer, mixers, readout), lines + own, tuple(kept))


def _no_norm(dim: int) -> nn.Module:
    return nn.Identity()


def _norm(theirs: str, ours: str) -> list[Line]:
    return module(theirs, ours, *STATISTICS)


READ = {"ConvMixer": read}


def describe(model: Any) -> dict[str, Any]:
    """The options of a live module, read off its parts."""
    blocks = list(model.blocks)
    if not blocks:
        raise value_error("blocks", "none", "at least one")
    parts.alike(blocks, "blocks")
    stem, block = model.stem, blocks[0]
    inner = block[0].fn
    layers = [("stem", stem, 3), ("blocks.0", block, 4), ("blocks.0.0.fn", inner, 3)]
    for name, part, size in layers:
        if len(part) != size:
            raise value_error(f"layers of {name}", len(part), str(size))
    if parts.class_name(block[0], HOME) != "Residual":
        raise value_error("blocks.0.0", parts.class_name(block[0], HOME), "Residual")
    norms, acts = (stem[2], inner[2], block[3]), (stem[1], inner[1], block[2])
    for name, conv, expected in (
        ("stem.0", stem[0], {"stride": stem[0].kernel_size, "padding": (0, 0), "groups": 1}),
        ("blocks.0.0.fn.0", inner[0], {"stride": (1, 1), "groups": inner[0].in_channels,
                                       "padding": "same"}),
        ("blocks.0.1", block[1], {"kernel_size": (1, 1), "stride": (1, 1), "groups": 1}),
    ):  # fmt: skip
        for key, value in {**expected, "dilation": (1, 1), "padding_mode": "zeros"}.items():
            if getattr(conv, key) != value:
                raise value_error(f"{name}.{key}", getattr(conv, key), str(value))
    if not all(n.track_running_stats for n in norms):
        raise value_error("track_running_stats", False, "True")
    pool = model.global_pool
    return {
        "dim": stem[0].out_channels,
        "depth": len(blocks),
        "kernel_size": list(inner[0].kernel_size),
        "patch_size": list(stem[0].kernel_size),
        "in_chans": stem[0].in_channels,
        "num_classes": model.num_classes,
        "global_pool": pool.pool_type,
        "drop_rate": parts.rate(model.head_drop),
        "act_layer": parts.one_of("act_layer", map(parts.activation_name, acts)),
        "norm_layer": parts.one_of("norm_layer", map(parts.class_name, norms)),
        "norm_eps": parts.one_of("eps of the norms", (n.eps for n in norms)),
        "norm_momentum": parts.one_of("momentum of the norms", (n.momentum for n in norms)),
    }
