"""What the sparse GPU benchmark runs: an operation of ours or of a peer, on the same numbers.

Axes: T tokens, E edges, H heads, D channels of a head, K features of an edge, B samples, N tokens
of the largest sample.
"""

import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from graphs import SHAPES, molecules, power_law
from torch import Tensor

from tokennet import ops
from tokennet.pairs import Sparse
from tokennet.structure import Edges, SortedEdges

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script at import
    from torch_geometric import nn as pyg

HEADS, CHANNELS, FEATURES = 4, 32, 16
TABLES = {"dot": 2, "features": 2, "gat": 1, "gatv2": 1, "sum": 1}
"""Operations, and how many rows of H D numbers each gathers for an edge."""
SMALL = 4096  # tokens up to which a mask [T, T] is sensible
Call = Callable[[], Tensor]


class Graph(NamedTuple):
    """Edges as ours keeps them; peers get them in the same order, which only helps them."""

    edges: SortedEdges
    lengths: Tensor | None
    """Of the samples, where there are several."""

    @property
    def index(self) -> Tensor:
        return self.edges.index


class Steps(NamedTuple):
    """Variants of one function, by name, and the tensors that gradients are asked for."""

    calls: dict[str, Call]
    leaves: list[Tensor]

    def forward(self, name: str) -> Callable[[], object]:
        def run() -> Tensor:
            with torch.no_grad():
                return self.calls[name]()

        return run

    def both(self, name: str) -> Callable[[], tuple[Tensor, ...]]:
        def run() -> tuple[Tensor, ...]:
            y = self.calls[name]()
            return torch.autograd.grad(y, self.leaves, torch.ones_like(y))

        return run


@functools.lru_cache(maxsize=1)
def graph_of(name: str, device: str) -> Graph:
    """No edge stands twice in the small ones: a mask could not say so."""
    lengths = None
    if name == "128 molecules":
        lengths, index = molecules(128, device=device)
        tokens = int(lengths.sum())
    else:
        tokens, edges = {**SHAPES, "smoke": (60, 400)}[name]
        index = power_law(tokens, edges, device=device)
    if tokens <= SMALL:
        index = index.unique(dim=1)
    edges = SortedEdges.of(Edges(index), tokens)
    for form in (edges.rows, edges.columns):  # made now, once for all steps
        assert form.index is not None
    return Graph(edges, lengths)


def steps_of(
    operation: str, graph: Graph, dtype: torch.dtype, *, with_compiled: bool = False
) -> Steps:
    """Ours and PyG's, compiled too if asked for; masked dense attention where T is small."""
    device, tokens = graph.edges.ptr.device, graph.edges.num_rows
    draw = functools.partial(torch.randn, device=device, dtype=dtype)
    q, k, v = (draw(tokens, HEADS, CHANNELS).requires_grad_() for _ in range(3))
    index, edges, pairs = graph.index, graph.edges, Sparse(graph.edges)
    width = HEADS * CHANNELS
    if operation in ("dot", "features"):
        wide = FEATURES if operation == "features" else None
        conv = pyg.TransformerConv(width, CHANNELS, HEADS, edge_dim=wide).to(device, dtype)
        leaves, attr, edge_map = [q, k, v], None, None
        if conv.lin_edge is not None:
            attr = draw(edges.num_edges, FEATURES).requires_grad_()
            leaves += [attr, conv.lin_edge.weight]
            edge_map = conv.lin_edge.weight.view(HEADS, CHANNELS, FEATURES)

        def ours() -> Tensor:
            return ops.attend(q, k, v, pairs, attr=attr, edge_map=edge_map)

        def theirs() -> Tensor:
            return conv.propagate(index, query=q, key=k, value=v, edge_attr=attr)

    elif operation == "gat":
        conv = pyg.GATConv(width, CHANNELS, HEADS, add_self_loops=False).to(device, dtype)
        left, right = (draw(tokens, HEADS).requires_grad_() for _ in range(2))
        leaves = [left, right, v]

        def ours() -> Tensor:
            return ops.attend_gat(left, right, v, edges)

        def theirs() -> Tensor:
            alpha = conv.edge_updater(index, alpha=(right, left), edge_attr=None)
            return conv.propagate(index, x=(v, v), alpha=alpha)

    elif operation == "gatv2":
        conv = pyg.GATv2Conv(width, CHANNELS, HEADS, add_self_loops=False).to(device, dtype)
        leaves = [q, k, conv.att]

        def ours() -> Tensor:
            return ops.attend_gatv2(q, k, conv.att[0], edges)

        def theirs() -> Tensor:
            alpha = conv.edge_updater(index, x=(k, q), edge_attr=None)
            return conv.propagate(index, x=(k, q), alpha=alpha)

    else:
        conv = pyg.GCNConv(width, width).to(device, dtype)
        weight, x = draw(edges.num_edges), v.detach().flatten(1).requires_grad_()
        leaves = [x]

        def ours() -> Tensor:
            return ops.spmm(weight[:, None], x[:, None], edges).flatten(1)

        def theirs() -> Tensor:
            return conv.propagate(index, x=x, edge_weight=weight)

    calls: dict[str, Call] = {"ours": ours, "PyG": theirs}
    if with_compiled:
        calls["PyG compiled"] = torch.compile(theirs, dynamic=False)
    if operation == "dot" and tokens <= SMALL:
        calls |= masked(graph, q, k, v)
    return Steps(calls, leaves)


