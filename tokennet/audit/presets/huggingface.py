"""Models of transformers."""

from torch import nn

from tokennet.audit.adapter import Preset


def recognise(module: nn.Module) -> Preset | None:
    """The preset of a model of transformers."""
    return None
