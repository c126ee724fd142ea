"""What the sparse CPU benchmark runs: an operator of ours or of PyG, over the same numbers.

Axes: T tokens, E edges, H heads, D channels of a head; width = H D.
"""

import contextlib
import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from graphs import power_law
from measure import growth
from torch import Tensor, nn

import tokennet as tn
from tokennet import ops
from tokennet.pairs import Sparse

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script at import
    from torch_geometric import nn as pyg
    from torch_geometric.utils import to_dense_batch

SHAPES = {
    "tiny": (60, 400),
    "cora": (2_708, 10_556),
    "mid": (20_000, 320_000),
    "big": (100_000, 2_000_000),
}
VARIANTS = ("ours", "bag", "eager", "compiled")
"""Ours, our fallback in torch alone, the peer as it is, the peer compiled."""


@dataclass(frozen=True)
class Case:
    """An operator, where it runs, and how large it is."""

    operator: str
    """"propagate": attention between given q, k, v; "ragged": sets; else a layer of `LAYERS`."""
    graph: str
    """A name in `SHAPES`, or "T x E"."""
    width: int
    heads: int
    by_target: bool = False
    """Both are given edges in the order of their targets instead of a random one."""

    @property
    def size(self) -> tuple[int, int]:
        if self.graph in SHAPES:
            return SHAPES[self.graph]
        tokens, edges = self.graph.split(" x ")
        return int(tokens), int(edges)

    @property
    def peer_bytes(self) -> int:
        """More than PyG was seen to take: eight tensors of the size of all messages."""
        if self.operator == "ragged":
            return 0
        return 8 * 4 * self.size[1] * self.width


class Step(NamedTuple):
    """A function of some leaves, to be run forward, or forward and backward."""

    call: Callable[[], Tensor]
    leaves: Sequence[Tensor]
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext
    num_inputs: int = 1
    """So many leaves come before the parameters."""

    def forward(self) -> Tensor:
        with torch.no_grad(), self.context():
            return self.call()

    def both(self) -> tuple[Tensor, ...]:
        """Gradients of every leaf."""
        with self.context():
            y = self.call()
            return torch.autograd.grad(y, self.leaves, slope_like(y))


@functools.cache
def _slope(shape: torch.Size) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


def slope_like(y: Tensor) -> Tensor:
    """The gradient that comes in from behind, the same for all."""
    return _slope(y.shape)


