"""The sparse operations as operations of torch: schemas, shapes, gradients, what is refused.

Axes: T rows, E edges, H heads, D channels.
"""

from collections.abc import Callable

import pytest
import torch
from oracle import graph
from test_sparse_kernels import NAMES, cases
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

import tokennet as tn
from tokennet import ops
from tokennet.pairs import Sparse
from tokennet.structure import SortedEdges

EDGES = graph("kept", 9)


def float32(name: str, edges: SortedEdges = EDGES) -> tuple[Callable[..., Tensor], list[Tensor]]:
    op, inputs = cases(edges, 2, 4, 4, 3)[name]
    return op, [t.float().requires_grad_() for t in inputs]


def calls_of(op: Callable[..., Tensor], inputs: list[Tensor]) -> list[tuple]:
    """The operations of tokennet that a call and its backward run, with their arguments."""
    seen: list[tuple] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func.namespace == "tokennet":
                seen.append((func, args))
            return func(*args, **(kwargs or {}))

    with Watch():
        torch.autograd.grad(op(*inputs).square().sum(), inputs)
    return seen


def leaf(value: object) -> object:
    """A tensor of its own, that can have a gradient."""
    if not isinstance(value, Tensor):
        return value
    return value.detach().clone().requires_grad_(value.is_floating_point())


@pytest.mark.parametrize("name", NAMES)
def test_opcheck(name: str) -> None:
    """Schema, shapes and gradients of every operation of the library, as torch checks them."""
    seen = calls_of(*float32(name))
    assert seen or name in ("weighted max", "weighted min"), "nothing was fused"
    for func, args in seen:
        again = tuple(map(leaf, args))
        tests = ["test_schema", "test_faketensor"]
        if "backward" not in str(func):  # of those no second derivative is there
            tests += ["test_autograd_registration", "test_aot_dispatch_dynamic"]
        torch.library.opcheck(func, again, test_utils=tests)


def segment_calls() -> dict[str, tuple[Callable[..., Tensor], list[Tensor]]]:
    ptr = torch.tensor([0, 3, 3, 7])
    segment = torch.tensor([0, 0, 0, 2, 2, 2, 2])
    values = torch.randn(7, 5)
    return {
        name: (lambda v, n=name: getattr(ops, f"segment_{n}")(v, segment, 3, ptr=ptr), [values])
        for name in ("sum", "mean", "max", "min", "std", "softmax")
    }


@pytest.mark.parametrize("name", list(segment_calls()))
def test_opcheck_of_segments(name: str) -> None:
    op, inputs = segment_calls()[name]
    seen = calls_of(op, [t.requires_grad_() for t in inputs])
    assert seen
    for func, args in seen:
        again = [a.detach().clone() if isinstance(a, Tensor) else a for a in args]
        torch.library.opcheck(func, tuple(again), test_utils=["test_schema", "test_faketensor"])


