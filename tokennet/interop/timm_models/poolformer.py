"""`MetaFormer` with `Pooling` as its token mixer: PoolFormer, in stages of shrinking grids."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tokennet.checks import value_error
from tokennet.interop.draft import Draft
from tokennet.interop.options import DEEPEST, LARGEST, Options
from tokennet.interop.timm_models import parts
from tokennet.interop.translation import Line, module, same, shaped
from tokennet.mixers import Mixer, Pointwise, Pooling
from tokennet.mixers.combine import MinusInput
from tokennet.net import Block, MeanReadout, PatchTokenizer, PreNorm, TokenNet
from tokennet.net.sample_norms import SampleNorm
from tokennet.net.stages import StageTokenizer
from tokennet.net.tokenizers import Tokenizer
from tokennet.topology import Neighborhood

HOME = "timm.models.metaformer"
PLAIN = {
    "token_mixers": "Pooling", "downsample_norm": None, "res_scale_init_values": None,
    "use_mlp_head": False, "proj_drop_rate": 0.0, "global_pool": "avg",
    "norm_layers": "groupnorm1", "output_norm": "layernorm2d",
}  # fmt: skip
"""Options with one value that is understood: those of PoolFormer, not of its second version."""
STATED = ("downsample_norm", "res_scale_init_values", "use_mlp_head", "norm_layers", "mlp_act")
"""Options whose defaults in timm are those of another model."""


@dataclass(frozen=True)
class Stage:
    """Its channels, whether its branches are scaled and its MLPs have biases, and its blocks."""

    dim: int
    scaled: bool
    bias: bool
    blocks: Sequence[Mixer]

    def lines(self, theirs: str, ours: str) -> list[Line]:
        return [
            line
            for j in range(len(self.blocks))
            for line in self._block(f"{theirs}.blocks.{j}", f"{ours}mixers.{j}")
        ]

    def _block(self, theirs: str, ours: str) -> list[Line]:
        pooling, mlp = f"{ours}.mixers.0", f"{ours}.mixers.1"
        lines = [*module(f"{theirs}.norm1", f"{pooling}.norm")]
        lines += module(f"{theirs}.norm2", f"{mlp}.norm")
        wide = 4 * self.dim
        for name, place, shape in (("fc1", 0, (wide, self.dim)), ("fc2", 3, (self.dim, wide))):
            own = f"{mlp}.mixer.map.{place}"
            lines.append(shaped(f"{theirs}.mlp.{name}.weight", f"{own}.weight", (*shape, 1, 1)))
            if self.bias:
                lines.append(same(f"{theirs}.mlp.{name}.bias", f"{own}.bias"))
        if self.scaled:
            lines.append(same(f"{theirs}.layer_scale1.scale", f"{pooling}.scale"))
            lines.append(same(f"{theirs}.layer_scale2.scale", f"{mlp}.scale"))
        return lines


def read(options: Options) -> Draft:
    for key in STATED:
        options.take(key)
    options.fixed(**PLAIN)
    *earlier, last = _stages(options)
    dims = [stage.dim for stage in (*earlier, last)]
    channels = options.take_int("in_chans", 3)
    tokenizer: Tokenizer = PatchTokenizer(channels, 7, dims[0], stride=4, padding=2)
    for stage, after in zip(earlier, dims[1:], strict=True):
        shrinks = stage.dim != after
        reduce = PatchTokenizer(stage.dim, 3, after, stride=2, padding=1) if shrinks else None
        tokenizer = StageTokenizer(tokenizer, stage.blocks, reduce)
    lines = last.lines(f"stages.{len(earlier)}", "")
    here = "tokenizer."
    for i, stage in reversed(list(enumerate(earlier))):  # the first stage is the innermost
        if stage.dim != dims[i + 1]:
            lines += module(f"stages.{i + 1}.downsample.conv", f"{here}patches.map")
        lines += stage.lines(f"stages.{i}", here)
        here += "tokenizer."
    lines += module("stem.conv", f"{here}map")
    norm = ("head.norm", options.take_number("output_norm_eps", 1e-6))
    map, out, own = parts.head(options, last.dim, "readout.map", norm=norm, name="head.fc")
    readout = MeanReadout(last.dim, out, norm=None, map=map)
    return Draft(TokenNet(tokenizer, last.blocks, readout), lines + own)


def _stages(options: Options) -> list[Stage]:
    dims = _numbers(options, "dims", [64, 128, 320, 512])
    depths = _numbers(options, "depths", [2, 2, 6, 2])
    if len(dims) != len(depths) or not dims:
        raise options.refused("depths", depths, f"a number for each of {len(dims)} dims")
    size = options.take("pool_size", 3)
    if type(size) is not int or size % 2 == 0:
        raise options.refused("pool_size", size, "an odd number, the same on both sides")
    given = options.take("layer_scale_init_values", None)
    scales = list(given) if isinstance(given, list | tuple) else [given] * len(dims)
    if len(scales) != len(dims):
        raise options.refused("layer_scale_init_values", given, f"one for each of {dims}")
    norm = partial(SampleNorm, eps=options.take_number("norm_eps", 1e-5))
    act, bias = parts.activation(options, "mlp_act"), options.take_flag("mlp_bias", False)
    paths = iter(parts.drop_paths(options, sum(depths)))

    def block(dim: int, scale: float | None) -> Mixer:
        residual = partial(PreNorm, norm=norm, layer_scale=scale, drop_path=next(paths))
        mlp = Pointwise(dim, 4 * dim, activation=act, bias=bias)
        pooling = MinusInput(Pooling(Neighborhood(size // 2)))
        return Block(dim, pooling, mlp=mlp, residual=residual)

    return [
        Stage(dim, scale is not None, bias, [block(dim, scale) for _ in range(depth)])
        for dim, depth, scale in zip(dims, depths, scales, strict=True)
    ]


def _numbers(options: Options, key: str, default: list[int]) -> list[int]:
    given = options.take(key, default)
    if not isinstance(given, list | tuple):
        raise options.refused(key, given, "a list of whole numbers")
    most = DEEPEST if key == "depths" else LARGEST
    return [options.whole(key, n, most=most) for n in given]


READ = {"MetaFormer": read}


def describe(model: Any) -> dict[str, Any]:
    """The options of a live module, read off its parts."""
    stages, head = list(model.stages), model.head
    blocks = [b for stage in stages for b in stage.blocks]
    _check_conv(model.stem.conv, "stem.conv", 7, 4, 2)
    around = [model.stem.norm]
    for i, stage in enumerate(stages):
        if not len(stage.blocks):
            raise value_error(f"stages[{i}].blocks", "none", "at least one")
        parts.alike(stage.blocks, f"stages[{i}].blocks")
        if parts.is_there(stage.downsample):
            _check_conv(stage.downsample.conv, f"stages[{i}].downsample.conv", 3, 2, 1)
            around.append(stage.downsample.norm)
    mixers = [parts.class_name(b.token_mixer, HOME) for b in blocks]
    pooling = set(mixers) == {"Pooling"}
    norms = [n for b in blocks for n in (b.norm1, b.norm2)]
    outer = [parts.class_name(n, HOME) for n in around if parts.is_there(n)]
    scaled = [parts.is_there(stage.blocks[0].layer_scale1) for stage in stages]
    return {
        "in_chans": model.stem.conv.in_channels,
        "num_classes": model.num_classes,
        "global_pool": head.global_pool.pool_type,
        "depths": [len(stage.blocks) for stage in stages],
        "dims": [stage.blocks[0].mlp.fc1.in_channels for stage in stages],
        "token_mixers": "Pooling" if pooling else ", ".join(sorted(set(mixers))),
        "pool_size": parts.one_of("pool_size", (_size(b.token_mixer) for b in blocks))
        if pooling
        else 3,
        "mlp_act": parts.one_of("mlp_act", (parts.activation_name(b.mlp.act) for b in blocks)),
        "mlp_bias": parts.one_of("mlp_bias", (b.mlp.fc1.bias is not None for b in blocks)),
        "drop_path_rate": parts.drop_path_rate(blocks),
        "proj_drop_rate": max(parts.rate(d) for b in blocks for d in (b.mlp.drop1, b.mlp.drop2)),
        "drop_rate": parts.rate(head.drop),
        "layer_scale_init_values": [1e-5 if s else None for s in scaled],
        "res_scale_init_values": 1.0 if any(parts.is_there(b.res_scale1) for b in blocks) else None,
        "downsample_norm": outer[0] if outer else None,
        "norm_layers": parts.one_of("norm_layers", map(parts.norm_name, norms)),
        "norm_eps": parts.one_of("eps of the norms", (n.eps for n in norms)),
        "output_norm": parts.norm_name(head.norm),
        "output_norm_eps": getattr(head.norm, "eps", None),
        "use_mlp_head": parts.class_name(head.fc, HOME) == "MlpHead",
    }


def _check_conv(conv: Any, name: str, size: int, stride: int, padding: int) -> None:
    expected = {
        "kernel_size": (size, size), "stride": (stride, stride), "padding": (padding, padding),
        "dilation": (1, 1), "groups": 1, "padding_mode": "zeros",
    }  # fmt: skip
    for key, value in expected.items():
        if getattr(conv, key) != value:
            raise value_error(f"{name}.{key}", getattr(conv, key), str(value))


def _size(mixer: Any) -> int:
    """Cells along a side of the window."""
    pool = mixer.pool
    size, expected = pool.kernel_size, {"stride": 1, "padding": pool.kernel_size // 2}
    expected |= {"count_include_pad": False, "ceil_mode": False, "divisor_override": None}
    for key, value in expected.items():
        if getattr(pool, key) != value:
            raise value_error(f"token_mixer.pool.{key}", getattr(pool, key), str(value))
    return size
