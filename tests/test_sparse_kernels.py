"""Every set of sparse kernels that is here, beside the dense oracles in float64.

Outputs and all gradients, over awkward graphs. The same cases run on the torch form in float64 and
on the kernels in float32; on a GPU (`-m gpu`) on Triton's.
"""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import GRAPHS, graph, random
from torch import Tensor

import tokennet as tn
from tokennet import ops
from tokennet.ops.cpu import library
from tokennet.pairs import Sparse
from tokennet.structure import SortedEdges

NO_COMPILER = pytest.mark.skipif(not library.status().ready, reason=library.status().reason)
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
BACKENDS = [
    pytest.param("torch", torch.float64, id="torch"),
    pytest.param("bag", torch.float64, id="bag, float64"),
    pytest.param("bag", torch.float32, id="bag"),
    pytest.param("cpp", torch.float32, id="cpp", marks=NO_COMPILER),
    pytest.param("triton", torch.float32, id="triton", marks=[pytest.mark.gpu, NO_GPU]),
]
each_backend = pytest.mark.parametrize(("backend", "dtype"), BACKENDS)
ROUNDING = {torch.float64: 1e-11, torch.float32: 3e-5}
Case = tuple[Callable[..., Tensor], list[Tensor]]


@pytest.fixture(autouse=True)
def _device(backend: str) -> Iterator[None]:
    """Triton's cases are made on the GPU."""
    with torch.device("cuda" if backend == "triton" else "cpu"):
        yield


def cases(
    edges: SortedEdges, heads: int, size: int, channels: int, features: int
) -> dict[str, Case]:
    """Every operation, with its inputs in float64."""
    rows, count = edges.num_rows, edges.num_edges
    r = lambda *shape: random(*shape, dtype=torch.float64)  # noqa: E731
    q, k, v = r(rows, heads, size), r(rows, heads, size), r(rows, heads, channels)
    bias, attr, matrix = r(count, heads), r(count, features), r(heads, size, features)
    pairs, flat = Sparse(edges), r(rows, heads)
    reductions: dict[str, Case] = {
        f"{name} of neighbours": (lambda x, n=name: ops.gather_reduce(x, edges, n), [v])
        for name in ("sum", "mean", "max", "min")
    }
    weighted: dict[str, Case] = {
        f"weighted {name}": (
            lambda x, w, n=name: ops.gather_reduce(x, edges, n, weights=w),
            [v, r(count, 1)[:, 0]],
        )
        for name in ("sum", "mean", "max", "min")
    }
    return reductions | weighted | {
        "attend": (lambda q, k, v: ops.attend(q, k, v, pairs), [q, k, v]),
        "attend, bias": (
            lambda q, k, v, b: ops.attend(q, k, v, pairs, bias=b, scale=0.7), [q, k, v, bias]
        ),
        "attend, features": (
            lambda q, k, v, a, m: ops.attend(q, k, v, pairs, attr=a, edge_map=m),
            [q, k, r(rows, heads, size), attr, matrix],
        ),
        "attend, features and bias": (
            lambda q, k, v, b, a, m: ops.attend(q, k, v, pairs, bias=b, attr=a, edge_map=m),
            [q, k, r(rows, heads, size), bias, attr, matrix],
        ),
        "gat": (lambda q, k, v: ops.attend_gat(q, k, v, edges), [flat, r(rows, heads), v]),
        "gat, bias": (
            lambda q, k, v, b: ops.attend_gat(q, k, v, edges, bias=b, slope=0.1),
            [flat, r(rows, heads), v, bias],
        ),
        "gatv2": (lambda q, k, a: ops.attend_gatv2(q, k, a, edges), [q, k, r(heads, size)]),
        "gatv2, bias, values": (
            lambda q, k, a, b, v: ops.attend_gatv2(q, k, a, edges, v=v, bias=b),
            [q, k, r(heads, size), bias, v],
        ),
        "sddmm": (lambda q, k: ops.sddmm(q, k, edges), [q, k]),
        "spmm": (lambda w, v: ops.spmm(w, v, edges), [bias, v]),
        "edge softmax": (lambda s: ops.edge_softmax(s, edges), [bias]),
    }  # fmt: skip


NAMES = list(cases(graph("random", 2), 1, 1, 1, 1))
each_case = pytest.mark.parametrize("name", NAMES)


def outcome(case: Case, dtype: torch.dtype) -> list[Tensor]:
    """The output and the gradients of all inputs, in float64."""
    op, inputs = case
    leaves = [t.to(dtype).requires_grad_() for t in inputs]
    y = op(*leaves)
    assert y.dtype == dtype
    wave = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(dtype)
    if not y.requires_grad:
        return [y.double()]
    grads = torch.autograd.grad(y, leaves, wave, allow_unused=True, materialize_grads=True)
    return [t.detach().double() for t in (y, *grads)]


