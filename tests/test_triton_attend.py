"""Attention over edges in Triton: output and every gradient against float64."""

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
        yield case("hub", hub=True, chunk=4, bias=True, edges=60)
        yield case("hub, dropout", hub=True, chunk=7, dropout=0.4, edges=60)
        yield case("left out", left_out=True, bias=True)
        yield case("left out, hub", left_out=True, bias=True, hub=True, chunk=3)
        yield case("no edges", edges=0, bias=True)
        yield case("one edge", edges=1, bias=True)
        yield case("one token", tokens=1, edges=5)
        yield case("strided", strided=True)
        yield case("half", dtype=torch.float16, bias=True)
        yield case("bfloat16", dtype=torch.bfloat16, bias=True)
        for keys, heads in ((1, 3), (3, 1), (20, 3), (64, 2), (64, 16), (256, 3)):
            channels = {"keys": keys, "values": values and keys, "tokens": 5, "edges": 9}
            yield case(f"{heads} heads of {keys}", heads=heads, **channels)
    for hub in (False, True):
        chunk = 5 if hub else None
        for changes in ({}, {"bias": True}, {"dropout": 0.4}, {"left_out": True}):
            name = f"dot, features, {hub}, {changes}"
            yield Case(name, features=3, hub=hub, chunk=chunk, edges=50, **changes)
    yield Case("dot, features, 3 heads", heads=3, keys=5, values=7, features=6)
    yield Case("dot, features, 16 heads of 64", heads=16, keys=64, values=64, features=16, edges=9)
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


def _agree(case: Case, found: tuple, expected: tuple, tolerance: float) -> None:
    for name, a, b in zip(Result._fields, found[0], expected[0], strict=True):
        exact = name == "log_sum" and case.dtype != torch.float32
        close(name, a, b, TOLERANCE[torch.float32] if exact else tolerance)
    for name, a, b in zip(Gradients._fields, found[1], expected[1], strict=True):
        if a is not None:
            close(name, a, b, tolerance)


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
