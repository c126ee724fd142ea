"""Attention over edges in Triton: output and every gradient against float64."""

import importlib
from collections.abc import Iterator

import pytest
import torch
from triton_attend_cases import TOLERANCE, Case, by_bag, close, dense, form_on, moved
from triton_support import DEVICE, KERNEL_TESTS, poisoned  # noqa: F401

from tokennet.ops.kernel import Gradients, Inputs, Result
from tokennet.ops.triton import plan
from tokennet.structure import SortedEdges

pytestmark = KERNEL_TESTS
SCORES = [("dot", 8), ("gat", 8), ("gatv2", 0), ("gatv2", 8)]


def _cases() -> Iterator[Case]:
    for score, values in SCORES:
        kind = f"{score}{'' if values else ' over keys'}"

        def case(name: str, **changes: object) -> Case:
            return Case(f"{kind}, {name}", score, **{"values": values, **changes})  # noqa: B023

        yield case("plain")
        yield case("bias", bias=True)
        yield case("dropout", bias=True, dropout=0.4)
        yield case("hub", hub=True, chunk=9, bias=True, edges=50)
        yield case("hub, dropout", hub=True, chunk=9, dropout=0.4, edges=50)
        yield case("left out", left_out=True, bias=True)
        yield case("left out, hub", left_out=True, bias=True, hub=True, chunk=7)
        yield case("no edges", edges=0, bias=True)
        yield case("one edge", edges=1, bias=True)
        yield case("one token", tokens=1, edges=5)
        yield case("no tokens", tokens=0, edges=0, bias=True)
        yield case("strided", strided=True)
        yield case("half", dtype=torch.float16, bias=True)
        yield case("bfloat16", dtype=torch.bfloat16, bias=True)
        for keys, heads in ((1, 3), (3, 1), (20, 3), (64, 2), (64, 16), (256, 3)):
            channels = {"keys": keys, "values": values and keys, "tokens": 4, "edges": 7}
            yield case(f"{heads} heads of {keys}", heads=heads, **channels)
    for hub in (False, True):
        chunk = 9 if hub else None
        for changes in ({"bias": True}, {"dropout": 0.4, "left_out": True}):
            name = f"dot, features, {hub}, {changes}"
            yield Case(name, features=3, hub=hub, chunk=chunk, edges=50, **changes)
    yield Case("dot, features, 3 heads", heads=3, keys=5, values=7, features=6)
    yield Case(
        "dot, features, 16 heads of 64",
        heads=16,
        keys=64,
        values=64,
        features=16,
        tokens=4,
        edges=7,
    )
    yield Case("dot, features, half", features=4, dtype=torch.float16)
    yield Case("gat, features", "gat", features=3, hub=True, chunk=5)
    yield Case("gatv2, features", "gatv2", features=3, dropout=0.4)
    yield Case("dot, other values", keys=5, values=20, bias=True, hub=True, chunk=6)
    yield Case("dot, wide values", keys=20, values=1)
    yield Case("gatv2, other values", "gatv2", keys=3, values=10)


CASES = list(_cases())


def _drawn(case: Case) -> tuple[SortedEdges, Inputs, torch.Tensor, torch.Tensor | None]:
    edges = case.graph()
    inputs = case.inputs(edges.num_edges)
    grad = torch.randn(inputs.values.shape, dtype=torch.float64).to(case.dtype)
    grad_edge = None
    if case.features:
        shape = (case.tokens, case.heads, case.features)
        grad_edge = torch.randn(shape, dtype=torch.float64).to(case.dtype)
    return edges, inputs, grad, grad_edge


