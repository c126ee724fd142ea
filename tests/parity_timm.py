"""Image models of timm beside their imports.

Axes: B images, C channels, H W pixels, N tokens, D channels of a token.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from parity import Audited, Case
from timm_support import import_timm
from torch import Tensor, nn

import tokennet as tn

SIZE = 24  # pixels along a side, where nothing is drawn

Options = Mapping[str, Any]


class Plain(nn.Module):
    """One image in, one answer out, with nothing that an audit could know it by."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        return self.module(images)


def _images(seed: int, model: Any) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    embed = getattr(model, "patch_embed", None) or getattr(model, "stem", None)
    size = 8 if type(model).__name__ == "ConvMixer" else SIZE
    height, width = getattr(embed, "img_size", (size, size))
    return torch.randn(2, 3, height, width, generator=g)


def _audit(theirs: nn.Module, ours: "tn.TokenNet") -> Audited:
    """In float64 alone, so that few inputs tell rounding from a broken law."""
    x = _images(0, theirs)[:2]
    x = x[..., :12, :12] if x.shape[2] == SIZE else x
    grid, pixels = tuple(x.shape[2:]), x.shape[2] * x.shape[3]
    domain = tn.Domain(
        num_tokens=(pixels, pixels), batch=(1, 3), dtypes=(torch.float64,),
        train=not ours.couples_samples,
    )  # fmt: skip
    roles = {"tokens": 0, "layout": "bchw", "grid": grid, "domain": domain}
    return Audited(Plain(theirs), Plain(ours), (x,), roles)


def _rows(y: Tensor) -> Tensor:
    """A map `[B, D, H, W]` as tokens."""
    return y.flatten(2).transpose(1, 2) if y.ndim == 4 else y


def _theirs(layers: Callable[[Any], list[nn.Module]], model: nn.Module, images: Tensor) -> Any:
    """The answer, and what goes into the first of these layers and comes out of each."""
    found: dict[str, Tensor] = {}
    handles = []
    for i, layer in enumerate(layers(model)):
        if i == 0:
            handles.append(
                layer.register_forward_pre_hook(lambda m, x: found.update(hidden0=_rows(x[0])))
            )
        handles.append(
            layer.register_forward_hook(
                lambda m, x, y, i=i: found.update({f"hidden{i + 1}": _rows(y)})
            )
        )
    output = model(images)
    for handle in handles:
        handle.remove()
    return {**found, "output": output}


def _ours(net: "tn.TokenNet", images: Tensor) -> dict[str, Tensor]:
    """The answer, and the tokens before and after the blocks: the last mixers of the net."""
    x, structure = net.tokens(images)
    states = [x]
    for mixer in net.mixers:
        states.append(mixer(states[-1], structure))
    depth = net.origin.config.get("depth") or net.origin.config.get("num_blocks")
    depth = depth or net.origin.config["depths"][-1]
    hidden = {f"hidden{i}": y for i, y in enumerate(states[len(states) - 1 - depth :])}
    return {**hidden, "output": net.readout(states[-1], structure)}


def vit_options(seed: int) -> dict[str, Any]:
    """Sizes drawn by the seed; heads that divide."""
    draw = random.Random(seed)
    heads, patch = draw.choice([1, 2, 3]), draw.choice([2, 4])
    return {
        "img_size": (patch * draw.choice([2, 3]), patch * draw.choice([2, 4])),
        "patch_size": patch,
        "embed_dim": heads * draw.choice([4, 6]),
        "depth": draw.choice([1, 2]),
        "num_heads": heads,
        "mlp_ratio": draw.choice([1.5, 2.0, 4.0]),
        "num_classes": draw.choice([3, 7]),
    }


def _vit(seed: int, **more: Any) -> nn.Module:
    import_timm()
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(**{**vit_options(seed), **more})


def _deit(seed: int, **more: Any) -> nn.Module:
    import_timm()
    from timm.models.deit import VisionTransformerDistilled

    return VisionTransformerDistilled(**{**vit_options(seed), **more})


def _mixer(seed: int, **more: Any) -> nn.Module:
    import_timm()
    from timm.models.mlp_mixer import MlpMixer

    drawn = vit_options(seed)
    names = ("img_size", "patch_size", "embed_dim", "num_classes")
    options = {name: drawn[name] for name in names}
    return MlpMixer(num_blocks=drawn["depth"], **options, **more)


