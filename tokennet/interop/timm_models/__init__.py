"""Image models of timm."""

from typing import Any

from torch import nn

from tokennet.interop.live import live_class
from tokennet.interop.timm_models.architectures import spelled_out

__all__ = ["READERS", "describe", "spelled_out"]

READERS = {
    "ConvMixer": "convmixer",
    "MetaFormer": "poolformer",
    "MlpMixer": "mixer",
    "VisionTransformer": "vit",
    "VisionTransformerDistilled": "vit",
}
"""The file in this folder that reads each class; it has `READ` and `describe`."""


def describe(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """The class of a live module, and its options."""
    kind, reader = live_class(module, "timm", READERS, "timm.models.")
    return kind, reader.describe(module)
