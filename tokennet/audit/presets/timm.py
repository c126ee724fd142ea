"""Image nets of timm: one image in, class numbers or features out."""

from typing import Any

from torch import nn

from tokennet.audit.adapter import Adapter, Preset
from tokennet.audit.presets.known import SAMPLES, arguments, domain, features, promised


def _size(module: Any) -> tuple[int, int, int] | None:
    """(channels, height, width) of the images that the net was made for."""
    for name in ("pretrained_cfg", "default_cfg"):
        settings = getattr(module, name, None)
        read = settings.get if isinstance(settings, dict) else lambda k, s=settings: getattr(s, k)
        size = read("input_size") if settings is not None else None
        if size is not None and len(size) == 3:
            return int(size[0]), int(size[1]), int(size[2])
    return None


def recognise(module: nn.Module) -> Preset | None:
    """The preset of a net of `timm.models`, at the one image size of its settings."""
    if not any(c.__module__.startswith("timm.models.") for c in type(module).__mro__):
        return None
    size = _size(module)
    if size is None:
        return None
    made = getattr(getattr(module, "patch_embed", None), "img_size", None)
    if isinstance(made, (tuple, list)):
        size = (size[0], int(made[0]), int(made[1]))  # made with another size than its settings
    first = next(iter(arguments(module)))
    pixels = size[1] * size[2]
    example = {first: features(module, SAMPLES, *size)}
    adapter = Adapter(tokens=first, layout="bchw", grid=size[1:])
    limits = domain(module, num_tokens=(pixels, pixels))
    names = promised(module, "BatchIndependence")
    return Preset(example, adapter, names, limits, f"timm {type(module).__name__}")
