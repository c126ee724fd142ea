"""Every operation against its dense oracle: outputs and all gradients, over awkward inputs."""

import math

import pytest
import torch
from oracle import compare, dtypes, graph, graphs, heads, random
from torch import Tensor

import tokennet as tn
from tokennet import ops
from tokennet.structure import SortedEdges

sizes = pytest.mark.parametrize("size", [0, 1, 63, 500])

# -- segments -------------------------------------------------------------------------------------

REDUCTIONS = {
    "sum": ops.segment_sum,
    "mean": ops.segment_mean,
    "max": ops.segment_max,
    "min": ops.segment_min,
    "std": ops.segment_std,
    "softmax": ops.segment_softmax,
}
each = pytest.mark.parametrize("name", REDUCTIONS)


def segments(size: int, count: int) -> Tensor:
    """Unsorted numbers; some segments are empty, the last one always."""
    return torch.randint(0, max(count - 1, 1), (size,))


@each
@sizes
@dtypes
@pytest.mark.parametrize("count", [1, 7, 600])
def test_segments(name: str, size: int, count: int, dtype: torch.dtype) -> None:
    reduction, segment = REDUCTIONS[name], segments(size, count)
    compare(lambda v: reduction(v, segment, count), random(size, 3, dtype=dtype), scale=4)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "std"])
@pytest.mark.parametrize("rest", [(), (1,), (2, 20), (2, 3, 4)], ids=str)
def test_segments_of_any_rank(name: str, rest: tuple[int, ...]) -> None:
    segment = segments(40, 7)
    values = random(40, *rest, dtype=torch.float64) if rest else torch.randn(40).double()
    compare(lambda v: REDUCTIONS[name](v, segment, 7), values)


@each
def test_no_segments_and_no_values(name: str) -> None:
    y = REDUCTIONS[name](torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), 0)
    assert y.shape == (0, 2)


def test_empty_segments_give_zero() -> None:
    values, segment = torch.randn(2, 3) - 10, torch.tensor([1, 1])
    for reduction in (ops.segment_sum, ops.segment_mean, ops.segment_max):
        y = reduction(values, segment, 3)
        assert not y[0].any()
        assert not y[2].any()
        assert (y[1] < 0).all()


@each
def test_segments_in_bfloat16(name: str) -> None:
    segment = segments(63, 7)
    values = random(63, 3, dtype=torch.bfloat16)
    compare(lambda v: REDUCTIONS[name](v, segment, 7), values, scale=4)


@dtypes
def test_softmax_of_extreme_scores(dtype: torch.dtype) -> None:
    segment = torch.arange(8).repeat_interleave(4)
    scores = torch.randn(32, 2, dtype=dtype)
    scores[4:8] *= 1e4
    scores[8:12] += 1e4
    scores[12:16] -= 1e4
    scores[16] = scores[17] = -math.inf
    scores[20:24] = -math.inf  # nothing to choose from
    scores[24:28] = 3.0
    found = compare(lambda s: ops.segment_softmax(s, segment, 8), scores)
    total = ops.segment_sum(found[0], segment, 8)
    torch.testing.assert_close(
        total, torch.ones(8, 2, dtype=dtype).index_fill(0, torch.tensor(5), 0)
    )
    assert not found[0][[16, 17, 20, 21, 22, 23]].any()
    torch.testing.assert_close(found[0][24:28], torch.full((4, 2), 0.25, dtype=dtype))


def test_min_and_std_by_hand() -> None:
    """And nothing infinite where all values of a segment are equal."""
    values = torch.tensor([[3.0], [1.0], [5.0], [5.0], [-2.0]], requires_grad=True)
    segment = torch.tensor([0, 0, 2, 2, 3])
    assert ops.segment_min(values, segment, 5).flatten().tolist() == [1, 0, 5, -2, 0]
    spread = ops.segment_std(values, segment, 5)
    assert spread.flatten().tolist() == [1, 0, 0, 0, 0]
    (grad,) = torch.autograd.grad(spread.sum(), values)
    assert grad.flatten().tolist() == [0.5, -0.5, 0, 0, 0]


def test_softmax_keeps_precision_in_bfloat16() -> None:
    """The sum of 4,000 equal weights would stop growing at 256 in bfloat16."""
    scores = torch.zeros(4000, 1, dtype=torch.bfloat16)
    weights = ops.segment_softmax(scores, torch.zeros(4000, dtype=torch.int64), 1)
    assert abs(float(weights.double().sum()) - 1) < 0.01


@each
def test_gradcheck_of_segments(name: str) -> None:
    segment = segments(9, 4)
    values = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: REDUCTIONS[name](v, segment, 4), (values,))