def assert_agrees(case: Case, backend: str, dtype: torch.dtype, scale: float = 1.0) -> None:
    """The oracle sees the same rounded inputs."""
    case = case[0], [t.to(dtype).double() for t in case[1]]
    with tn.backend("reference"):
        expected = outcome(case, torch.float64)
    with tn.backend(backend):
        found = outcome(case, dtype)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.isfinite().all()
        limit = ROUNDING[dtype] * scale * max(1.0, float(b.abs().max()) if b.numel() else 1.0)
        torch.testing.assert_close(a, b, rtol=0, atol=limit)


@each_backend
@each_case
@pytest.mark.parametrize("kind", GRAPHS)
def test_every_operation(name: str, kind: str, backend: str, dtype: torch.dtype) -> None:
    for rows in (0, 1, 7, 63):
        edges = graph(kind, rows)
        for heads, size, channels, features in ((1, 1, 1, 1), (2, 3, 5, 4), (4, 8, 8, 3)):
            case = cases(edges, heads, size, channels, features)[name]
            assert_agrees(case, backend, dtype, scale=4)


@each_backend
@each_case
@pytest.mark.parametrize("size", [1, 3, 20, 64, 128, 256])
def test_sizes_of_heads(name: str, size: int, backend: str, dtype: torch.dtype) -> None:
    case = cases(graph("random", 33), 2, size, size, 5)[name]
    assert_agrees(case, backend, dtype, scale=4 * math.sqrt(size))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), rows=st.integers(1, 9), seed=st.integers(0, 1000))
@each_backend
def test_any_graph(
    data: st.DataObject, rows: int, seed: int, backend: str, dtype: torch.dtype
) -> None:
    """Duplicates, loops, isolated tokens, edges left out: whatever hypothesis finds."""
    pair = st.tuples(st.integers(0, rows - 1), st.integers(0, rows - 1), st.booleans())
    pairs = data.draw(st.lists(pair, max_size=20))
    index = torch.tensor([p[:2] for p in pairs], dtype=torch.int64).view(-1, 2).T
    keep = torch.tensor([p[2] for p in pairs]) if data.draw(st.booleans()) and pairs else None
    edges = SortedEdges.of(tn.Edges(index), rows, keep)
    torch.manual_seed(seed)
    made = cases(edges, 2, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)), 3)
    assert_agrees(made[data.draw(st.sampled_from(NAMES))], backend, dtype, scale=4)


@each_backend
@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("attend", "gat"))])
def test_a_hub_with_half_of_the_edges(name: str, backend: str, dtype: torch.dtype) -> None:
    rows = 200
    index = torch.randint(rows, (2, 2000))
    index[1, :1000] = 7
    index[0, 1000:1500] = 9
    edges = SortedEdges.of(tn.Edges(index), rows)
    assert_agrees(cases(edges, 2, 16, 16, 4)[name], backend, dtype, scale=30)


@each_backend
def test_extreme_logits(backend: str, dtype: torch.dtype) -> None:
    """+-1e4 before the softmax: the largest wins, nothing overflows."""
    edges = graph("random", 31)
    q, k, v = 100 * torch.randn(31, 2, 1), 100 * torch.randn(31, 2, 1), torch.randn(31, 2, 4)
    case = lambda q, k, v: ops.attend(q, k, v, Sparse(edges), scale=1.0)  # noqa: E731
    assert_agrees((case, [q, k, v]), backend, dtype, scale=300)


@each_backend
@pytest.mark.parametrize("name", ["attend, bias", "gat, bias", "gatv2, bias, values"])
def test_infinite_biases(name: str, backend: str, dtype: torch.dtype) -> None:
    """-inf leaves an edge out; a token whose every edge is left out gets 0, and gradients of 0."""
    edges = graph("random", 31)
    op, inputs = cases(edges, 2, 4, 4, 3)[name]
    bias = next(t for t in inputs if t.shape == (edges.num_edges, 2))
    outside = (torch.arange(edges.num_edges) % 3 == 0) | (edges.target < 3)
    bias[outside] = -math.inf
    leaves = [t.to(dtype).requires_grad_() for t in inputs]
    with tn.backend(backend):
        y = op(*leaves)
        grads = torch.autograd.grad(y.square().sum(), leaves)
    exact = [t.to(dtype).double().requires_grad_() for t in inputs]
    with tn.backend("torch"):
        expected = op(*exact)
        others = torch.autograd.grad(expected.square().sum(), exact)
    assert y.isfinite().all()
    assert not y[:3].any()
    assert (y[3:].abs().sum((1, 2)) > 0).any()
    for a, b in zip((y, *grads), (expected, *others), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=100 * ROUNDING[dtype])
    where = next(i for i, t in enumerate(inputs) if t is bias)
    assert not grads[where][outside].any()


