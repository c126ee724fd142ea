"""Compiled attention over edges, on each instruction set, beside dense attention in float64."""

import math

import pytest
import torch
from cpu_variants import threads, variant  # noqa: F401 - fixtures
from oracle import GRAPHS, graph
from torch import Tensor

from tokennet.ops import bag
from tokennet.ops.cpu import attend, attend_backward
from tokennet.ops.kernel import SCORES, Gradients, Inputs, Result
from tokennet.structure import Compressed, Edges, SortedEdges

SHAPES = [(1, 1, 1), (2, 3, 5), (3, 8, 16), (4, 16, 16), (8, 8, 8), (4, 20, 32), (1, 64, 64),
          (2, 128, 256), (5, 16, 3), (20, 4, 4), (32, 8, 8), (8, 16, 1), (2, 256, 128)]  # fmt: skip
ALL = [True] * 7
pytestmark = pytest.mark.usefixtures("variant")
scores = pytest.mark.parametrize("score", SCORES)


def make(score: str, edges: SortedEdges, heads: int, d: int, c: int, plain: bool = False) -> Inputs:
    """Random inputs; not plain: with all that the score allows, some biases -inf."""
    t, e = edges.num_rows, edges.num_edges
    shape = (t, heads) if score == "gat" else (t, heads, d)
    inputs = Inputs(score, torch.randn(shape), torch.randn(shape), torch.randn(t, heads, c))
    inputs = inputs._replace(scale=d**-0.5, slope=0.3)
    if score == "gatv2":
        inputs = inputs._replace(vector=torch.randn(heads, d) * d**-0.5)
    if plain:
        return inputs
    bias = torch.randn(e, heads).masked_fill(torch.rand(e, heads) < 0.2, -math.inf)
    inputs = inputs._replace(bias=bias, kept=torch.rand(e, heads) < 0.7, dropout=0.3)
    if score == "dot":
        inputs = inputs._replace(edge_query=torch.randn(t, heads, 5), attr=torch.randn(e, 5))
    return inputs


def double(inputs: Inputs) -> Inputs:
    """The same in float64, ready for gradients."""
    wide = {n: x.double() for n, x in inputs._asdict().items() if isinstance(x, Tensor)}
    wide.pop("kept", None)
    return inputs._replace(**wide)


def dense(inputs: Inputs, edges: SortedEdges) -> Result:
    """Every score beside every row, [H, T, E], masked: for autograd."""
    count = int(edges.ptr[-1]) if edges.num_rows else 0
    j, i = edges.source[:count], edges.target[:count]
    s = inputs.q[i] + inputs.k[j]
    bias = 0 if inputs.bias is None else inputs.bias[:count]
    if inputs.score == "dot":
        s = (inputs.q[i] * inputs.k[j]).sum(-1)
        if inputs.attr is not None:
            s = s + (inputs.edge_query[i] * inputs.attr[:count, None]).sum(-1)
        s = s * inputs.scale + bias
    elif inputs.score == "gat":
        s = torch.nn.functional.leaky_relu(s + bias, inputs.slope)
    else:
        s = (torch.nn.functional.leaky_relu(s, inputs.slope) * inputs.vector).sum(-1) + bias
    own = i == torch.arange(edges.num_rows)[:, None]
    s = s.T[:, None].masked_fill(~own, -math.inf)  # [H, T, E]
    top = s.detach().amax(-1, keepdim=True) if count else s.new_zeros(*s.shape[:2], 1)
    p = (s - top.masked_fill(top.isinf(), 0)).exp()
    total = p.sum(-1, keepdim=True)
    w = p / total.masked_fill(total == 0, 1)
    if inputs.kept is not None:
        w = w * inputs.kept[:count].T[:, None] / (1 - inputs.dropout)
    out = torch.einsum("hte,ehc->thc", w, inputs.values[j])
    edge_out = out.new_zeros(0)
    if inputs.attr is not None:
        edge_out = torch.einsum("hte,ek->thk", w, inputs.attr[:count])
    log_sum = (top.masked_fill(top.isinf(), 0) + total.log()).masked_fill(total == 0, math.inf)
    return Result(out, edge_out, log_sum.squeeze(-1).T)


