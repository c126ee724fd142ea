"""Models and convolutions of PyTorch Geometric."""

from typing import Any

from torch import nn

from tokennet.interop.live import live_class

READERS = {
    "GAT": "basic",
    "GATConv": "convolutions",
    "GATv2Conv": "convolutions",
    "GCN": "basic",
    "GCNConv": "convolutions",
    "GIN": "basic",
    "GINConv": "convolutions",
    "GPSConv": "gps",
    "GraphSAGE": "basic",
    "PNA": "basic",
    "PNAConv": "convolutions",
    "SAGEConv": "convolutions",
    "Stack": "convolutions",
    "TransformerConv": "convolutions",
}
"""The file in this folder that reads each class; it has `READ` and `describe`."""


def describe(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """The class of a live module, and its options."""
    kind, reader = live_class(module, "pyg", READERS, "torch_geometric.nn.")
    return kind, reader.describe(module)
