"""Encoders and decoders of x-transformers."""

from typing import Any

from torch import nn

from tokennet.interop.live import live_class

READERS = {
    "Decoder": "layers",
    "Encoder": "layers",
    "TransformerWrapper": "layers",
}
"""The file in this folder that reads each class; it has `READ` and `describe`."""


def describe(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """The class of a live module, and its options."""
    kind, reader = live_class(module, "x_transformers", READERS, "x_transformers.")
    return kind, reader.describe(module)
