"""Compiled sums, dot products, maxima and softmax over rows, beside the torch form in float64."""

import math
from collections.abc import Callable

import pytest
import torch
from cpu_variants import threads, variant  # noqa: F401 - fixtures
from oracle import GRAPHS, graph
from torch import Tensor

from tokennet.ops import bag
from tokennet.ops.cpu import gather
from tokennet.structure import Compressed, Edges, SortedEdges

SIZES = (0, 1, 7, 63, 64, 65)
WIDTHS = [(1, 1), (1, 3), (3, 1), (1, 16), (3, 5), (4, 8), (8, 8), (4, 20), (1, 65), (2, 64),
          (3, 128), (1, 300)]  # fmt: skip
each_width = pytest.mark.parametrize(("heads", "channels"), WIDTHS)
pytestmark = pytest.mark.usefixtures("variant")


def forms(edges: SortedEdges) -> dict[str, Compressed]:
    """Rows, columns, and the edges of each token as values of their own."""
    return {"rows": edges.rows, "columns": edges.columns, "segments": Compressed(edges.ptr)}


def rows_apart(*shape: int) -> Tensor:
    """Every third part of a wider tensor: the last axes contiguous, the rows not."""
    return torch.randn(shape[0], 3, *shape[1:])[:, 1]


def assert_close(found: Tensor, expected: Tensor, scale: float = 1.0) -> None:
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    size = float(expected.abs().max()) if expected.numel() else 0.0
    limit = 4 * torch.finfo(torch.float32).eps * scale * max(1.0, size)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=limit)


def hub(rows: int, count: int) -> SortedEdges:
    """Half of the edges go into one token."""
    index = torch.randint(rows, (2, count))
    index[1, : count // 2] = rows // 2
    return SortedEdges.of(Edges(index), rows)


@each_width
@pytest.mark.parametrize("kind", GRAPHS)
def test_gather_sum(kind: str, heads: int, channels: int) -> None:
    for rows in SIZES:
        edges = graph(kind, rows)
        for name, form in forms(edges).items():
            x = rows_apart(edges.num_edges if name == "segments" else rows, heads, channels)
            weight = torch.randn(edges.num_edges, heads)
            for w in (None, weight):
                expected = bag.gather_sum(x.double(), None if w is None else w.double(), form)
                found = gather.gather_sum(x, w, form)
                assert_close(found, expected, scale=math.sqrt(4 + edges.num_edges))


def test_gather_sum_of_a_hub() -> None:
    edges = hub(50, 5000)
    x, weight = torch.randn(50, 2, 20), torch.rand(5000, 2)
    for form in (edges.rows, edges.columns):
        expected = bag.gather_sum(x.double(), weight.double(), form)
        assert_close(gather.gather_sum(x, weight, form), expected, scale=50)


@each_width
@pytest.mark.parametrize("kind", GRAPHS)
def test_sddmm(kind: str, heads: int, channels: int) -> None:
    for rows in SIZES:
        edges = graph(kind, rows)
        q, k = rows_apart(rows, heads, channels), rows_apart(rows, heads, channels)
        for form in (edges.rows, Compressed(edges.ptr)):
            if form.index is None:
                k = rows_apart(edges.num_edges, heads, channels)
            expected = bag.sddmm(q.double(), k.double(), form, edges.num_edges)
            found = gather.sddmm(q, k, form, edges.num_edges)
            assert_close(found, expected, scale=math.sqrt(channels))
            assert not found[int(edges.ptr[-1]) if rows else 0 :].any()


def test_sddmm_of_a_hub() -> None:
    """More edges in a row than in a block."""
    edges = hub(50, 1000)
    q, k = torch.randn(50, 3, 20), torch.randn(50, 3, 20)
    expected = bag.sddmm(q.double(), k.double(), edges.rows, 1000)
    assert_close(gather.sddmm(q, k, edges.rows, 1000), expected, scale=8)


@pytest.mark.parametrize("channels", [1, 3, 16, 20, 63, 64, 65, 300])
@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("ties", [False, True])
def test_maxima(ties: bool, kind: str, channels: int) -> None:
    """Values and counts are the same bits as in torch; only sums of shares are rounded."""
    for rows in SIZES:
        edges = graph(kind, rows)
        x = rows_apart(rows, channels)
        if ties:
            x = x.round()
        out, count = gather.gather_max(x, edges.rows)
        expected = bag.gather_max(x, edges.rows)
        assert torch.equal(out, expected[0])
        assert torch.equal(count, expected[1])
        grad = rows_apart(rows, channels)
        double = [t.double() for t in (grad, x, out, count)]
        expected_dx = bag.gather_max_backward(*double, edges.columns)
        dx = gather.gather_max_backward(grad, x, out, count, edges.columns)
        assert_close(dx, expected_dx, scale=math.sqrt(4 + edges.num_edges))
    segments = Compressed(edges.ptr)
    values = torch.randn(edges.num_edges, channels)
    for a, b in zip(
        gather.gather_max(values, segments), bag.gather_max(values, segments), strict=True
    ):
        assert torch.equal(a, b)


def test_ties_were_there() -> None:
    x = torch.randn(63, 20).round()
    _, count = gather.gather_max(x, graph("random", 63).rows)
    assert count.max() > 1


def test_maximum_of_infinities_and_nan() -> None:
    """-inf is a value as others are; NaN wins wherever it stands, and nothing equals it."""
    form = Compressed(torch.tensor([0, 2, 4, 6, 9, 9]))
    nan, inf = math.nan, math.inf
    x = torch.tensor([-inf, -inf, nan, 1.0, 2.0, nan, 5.0, nan, 7.0])[:, None].repeat(1, 17)
    out, count = gather.gather_max(x, form)
    assert torch.equal(out[0], torch.full((17,), -inf))
    assert torch.equal(count[:, 3], torch.tensor([2.0, 0, 0, 0, 0]))
    assert out[1:4].isnan().all()
    assert not out[4].any()


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 8, 12, 16, 20, 33])
@pytest.mark.parametrize("kind", GRAPHS)
def test_softmax(kind: str, heads: int) -> None:
    for rows in SIZES:
        form = Compressed(graph(kind, rows).ptr)
        count = graph(kind, rows).num_edges
        for size in (1.0, 1e4):
            scores, grad = size * torch.randn(count, heads), torch.randn(count, heads)
            weights = gather.segment_softmax(scores, form)
            assert_close(weights, bag.segment_softmax(scores.double(), form))
            expected = bag.segment_softmax_backward(weights.double(), grad.double(), form)
            found = gather.segment_softmax_backward(weights, grad, form)
            assert_close(found, expected, scale=4)
            behind = int(form.ptr[-1]) if rows else 0
            assert not weights[behind:].any()
            assert not found[behind:].any()


