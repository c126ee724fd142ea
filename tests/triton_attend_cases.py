"""Attention over edges for the tests of its kernels: cases, their inputs, a dense oracle.

Axes: T rows, E edges, H heads, D channels of a key, C of a value, K of an edge.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tokennet.ops import bag
from tokennet.ops.kernel import Gradients, Inputs, Result
from tokennet.structure import Compressed, Edges, SortedEdges

TOLERANCE = {torch.float32: 3e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""Of the largest number of a tensor: a few roundings; the interpreter rounds bfloat16 down."""


@dataclass(frozen=True)
class Case:
    name: str
    score: str = "dot"
    heads: int = 2
    keys: int = 8
    values: int = 8
    """Channels of a value; 0: the messages are the keys."""
    features: int = 0
    bias: bool = False
    dropout: float = 0.0
    tokens: int = 11
    edges: int = 40
    hub: bool = False
    chunk: int | None = None
    left_out: bool = False
    strided: bool = False
    dtype: torch.dtype = torch.float32
    size: float = 1.0
    """Of the queries."""

    def graph(self) -> SortedEdges:
        """Duplicates, a token that no edge reaches and one that none leaves; a hub of half."""
        index = torch.randint(0, max(self.tokens, 1), (2, self.edges))
        if self.tokens > 2:
            index[1][index[1] == 1] = 0
            index[0][index[0] == 2] = 0
        if self.hub:
            index[1, : self.edges // 2] = 3
            index[0, self.edges // 3 : self.edges * 5 // 6] = 4
        index[:, self.edges // 2 :][:, :3] = index[:, :3][:, : self.edges - self.edges // 2]
        keep = torch.rand(self.edges) < 0.7 if self.left_out else None
        return SortedEdges.of(Edges(index), self.tokens, keep)

    def inputs(self, num_edges: int) -> Inputs:
        """In the dtype of the case; q, k and v may be strided parts of one tensor."""

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64).to(self.dtype)

        T, H = self.tokens, self.heads
        if self.strided:
            both = draw(T, 3 * H * self.keys + 5)
            q, k, v = (
                both[:, i * H * self.keys : (i + 1) * H * self.keys].unflatten(1, (H, self.keys))
                for i in range(3)
            )
            if self.score == "gat":
                q, k = both[:, :H], both[:, H : 2 * H]
        else:
            shape = (T, H) if self.score == "gat" else (T, H, self.keys)
            q, k, v = draw(*shape) * self.size, draw(*shape), draw(T, H, max(self.values, 1))
        dot = self.score == "dot"
        return Inputs(
            self.score,
            q,
            k,
            v if self.values else None,
            vector=draw(H, self.keys) * self.keys**-0.5 if self.score == "gatv2" else None,
            bias=draw(num_edges, H) if self.bias else None,
            edge_query=draw(T, H, self.features) if self.features and dot else None,
            attr=draw(num_edges, self.features) if self.features else None,
            kept=torch.rand(num_edges, H) >= self.dropout if self.dropout else None,
            scale=self.keys**-0.5,
            slope=0.2,
            dropout=self.dropout,
        )


def moved(inputs: Inputs, to: torch.device | torch.dtype) -> Inputs:
    """On a device, with the strides; or in a dtype, the masks of dropout as they are."""

    def move(x: object) -> object:
        if not isinstance(x, Tensor) or (x.dtype == torch.bool and isinstance(to, torch.dtype)):
            return x
        return x if x.device == to or x.dtype == to else x.to(to)

    return Inputs(*(move(x) for x in inputs))


def form_on(form: Compressed, device: torch.device) -> Compressed:
    return Compressed(*(None if t is None else t.to(device) for t in form))


def by_bag(
    inputs: Inputs, edges: SortedEdges, grad: Tensor, grad_edge: Tensor | None
) -> tuple[Result, Gradients]:
    """The plain kernels in float64."""
    wide = moved(inputs, torch.float64)
    result = bag.attend(wide, edges.rows)
    grads = bag.attend_backward(
        wide, result, grad.double(), None if grad_edge is None else grad_edge.double(),
        edges.rows, edges.columns, [True] * 7,
    )  # fmt: skip
    return result, grads


def dense(
    inputs: Inputs, edges: SortedEdges, grad: Tensor, grad_edge: Tensor | None
) -> tuple[Result, Gradients]:
    """Softmax over a whole matrix [T, E] of edges, in float64; gradients by autograd."""
    names = Gradients._fields
    leaves = {n: getattr(inputs, n) for n in names if getattr(inputs, n) is not None}
    leaves = {n: x.double().clone().requires_grad_() for n, x in leaves.items()}
    x = inputs._replace(**leaves)
    q, k = x.q[edges.target], x.k[edges.source]
    bias = 0 if x.bias is None else x.bias
    if x.score == "dot":
        s = (q * k).sum(-1)
        if x.attr is not None and x.edge_query is not None:
            s = s + (x.edge_query[edges.target] * x.attr[:, None]).sum(-1)
        s = s * x.scale + bias
    elif x.score == "gat":
        s = F.leaky_relu(q + k + bias, x.slope)
    else:
        s = (F.leaky_relu(q + k, x.slope) * x.vector).sum(-1) + bias
    into = edges.target == torch.arange(edges.num_rows)[:, None]
    if edges.keep is not None:
        into = into & edges.keep
    s = s.masked_fill(~into[:, :, None], -torch.inf)  # [T, E, H]
    log_sum = s.logsumexp(1)
    weights = (s - log_sum.masked_fill(log_sum.isinf(), 0)[:, None]).exp()
    if x.kept is not None:
        weights = weights * x.kept / (1 - x.dropout)
    out = torch.einsum("teh,ehc->thc", weights, x.values[edges.source])
    loss, edge_out = (out * grad).sum(), out.new_zeros(0)
    if x.attr is not None:
        edge_out = torch.einsum("teh,ek->thk", weights, x.attr)
        if grad_edge is not None:
            loss = loss + (edge_out * grad_edge).sum()
    found = torch.autograd.grad(
        loss, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    result = Result(out.detach(), edge_out.detach(), log_sum.detach())
    grads = Gradients(**dict(zip(leaves, found, strict=True)))
    empty = result.log_sum.isinf()
    return result._replace(log_sum=result.log_sum.masked_fill(empty, torch.inf)), grads


def close(
    name: str, found: Tensor, expected: Tensor, tolerance: float, cancels: float = 0.3
) -> None:
    """Up to a part of the largest number, or of what cancels; infinities at the same places."""
    assert found.shape == expected.shape, name
    found, expected = found.detach().cpu().double(), expected.detach().double()
    if expected.numel() == 0:
        return
    assert torch.equal(found.isinf(), expected.isinf()), name
    found, expected = found.nan_to_num(posinf=0, neginf=0, nan=torch.nan), expected.nan_to_num()
    found, expected = (x.masked_fill(x.abs() > 1e300, 0) for x in (found, expected))
    error = (found - expected).abs().max().item()
    assert error <= tolerance * max(expected.abs().max().item(), cancels), f"{name}: {error}"
