"""Parts of the plain kernels of `ops.bag`: dot products chunk by chunk, sums over rows.

Axes: T rows of the flat view, E edges, H heads, D channels of a key, C of a value, K of an edge.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tokennet.ops.kernel import Inputs
from tokennet.structure import Compressed

CHUNK = 8192
"""Edges in a buffer: with 64 channels 2 MB, which stays in the cache between the steps."""


def count_of(form: Compressed) -> int:
    """How many entries the rows reach; those behind are left out."""
    return int(form.ptr[-1]) if form.num_rows else 0


def source_of(form: Compressed) -> Tensor:
    """The other end of each entry; of segments, the entry itself."""
    if form.index is None:
        return torch.arange(count_of(form), device=form.ptr.device)
    return form.index[: count_of(form)]


def row_of(form: Compressed) -> Tensor:
    """The row of each entry."""
    rows = torch.arange(form.num_rows, device=form.ptr.device)
    return torch.repeat_interleave(rows, form.ptr.diff(), output_size=count_of(form))


def in_order_of(form: Compressed, values: Tensor) -> Tensor:
    """Values of sorted edges, one for each entry in the order of a compressed form."""
    count = count_of(form)
    return values[:count] if form.place is None else values.index_select(0, form.place[:count])


def segment(kind: str, values: Tensor, form: Compressed, initial: float) -> Tensor:
    """A reduction over the entries of each row."""
    return torch.segment_reduce(
        values.contiguous(), kind, offsets=form.ptr, initial=initial, unsafe=True
    )


def dots(a: Tensor, b: Tensor, at: Tensor, other: Tensor) -> Tensor:
    """a[at] . b[other] for each head, `[E, H]`."""
    out = a.new_empty(len(at), a.shape[1])
    for i in range(0, len(at), CHUNK):
        left = a.index_select(0, at[i : i + CHUNK])
        left.mul_(b.index_select(0, other[i : i + CHUNK]))
        torch.sum(left, -1, out=out[i : i + CHUNK])
    return out


def feature_dots(a: Tensor, attr: Tensor, at: Tensor) -> Tensor:
    """a[at] . attr for each head, `[E, H]`: a is `[T, H, K]`, attr `[E, K]`."""
    out = a.new_empty(len(at), a.shape[1])
    for i in range(0, len(at), CHUNK):
        own = at[i : i + CHUNK]
        out[i : i + CHUNK] = (a.index_select(0, own) @ attr[i : i + len(own), :, None]).squeeze(-1)
    return out


def edge_scores(inputs: Inputs, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
    """The scores `[E, H]`, and for "gat" the slope of its leaky ReLU at each."""
    steep = None
    if inputs.score == "dot":
        scores = dots(inputs.q, inputs.k, target, source)
        if inputs.attr is not None and inputs.edge_query is not None:
            scores += feature_dots(inputs.edge_query, inputs.attr, target)
        scores.mul_(inputs.scale)
    elif inputs.score == "gat":
        scores = inputs.q.index_select(0, target) + inputs.k.index_select(0, source)
        if inputs.bias is not None:
            scores += inputs.bias[: len(scores)]
        steep = torch.ones_like(scores).masked_fill_(scores <= 0, inputs.slope)
        return scores * steep, steep
    else:
        assert inputs.vector is not None
        scores = inputs.q.new_empty(len(source), inputs.q.shape[1])
        for i in range(0, len(source), CHUNK):
            both = inputs.q.index_select(0, target[i : i + CHUNK])
            both += inputs.k.index_select(0, source[i : i + CHUNK])
            F.leaky_relu(both, inputs.slope, inplace=True).mul_(inputs.vector)
            torch.sum(both, -1, out=scores[i : i + CHUNK])
    if inputs.bias is not None:
        scores += inputs.bias[: len(scores)]
    return scores, steep


def leaky_gradients(
    inputs: Inputs, slopes: Tensor, source: Tensor, target: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of "gatv2", through its scores: the gradients of q, k and the vector."""
    assert inputs.vector is not None
    q, k = torch.zeros_like(inputs.q), torch.zeros_like(inputs.k)
    vector = torch.zeros_like(inputs.vector)
    for i in range(0, len(source), CHUNK):
        to, own = target[i : i + CHUNK], source[i : i + CHUNK]
        both = inputs.q.index_select(0, to) + inputs.k.index_select(0, own)
        each = slopes[i : i + CHUNK, :, None]
        vector += (each * F.leaky_relu(both, inputs.slope)).sum(0)
        steep = torch.ones_like(both).masked_fill_(both <= 0, inputs.slope)
        change = steep.mul_(inputs.vector).mul_(each)
        q.index_add_(0, to, change)
        k.index_add_(0, own, change)
    return q, k, vector


def weighted(weights: Tensor, x: Tensor, form: Compressed) -> Tensor:
    """out[s] = sum over row s of weights x[index], `[S, H, C]`, head by head.

    Weights `[E, H]` stand in the order of the form.
    """
    heads, channels = x.shape[1:]
    out = x.new_empty(form.num_rows, heads, channels)
    table, index = x.contiguous(), source_of(form) * heads
    for h in range(heads):  # a head's rows lie H * C numbers apart: row t H of a shifted view
        size = max(len(x) * heads - h, 0)
        view = table.as_strided((size, channels), (channels, 1), h * channels)
        out[:, h] = bag(weights[:, h].contiguous(), view, index, form.ptr)
    return out


def bag(weights: Tensor | None, table: Tensor, index: Tensor, ptr: Tensor) -> Tensor:
    """Sums of rows of a table, weighted or not."""
    if len(index) == 0 or table.shape[1] == 0:
        return table.new_zeros(len(ptr) - 1, table.shape[1])
    return F.embedding_bag(
        index, table, ptr.to(index.dtype), mode="sum", per_sample_weights=weights,
        include_last_offset=True,
    )  # fmt: skip


def weighted_features(weights: Tensor, attr: Tensor, form: Compressed, row: Tensor) -> Tensor:
    """out[s] = sum over row s of weights e, `[S, H, K]`."""
    out = weights.new_zeros(form.num_rows, weights.shape[1], attr.shape[1])
    for i in range(0, len(weights), CHUNK):
        part = weights[i : i + CHUNK]
        out.index_add_(0, row[i : i + CHUNK], part[:, :, None] * attr[i : i + len(part), None])
    return out


def feature_gradients(out: Tensor, weights: Tensor, each: Tensor, row: Tensor) -> None:
    """out[e] += sum over the heads of weights[e] each[row]."""
    for i in range(0, len(weights), CHUNK):
        part = weights[i : i + CHUNK, None]  # [E, 1, H]
        out[i : i + len(part)] += (part @ each.index_select(0, row[i : i + CHUNK])).squeeze(1)
