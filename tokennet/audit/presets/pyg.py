"""Modules of PyG: graph operators, graph nets, aggregations, norms, poolings, attention."""

from dataclasses import replace

from torch import nn

from tokennet.audit.adapter import Preset
from tokennet.audit.presets import pyg_graphs, pyg_sets


def recognise(module: nn.Module) -> Preset | None:
    """The preset of a module of PyG, or of a subclass of its `MessagePassing`."""
    preset = pyg_graphs.recognise(module) or pyg_sets.recognise(module)
    if preset is None:
        return None
    return replace(preset, source=f"PyG {type(module).__name__}")