def masked(graph: Graph, q: Tensor, k: Tensor, v: Tensor) -> dict[str, Call]:
    """Dense attention with a mask: padded samples through SDPA, all tokens through FlexAttention.

    A token that hears nobody gets 0 everywhere here.
    """
    tokens, device = len(q), q.device
    lengths = torch.tensor([tokens], device=device) if graph.lengths is None else graph.lengths
    batch, longest = len(lengths), int(lengths.max())
    first = lengths.cumsum(0) - lengths
    sample = torch.repeat_interleave(lengths)
    place = torch.arange(tokens, device=device) - first[sample]
    slot = sample * longest + place  # of each token, in [B N]
    mask = torch.zeros(batch * longest, longest, dtype=torch.bool, device=device)
    mask[slot[graph.edges.target], place[graph.edges.source]] = True
    mask = mask.view(batch, 1, longest, longest)
    heard = mask.any(-1).view(-1, 1, 1)
    lonely = ~mask.any(-1, keepdim=True)
    mask = mask | lonely  # no row of nothing, whose softmax is not defined

    def dense() -> Tensor:
        def pad(x: Tensor) -> Tensor:  # [B, H, N, D]
            whole = x.new_zeros(batch * longest, HEADS, CHANNELS).index_copy(0, slot, x)
            return whole.view(batch, longest, HEADS, CHANNELS).transpose(1, 2)

        y = F.scaled_dot_product_attention(pad(q), pad(k), pad(v), attn_mask=mask)
        y = y.transpose(1, 2).reshape(batch * longest, HEADS, CHANNELS) * heard
        return y.index_select(0, slot).flatten(1)

    calls: dict[str, Call] = {"SDPA": dense}
    if device.type == "cuda":
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        adjacent = torch.zeros(tokens, tokens, dtype=torch.bool, device=device)
        adjacent[graph.edges.target, graph.edges.source] = True
        blocks = create_block_mask(
            lambda b, h, i, j: adjacent[i, j], None, None, tokens, tokens, device=device
        )
        flex = torch.compile(flex_attention, dynamic=False)

        def sparse_blocks() -> Tensor:
            heads = (x.transpose(0, 1)[None] for x in (q, k, v))  # [1, H, T, D]
            return flex(*heads, block_mask=blocks)[0].transpose(0, 1).flatten(1)

        calls["FlexAttention"] = sparse_blocks
    return calls