def assert_close(found: Tensor | None, expected: Tensor | None, scale: float = 1.0) -> None:
    """Within 100 roundings of the largest number, times `scale` for large scores."""
    assert (found is None) == (expected is None)
    if found is None or expected is None:
        return
    assert found.dtype == torch.float32
    finite = expected[expected.isfinite()]
    size = max(1.0, float(finite.abs().max())) if len(finite) else 1.0
    limit = 100 * torch.finfo(torch.float32).eps * size * scale
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=limit)


def check(inputs: Inputs, edges: SortedEdges, scale: float = 1.0) -> None:
    """Outputs and every gradient against autograd through the dense form."""
    found = attend(inputs, edges.rows)
    names = [name for name in Gradients._fields if getattr(inputs, name) is not None]
    wide = double(inputs)
    leaves = {name: getattr(wide, name).clone().requires_grad_() for name in names}
    wide = wide._replace(**leaves)
    expected = dense(wide, edges)
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b.detach(), scale)
    grads = [torch.randn_like(t) for t in found]
    loss = (expected.out * grads[0]).sum() + (expected.edge_out * grads[1]).sum()
    slopes = torch.autograd.grad(
        loss, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    grad_edge = grads[1] if inputs.attr is not None else None
    results = attend_backward(inputs, found, grads[0], grad_edge, edges.rows, edges.columns, ALL)
    wanted = dict(zip(names, slopes, strict=True))
    for name, a in results._asdict().items():
        assert_close(a, wanted.get(name), scale)


@scores
@pytest.mark.parametrize(("heads", "d", "c"), SHAPES)
def test_agrees_with_dense(score: str, heads: int, d: int, c: int) -> None:
    edges = graph("kept", 40)
    check(make(score, edges, heads, d, c), edges)
    check(make(score, edges, heads, d, c, plain=True), edges)


@scores
@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("rows", [1, 7, 150])
def test_graphs(score: str, kind: str, rows: int) -> None:
    edges = graph(kind, rows)
    check(make(score, edges, 4, 16, 16), edges, scale=5)  # a vector's gradient sums 450 edges
    check(make(score, edges, 3, 5, 8), edges, scale=5)


@pytest.mark.parametrize("heads", [1, 8])
def test_values_are_the_keys(heads: int) -> None:
    edges = graph("kept", 60)
    check(make("gatv2", edges, heads, 16, 16)._replace(v=None), edges)


def test_no_tokens() -> None:
    edges = SortedEdges.of(Edges(torch.zeros(2, 0, dtype=torch.int64)), 0)
    inputs = make("dot", edges, 2, 4, 4)
    found = attend(inputs, edges.rows)
    assert found.out.shape == (0, 2, 4)
    grads = attend_backward(inputs, found, found.out, None, edges.rows, edges.columns, ALL)
    assert grads.k is not None
    assert grads.k.shape == (0, 2, 4)


@scores
def test_rows_any_stride_apart(score: str) -> None:
    edges = graph("random", 50)
    inputs = make(score, edges, 4, 16, 16)
    parts = {}
    for name in ("q", "k", "v"):
        x = getattr(inputs, name)
        parts[name] = torch.stack([x, torch.full_like(x, math.nan)], 1)[:, 0]
        assert not parts[name].is_contiguous()
    apart, grad = inputs._replace(**parts), torch.randn(50, 4, 16)
    results = []
    for given in (inputs, apart):
        found = attend(given, edges.rows)
        slopes = attend_backward(given, found, grad, None, edges.rows, edges.columns, ALL)
        results.append([*found, *(t for t in slopes if t is not None)])
    assert all(map(torch.equal, *results))


@scores
def test_only_the_gradients_that_are_needed(score: str) -> None:
    edges = graph("kept", 50)
    inputs = make(score, edges, 4, 16, 8)
    found, grad = attend(inputs, edges.rows), torch.randn(50, 4, 8)
    call = lambda needs: attend_backward(  # noqa: E731
        inputs, found, grad, None, edges.rows, edges.columns, needs
    )
    every = call(ALL)
    assert all(t is None for t in call([False] * 7))
    for i, expected in enumerate(every):
        one = call([i == n for n in range(7)])
        assert [t is not None for t in one] == [i == n and expected is not None for n in range(7)]
        assert expected is None or torch.equal(one[i], expected)


@scores
def test_large_scores(score: str) -> None:
    edges = graph("hub in", 60)
    inputs = make(score, edges, 4, 16, 16, plain=True)
    big = 1e4 * torch.sign(torch.randn(edges.num_edges, 4))
    check(inputs._replace(bias=big), edges, scale=1e4 / 30)  # a score has 1e4 roundings of its own
    check(inputs._replace(bias=torch.full_like(big, -1e4)), edges, scale=1e4 / 30)


@scores
def test_rows_of_nothing_but_minus_infinity(score: str) -> None:
    edges = graph("random", 30)
    inputs = make(score, edges, 2, 8, 8, plain=True)
    bias = torch.zeros(edges.num_edges, 2)
    bias[edges.target < 15] = -math.inf
    inputs = inputs._replace(bias=bias)
    check(inputs, edges)
    found = attend(inputs, edges.rows)
    assert (found.out[:15] == 0).all()
    assert (found.log_sum[:15] == math.inf).all()


def test_nan_is_not_hidden() -> None:
    edges = graph("loops", 20)
    inputs = make("dot", edges, 2, 16, 16, plain=True)
    inputs.q[3, 1, 5] = math.nan
    bad = attend(inputs, edges.rows).out.isnan()
    assert bad[3, 1].all()
    assert bad.sum() == 16


@pytest.mark.usefixtures("threads")
@scores
def test_threads_change_no_bit(score: str) -> None:
    rows = 3000
    index = torch.randint(0, rows, (2, 12 * rows))
    index[1, : 4 * rows] = 7
    edges = SortedEdges.of(Edges(index), rows)
    inputs, grad = make(score, edges, 4, 16, 32), torch.randn(rows, 4, 32)
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found = attend(inputs, edges.rows)
        slopes = attend_backward(inputs, found, grad, None, edges.rows, edges.columns, ALL)
        results.append([*found, *(t for t in slopes if t is not None)])
    assert all(map(torch.equal, results[0], results[1]))
    assert all(map(torch.equal, results[0], results[2]))


@pytest.fixture(scope="module")
def many() -> SortedEdges:
    """More edges than one chunk of the backward pass has with 16 heads."""
    return SortedEdges.of(Edges(torch.randint(0, 500, (2, 300_000))), 500)


@scores
def test_chunks_add_up(score: str, many: SortedEdges) -> None:
    inputs = make(score, many, 16, 4, 4, plain=True)
    found, grad = attend(inputs, many.rows), torch.randn(500, 16, 4)
    wide = double(inputs)
    expected = bag.attend(wide, many.rows)
    assert_close(found.out, expected.out)
    last = (None, many.rows, many.columns, ALL)
    wanted = bag.attend_backward(wide, expected, grad.double(), *last)
    for a, b in zip(attend_backward(inputs, found, grad, *last), wanted, strict=True):
        assert_close(a, b)


def test_unordered_places_are_refused(many: SortedEdges) -> None:
    inputs = make("dot", many, 16, 4, 4, plain=True)
    found, columns = attend(inputs, many.rows), many.columns
    assert columns.index is not None
    assert columns.place is not None
    wrong = Compressed(columns.ptr, columns.index.flip(0), columns.place.flip(0))
    with pytest.raises(ValueError, match=r"columns\.place is out of order"):
        attend_backward(inputs, found, found.out, None, many.rows, wrong, ALL)


def test_other_dtypes_are_refused() -> None:
    edges = graph("random", 10)
    with pytest.raises(TypeError, match=r"q is torch\.float64 on cpu, expected torch\.float32"):
        attend(double(make("dot", edges, 2, 4, 4)), edges.rows)