def test_gradients_of_ties_are_shared() -> None:
    """Equal maxima share the gradient, whatever their order."""
    values = torch.ones(4, 1, dtype=torch.float64, requires_grad=True)
    segment = torch.tensor([0, 1, 0, 0])
    (grad,) = torch.autograd.grad(ops.segment_max(values, segment, 2).sum(), values)
    torch.testing.assert_close(grad.flatten().tolist(), [1 / 3, 1.0, 1 / 3, 1 / 3])


# -- products over edges --------------------------------------------------------------------------


@graphs
@heads
@dtypes
@pytest.mark.parametrize("rows", [1, 63])
def test_sddmm_and_spmm(
    kind: str, num_heads: int, head_dim: int, rows: int, dtype: torch.dtype
) -> None:
    edges = graph(kind, rows)
    q, k = (random(rows, num_heads, head_dim, dtype=dtype) for _ in range(2))
    compare(lambda q, k: ops.sddmm(q, k, edges), q, k, scale=head_dim)
    weights = random(edges.num_edges, num_heads, dtype=dtype)
    compare(lambda w, v: ops.spmm(w, v, edges), weights, q, scale=8)


@graphs
def test_products_of_no_rows_and_of_many(kind: str) -> None:
    for rows in (0, 500):
        edges = graph(kind, rows)
        q, k = (random(rows, 2, 3, dtype=torch.float64) for _ in range(2))
        weights = random(edges.num_edges, 2, dtype=torch.float64)
        compare(lambda q, k: ops.sddmm(q, k, edges), q, k)  # noqa: B023
        compare(lambda w, v: ops.spmm(w, v, edges), weights, q)  # noqa: B023


def test_spmm_sends_from_source_to_target() -> None:
    edges = SortedEdges.of(tn.Edges(torch.tensor([[0], [2]])), 3)
    v = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    assert ops.spmm(torch.tensor([[10.0]]), v, edges).flatten().tolist() == [0, 0, 10]


# -- samples --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[], [0], [1], [5, 0, 2], [3, 3], [500, 63]], ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_pools_of_samples(name: str, lengths: list[int]) -> None:
    """Packed and padded against a loop, padding full of NaN."""
    pool = {"sum": ops.sample_sum, "mean": ops.sample_mean, "max": ops.sample_max}[name]
    reduce = {"sum": lambda x: x.sum(0), "mean": lambda x: x.mean(0), "max": lambda x: x.amax(0)}
    x = random(sum(lengths), 3, dtype=torch.float64)
    tokens = tn.Tokens(x, tn.Structure.packed(lengths))
    zero = torch.zeros(3, dtype=torch.float64)
    expected = [reduce[name](s) if len(s) else zero for s in tokens.to_list()]
    expected = torch.stack(expected) if expected else torch.zeros(0, 3, dtype=torch.float64)
    padded = tokens.padded()
    holes = padded.x.masked_fill(~padded.structure.layout.valid[..., None], torch.nan)
    for case, layout in ((x, tokens.structure.layout), (holes, padded.structure.layout)):
        leaf = case.detach().requires_grad_()
        y = pool(leaf, layout)
        torch.testing.assert_close(y, expected)
        y.sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
        assert not leaf.grad[~layout.valid].any()


# -- the switch -----------------------------------------------------------------------------------


def test_backend_is_restored() -> None:
    from tokennet.ops.backend import is_reference

    with tn.backend("reference"):
        with tn.backend("auto"):
            assert not is_reference()
        assert is_reference()
    with pytest.raises(ValueError, match="backend"), tn.backend("reference"), tn.backend("fast"):
        pass
    assert not is_reference()


def test_reference_differs_from_the_fast_path() -> None:
    """Otherwise the comparisons above would compare a thing with itself."""
    from unittest import mock

    edges, q = graph("random", 5), torch.randn(5, 1, 2)
    for name in ("sddmm", "spmm", *(f"segment_{name}" for name in REDUCTIONS)):
        with mock.patch(f"tokennet.ops.reference.{name}", side_effect=KeyError(name)):
            call = {
                "sddmm": lambda: ops.sddmm(q, q, edges),
                "spmm": lambda: ops.spmm(torch.ones(edges.num_edges, 1), q, edges),
            }.get(name, lambda: getattr(ops, name)(q[:, 0], torch.zeros(5, dtype=torch.int64), 1))  # noqa: B023
            call()
            with tn.backend("reference"), pytest.raises(KeyError, match=name):
                call()


def test_flops_of_sparse_operations_are_recorded() -> None:
    from tokennet.ops.backend import sparse_flops

    edges, q = graph("random", 9), torch.randn(9, 2, 3)
    with sparse_flops() as outer, sparse_flops() as inner:
        ops.sddmm(q, q, edges)
    assert outer == inner == [2 * edges.num_edges * 2 * 3]
    ops.sddmm(q, q, edges)
    assert len(outer) == 1
