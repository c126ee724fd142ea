"""The linear maps of a layer alone: the time that would be left if its edges cost nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sparse_steps import LAYERS, Case, slope_like
from torch import Tensor, nn

MAPS = {
    "TransformerConv": ("mixers.0.query", "mixers.0.key", "mixers.0.value", "mixers.1.map"),
    "GATConv": ("value",),
    "GATv2Conv": ("value", "target"),
    "GCNConv": ("map",),
    "SAGEConv": ("own", "heard"),
    "GINConv": ("mlp",),
}
"""Parts of ours that map each token by itself, all from as many channels as a token has."""


@dataclass(frozen=True, eq=False)
class Maps:
    """Each map applied to the tokens, as often and of the size that ours and PyG's layer do it."""

    maps: Sequence[nn.Module]
    x: Tensor

    @staticmethod
    def of(case: Case) -> "Maps":
        layer = LAYERS[case.operator].ours(case.width, case.heads)
        maps = [layer.get_submodule(name) for name in MAPS[case.operator]]
        return Maps(maps, torch.randn(case.size[0], case.width).requires_grad_())

    def forward(self) -> list[Tensor]:
        with torch.no_grad():
            return [m(self.x) for m in self.maps]

    def both(self) -> tuple[Tensor, ...]:
        """Gradients of the tokens and of every weight."""
        ys = [m(self.x) for m in self.maps]
        leaves = [self.x, *(p for m in self.maps for p in m.parameters())]
        return torch.autograd.grad(ys, leaves, [slope_like(y) for y in ys])