@pytest.mark.parametrize("name", list(segment_calls()))
@pytest.mark.parametrize("shape", [(7, 5), (7,), (7, 2, 3)], ids=str)
def test_sorted_segments_are_segments(name: str, shape: tuple[int, ...]) -> None:
    """With `ptr` kernels run that scatter nothing; the results are the same."""
    if name == "softmax" and len(shape) != 2:
        return
    segment = torch.tensor([0, 0, 0, 2, 2, 2, 2])
    ptr = torch.tensor([0, 3, 3, 7])
    reduction = getattr(ops, f"segment_{name}")
    values = torch.randn(shape).requires_grad_()
    values.data[1] = values.data[0]  # a tie
    fast, plain = reduction(values, segment, 3, ptr=ptr), reduction(values, segment, 3)
    wave = torch.randn_like(plain)
    torch.testing.assert_close(fast, plain)
    torch.testing.assert_close(
        torch.autograd.grad(fast, values, wave), torch.autograd.grad(plain, values, wave)
    )


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("weighted m")])
def test_what_is_not_there_is_refused(name: str) -> None:
    """vmap always, second derivatives but of sums; both run on the torch form."""
    op, inputs = float32(name)
    batch = [torch.stack([t.detach(), t.detach()]) for t in inputs]
    with pytest.raises(NotImplementedError, match=r"vmapped: call it under tn\.backend\('torch'\)"):
        torch.vmap(op)(*batch)
    with tn.backend("torch"):
        torch.testing.assert_close(torch.vmap(op)(*batch)[0], op(*inputs))
    first = torch.autograd.grad(op(*inputs).square().sum(), inputs, create_graph=True)
    again = sum(g.square().sum() for g in first)
    with tn.backend("torch"):
        slow = torch.autograd.grad(op(*inputs).square().sum(), inputs, create_graph=True)
        expected = torch.autograd.grad(sum(g.square().sum() for g in slow), inputs)
    if name in ("spmm", "sddmm", "sum of neighbours", "mean of neighbours", "weighted sum",
                "weighted mean"):  # fmt: skip
        found = torch.autograd.grad(again, inputs)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    else:
        with pytest.raises(
            NotImplementedError, match=r"no second derivative: .*backend\('torch'\)"
        ):
            torch.autograd.grad(again, inputs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision(name: str, dtype: torch.dtype) -> None:
    """Inputs and outputs are half, sums are not: within the rounding of the ends."""
    op, inputs = float32(name)
    half = [t.detach().to(dtype).requires_grad_() for t in inputs]
    wide = [t.detach().double().requires_grad_() for t in half]
    y, expected = op(*half), op(*wide)
    assert y.dtype == dtype
    wave = torch.randn_like(expected)
    grads = torch.autograd.grad(y, half, wave.to(dtype))
    others = torch.autograd.grad(expected, wide, wave.to(dtype).double())
    eps = torch.finfo(dtype).eps
    for a, b in zip((y, *grads), (expected, *others), strict=True):
        away = float((a.double() - b).detach().abs().max())
        assert away <= 4 * eps * max(1.0, float(b.detach().abs().max()))


@pytest.mark.parametrize("make", [
    lambda: tn.Attention(8, 2, tn.EdgeList()),
    lambda: tn.Attention(8, 2, tn.EdgeList(), edge_dim=3),
    lambda: tn.GraphAttention(8, 2),
    lambda: tn.GraphAttentionV2(8, 2),
    lambda: tn.GraphConvolution(8),
    lambda: tn.SAGEConvolution(8),
    lambda: tn.GINConvolution(8),
])  # fmt: skip
def test_autocast(make: Callable[[], tn.Mixer]) -> None:
    """Under autocast the maps run in bfloat16, and the result is near that of float32."""
    edges = tn.Edges(torch.randint(20, (2, 60)), attr=torch.randn(60, 3))
    structure, mixer = tn.Structure.packed([20], edges=edges), make()
    x = torch.randn(20, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = mixer(x, structure)
    (grad,) = torch.autograd.grad(y.float().square().sum(), x)
    exact = mixer(x, structure)
    (expected,) = torch.autograd.grad(exact.square().sum(), x)
    y, exact = y.detach().float(), exact.detach()
    assert (y - exact).abs().max() <= 0.05 * max(1.0, float(exact.abs().max()))
    assert (grad - expected).abs().max() <= 0.1 * max(1.0, float(expected.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiles_once_for_all_sizes(name: str) -> None:
    """The first call compiles, the second for any size, then none; results are eager's."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("inductor")

    def run(edges: SortedEdges, *inputs: Tensor) -> Tensor:
        return cases_of(name)(edges, *inputs)

    compiled = torch.compile(run, backend=counter, fullgraph=True)
    for i, rows in enumerate((9, 14, 33, 50, 21)):
        edges = graph("random", rows)
        _, inputs = float32(name, edges)
        y, expected = compiled(edges, *inputs), run(edges, *inputs)
        torch.testing.assert_close(y, expected)
        wave = torch.randn_like(y)
        torch.testing.assert_close(
            torch.autograd.grad(y, inputs, wave), torch.autograd.grad(expected, inputs, wave),
            rtol=1e-4, atol=1e-4,
        )  # fmt: skip
        if i == 1:
            count = counter.frame_count
    assert counter.frame_count == count <= 2


def cases_of(name: str) -> Callable[..., Tensor]:
    """The operation of that name as a function of the edges too."""
    kind = name.split()[-1] if name.startswith("weighted") else name.split()[0]
    plain: dict[str, Callable[..., Tensor]] = {
        "attend": lambda e, q, k, v: ops.attend(q, k, v, Sparse(e)),
        "attend, bias": lambda e, q, k, v, b: ops.attend(q, k, v, Sparse(e), bias=b, scale=0.7),
        "attend, features": lambda e, q, k, v, a, m: ops.attend(
            q, k, v, Sparse(e), attr=a, edge_map=m
        ),
        "attend, features and bias": lambda e, q, k, v, b, a, m: ops.attend(
            q, k, v, Sparse(e), bias=b, attr=a, edge_map=m
        ),
        "gat": lambda e, q, k, v: ops.attend_gat(q, k, v, e),
        "gat, bias": lambda e, q, k, v, b: ops.attend_gat(q, k, v, e, bias=b, slope=0.1),
        "gatv2": lambda e, q, k, a: ops.attend_gatv2(q, k, a, e),
        "gatv2, bias, values": lambda e, q, k, a, b, v: ops.attend_gatv2(q, k, a, e, v=v, bias=b),
        "sddmm": lambda e, q, k: ops.sddmm(q, k, e),
        "spmm": lambda e, w, v: ops.spmm(w, v, e),
        "edge softmax": lambda e, s: ops.edge_softmax(s, e),
    }
    if name in plain:
        return plain[name]
    if name.startswith("weighted"):
        return lambda e, x, w: ops.gather_reduce(x, e, kind, weights=w)
    return lambda e, x: ops.gather_reduce(x, e, kind)
