"""timm's names of architectures, and the options that follow from them.

timm's config.json has `architecture`, `num_classes`, and `model_args` where something differs.
"""

from collections.abc import Mapping
from typing import Any

from tokennet.checks import value_error

_VIT, _DISTILLED = "VisionTransformer", "VisionTransformerDistilled"
_WIDTHS = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
_IGNORED = ("num_features", "pretrained_cfg", "label_names", "label_descriptions")
_POOLS = {_VIT: "token", _DISTILLED: "token"}


def _transformer(kind: str, width: tuple[int, int, int], patch: int = 16) -> dict[str, Any]:
    dim, depth, heads = width
    sizes = {"embed_dim": dim, "depth": depth, "num_heads": heads}
    return {"kind": kind, "img_size": 224, "patch_size": patch, **sizes}


def _mixer(dim: int, depth: int, patch: int = 16) -> dict[str, Any]:
    sizes = {"embed_dim": dim, "num_blocks": depth, "patch_size": patch}
    return {"kind": "MlpMixer", "img_size": 224, **sizes}


def _gmlp(dim: int) -> dict[str, Any]:
    layers = {"block_layer": "SpatialGatingBlock", "mlp_layer": "GatedMlp"}
    return {**_mixer(dim, 30), "mlp_ratio": 6, **layers}


def _convmixer(dim: int, depth: int, kernel: int, patch: int, act: str) -> dict[str, Any]:
    sizes = {"dim": dim, "depth": depth, "kernel_size": kernel, "patch_size": patch}
    return {"kind": "ConvMixer", **sizes, "act_layer": act}


def _poolformer(depths: list[int], dims: list[int]) -> dict[str, Any]:
    return {
        "kind": "MetaFormer", "depths": depths, "dims": dims, "downsample_norm": None,
        "mlp_act": "gelu", "mlp_bias": True, "norm_layers": "groupnorm1",
        "layer_scale_init_values": 1e-5, "res_scale_init_values": None, "use_mlp_head": False,
    }  # fmt: skip


ARCHITECTURES: dict[str, dict[str, Any]] = {
    **{f"vit_{n}_patch16_224": _transformer(_VIT, w) for n, w in _WIDTHS.items()},
    **{f"deit_{n}_patch16_224": _transformer(_VIT, w) for n, w in _WIDTHS.items()},
    **{f"deit_{n}_distilled_patch16_224": _transformer(_DISTILLED, w) for n, w in _WIDTHS.items()},
    "vit_small_patch32_224": _transformer(_VIT, _WIDTHS["small"], 32),
    "vit_base_patch32_224": _transformer(_VIT, _WIDTHS["base"], 32),
    "vit_large_patch16_224": _transformer(_VIT, (1024, 24, 16)),
    "mixer_s32_224": _mixer(512, 8, 32),
    "mixer_s16_224": _mixer(512, 8),
    "mixer_b32_224": _mixer(768, 12, 32),
    "mixer_b16_224": _mixer(768, 12),
    "mixer_l16_224": _mixer(1024, 24),
    "gmlp_s16_224": _gmlp(256),
    "gmlp_b16_224": _gmlp(512),
    "convmixer_768_32": _convmixer(768, 32, 7, 7, "relu"),
    "convmixer_1536_20": _convmixer(1536, 20, 9, 7, "gelu"),
    "convmixer_1024_20_ks9_p14": _convmixer(1024, 20, 9, 14, "gelu"),
    "poolformer_s12": _poolformer([2, 2, 6, 2], [64, 128, 320, 512]),
    "poolformer_s24": _poolformer([4, 4, 12, 4], [64, 128, 320, 512]),
    "poolformer_s36": _poolformer([6, 6, 18, 6], [64, 128, 320, 512]),
    "poolformer_m36": _poolformer([6, 6, 18, 6], [96, 192, 384, 768]),
    "poolformer_m48": _poolformer([8, 8, 24, 8], [96, 192, 384, 768]),
}


def spelled_out(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json of timm as options of the model's class; others as they are."""
    if "architecture" not in config:
        return dict(config)
    given = {key: value for key, value in config.items() if key not in _IGNORED}
    name = given.pop("architecture")
    found = ARCHITECTURES.get(str(name).partition(".")[0])
    if found is None:
        hint = 'pass the options of its class: {"kind": "VisionTransformer", ...}'
        allowed = "one of " + ", ".join(sorted(ARCHITECTURES))
        raise value_error("config.architecture", name, allowed, hint)
    told = given.pop("global_pool", None)
    options = {**found, **(given.pop("model_args", None) or {}), **given}
    pool = options.get("global_pool", _POOLS.get(found["kind"], "avg"))
    if told not in (None, pool):
        hint = "timm builds the model without it; put it in model_args"
        raise value_error("config.global_pool", told, repr(pool), hint)
    return options