def _run(
    case: Case,
    edges: SortedEdges,
    inputs: Inputs,
    grad: torch.Tensor,
    grad_edge: torch.Tensor | None,
    needs: list[bool] | None = None,
) -> tuple[Result, Gradients]:
    from tokennet.ops.triton import attend, attend_backward

    here = moved(inputs, DEVICE)
    rows, columns = form_on(edges.rows, DEVICE), form_on(edges.columns, DEVICE)
    plan.use_chunk(case.chunk)
    try:
        result = attend(here, rows)
        grads = attend_backward(
            here, result, grad.to(DEVICE), None if grad_edge is None else grad_edge.to(DEVICE),
            rows, columns, needs or [True] * 7,
        )  # fmt: skip
    finally:
        plan.use_chunk(None)
    return result, grads


def _agree(
    case: Case, found: tuple, expected: tuple, tolerance: float, cancels: float = 0.3
) -> None:
    for name, a, b in zip(Result._fields, found[0], expected[0], strict=True):
        exact = name == "log_sum" and case.dtype != torch.float32
        close(name, a, b, TOLERANCE[torch.float32] if exact else tolerance)
    for name, a, b in zip(Gradients._fields, found[1], expected[1], strict=True):
        if a is not None:
            close(name, a, b, tolerance, cancels)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_equals_float64(case: Case) -> None:
    edges, inputs, grad, grad_edge = _drawn(case)
    found = _run(case, edges, inputs, grad, grad_edge)
    result, grads = found
    assert result.out.dtype == case.dtype
    assert result.log_sum.dtype == torch.float32
    for name, gradient in zip(Gradients._fields, grads, strict=True):
        given = getattr(inputs, name)
        assert (gradient is None) == (given is None), name
        assert gradient is None or gradient.dtype == given.dtype
    if case.score == "dot" or not case.features:
        _agree(case, found, by_bag(inputs, edges, grad, grad_edge), TOLERANCE[case.dtype])
    _agree(case, found, dense(inputs, edges, grad, grad_edge), TOLERANCE[case.dtype])


ALL = {"bias": True, "dropout": 0.3, "hub": True, "chunk": 8, "tokens": 7, "edges": 36}
EVERYTHING = [
    Case("dot", features=3, **ALL),
    Case("gat", "gat", **ALL),
    Case("gatv2 over keys", "gatv2", values=0, **ALL),
    Case("gatv2", "gatv2", **ALL),
]
"""Every input there is, and rows in pieces."""
each_score = pytest.mark.parametrize("case", EVERYTHING, ids=lambda c: c.name)


@each_score
def test_gradients_asked_for_one_by_one(case: Case) -> None:
    drawn = _drawn(case)
    result, every = _run(case, *drawn)
    for i, name in enumerate(Gradients._fields):
        again, grads = _run(case, *drawn, needs=[i == j for j in range(7)])
        assert torch.equal(again.out, result.out)
        for other, gradient in zip(Gradients._fields, grads, strict=True):
            if other != name or getattr(every, name) is None:
                assert gradient is None, (name, other)
            else:
                assert torch.equal(gradient, getattr(every, name)), name
    _, none = _run(case, *drawn, needs=[False] * 7)
    assert none == Gradients()


@each_score
def test_two_runs_give_the_same_bits(case: Case) -> None:
    drawn = _drawn(case)
    for one, other in zip(_run(case, *drawn), _run(case, *drawn), strict=True):
        for a, b in zip(one, other, strict=True):
            assert (a is None) == (b is None)
            assert a is None or torch.equal(a, b)


@each_score
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_large_scores(case: Case, size: float) -> None:
    """Almost all weight on one edge of a row, or on its duplicates."""
    edges, inputs, grad, grad_edge = _drawn(case)
    if case.score == "gatv2":
        assert inputs.vector is not None
        inputs = inputs._replace(vector=inputs.vector * size)
    else:
        inputs = inputs._replace(q=inputs.q * size)
    found = _run(case, edges, inputs, grad, grad_edge)
    expected = by_bag(inputs, edges, grad, grad_edge)
    assert expected[0].log_sum.abs().max() > 3e3
    _agree(case, found, expected, 2e-3, cancels=10)  # 1e4 is known to 1e-3 in float32


