"""Graph convolution: weights from the degrees, nothing from the content.

Axes: T rows of the flat view, E edges, D channels in, O channels out.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive
from tokennet.laws import Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.ops import segment_sum, spmm
from tokennet.structure import SortedEdges, Structure
from tokennet.topology import EdgeList


class GraphConvolution(Mixer):
    """y_i = b + sum_j w_ji / sqrt(d_i d_j) W x_j over the edges j -> i and the token itself.

    GCN: Kipf and Welling 2017, "Semi-supervised classification with graph convolutional networks"
    (equation 2). d_i is the sum of the weights of the edges into i, with the self-loop that every
    token without one gets. Edge weights are read where there are any; a token whose d is not
    positive sends and hears nothing. Shapes: [*, dim] -> [*, out_dim].
    """

    claims = closure({Permutation()})
    reads = frozenset({"edges"})

    def __init__(
        self,
        dim: int,
        *,
        out_dim: int | None = None,
        self_loops: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        self.topology = EdgeList(self_loops)
        self.map = nn.Linear(dim, self.out_dim, bias=False)
        nn.init.xavier_uniform_(self.map.weight)
        self.bias = nn.Parameter(torch.zeros(self.out_dim)) if bias else None

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, edges = structure.layout, self.topology.pairs(structure).edges
        y = self.map(layout.flat(x))[:, None, :]  # [T, 1, O]
        y = spmm(normalised_weights(edges, y.dtype), y, edges).squeeze(1)
        return layout.unflat(y if self.bias is None else y + self.bias)

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> tuple[Tensor, Tensor]:
        """(index `[2, E]`, weights `[E, 1]`): the normalised adjacency matrix."""
        self.check(x, structure)
        edges = self.topology.pairs(structure).edges
        return edges.index, normalised_weights(edges, x.dtype)


def normalised_weights(edges: SortedEdges, dtype: torch.dtype) -> Float[Tensor, "E 1"]:
    """w / sqrt(d_target d_source) of each edge, found in float64, once for the structure."""
    return edges.remember(f"normalised_weights_{dtype}", lambda: _normalise(edges).to(dtype))


def _normalise(edges: SortedEdges) -> Tensor:
    if edges.weight is None:
        weight = torch.ones(edges.num_edges, dtype=torch.float64, device=edges.source.device)
    else:
        weight = edges.weight.double()
    if edges.keep is not None:
        weight = weight * edges.keep
    degree = segment_sum(weight, edges.target, edges.num_rows)
    positive_degree = degree > 0
    scale = degree.where(positive_degree, 1).rsqrt() * positive_degree
    return (weight * scale[edges.target] * scale[edges.source])[:, None]
