"""Every operation in a few lines of dense torch: slow, plain, and the oracle of the fast ones.

Axes: B samples, N target and M source tokens, T rows, E edges, H heads, D channels of a head
(C of its values), S segments.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tokennet.structure import SortedEdges


def segment_sum(
    values: Float[Tensor, "E *rest"], segment: Int[Tensor, " E"], num_segments: int
) -> Float[Tensor, "S *rest"]:
    """out[s] = sum of the values with segment s."""
    member = segment[:, None] == torch.arange(num_segments, device=segment.device)  # [E, S]
    member = member.to(values.dtype)
    return torch.tensordot(member, values, dims=([0], [0]))


def segment_mean(
    values: Float[Tensor, "E *rest"], segment: Int[Tensor, " E"], num_segments: int
) -> Float[Tensor, "S *rest"]:
    """out[s] = mean of the values with segment s, 0 without any."""
    parts = [values[segment == s] for s in range(num_segments)]
    means = [p.sum(0) / max(len(p), 1) for p in parts]
    return torch.stack(means) if means else values[:0]


def segment_max(
    values: Float[Tensor, "E *rest"], segment: Int[Tensor, " E"], num_segments: int
) -> Float[Tensor, "S *rest"]:
    """out[s] = largest of the values with segment s, 0 without any."""
    parts = [values[segment == s] for s in range(num_segments)]
    largest = [p.amax(0) if len(p) else p.sum(0) for p in parts]
    return torch.stack(largest) if largest else values[:0]


def segment_min(
    values: Float[Tensor, "E *rest"], segment: Int[Tensor, " E"], num_segments: int
) -> Float[Tensor, "S *rest"]:
    """out[s] = smallest of the values with segment s, 0 without any."""
    parts = [values[segment == s] for s in range(num_segments)]
    smallest = [p.amin(0) if len(p) else p.sum(0) for p in parts]
    return torch.stack(smallest) if smallest else values[:0]


def segment_std(
    values: Float[Tensor, "E *rest"], segment: Int[Tensor, " E"], num_segments: int
) -> Float[Tensor, "S *rest"]:
    """out[s] = standard deviation of the values with segment s, 0 where its square is <= 1e-5."""
    parts = [values[segment == s] for s in range(num_segments)]
    v = [p.var(0, correction=0) if len(p) else p.sum(0) for p in parts]
    return torch.stack([p.where(p > 1e-5, 1).sqrt() * (p > 1e-5) for p in v]) if v else values[:0]


def segment_softmax(
    scores: Float[Tensor, "E H"], segment: Int[Tensor, " E"], num_segments: int
) -> Float[Tensor, "E H"]:
    """exp(score) / sum of exp(score) over the segment; 0 where every score is -inf."""
    out = torch.where(scores.isfinite(), 0 * scores, 0)
    for s in range(num_segments):
        group = scores[segment == s]
        live = group.isfinite().any(0)
        out[segment == s] = torch.where(live, group.masked_fill(~live, 0).softmax(0), 0)
    return out


def edge_matrix(weights: Float[Tensor, "E H"], edges: SortedEdges) -> Float[Tensor, "H T T"]:
    """The weights of edges as matrices [target, source]; repeated edges add up."""
    rows = edges.num_rows
    weights = weights if edges.keep is None else weights * edges.keep[:, None]
    matrix = weights.new_zeros(rows * rows, weights.shape[1])
    matrix = matrix.index_add(0, edges.target * rows + edges.source, weights)
    return matrix.T.view(weights.shape[1], rows, rows)


def sddmm(
    q: Float[Tensor, "T H D"], k: Float[Tensor, "T H D"], edges: SortedEdges
) -> Float[Tensor, "E H"]:
    """The dot product of q at the target and k at the source of each edge that is not left out."""
    each = torch.einsum("thd,shd->tsh", q, k)[edges.target, edges.source]
    return each if edges.keep is None else each * edges.keep[:, None]


def spmm(
    weights: Float[Tensor, "E H"], v: Float[Tensor, "T H D"], edges: SortedEdges
) -> Float[Tensor, "T H D"]:
    """out[t] = sum over the edges into t of weight * v[source]."""
    return torch.einsum("hts,shd->thd", edge_matrix(weights, edges), v)


def gather_reduce(
    x: Float[Tensor, "T *rest"], edges: SortedEdges, reduce: str, weights: Tensor | None
) -> Float[Tensor, "T *rest"]:
    """A reduction of weight * x[source] over the edges into each token."""
    sent = x[edges.source]
    if weights is not None:
        sent = sent * weights.view(-1, *[1] * (x.ndim - 1))
    keep = slice(None) if edges.keep is None else edges.keep
    reduction = {"sum": segment_sum, "mean": segment_mean, "max": segment_max, "min": segment_min}
    return reduction[reduce](sent[keep], edges.target[keep], edges.num_rows)


def gat_scores(
    q: Float[Tensor, "T H"], k: Float[Tensor, "T H"], edges: SortedEdges, slope: float,
    bias: Tensor | None,
) -> Float[Tensor, "E H"]:  # fmt: skip
    """GAT's: leaky(q_i + k_j + bias)."""
    sums = (q[:, None] + k[None])[edges.target, edges.source]
    return torch.nn.functional.leaky_relu(sums if bias is None else sums + bias, slope)


def gatv2_scores(
    q: Float[Tensor, "T H D"], k: Float[Tensor, "T H D"], vector: Float[Tensor, "H D"],
    edges: SortedEdges, slope: float,
) -> Float[Tensor, "E H"]:  # fmt: skip
    """GATv2's: a.leaky(q_i + k_j)."""
    both = torch.nn.functional.leaky_relu(q[:, None] + k[None], slope)  # [T, T, H, D]
    return torch.einsum("tshd,hd->tsh", both, vector)[edges.target, edges.source]