@pytest.mark.parametrize("heads", [1, 3, 4, 20])
def test_softmax_of_long_rows_and_infinite_scores(heads: int) -> None:
    form = Compressed(torch.tensor([0, 1000, 1003, 1003, 1007]))
    scores = torch.randn(1007, heads)
    scores[::3] = -math.inf
    scores[1000:1003] = -math.inf
    weights = gather.segment_softmax(scores, form)
    assert_close(weights, bag.segment_softmax(scores.double(), form))
    assert not weights[1000:1003].any()
    assert not weights[::3].any()
    grad = torch.randn(1007, heads)
    expected = bag.segment_softmax_backward(weights.double(), grad.double(), form)
    assert_close(gather.segment_softmax_backward(weights, grad, form), expected, scale=4)


def test_edges_left_out_by_their_count_alone() -> None:
    """Entries behind ptr[-1] may name rows that are not there."""
    index = torch.tensor([2, 0, 1, 99, -5], dtype=torch.int32)
    form = Compressed(torch.tensor([0, 1, 1, 3]), index)
    x = torch.randn(3, 1, 20)
    expected = torch.stack([x[2], torch.zeros(1, 20), x[0] + x[1]])
    torch.testing.assert_close(gather.gather_sum(x, None, form), expected)
    products = gather.sddmm(x, x, form, 5)
    assert not products[3:].any()
    assert products[:3].all()


@pytest.mark.usefixtures("threads")
def test_threads_change_no_bit() -> None:
    edges = hub(4000, 60_000)
    x, w = torch.randn(4000, 4, 16), torch.rand(60_000, 4)
    flat, grad = x.flatten(1), torch.randn(4000, 64)
    out, count = gather.gather_max(flat, edges.rows)
    runs: list[Callable[[], Tensor]] = [
        lambda: gather.gather_sum(x, w, edges.rows),
        lambda: gather.gather_sum(x, w, edges.columns),
        lambda: gather.gather_sum(flat[:, None], None, edges.rows),
        lambda: gather.sddmm(x, x, edges.rows, 60_000),
        lambda: gather.gather_max(flat, edges.rows)[1],
        lambda: gather.gather_max_backward(grad, flat, out, count, edges.columns),
        lambda: gather.segment_softmax(w, edges.rows),
        lambda: gather.segment_softmax_backward(w, w, edges.rows),
    ]
    for run in runs:
        torch.set_num_threads(1)
        one = run()
        assert one.any()
        for number in (2, 3, 7):
            torch.set_num_threads(number)
            assert torch.equal(run(), one)


def test_nothing_to_compute() -> None:
    empty = Compressed(torch.zeros(1, dtype=torch.int64), torch.zeros(0, dtype=torch.int32))
    assert gather.gather_sum(torch.randn(0, 2, 3), None, empty).shape == (0, 2, 3)
    form = graph("random", 7).rows
    assert gather.gather_sum(torch.randn(7, 2, 0), None, form).shape == (7, 2, 0)
    assert not gather.sddmm(torch.randn(7, 2, 0), torch.randn(7, 2, 0), form, 21).any()
    assert gather.gather_max(torch.randn(7, 0), form)[0].shape == (7, 0)


@pytest.mark.usefixtures("no_typecheck")
def test_errors() -> None:
    form, x = graph("random", 7).rows, torch.randn(7, 2, 3)
    with pytest.raises(TypeError, match=r"x is torch.float64 on cpu, expected torch.float32"):
        gather.gather_sum(x.double(), None, form)
    with pytest.raises(ValueError, match=r"weight.shape is \(21, 1\), expected \[E, 2\]"):
        gather.gather_sum(x, torch.randn(21, 1), form)
    with pytest.raises(ValueError, match=r"k.shape is \(7, 2, 4\), expected \[T, 2, 3\] as q"):
        gather.sddmm(x, torch.randn(7, 2, 4), form, 21)
