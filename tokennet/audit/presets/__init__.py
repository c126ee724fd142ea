"""Modules of known libraries: how they are called, and what their documentation promises."""

from torch import nn

from tokennet.audit.adapter import Preset
from tokennet.audit.presets import huggingface, pyg, timm, torch_modules

FAMILIES = (torch_modules, pyg, huggingface, timm)


def recognise(module: nn.Module) -> Preset | None:
    """How to call `module`, if its kind is known; no library is imported for that.

    A subclass with a `forward` of its own is another kind, unless its base fixes what `forward`
    means (`MessagePassing`, `PreTrainedModel`).
    """
    for family in FAMILIES:
        preset = family.recognise(module)
        if preset is not None:
            return preset
    return None


__all__ = ["recognise"]
