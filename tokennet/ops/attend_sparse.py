"""Attention over edges: dot products with edge features, and the scores of GAT and GATv2.

Axes: T rows of the flat view, E edges, H heads, D channels of a head (C of its values), K channels
of an edge.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokennet.ops import reference
from tokennet.ops.backend import is_fused, is_reference, record_flops
from tokennet.ops.kernel import FLOATS, Inputs
from tokennet.ops.library import attend_op
from tokennet.ops.library_sums import segment_softmax_op
from tokennet.ops.segment import segment_softmax, segment_sum
from tokennet.ops.sparse import kernel_dtype, sddmm, spmm, transpose
from tokennet.structure import SortedEdges


def attend_edges(
    q: Float[Tensor, "T H D"],
    k: Float[Tensor, "T H D"],
    v: Float[Tensor, "T H C"],
    edges: SortedEdges,
    *,
    scale: float,
    bias: Float[Tensor, "E H"] | None = None,
    attr: Float[Tensor, "E K"] | None = None,
    edge_map: Float[Tensor, "H C K"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "T H C"]:
    """softmax_j(scale q_i.(k_j + W e_ij) + bias_ij) (v_j + W e_ij), over the edges j -> i.

    W e is never made for an edge: q.(W e) = (q W).e, and sum_j w_j W e_j = W sum_j w_j e_j.
    """
    query = None
    if attr is None or edge_map is None:
        attr = None
    else:
        attr, query = attr.to(q.dtype), torch.einsum("thd,hdk->thk", q, edge_map)
    if is_fused("attend", q, k, v, bias, attr):
        width = 2 * (0 if attr is None else attr.shape[1]) + q.shape[2] + v.shape[2]
        record_flops(2 * edges.num_edges * q.shape[1] * width)
        inputs = Inputs("dot", q, k, v, None, bias, query, attr, scale=scale)
        y, edge_y = _run(inputs, edges, dropout)
    elif is_reference() and bias is None and attr is None and not dropout:
        return reference.attend_sparse(q, k, v, edges, scale)
    else:
        scores = sddmm(q, k, edges)
        if attr is not None and query is not None:
            each = query.index_select(0, edges.target)
            scores = scores + torch.einsum("ehk,ek->eh", each, attr)
        scores = scores * scale
        weights = dropped(edge_softmax(scores if bias is None else scores + bias, edges), dropout)
        y, edge_y = spmm(weights, v, edges), None
        if attr is not None:
            edge_y = segment_sum(weights[:, :, None] * attr[:, None], edges.target, edges.num_rows)
    if edge_map is None or edge_y is None or attr is None:
        return y
    return y + torch.einsum("thk,hdk->thd", edge_y.to(y.dtype), edge_map)


def attend_gat(
    q: Float[Tensor, "T H"],
    k: Float[Tensor, "T H"],
    v: Float[Tensor, "T H C"],
    edges: SortedEdges,
    *,
    slope: float = 0.2,
    bias: Float[Tensor, "E H"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "T H C"]:
    """softmax_j(LeakyReLU(q_i + k_j + bias_ij)) v_j over the edges j -> i.

    Velickovic et al. 2018, "Graph attention networks" (equation 3), where q_i = b.W x_i and
    k_j = a.W x_j.
    """
    if is_fused("attend_gat", q, k, v, bias):
        record_flops(2 * edges.num_edges * v.shape[1] * v.shape[2])
        return _run(Inputs("gat", q, k, v, bias=bias, slope=slope), edges, dropout)[0]
    if is_reference():
        scores = reference.gat_scores(q, k, edges, slope, bias)
    else:
        sums = q.index_select(0, edges.target) + k.index_select(0, edges.source)
        scores = F.leaky_relu(sums if bias is None else sums + bias, slope)
    return spread_scores(scores, v, edges, dropout=dropout)


def attend_gatv2(
    q: Float[Tensor, "T H D"],
    k: Float[Tensor, "T H D"],
    vector: Float[Tensor, "H D"],
    edges: SortedEdges,
    *,
    v: Float[Tensor, "T H C"] | None = None,
    slope: float = 0.2,
    bias: Float[Tensor, "E H"] | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """softmax_j(a.LeakyReLU(q_i + k_j) + bias_ij) v_j over the edges j -> i; without v, times k_j.

    Brody et al. 2022, "How attentive are graph attention networks?" (equation 7), where q_i = U x_i
    and k_j = W x_j, which is the value too.
    """
    if is_fused("attend_gatv2", q, k, v, vector, bias):
        record_flops(2 * edges.num_edges * q.shape[1] * (2 * q.shape[2] + k.shape[2]))
        inputs = Inputs("gatv2", q, k, v, vector, bias, slope=slope)
        return _run(inputs, edges, dropout)[0]
    if is_reference():
        scores = reference.gatv2_scores(q, k, vector, edges, slope)
    else:
        both = q.index_select(0, edges.target) + k.index_select(0, edges.source)  # [E, H, D]
        scores = (F.leaky_relu(both, slope) * vector).sum(-1)
    scores = scores if bias is None else scores + bias
    return spread_scores(scores, k if v is None else v, edges, dropout=dropout)


def edge_softmax(scores: Float[Tensor, "E H"], edges: SortedEdges) -> Float[Tensor, "E H"]:
    """Softmax over the edges into each token; edges that are not kept get 0."""
    if is_fused("edge_softmax", scores):
        wide = scores.to(kernel_dtype(scores))
        return segment_softmax_op(wide, edges.ptr, edges.target).to(scores.dtype)
    if edges.keep is not None:
        scores = scores.masked_fill(~edges.keep[:, None], -math.inf)
    return segment_softmax(scores, edges.target, edges.num_rows)


def spread_scores(
    scores: Float[Tensor, "E H"],
    v: Float[Tensor, "T H D"],
    edges: SortedEdges,
    *,
    dropout: float = 0.0,
) -> Float[Tensor, "T H D"]:
    """Attention with given scores of edges: softmax over the edges into each token, times v."""
    return spmm(dropped(edge_softmax(scores, edges), dropout), v, edges)


def dropped(weights: Tensor, dropout: float) -> Tensor:
    """Some weights set to 0, the others larger."""
    return F.dropout(weights, dropout) if dropout else weights


def _run(inputs: Inputs, edges: SortedEdges, dropout: float) -> tuple[Tensor, Tensor]:
    """Out and edge_out of the fused kernel, out in the dtype that torch would give it."""
    given = {name: t for name in FLOATS if (t := getattr(inputs, name)) is not None}
    dtype = inputs.q.dtype
    for t in given.values():
        dtype = torch.promote_types(dtype, t.dtype)
    inner = kernel_dtype(*given.values())
    inputs = inputs._replace(**{name: t.to(inner) for name, t in given.items()})
    if dropout:  # drawn here, so that torch's generator, compilation and checkpoints see it
        heads = inputs.values.shape[1]
        kept = torch.rand(edges.num_edges, heads, device=edges.ptr.device) >= dropout
        share = dropout if dropout < 1 else 0.0  # all are dropped: nothing to make larger
        inputs = inputs._replace(kept=kept, dropout=share)
    found = attend_op(inputs, edges.rows, transpose(edges, *given.values()))
    return found.out.to(dtype), found.edge_out