@each_backend
def test_inputs_that_need_no_gradient(backend: str, dtype: torch.dtype) -> None:
    """Whichever inputs are being learned, their gradients are the same."""
    edges = graph("random", 31)
    for name in ("attend, features and bias", "gat, bias", "gatv2, bias, values", "spmm"):
        op, inputs = cases(edges, 2, 4, 4, 3)[name]
        inputs = [t.to(dtype) for t in inputs]
        with tn.backend(backend):
            leaves = [t.clone().requires_grad_() for t in inputs]
            whole = torch.autograd.grad(op(*leaves).square().sum(), leaves)
            for i, expected in enumerate(whole):
                one = [t.clone().requires_grad_(i == j) for j, t in enumerate(inputs)]
                (found,) = torch.autograd.grad(op(*one).square().sum(), one[i])
                torch.testing.assert_close(found, expected)
            with torch.no_grad():
                assert not op(*inputs).requires_grad


@each_backend
def test_bits_do_not_change(backend: str, dtype: torch.dtype) -> None:
    """Two runs are equal bit for bit, and so are runs with the edges in another order."""
    index = torch.randint(50, (2, 400))
    edges = SortedEdges.of(tn.Edges(index), 50)
    mixed = SortedEdges.of(tn.Edges(index[:, torch.randperm(400)]), 50)
    q = torch.randn(50, 2, 16, dtype=dtype)
    for one in (edges, mixed):
        with tn.backend(backend):
            leaf = q.clone().requires_grad_()
            y = ops.attend(leaf, leaf, leaf, Sparse(one))
            (grad,) = torch.autograd.grad(y.square().sum(), leaf)
        if one is edges:
            first = y, grad
    assert torch.equal(first[0], y)
    assert torch.equal(first[1], grad)


@each_backend
def test_slices_of_a_joint_projection(backend: str, dtype: torch.dtype) -> None:
    """Rows may lie any stride apart, and heads too."""
    edges, joint = graph("random", 31), torch.randn(31, 3, 2, 8, dtype=dtype)
    apart = torch.randn(31, 8, 2, dtype=dtype).transpose(1, 2)
    for inputs in (list(joint.unbind(1)), [apart, apart, apart]):
        case = lambda q, k, v: ops.attend(q, k, v, Sparse(edges))  # noqa: E731
        assert_agrees((case, inputs), backend, dtype, scale=4)
        with tn.backend(backend):
            together = [t.contiguous() for t in inputs]
            assert torch.equal(case(*inputs), case(*together))


@each_backend
def test_dropout_of_weights(backend: str, dtype: torch.dtype) -> None:
    """Some weights are 0 and the others larger; the mean stays, all dropped gives 0."""
    rows = 40
    every = torch.cartesian_prod(torch.arange(rows), torch.arange(rows)).T
    edges = SortedEdges.of(tn.Edges(every), rows)
    q, v = torch.zeros(rows, 4, 3, dtype=dtype), torch.ones(rows, 4, 3, dtype=dtype)
    with tn.backend(backend):
        for share, spread in ((0.5, 0.15), (0.1, 0.05)):
            y = ops.attend(q, q, v, Sparse(edges), dropout=share)
            kept = y[..., 0] * rows * (1 - share)  # how many of the 40 are left
            torch.testing.assert_close(kept, kept.round())
            assert abs(float(y.mean()) - 1) < spread
            assert kept.std() > 0.5
        assert not ops.attend(q, q, v, Sparse(edges), dropout=1.0).any()
        torch.manual_seed(3)
        a = ops.attend(q, q, v, Sparse(edges), dropout=0.5)
        torch.manual_seed(3)
        assert torch.equal(a, ops.attend(q, q, v, Sparse(edges), dropout=0.5))


@each_backend
def test_gradients_of_dropout(backend: str, dtype: torch.dtype) -> None:
    """They are those of the weights that were kept: a linear function of the values."""
    edges = graph("random", 31)
    q, v = torch.randn(31, 2, 4, dtype=dtype), torch.randn(31, 2, 4, dtype=dtype)

    def run(q: Tensor, v: Tensor) -> Tensor:
        torch.manual_seed(5)
        return ops.attend(q, q, v, Sparse(edges), dropout=0.4)

    with tn.backend(backend):
        leaf = v.clone().requires_grad_()
        y = run(q, leaf)
        wave = torch.randn_like(y)
        (grad,) = torch.autograd.grad(y, leaf, wave)
        other = torch.randn_like(v)
        torch.testing.assert_close((run(q, other) * wave).sum(), (other * grad).sum(),
                                   rtol=1e-4, atol=1e-4)  # fmt: skip
        leaf = q.clone().requires_grad_()
        (grad,) = torch.autograd.grad(run(leaf, v), leaf, wave)
        step, way = (1e-6 if dtype == torch.float64 else 1e-2), torch.randn_like(q)
        slope = ((run(q + step * way, v) - run(q - step * way, v)) * wave).sum() / (2 * step)
        torch.testing.assert_close((grad * way).sum(), slope, rtol=2e-3, atol=2e-3)
