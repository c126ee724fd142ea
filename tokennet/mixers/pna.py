"""Principal neighbourhood aggregation: several summaries of what is heard, scaled by the degree.

Axes: T rows of the flat view, E edges, D channels, K channels of an edge, O channels out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.laws import Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.mixers.bias import edge_features
from tokennet.ops import segment_max, segment_mean, segment_min, segment_std, segment_sum
from tokennet.ops.backend import record_flops
from tokennet.structure import SortedEdges, Structure

POOLS = (segment_mean, segment_min, segment_max, segment_std)
SCALES = 3  # identity, amplification, attenuation


class PNAConvolution(Mixer):
    """y_i = V U [x_i, s * p_j(M [x_i, x_j, W e_ij])], p over the edges j -> i, each s with each p.

    Corso et al. 2020, "Principal neighbourhood aggregation for graph nets" (equations 5 to 8). The
    p are mean, minimum, maximum and standard deviation; the scalers s are 1, log(d_i + 1) / delta
    and delta / log(d_i + 1), d_i being the edges into i, and delta the mean of log(d + 1) over
    the training set. One tower; biases everywhere. Edge weights are not read, features with
    `edge_dim` only. Shapes: [*, dim] -> [*, out_dim].

    Args:
        degrees: `[T]`, how many edges go into each token of the training set, in any order.
    """

    claims = closure({Permutation()})
    reads = frozenset({"edges"})
    mean_log_degree: Tensor

    def __init__(
        self,
        dim: int,
        degrees: Tensor,
        *,
        out_dim: int | None = None,
        edge_dim: int | None = None,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        self.register_buffer("mean_log_degree", _mean_log_degree(degrees))
        self.edge_dim = None if edge_dim is None else positive("edge_dim", edge_dim)
        self.edge = None if edge_dim is None else nn.Linear(edge_dim, dim)
        self.message = nn.Linear((2 if edge_dim is None else 3) * dim, dim)
        self.update = nn.Linear((SCALES * len(POOLS) + 1) * dim, self.out_dim)
        self.output = nn.Linear(self.out_dim, self.out_dim)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, edges = structure.layout, structure.sorted_edges
        flat = layout.flat(layout.clear(x))
        sent = self._messages(flat, edges)
        segments = edges.target, edges.num_rows
        record_flops(len(POOLS) * edges.num_edges * flat.shape[1])
        p = torch.cat([pool(sent, *segments, ptr=edges.ptr) for pool in POOLS], -1)  # [T, 4D]
        more, less = (scale.to(p.dtype)[:, None] for scale in self._scales(edges))
        y = self.update(torch.cat([flat, p, p * more, p * less], -1))
        return layout.unflat(self.output(y))

    def _messages(self, x: Tensor, edges: SortedEdges) -> Float[Tensor, "E D"]:
        """M [x_i, x_j, W e_ij], the parts of M that read tokens once a token, not once an edge."""
        into, out, *rest = self.message.weight.split(self.message.in_features // self._parts, 1)
        u, v = F.linear(x, into, self.message.bias), F.linear(x, out)
        sent = u.index_select(0, edges.target) + v.index_select(0, edges.source)
        if self.edge is None or self.edge_dim is None:
            return sent
        attr = edge_features(edges, self.edge_dim, "PNAConvolution").to(x.dtype)
        return sent + F.linear(self.edge(attr), rest[0])

    @property
    def _parts(self) -> int:
        return 2 if self.edge is None else 3

    def _scales(self, edges: SortedEdges) -> tuple[Tensor, Tensor]:
        """Amplification and attenuation `[T]`; of a token without edges 0 and that of degree 1."""
        delta = self.mean_log_degree
        wide = torch.promote_types(delta.dtype, torch.float32)  # bfloat16 counts to 256
        one = torch.ones_like(edges.target, dtype=wide)
        degree = segment_sum(one, edges.target, edges.num_rows)
        return degree.log1p() / delta, delta / degree.clamp_min(1).log1p()


def _mean_log_degree(degrees: Tensor) -> Tensor:
    if not isinstance(degrees, Tensor):
        raise type_error("degrees", kind_of(degrees), "a tensor [T] of whole numbers")
    if degrees.is_floating_point() or degrees.dtype == torch.bool:
        raise type_error("degrees.dtype", degrees.dtype, "whole numbers, e.g. torch.int64")
    if degrees.ndim != 1:
        raise value_error("degrees.shape", tuple(degrees.shape), "[T], one for each token")
    if not (degrees > 0).any() or (degrees < 0).any():
        found = degrees[:8].tolist()
        raise value_error("degrees", found, "numbers of edges, at least one above 0")
    return degrees.double().log1p().mean().float()
