"""Models and convolutions of PyTorch Geometric."""

from typing import Any

from torch import nn

from tokennet.checks import value_error
from tokennet.interop.live import live_class

READERS = {
    "GAT": "basic",
    "GATConv": "convolutions",
    "GATv2Conv": "convolutions",
    "GCN": "basic",
    "GCNConv": "convolutions",
    "GIN": "basic",
    "GINConv": "convolutions",
    "GINEConv": "convolutions",
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
    from tokennet.interop.pyg_models import convolutions

    if type(module) is convolutions.Stack:
        kind, options = "Stack", convolutions.describe(module)
    else:
        kind, reader = live_class(module, "pyg", READERS, "torch_geometric.nn.")
        options = reader.describe(module)
    check_untied(module)
    return kind, options


def check_untied(module: nn.Module) -> None:
    """Raises where two parts have one weight: the net would train them apart."""
    first: dict[int, str] = {}
    for name, p in module.named_parameters(remove_duplicate=False):
        other = first.setdefault(id(p), name)
        if other != name:
            hint = (
                "share_weights=True, or a module that stands there twice, makes them one; "
                "tokennet's net has two, so such a model has no import"
            )
            raise value_error(f"the weights of {name}", f"those of {other}", "its own", hint)
