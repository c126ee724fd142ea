"""PyTorch's own modules."""

from typing import Any

from torch import nn

from tokennet.interop.live import live_class

READERS = {
    "GRU": "recurrent",
    "LSTM": "recurrent",
    "MultiheadAttention": "attention",
    "RNN": "recurrent",
    "Transformer": "transformer",
    "TransformerDecoder": "transformer",
    "TransformerDecoderLayer": "transformer",
    "TransformerEncoder": "transformer",
    "TransformerEncoderLayer": "transformer",
}
"""The file in this folder that reads each class; it has `READ` and `describe`."""


def describe(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """The class of a live module, and its options."""
    kind, reader = live_class(module, "torch", READERS, "torch.nn.")
    return kind, reader.describe(module)
