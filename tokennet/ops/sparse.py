"""Products with a sparse matrix of edges, for each head.

Axes: T rows of the flat view, E edges (sorted by target), H heads, D channels of a head.
"""

from jaxtyping import Float
from torch import Tensor

from tokennet.ops import reference
from tokennet.ops.backend import is_reference, record_flops
from tokennet.ops.segment import segment_sum
from tokennet.structure import SortedEdges


def sddmm(
    q: Float[Tensor, "T H D"], k: Float[Tensor, "T H D"], edges: SortedEdges
) -> Float[Tensor, "E H"]:
    """q[target] . k[source] for each edge: a product of matrices, sampled at the edges."""
    record_flops(2 * edges.num_edges * q.shape[1] * q.shape[2])
    if is_reference():
        return reference.sddmm(q, k, edges)
    return (q.index_select(0, edges.target) * k.index_select(0, edges.source)).sum(-1)


def spmm(
    weights: Float[Tensor, "E H"], v: Float[Tensor, "T H D"], edges: SortedEdges
) -> Float[Tensor, "T H D"]:
    """out[t] = sum over the edges into t of weight * v[source]; 0 for a token without edges."""
    record_flops(2 * edges.num_edges * v.shape[1] * v.shape[2])
    if is_reference():
        return reference.spmm(weights, v, edges)
    messages = weights[..., None] * v.index_select(0, edges.source)  # [E, H, D]
    return segment_sum(messages, edges.target, edges.num_rows)
