"""The sparse kernels in plain torch: no tensor [E, H, D], sums by `embedding_bag`.

Axes: T rows of the flat view, E edges, H heads, D channels of a key, C of a value, K of an edge, S
rows of a compressed form.

What runs where there is neither a compiler nor a GPU. A weighted sum of rows is an embedding bag
with per-sample weights, the one sparse product that torch runs fast on a CPU; dot products are made
for `CHUNK` edges at a time, in buffers that stay in the cache.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tokennet.ops.chunks import (
    CHUNK,
    bag,
    count_of,
    dots,
    edge_scores,
    feature_dots,
    feature_gradients,
    in_order_of,
    leaky_gradients,
    row_of,
    segment,
    source_of,
    weighted,
    weighted_features,
)
from tokennet.ops.kernel import Gradients, Inputs, Result
from tokennet.structure import Compressed


def attend(inputs: Inputs, rows: Compressed) -> Result:
    """Softmax over the edges into each row, times the messages."""
    source, target = source_of(rows), row_of(rows)
    scores, _ = edge_scores(inputs, source, target)
    largest = segment("max", scores, rows, -math.inf)
    largest = largest.masked_fill(largest.isinf(), 0)  # a row of nothing but -inf
    power = scores.sub_(largest.index_select(0, target)).exp_()
    total = segment("sum", power, rows, 0)
    log_sum = largest.add_(total.log()).masked_fill_(total == 0, math.inf)
    weights = power.div_(total.masked_fill(total == 0, 1).index_select(0, target))
    if inputs.kept is not None:
        weights.mul_(inputs.kept[: len(weights)]).div_(1 - inputs.dropout)
    out = weighted(weights, inputs.values, rows)
    edge_out = weights.new_zeros(0)
    if inputs.attr is not None:
        edge_out = weighted_features(weights, inputs.attr, rows, target)
    return Result(out, edge_out, log_sum)


def attend_backward(
    inputs: Inputs,
    result: Result,
    grad: Tensor,
    grad_edge: Tensor | None,
    rows: Compressed,
    columns: Compressed,
    needs: list[bool],
) -> Gradients:
    """Gradients of `attend`; `needs` says which, in the order of `Gradients`."""
    source, target = source_of(rows), row_of(rows)
    scores, steep = edge_scores(inputs, source, target)
    weights = scores.sub_(result.log_sum.index_select(0, target)).exp_()
    slopes = dots(grad, inputs.values, target, source)
    delta = (grad * result.out).sum(-1)
    if inputs.attr is not None and grad_edge is not None:
        slopes += feature_dots(grad_edge, inputs.attr, target)
        delta += (grad_edge * result.edge_out).sum(-1)
    used = weights
    if inputs.kept is not None:
        share = inputs.kept[: len(weights)] / (1 - inputs.dropout)
        slopes, used = slopes * share, weights * share
    slopes = slopes.sub_(delta.index_select(0, target)).mul_(weights)  # d loss / d score
    if steep is not None:
        slopes = slopes * steep
    q = k = v = vector = query = attr = None
    if inputs.v is not None and needs[2]:
        v = weighted(in_order_of(columns, used), grad, columns)
    if inputs.score == "dot":
        q = weighted(slopes, inputs.k, rows) * inputs.scale if needs[0] else None
        if needs[1]:
            k = weighted(in_order_of(columns, slopes), inputs.q, columns) * inputs.scale
    elif inputs.score == "gat":
        q = segment("sum", slopes, rows, 0) if needs[0] else None
        k = segment("sum", in_order_of(columns, slopes), columns, 0) if needs[1] else None
    else:
        q, k, vector = leaky_gradients(inputs, slopes, source, target)
        if inputs.v is None:
            k += weighted(in_order_of(columns, used), grad, columns)
    if inputs.attr is not None and inputs.edge_query is not None:
        slopes_of_dot = slopes * inputs.scale
        query = weighted_features(slopes_of_dot, inputs.attr, rows, target)
        if needs[6]:
            attr = torch.zeros_like(inputs.attr)
            feature_gradients(attr, slopes_of_dot, inputs.edge_query, target)
            if grad_edge is not None:
                feature_gradients(attr, used, grad_edge, target)
    bias = None
    if inputs.bias is not None and needs[4]:
        bias = F.pad(slopes, (0, 0, 0, len(inputs.bias) - len(slopes)))
    return Gradients(q, k, v, vector, bias, query, attr)


def gather_sum(x: Tensor, weight: Tensor | None, form: Compressed) -> Tensor:
    """out[s] = sum over the entries of row s of weight[place] x[index]: `[S, H, D]`.

    x is `[T, H, D]`, its last two axes contiguous; weight `[E, H]`, or None for all ones.
    """
    if weight is not None:
        return weighted(in_order_of(form, weight), x, form)
    if form.index is None:
        return segment("sum", x[: count_of(form)].flatten(1), form, 0).view(-1, *x.shape[1:])
    return bag(None, x.flatten(1), form.index[: count_of(form)], form.ptr).view(-1, *x.shape[1:])


def sddmm(q: Tensor, k: Tensor, form: Compressed, num_edges: int) -> Tensor:
    """q[row] . k[index] at `[E, H]`, for each entry of each row; form has no `place`."""
    scores = dots(q, k, row_of(form), source_of(form))
    return F.pad(scores, (0, 0, 0, num_edges - len(scores)))


def gather_max(x: Tensor, form: Compressed) -> tuple[Tensor, Tensor]:
    """The largest x[index] over the entries of each row, and how many are as large: both `[S, F]`.

    x is `[T, F]`. Without entries 0, and a count of 0.
    """
    source, target = source_of(form), row_of(form)
    out = x.new_full((form.num_rows, x.shape[1]), -math.inf)
    count = torch.zeros_like(out)
    for i in range(0, len(target), CHUNK):
        sent, to = x.index_select(0, source[i : i + CHUNK]), target[i : i + CHUNK]
        out.scatter_reduce_(0, to[:, None].expand_as(sent), sent, "amax")
    for i in range(0, len(target), CHUNK):
        sent, to = x.index_select(0, source[i : i + CHUNK]), target[i : i + CHUNK]
        count.index_add_(0, to, (sent == out.index_select(0, to)).to(x.dtype))
    return out.masked_fill_((form.ptr.diff() == 0)[:, None], 0), count


def gather_max_backward(
    grad: Tensor, x: Tensor, out: Tensor, count: Tensor, columns: Compressed
) -> Tensor:
    """Every entry that is as large as the maximum gets an equal share of the gradient: `[T, F]`.

    `columns` is the transposed form: row t of it lists the results that x[t] went into.
    """
    share = grad / count.clamp_min(1)
    dx = torch.zeros_like(x)
    target, row = source_of(columns), row_of(columns)
    for i in range(0, len(target), CHUNK):
        to, own = target[i : i + CHUNK], row[i : i + CHUNK]
        won = x.index_select(0, own) == out.index_select(0, to)
        dx.index_add_(0, own, share.index_select(0, to) * won)
    return dx


def segment_softmax(scores: Tensor, form: Compressed) -> Tensor:
    """exp(score) / sum of exp(score) over each row, `[E, H]`; 0 where every score is -inf."""
    count, target = count_of(form), row_of(form)
    inner = scores[:count]
    largest = segment("max", inner, form, -math.inf)
    largest = largest.masked_fill(largest.isinf(), 0)
    power = (inner - largest.index_select(0, target)).exp_()
    total = segment("sum", power, form, 0)
    weights = power.div_(total.masked_fill(total == 0, 1).index_select(0, target))
    return F.pad(weights, (0, 0, 0, len(scores) - count))


def segment_softmax_backward(weights: Tensor, grad: Tensor, form: Compressed) -> Tensor:
    """The gradient of the scores, from the weights and their gradient."""
    count = count_of(form)
    each = weights[:count] * grad[:count]
    total = segment("sum", each, form, 0).index_select(0, row_of(form))
    return F.pad(each - weights[:count] * total, (0, 0, 0, len(weights) - count))