def _gmlp(seed: int) -> nn.Module:
    import_timm()
    from timm.layers import GatedMlp
    from timm.models.mlp_mixer import SpatialGatingBlock

    layers = {"block_layer": SpatialGatingBlock, "mlp_layer": GatedMlp}
    return _mixer(seed, mlp_ratio=3 + seed % 3, **layers)


def _convmixer(seed: int, eps: float = 1e-5, **more: Any) -> nn.Module:
    import_timm()
    from timm.models.convmixer import ConvMixer

    draw = random.Random(seed)
    sizes = {
        "dim": draw.choice([3, 6]), "depth": draw.choice([1, 2]), "patch_size": draw.choice([2, 4]),
        "kernel_size": draw.choice([1, 3, 5]), "num_classes": draw.choice([3, 7]),
    }  # fmt: skip
    model = ConvMixer(**sizes, **more)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = eps
    return model


def _poolformer(seed: int, **more: Any) -> nn.Module:
    import_timm()
    from timm.layers import GroupNorm1
    from timm.models.metaformer import MetaFormer

    draw = random.Random(seed)
    count = draw.choice([1, 2, 3])
    options = {
        "dims": [draw.choice([3, 5, 6]) for _ in range(count)],
        "depths": [draw.choice([1, 2]) for _ in range(count)], "downsample_norm": None,
        "mlp_act": nn.GELU, "mlp_bias": True, "norm_layers": GroupNorm1,
        "layer_scale_init_values": 1e-5, "res_scale_init_values": None, "use_mlp_head": False,
        "num_classes": draw.choice([3, 7]),
    }  # fmt: skip
    return MetaFormer(**{**options, **more})


def _last_stage(model: Any) -> list[nn.Module]:
    return list(model.stages[-1].blocks)


def _blocks(model: Any) -> list[nn.Module]:
    return list(model.blocks)


def _case(name: str, make: Callable[[int], nn.Module], layers: Any = _blocks) -> Case:
    bring = tn.interop.from_timm
    return Case(name, "timm", make, bring, _images, partial(_theirs, layers), _ours, _audit)


CASES = {
    "vit": _case("VisionTransformer, class token", _vit),
    "vit avg": _case(
        "VisionTransformer, mean", partial(_vit, global_pool="avg", class_token=False)
    ),
    "vit mae": _case(
        "VisionTransformer, mean without the class token", partial(_vit, global_pool="avg")
    ),
    "vit norms": _case(
        "VisionTransformer, norms of queries and keys, layer scale",
        partial(_vit, qk_norm=True, init_values=0.5, qkv_bias=False),
    ),
    "vit registers": _case(
        "VisionTransformer, registers, no position at the tokens in front",
        partial(_vit, reg_tokens=3, no_embed_class=True, init_values=0.1),
    ),
    "vit clip": _case(
        "VisionTransformer, norm before the blocks",
        partial(_vit, pre_norm=True, act_layer="quick_gelu"),
    ),
    "vit tokens": _case(
        "VisionTransformer, tokens", partial(_vit, global_pool="", num_classes=0, pos_embed="none")
    ),
    "deit": _case("VisionTransformerDistilled", _deit),
    "deit features": _case(
        "VisionTransformerDistilled, features", partial(_deit, num_classes=0, init_values=0.2)
    ),
    "mixer": _case("MlpMixer", _mixer),
    "mixer stem norm": _case(
        "MlpMixer, norm of the patches", partial(_mixer, stem_norm=True, mlp_ratio=(1.5, 2.0))
    ),
    "gmlp": _case("MlpMixer, gMLP", _gmlp),
    "convmixer": replace(
        _case("ConvMixer", _convmixer),
        imprecise="in train mode channels that hardly vary are divided by as little as 0.003: "
        "timm's own gradients in float32 are off by 1e-3 for some weights",
    ),
    "convmixer relu": _case(
        "ConvMixer, ReLU, eps 0.1", partial(_convmixer, act_layer=nn.ReLU, eps=0.1)
    ),
    "poolformer": _case("MetaFormer, PoolFormer", _poolformer, _last_stage),
    "poolformer plain": _case(
        "MetaFormer, PoolFormer without layer scale",
        partial(_poolformer, layer_scale_init_values=None, mlp_bias=False, pool_size=5),
        _last_stage,
    ),
}
