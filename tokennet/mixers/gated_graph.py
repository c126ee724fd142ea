"""Gated graph networks: a recurrent cell that reads what a token hears, several times over.

Axes: T rows of the flat view, E edges, D channels, S steps.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive
from tokennet.laws import Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.ops import spmm
from tokennet.structure import Structure


class GatedGraphConvolution(Mixer):
    """h_i(s+1) = GRU(sum_j w_ji W_s h_j(s), h_i(s)) over the edges j -> i, from h(0) = x.

    Li et al. 2016, "Gated graph sequence neural networks" (equations 1 to 6), with a W for each
    step and one GRU for all. Edge weights are read where there are any. `num_steps` is how far a
    token hears. Shapes: [*, dim] -> [*, dim].
    """

    claims = closure({Permutation()})
    reads = frozenset({"edges"})

    def __init__(self, dim: int, num_steps: int):
        super().__init__()
        self.dim = positive("dim", dim)
        self.num_steps = positive("num_steps", num_steps)
        self.maps = nn.Parameter(torch.empty(num_steps, dim, dim))
        nn.init.uniform_(self.maps, -(dim**-0.5), dim**-0.5)
        self.cell = nn.GRUCell(dim, dim)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, edges = structure.layout, structure.sorted_edges
        h = layout.flat(layout.clear(x))
        one = torch.ones_like(edges.target, dtype=h.dtype)
        weights = (one if edges.weight is None else edges.weight.to(h.dtype))[:, None]  # [E, 1]
        for step in self.maps:
            heard = spmm(weights, (h @ step)[:, None], edges).squeeze(1)
            h = self.cell(heard, h)
        return layout.unflat(h)
