"""Attention over edges in Triton where only a GPU can tell: sizes, memory, captured graphs."""

import pytest
import torch
from torch import Tensor

from tokennet.ops import bag
from tokennet.ops.kernel import Gradients, Inputs, Result
from tokennet.structure import Edges, SortedEdges

pytest.importorskip("triton", reason="Triton is not installed")
DEVICE = torch.device("cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def _hubs(tokens: int, edges: int) -> SortedEdges:
    """Degrees that fall like a power: the first token has thousands of edges."""
    index = torch.randint(0, tokens, (2, edges), device=DEVICE)
    index[1] = (tokens * torch.rand(edges, device=DEVICE) ** 4).long().clamp_(max=tokens - 1)
    index[0, ::7] = 5
    return SortedEdges.of(Edges(index), tokens)


def _inputs(edges: SortedEdges, heads: int, keys: int, dtype: torch.dtype) -> Inputs:
    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, device=DEVICE, dtype=dtype)

    tokens = edges.num_rows
    q, k, v = draw(tokens, 3, heads, keys).unbind(1)
    bias = draw(edges.num_edges, heads)
    return Inputs("dot", q, k, v, bias=bias, scale=keys**-0.5)


def _run(inputs: Inputs, edges: SortedEdges, grad: Tensor) -> tuple[Result, Gradients]:
    from tokennet.ops.triton import attend, attend_backward

    result = attend(inputs, edges.rows)
    needs = [True] * len(Gradients._fields)
    return result, attend_backward(inputs, result, grad, None, edges.rows, edges.columns, needs)


def _tensors(found: tuple[Result, Gradients]) -> list[Tensor]:
    return [x for each in found for x in each if x is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_hubs(dtype: torch.dtype) -> None:
    """As the plain kernels in float64, and two runs give the same bits."""
    edges = _hubs(5000, 200_000)
    inputs = _inputs(edges, 4, 32, dtype)
    grad = torch.randn_like(inputs.values)
    found = _run(inputs, edges, grad)
    assert all(map(torch.equal, _tensors(found), _tensors(_run(inputs, edges, grad))))
    wide = Inputs(*(x.double() if isinstance(x, Tensor) else x for x in inputs))
    result = bag.attend(wide, edges.rows)
    grads = bag.attend_backward(
        wide, result, grad.double(), None, edges.rows, edges.columns, [True] * 7
    )
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 8e-3, torch.float16: 1e-3}[dtype]
    for one, other in zip(_tensors(found), _tensors((result, grads)), strict=True):
        if other.numel():
            error = (one.double() - other).nan_to_num(posinf=0, neginf=0).abs().max()
            assert error <= tolerance * other.nan_to_num(posinf=0).abs().max()


def test_more_numbers_than_32_bits_count() -> None:
    """2^31 numbers and more in q, k, v together and apart: the last rows are like the first."""
    tokens, heads, keys = 2_200_000, 8, 128
    if torch.cuda.mem_get_info()[0] < 60 * 2**30:
        pytest.skip("needs 60 GB of free memory")
    few = 1000
    index = torch.randint(0, few, (2, 8000), device=DEVICE)
    mirrored = index + (tokens - few)
    both = torch.cat([index, mirrored], dim=1)
    edges = SortedEdges.of(Edges(both), tokens)
    x = torch.zeros(3, tokens, heads, keys, device=DEVICE, dtype=torch.bfloat16)
    x[:, :few] = torch.randn(3, few, heads, keys, device=DEVICE)
    x[:, -few:] = x[:, :few]
    assert x[0].numel() > 2**31
    inputs = Inputs("dot", *x, scale=keys**-0.5)
    result, grads = _run(inputs, edges, x[2])
    for found in (result.out, result.log_sum, grads.q, grads.k, grads.v):
        assert found is not None
        assert found[:few].any()
        assert torch.equal(found[:few], found[-few:])


def test_memory_is_that_of_tokens() -> None:
    """No tensor [E, H, D]: what is kept of an edge are two numbers a head."""
    edges = _hubs(20_000, 4_000_000)
    inputs = _inputs(edges, 4, 32, torch.bfloat16)
    grad = torch.randn_like(inputs.values)
    _run(inputs, edges, grad)  # the sorted forms and the plan are made
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    _run(inputs, edges, grad)
    peak = torch.cuda.max_memory_allocated() - before
    per_edge = edges.num_edges * 4 * (2 * 4 + 2)  # weight and product in float32; the bias's own
    per_token = 30 * edges.num_rows * 4 * 32 * 4
    assert peak < per_edge + per_token
    assert peak < edges.num_edges * 4 * 32 * 2 / 2


def test_captured_in_a_graph() -> None:
    """After one run outside; replayed with other numbers in the same places."""
    edges = _hubs(2000, 30_000)
    inputs = _inputs(edges, 4, 32, torch.bfloat16)
    grad = torch.randn_like(inputs.values)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        _run(inputs, edges, grad)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = _run(inputs, edges, grad)
    grad.normal_()
    graph.replay()
    assert all(map(torch.equal, _tensors(found), _tensors(_run(inputs, edges, grad))))


def test_a_pointer_that_is_new_while_a_graph_is_captured() -> None:
    """Nothing is asked of the device then: long rows stay whole."""
    edges = _hubs(2000, 30_000)
    inputs = _inputs(edges, 4, 32, torch.float32)
    grad = torch.randn_like(inputs.values)
    expected = _run(inputs, edges, grad)
    new = SortedEdges(edges.source, edges.target, edges.ptr.clone(), edges.order)
    assert new.columns is not None  # sorted outside
    columns = new.columns._replace(ptr=new.columns.ptr.clone())
    new.memo["columns"] = columns
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = _run(inputs, new, grad)
    graph.replay()
    for one, other in zip(_tensors(found), _tensors(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