@functools.cache
def edges_of(graph: str, by_target: bool) -> Tensor:
    """No self-loops: PyG replaces those that are there already, we keep them."""
    tokens, edges = Case("", graph, 0, 0).size
    index = power_law(tokens, edges + edges // 10 + 100)
    index = index[:, index[0] != index[1]][:, :edges]
    assert index.shape[1] == edges
    return index[:, index[1].argsort(stable=True)].contiguous() if by_target else index


@functools.cache
def structure_of(graph: str, by_target: bool) -> tn.Structure:
    index = edges_of(graph, by_target)
    return tn.Structure.packed([Case("", graph, 0, 0).size[0]], edges=tn.Edges(index))


def build(case: Case, variant: str) -> Step:
    """The same case gives the same numbers in every variant and every process."""
    torch.manual_seed(1)
    if case.operator == "propagate":
        return _propagate(case, variant)
    return _ragged(case, variant) if case.operator == "ragged" else _layer(case, variant)


def _propagate(case: Case, variant: str) -> Step:
    head_dim = case.width // case.heads
    q, k, v = (torch.randn(case.size[0], case.heads, head_dim).requires_grad_() for _ in range(3))
    if variant in ("ours", "bag"):
        pairs = Sparse(structure_of(case.graph, case.by_target).sorted_edges)
        context = functools.partial(tn.backend, "bag" if variant == "bag" else "auto")
        return Step(lambda: ops.attend(q, k, v, pairs), [q, k, v], context, 3)
    conv = pyg.TransformerConv(case.width, head_dim, heads=case.heads)
    spread = (
        torch.compile(conv.propagate, dynamic=False) if variant == "compiled" else conv.propagate
    )
    index = edges_of(case.graph, case.by_target)
    return Step(
        lambda: spread(index, query=q, key=k, value=v, edge_attr=None), [q, k, v], num_inputs=3
    )


class Layer(NamedTuple):
    """Makers `(width, heads)` of the same function, and which of its parameters are which."""

    ours: Callable[[int, int], nn.Module]
    theirs: Callable[[int, int], nn.Module]
    names: dict[str, str]
    """Ours to theirs; several joined by spaces hold, one after the other, the same numbers."""


def _attention(width: int, heads: int) -> nn.Module:
    """TransformerConv adds a map of the token itself to what it heard."""
    sizes = tn.Heads(heads, output=False)
    return tn.Parallel(tn.Attention(width, sizes, tn.EdgeList()), tn.Pointwise(width))


def _mlp(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


_KINDS = ("weight", "bias")
LAYERS = {
    "TransformerConv": Layer(
        _attention,
        lambda w, h: pyg.TransformerConv(w, w // h, h),
        {f"mixers.0.{n}.{k}": f"lin_{n}.{k}" for n in ("query", "key", "value") for k in _KINDS}
        | {f"mixers.1.map.{k}": f"lin_skip.{k}" for k in _KINDS},
    ),
    "GATConv": Layer(
        tn.GraphAttention,
        lambda w, h: pyg.GATConv(w, w // h, h),
        {"value.weight": "lin.weight", "score": "att_src att_dst", "bias": "bias"},
    ),
    "GATv2Conv": Layer(
        tn.GraphAttentionV2,
        lambda w, h: pyg.GATv2Conv(w, w // h, h),
        {f"value.{k}": f"lin_l.{k}" for k in _KINDS}
        | {f"target.{k}": f"lin_r.{k}" for k in _KINDS}
        | {"score": "att", "bias": "bias"},
    ),
    "GCNConv": Layer(
        lambda w, h: tn.GraphConvolution(w),
        lambda w, h: pyg.GCNConv(w, w, cached=True),
        {"map.weight": "lin.weight", "bias": "bias"},
    ),
    "SAGEConv": Layer(
        lambda w, h: tn.SAGEConvolution(w),
        lambda w, h: pyg.SAGEConv(w, w),
        {"own.weight": "lin_r.weight"} | {f"heard.{k}": f"lin_l.{k}" for k in _KINDS},
    ),
    "GINConv": Layer(
        lambda w, h: tn.GINConvolution(w, _mlp(w)),
        lambda w, h: pyg.GINConv(_mlp(w)),
        {f"mlp.{i}.{k}": f"nn.{i}.{k}" for i in (0, 2) for k in _KINDS},
    ),
}


def _layer(case: Case, variant: str) -> Step:
    layer = LAYERS[case.operator]
    ours, theirs = layer.ours(case.width, case.heads), layer.theirs(case.width, case.heads)
    own, other = share_weights(ours, theirs, layer.names)
    x = torch.randn(case.size[0], case.width).requires_grad_()
    if variant == "ours":
        structure = structure_of(case.graph, case.by_target)
        return Step(lambda: ours(x, structure), [x, *own])
    index = edges_of(case.graph, case.by_target)
    if variant == "eager":
        return Step(lambda: theirs(x, index), [x, *other])
    with torch.no_grad():
        theirs(x, index)  # GCNConv fills its cache, a state that compiled code should not hold
    compiled = torch.compile(theirs, dynamic=False)
    return Step(lambda: compiled(x, index), [x, *other])


def _ragged(case: Case, variant: str) -> Step:
    """Full attention inside 256 sets; the peer is the attention path of PyG's GPSConv.

    In training mode: the fast path of `nn.MultiheadAttention.eval()` was twice as slow here.
    """
    low, high, sets = (2, 6, 5) if case.graph == "tiny" else (10, 100, 256)
    lengths = torch.randint(low, high + 1, (sets,))
    ours = tn.Attention(case.width, case.heads)
    theirs = nn.MultiheadAttention(case.width, case.heads, batch_first=True)
    parts = ("query", "key", "value")
    names = {" ".join(f"{n}.{k}" for n in parts): f"in_proj_{k}" for k in _KINDS}
    names |= {f"output.{k}": f"out_proj.{k}" for k in _KINDS}
    own, other = share_weights(ours, theirs, names)
    x = torch.randn(int(lengths.sum()), case.width).requires_grad_()
    if variant == "ours":
        structure = tn.Structure.packed(lengths)
        return Step(lambda: ours(x, structure), [x, *own])
    batch = torch.repeat_interleave(torch.arange(sets), lengths)

    def padded() -> Tensor:
        h, mask = to_dense_batch(x, batch)
        return theirs(h, h, h, key_padding_mask=~mask, need_weights=False)[0][mask]

    return Step(padded, [x, *other])


def measure_memory(case: Case, variant: str) -> int:
    """Bytes by which one forward and backward grows this process, which has done nothing else.

    What is made once was made before: sorted edges, PyG's cache, compiled code. For the peer as it
    is a forward pass does that, and a backward pass on a tiny graph what autograd needs.
    """
    torch.set_num_threads(1)
    if variant == "eager":
        build(replace(case, graph="tiny"), variant).both()
    step = build(case, variant)
    step.forward() if variant == "eager" else step.both()
    return growth(step.both)


def bytes_of_edges(graph: str) -> tuple[int, int]:
    """Of the sorted forms that a structure keeps after a backward pass, and of PyG's index."""
    found: dict[int, int] = {}

    def add(value: object) -> None:
        if isinstance(value, Tensor):
            found[value.data_ptr()] = value.numel() * value.element_size()
        for each in value if isinstance(value, tuple) else ():
            add(each)

    edges = structure_of(graph, False).sorted_edges
    for value in (*vars(edges).values(), *edges.memo.values()):
        add(value)
    index = edges_of(graph, False)
    return sum(found.values()), index.numel() * index.element_size()


def share_weights(
    ours: nn.Module, theirs: nn.Module, names: dict[str, str]
) -> tuple[list[Tensor], list[Tensor]]:
    """Gives both the same random weights; the parameters of each, in the order of `names`."""
    own = [[ours.get_parameter(n) for n in group.split()] for group in names]
    other = [[theirs.get_parameter(n) for n in group.split()] for group in names.values()]
    with torch.no_grad():
        for some, same in zip(own, other, strict=True):
            for p in some:
                p.normal_(std=p[0].numel() ** -0.5 if p.ndim > 1 else 0.5)
            flat = torch.cat([p.flatten() for p in some])
            for p, values in zip(same, flat.split([p.numel() for p in same]), strict=True):
                p.copy_(values.view_as(p))
    found = [[p for group in groups for p in group] for groups in (own, other)]
    assert [len(f) for f in found] == [len(list(m.parameters())) for m in (ours, theirs)]
    return found[0], found[1]
