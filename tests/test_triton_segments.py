"""Maxima and softmax over rows in Triton, against float64.

Axes: T rows of the flat view, S rows of a form, E edges, H heads, F channels.
"""

import math

import pytest
import torch
from torch import Tensor
from triton_rows import TOKENS, close, draw, dtypes, graph, graphs, moved, sides, split  # noqa: F401
from triton_support import DEVICE, KERNEL_TESTS, poisoned  # noqa: F401

from tokennet.ops import bag
from tokennet.ops.triton import (
    gather_max,
    gather_max_backward,
    segment_softmax,
    segment_softmax_backward,
)
from tokennet.structure import Compressed, SortedEdges

pytestmark = [*KERNEL_TESTS, pytest.mark.usefixtures("split")]

# -- maxima ---------------------------------------------------------------------------------------


def check_maximum(edges: SortedEdges, x: Tensor) -> None:
    """Maxima and counts have the same bits; the gradient is as close as its dtype allows."""
    out, count = gather_max(x.to(DEVICE), moved(edges.rows))
    wide, number = bag.gather_max(x.double(), edges.rows)
    torch.testing.assert_close(out.cpu().double(), wide, rtol=0, atol=0)
    torch.testing.assert_close(count.cpu().double(), number, rtol=0, atol=0)
    grad = draw(*out.shape, dtype=x.dtype)
    given = (grad.to(DEVICE), x.to(DEVICE), out, count)
    found = gather_max_backward(*given, moved(edges.columns))
    wanted = bag.gather_max_backward(grad.double(), x.double(), wide, number, edges.columns)
    close(found, wanted, x.dtype)


@graphs
@pytest.mark.parametrize("ties", [True, False], ids=["ties", "different"])
def test_maximum(kind: str, ties: bool) -> None:
    x = torch.randint(0, 3, (TOKENS, 12)).float() if ties else draw(TOKENS, 12)
    check_maximum(graph(kind), x)


@pytest.mark.parametrize("channels", [1, 33, 600])
def test_maximum_of_any_width(channels: int) -> None:
    check_maximum(graph("hub"), torch.randint(0, 3, (TOKENS, channels)).float())


@dtypes
def test_maximum_in_half_precision(dtype: torch.dtype) -> None:
    check_maximum(graph("hub"), torch.randint(-3, 0, (TOKENS, 8)).to(dtype))


def test_maximum_of_infinities() -> None:
    """Rows of nothing but -inf are no empty rows: their count is that of their entries."""
    x = torch.full((TOKENS, 3), -math.inf)
    x[::3, 1] = math.inf
    for kind in ("random", "hub"):
        check_maximum(graph(kind), x)


def test_a_nan_is_the_largest() -> None:
    edges, x = graph("hub"), draw(TOKENS, 2)
    sent = int(edges.source[0])
    x[sent, 1] = math.nan
    out, count = (t.cpu() for t in gather_max(x.to(DEVICE), moved(edges.rows)))
    reached = edges.target[edges.source == sent].unique()
    assert len(reached) > 0
    assert out[:, 1].isnan().nonzero().squeeze(1).tolist() == reached.tolist()
    assert not out[:, 0].isnan().any()
    assert not count[reached, 1].any()


@sides
def test_maximum_of_segments(side: str) -> None:
    form = Compressed(torch.tensor([0, 0, 4, 25, 25, 26]))
    x = torch.randint(0, 9, (30, 5)).float()
    if side != "segments":
        form = form._replace(index=torch.randint(0, 30, (26,), dtype=torch.int32))
    found = gather_max(x.to(DEVICE), moved(form))
    for a, b in zip(found, bag.gather_max(x, form), strict=True):
        assert torch.equal(a.cpu(), b)


# -- softmax --------------------------------------------------------------------------------------


def check_softmax(edges: SortedEdges, scores: Tensor) -> Tensor:
    form = Compressed(edges.ptr)
    weights = segment_softmax(scores.to(DEVICE), moved(form))
    wide = bag.segment_softmax(scores.double(), form)
    close(weights, wide, scores.dtype)
    grad = draw(*scores.shape, dtype=scores.dtype)
    found = segment_softmax_backward(weights, grad.to(DEVICE), moved(form))
    given = weights.cpu().double()
    close(found, bag.segment_softmax_backward(given, grad.double(), form), scores.dtype)
    return weights.cpu()


@graphs
def test_softmax(kind: str) -> None:
    edges = graph(kind)
    weights = check_softmax(edges, 4 * draw(edges.num_edges, 3))
    assert not weights[int(edges.ptr[-1]) :].any()


@pytest.mark.parametrize("heads", [1, 4, 16, 70])
def test_softmax_of_any_width(heads: int) -> None:
    edges = graph("hub")
    check_softmax(edges, 4 * draw(edges.num_edges, heads))


@dtypes
@pytest.mark.parametrize("kind", ["hub", "left out"])
def test_softmax_of_hard_scores(kind: str, dtype: torch.dtype) -> None:
    """Very large ones, columns of an equal least number, and rows of nothing but -inf."""
    edges = graph(kind)
    scores = 1e4 * draw(edges.num_edges, 4, dtype=dtype)
    scores[:, 1] = torch.finfo(dtype).min
    scores[::2, 2] = -math.inf
    scores[:, 3] = -math.inf
    weights = check_softmax(edges, scores)
    assert not weights[:, 3].any()
    assert weights[0, 1] > 0
