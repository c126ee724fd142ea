"""Graph isomorphism networks: sums of what is heard, then a map of each token.

Axes: T rows of the flat view, E edges, D channels, K channels of an edge, O channels out.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.laws import Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.mixers.bias import edge_features
from tokennet.ops import gather_reduce, segment_sum
from tokennet.ops.backend import record_flops
from tokennet.structure import SortedEdges, Structure


class _Isomorphism(Mixer, ABC):
    """What GIN and GINE share: everything but the messages.

    `mlp` maps each token by itself, `[T, dim] -> [T, out_dim]`; without one it is
    W2 relu(W1 x + b1) + b2. With `learn_eps` the weight of a token itself, 1 + eps, is learned.
    """

    claims = closure({Permutation()})
    reads = frozenset({"edges"})

    def __init__(
        self,
        dim: int,
        mlp: nn.Module | None = None,
        *,
        out_dim: int | None = None,
        eps: float = 0.0,
        learn_eps: bool = False,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        if mlp is None:
            mlp = nn.Sequential(
                nn.Linear(dim, dim), nn.ReLU(inplace=True), nn.Linear(dim, self.out_dim)
            )
        if not isinstance(mlp, nn.Module) or isinstance(mlp, Mixer):
            hint = "e.g. nn.Sequential(nn.Linear(dim, dim), nn.ReLU())"
            raise type_error("mlp", kind_of(mlp), "a module that maps each token by itself", hint)
        if isinstance(eps, bool) or not isinstance(eps, (int, float)):
            raise type_error("eps", repr(eps), "a number")
        self.mlp = mlp
        self.eps: float | Tensor = float(eps)
        if learn_eps:
            del self.eps  # an attribute can't become a parameter
            self.eps = nn.Parameter(torch.tensor(float(eps)))

    @abstractmethod
    def _heard(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "T D"]:
        """The sum of what the edges carry to each token."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, edges = structure.layout, structure.sorted_edges
        flat = layout.flat(layout.clear(x))
        heard = self._heard(flat, edges)
        if isinstance(self.eps, Tensor):
            y = self.mlp(heard + (1 + self.eps) * flat)
        else:
            y = self.mlp(torch.add(heard, flat, alpha=1 + self.eps))
        if y.shape[-1] != self.out_dim:
            hint = "pass out_dim"
            raise value_error("channels of mlp's output", y.shape[-1], f"{self.out_dim}", hint)
        return layout.unflat(y)


class GINConvolution(_Isomorphism):
    """y_i = mlp((1 + eps) x_i + sum_j x_j) over the edges j -> i.

    GIN: Xu et al. 2019, "How powerful are graph neural networks?" (equation 4.1). Edge weights and
    features are not read. Shapes: [*, dim] -> [*, out_dim].
    """

    def _heard(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "T D"]:
        return gather_reduce(x, edges)


class GINEConvolution(_Isomorphism):
    """y_i = mlp((1 + eps) x_i + sum_j relu(x_j + W e_ij + b)) over the edges j -> i.

    GINE: Hu et al. 2020, "Strategies for pre-training graph neural networks" (equation A.2). e_ij
    `[E, edge_dim]` are the edges' features, `Edges(index, attr=...)`; weights are not read. Shapes:
    [*, dim] -> [*, out_dim].
    """

    def __init__(
        self,
        dim: int,
        edge_dim: int,
        mlp: nn.Module | None = None,
        *,
        out_dim: int | None = None,
        eps: float = 0.0,
        learn_eps: bool = False,
    ):
        super().__init__(dim, mlp, out_dim=out_dim, eps=eps, learn_eps=learn_eps)
        self.edge_dim = positive("edge_dim", edge_dim)
        self.edge = nn.Linear(edge_dim, dim)

    def _heard(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "T D"]:
        record_flops(edges.num_edges * x.shape[1])
        e = self.edge(edge_features(edges, self.edge_dim, "GINEConvolution").to(x.dtype))
        sent = torch.relu(x.index_select(0, edges.source) + e)
        return segment_sum(sent, edges.target, edges.num_rows, ptr=edges.ptr)
