"""Attention over the pairs of a topology, dense or sparse.

Axes: B samples, N target and M source tokens, T rows, E edges, H heads, D channels of a head
(C of its values).
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import value_error
from tokennet.ops import reference
from tokennet.ops.attend_sparse import attend_edges, edge_softmax
from tokennet.ops.backend import is_reference
from tokennet.ops.sparse import sddmm, spmm
from tokennet.pairs import Dense, Pairs, Sparse


def attend(
    q: Float[Tensor, "*tokens H D"],
    k: Float[Tensor, "*sources H D"],
    v: Float[Tensor, "*sources H C"],
    pairs: Pairs,
    *,
    scale: float | None = None,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    attr: Float[Tensor, "E K"] | None = None,
    edge_map: Float[Tensor, "H C K"] | None = None,
) -> Float[Tensor, "*tokens H C"]:
    """softmax over the pairs of scale * q.k + bias, times v ("Attention is all you need", eq. 1).

    Over `Dense` pairs the tensors are padded, `[B, N, H, D]`, and the bias is `[b, H, N, M]`, b
    being B or 1; over `Sparse` ones flat, `[T, H, D]`, bias `[E, H]`. `scale` is 1/sqrt(D) by
    default. A token without any pair gets 0. `dropout` acts on the weights. Over sparse pairs
    features e `attr` of the edges with a map W `edge_map` add to keys and values, k_j + W e_ij and
    v_j + W e_ij, though no such vector is made for any edge.

    Raises:
        ValueError: for features of edges over dense pairs, or without their map.
    """
    if (attr is None) != (edge_map is None):
        name = "edge_map" if edge_map is None else "attr"
        raise value_error(name, None, "a tensor", "attr and edge_map go together")
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    if isinstance(pairs, Dense):
        if attr is not None:
            raise value_error("attr", tuple(attr.shape), "None over dense pairs", "use bias=")
        return _attend_dense(q, k, v, pairs, factor, bias, dropout)
    return attend_edges(
        q, k, v, pairs.edges,
        scale=factor, bias=bias, attr=attr, edge_map=edge_map, dropout=dropout,
    )  # fmt: skip


def masked_softmax(scores: Float[Tensor, "B H N M"], mask: Tensor) -> Float[Tensor, "B H N M"]:
    """Softmax over the sources where `mask [b, n, M]` is True; 0 for a token that hears nobody."""
    scores = scores.masked_fill(~mask[:, None], -math.inf)
    live = mask.any(-1, keepdim=True)[:, None]
    return scores.masked_fill(~live, 0).softmax(-1) * live


def weighted_sum(
    weights: Tensor, v: Float[Tensor, "*sources H C"], pairs: Pairs
) -> Float[Tensor, "*tokens H C"]:
    """out_i = sum_j weight_ij v_j: weights `[B, H, N, M]` over dense pairs, `[E, H]` over edges."""
    if isinstance(pairs, Sparse):
        return spmm(weights, v, pairs.edges)
    return torch.einsum("bhnm,bmhc->bnhc", weights, v)


def _attend_dense(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    pairs: Dense,
    scale: float,
    bias: Tensor | None,
    dropout: float,
) -> Tensor:
    if k.shape[1] == 0:  # nobody to listen to: an empty sum, through which gradients still pass
        return torch.einsum("bnhm,bmhd->bnhd", torch.einsum("bnhd,bmhd->bnhm", q, k), v)
    if is_reference() and not dropout:
        whole = pairs.full_mask(q.shape[1], k.shape[1], q.device)
        return reference.attend_dense(q, k, v, whole, scale, bias)
    mask, causal = pairs.mask, pairs.causal
    if causal and (mask is not None or bias is not None):  # torch takes one of the two
        mask, causal = pairs.full_mask(q.shape[1], k.shape[1], q.device), False
    mask = None if mask is None else mask[:, None]
    if bias is not None:
        bias = bias.to(q.dtype)
        mask = bias if mask is None else bias.masked_fill(~mask, -math.inf)
    y = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
        attn_mask=mask, dropout_p=dropout, is_causal=causal, scale=scale,
    )  # fmt: skip
    return y.transpose(1, 2)


def dot_scores(
    q: Float[Tensor, "*tokens H D"], k: Float[Tensor, "*sources H D"], pairs: Pairs
) -> Tensor:
    """q_i . k_j for the pairs: `[B, H, N, M]` over dense ones, `[E, H]` over edges."""
    if isinstance(pairs, Sparse):
        return sddmm(q, k, pairs.edges)
    return torch.einsum("bnhd,bmhd->bhnm", q, k)


def attention_weights(
    q: Float[Tensor, "*tokens H D"],
    k: Float[Tensor, "*sources H D"],
    pairs: Pairs,
    *,
    scale: float | None = None,
) -> Tensor:
    """The weights themselves: `[B, H, N, M]` over dense pairs, `[E, H]` over sparse ones."""
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = dot_scores(q, k, pairs) * factor
    if isinstance(pairs, Sparse):
        return edge_softmax(scores, pairs.edges)
    return masked_softmax(scores, pairs.full_mask(q.shape[1], k.shape[1], q.device))