def attend_sparse(
    q: Float[Tensor, "T H D"], k: Float[Tensor, "T H D"], v: Float[Tensor, "T H C"],
    edges: SortedEdges, scale: float,
) -> Float[Tensor, "T H C"]:  # fmt: skip
    """Softmax attention over edges through the whole matrix; an edge listed twice counts twice."""
    ones = torch.ones_like(edges.source, dtype=q.dtype)
    count = edge_matrix(ones[:, None], edges)  # [1, T, T]
    scores = torch.einsum("thd,shd->hts", q, k) * scale + count.log()
    live = (count > 0).any(-1, keepdim=True)
    return torch.einsum("hts,shd->thd", scores.masked_fill(~live, 0).softmax(-1) * live, v)


def attend_dense(
    q: Float[Tensor, "B N H D"], k: Float[Tensor, "B M H D"], v: Float[Tensor, "B M H C"],
    mask: Bool[Tensor, "b n M"] | None, scale: float, bias: Tensor | None = None,
) -> Float[Tensor, "B N H C"]:  # fmt: skip
    """Softmax attention where the mask is True; 0 for a token that may look at nothing."""
    scores = torch.einsum("bnhd,bmhd->bhnm", q, k) * scale
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], -math.inf)
    live = scores.isfinite().any(-1, keepdim=True)
    weights = scores.masked_fill(~live, 0).softmax(-1) * live
    return torch.einsum("bhnm,bmhd->bnhd", weights, v)


def attend_ragged(
    q: Float[Tensor, "T H D"], k: Float[Tensor, "M H D"], v: Float[Tensor, "M H C"],
    ptr: Int[Tensor, " B_plus_1"], source_ptr: Int[Tensor, " B_plus_1"], causal: bool, scale: float,
) -> Float[Tensor, "T H C"]:  # fmt: skip
    """Softmax attention within each sample of packed rows, through the whole matrix."""
    batch = torch.arange(len(ptr) - 1, device=ptr.device)
    own, other = (batch.repeat_interleave(p.diff()) for p in (ptr, source_ptr))
    mask = own[:, None] == other  # [T, M]
    if causal:
        at = [
            torch.arange(len(rows), device=p.device) - p[b]
            for rows, p, b in ((q, ptr, own), (k, source_ptr, other))
        ]
        mask = mask & (at[1] <= at[0][:, None])
    return attend_dense(q[None], k[None], v[None], mask[None], scale)[0]


def linear_attend(
    q: Float[Tensor, "B N H D"], k: Float[Tensor, "B M H D"], v: Float[Tensor, "B M H C"],
    mask: Bool[Tensor, "b n M"] | None,
) -> Float[Tensor, "B N H C"]:  # fmt: skip
    """Attention with weights q.k / sum of q.k (q, k positive), through the whole matrix."""
    weights = torch.einsum("bnhd,bmhd->bhnm", q, k)
    if mask is not None:
        weights = weights * mask[:, None]
    total = weights.sum(-1, keepdim=True)
    return torch.einsum("bhnm,bmhd->bnhd", weights / total.where(total > 0, 1), v)


def rnn(
    x: Float[Tensor, "B N D"], w: Tensor, u: Tensor, b: Tensor, c: Tensor
) -> Float[Tensor, "B N H"]:
    """h_i = tanh(w x_i + b + u h_(i-1) + c) from zeros."""
    h, states = x.new_zeros(len(x), u.shape[1]), []
    for token in x.unbind(1):
        h = torch.tanh(token @ w.T + b + h @ u.T + c)
        states.append(h)
    return torch.stack(states, 1)


def gru(
    x: Float[Tensor, "B N D"], w: Tensor, u: Tensor, b: Tensor, c: Tensor
) -> Float[Tensor, "B N H"]:
    """h_i = (1 - z) n + z h_(i-1); rows of w, u, b, c: reset gate r, update gate z, candidate n."""
    h, states = x.new_zeros(len(x), u.shape[1]), []
    for token in x.unbind(1):
        own, past = (token @ w.T + b).chunk(3, -1), (h @ u.T + c).chunk(3, -1)
        r, z = torch.sigmoid(own[0] + past[0]), torch.sigmoid(own[1] + past[1])
        h = (1 - z) * torch.tanh(own[2] + r * past[2]) + z * h
        states.append(h)
    return torch.stack(states, 1)


def lstm(
    x: Float[Tensor, "B N D"], w: Tensor, u: Tensor, b: Tensor, c: Tensor
) -> Float[Tensor, "B N H"]:
    """h_i = o tanh(m_i), m_i = f m_(i-1) + i tanh(g); rows of w, u, b, c: i, f, g, o."""
    h = m = x.new_zeros(len(x), u.shape[1])
    states = []
    for token in x.unbind(1):
        i, f, g, o = (token @ w.T + b + h @ u.T + c).chunk(4, -1)
        m = f.sigmoid() * m + i.sigmoid() * g.tanh()
        h = o.sigmoid() * m.tanh()
        states.append(h)
    return torch.stack(states, 1)


def fourier_mix(x: Float[Tensor, "B N D"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B N D"]:
    """Re(F_n x F_D) of each sample's first n rows, F_n[k, m] = exp(-2 pi i k m / n)."""
    y = torch.zeros_like(x)
    for b, n in enumerate(lengths.tolist()):
        for_tokens, for_channels = (
            torch.outer(t, t) * (-2j * math.pi / max(len(t), 1))
            for t in (torch.arange(size, device=x.device).double() for size in (n, x.shape[2]))
        )
        y[b, :n] = (for_tokens.exp() @ x[b, :n].to(torch.complex128) @ for_channels.exp()).real.to(
            x.dtype
        )
    return y