@each_score
def test_scores_of_minus_infinity(case: Case) -> None:
    """Edges that a bias forbids weigh nothing; a row of nothing else is like one without edges."""
    edges, inputs, grad, grad_edge = _drawn(case)
    assert inputs.bias is not None
    forbidden = torch.rand(inputs.bias.shape) < 0.3
    forbidden[edges.target == 0] = True
    forbidden[(edges.target == 3).nonzero()[:8]] = True  # whole pieces of a long row
    inputs = inputs._replace(bias=inputs.bias.masked_fill(forbidden, -torch.inf))
    result, grads = _run(case, edges, inputs, grad, grad_edge)
    assert result.log_sum[0].isposinf().all()
    assert grads.bias is not None
    assert (grads.bias.cpu()[forbidden] == 0).all()
    assert any((grads.bias.cpu()[~forbidden] != 0).tolist())
    expected, expected_grads = by_bag(inputs, edges, grad, grad_edge)
    _agree(case, (result, grads), (expected, expected_grads), TOLERANCE[case.dtype])


def test_masks_make_no_gradient_of_features_where_there_is_none() -> None:
    """`edge_out` that nobody uses has no gradient: None, as zeros."""
    case = Case("dot", features=3, bias=True)
    edges, inputs, grad, grad_edge = _drawn(case)
    assert grad_edge is not None
    _, absent = _run(case, edges, inputs, grad, None)
    _, zeros = _run(case, edges, inputs, grad, torch.zeros_like(grad_edge))
    for a, b in zip(absent, zeros, strict=True):
        assert a is b is None or torch.equal(a, b)


@pytest.mark.parametrize("values", [0, 64])
def test_programs_that_own_several_rows(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leaves one part of the gradient of the vector."""
    backward = importlib.import_module("tokennet.ops.triton.attend_backward")
    case = Case("gatv2", "gatv2", heads=4, keys=64, values=values, tokens=5, edges=20)
    drawn = _drawn(case)
    _, expected = _run(case, *drawn)
    monkeypatch.setattr(backward, "PROGRAMS", 2)
    found = _run(case, *drawn)
    assert found[1].vector is not None
    assert not torch.equal(found[1].vector, expected.vector)  # the order of the sums is another
    _agree(case, found, by_bag(drawn[1], drawn[0], *drawn[2:]), TOLERANCE[case.dtype])


def _without_order(case: Case, *drawn: object) -> tuple[Result, Gradients]:
    torch.use_deterministic_algorithms(False)
    plan.use_atomics(True)
    try:
        return _run(case, *drawn)  # type: ignore[arg-type]
    finally:
        plan.use_atomics(False)


@pytest.mark.parametrize(
    "case",
    [
        *EVERYTHING,
        *(Case(f"{s} {v}, plain", s, values=v, left_out=True) for s, v in SCORES),
        Case("dot, half", dtype=torch.float16, features=3),
        Case("dot, other values", keys=5, values=20),
    ],
    ids=lambda c: c.name,
)
def test_atomic_additions(case: Case) -> None:
    drawn = _drawn(case)
    found = _without_order(case, *drawn)
    _agree(case, found, by_bag(drawn[1], drawn[0], *drawn[2:]), 2 * TOLERANCE[case.dtype])


def test_atomic_additions_are_refused_where_torch_is_deterministic() -> None:
    drawn = _drawn(EVERYTHING[0])
    plan.use_atomics(True)
    try:
        with pytest.raises(RuntimeError, match=r"not deterministic; call .*use_atomics"):
            _run(EVERYTHING[0], *drawn)
    finally:
        plan.use_atomics(False)


def test_double_precision_is_refused() -> None:
    edges, inputs, grad, grad_edge = _drawn(EVERYTHING[0])
    with pytest.raises(TypeError, match=r"inputs.q.dtype is torch.float64, expected float32"):
        _run(EVERYTHING[0], edges, moved(inputs, torch.float64), grad, grad_edge)
