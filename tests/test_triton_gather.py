"""Sums and dot products over rows in Triton, against float64.

Axes: T rows of the flat view, S rows of a form, E edges, H heads, D channels, F of all heads.
"""

import pytest
import torch
from torch import Tensor
from triton_rows import TOKENS, close, draw, dtypes, graph, graphs, moved, sides, split  # noqa: F401
from triton_support import DEVICE, KERNEL_TESTS, poisoned  # noqa: F401

from tokennet.ops import bag
from tokennet.ops.triton import (
    gather_max,
    gather_max_backward,
    gather_sum,
    plan,
    sddmm,
    segment_softmax,
    segment_softmax_backward,
)
from tokennet.structure import Compressed, Edges, SortedEdges

pytestmark = [*KERNEL_TESTS, pytest.mark.usefixtures("split")]

HEADS = [(1, 1), (4, 32), (3, 5), (1, 20), (2, 64), (5, 1), (1, 600), (2, 520)]


def form_of(edges: SortedEdges, side: str) -> Compressed:
    return Compressed(edges.ptr) if side == "segments" else getattr(edges, side)


# -- sums -----------------------------------------------------------------------------------------


def check_sum(edges: SortedEdges, side: str, x: Tensor, weight: Tensor | None) -> None:
    form = form_of(edges, side)
    there = None if weight is None else weight.to(DEVICE)
    found = gather_sum(x.to(DEVICE), there, moved(form))
    wide = None if weight is None else weight.double()
    close(found, bag.gather_sum(x.double(), wide, form), x.dtype)


@graphs
@sides
@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "plain"])
def test_sum(kind: str, side: str, weighted: bool) -> None:
    edges = graph(kind)
    x = draw(edges.num_edges if side == "segments" else TOKENS, 3, 5)
    check_sum(edges, side, x, draw(edges.num_edges, 3) if weighted else None)


@pytest.mark.parametrize(("heads", "channels"), HEADS)
@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "plain"])
def test_sum_of_any_width(heads: int, channels: int, weighted: bool) -> None:
    edges, x = graph("hub"), draw(TOKENS, heads, channels)
    check_sum(edges, "columns", x, draw(edges.num_edges, heads) if weighted else None)


@dtypes
def test_sum_in_half_precision(dtype: torch.dtype) -> None:
    """The sums themselves are float32: of 2048 ones in bfloat16 not 256 come out."""
    edges, x = graph("hub"), draw(TOKENS, 4, 8, dtype=dtype)
    check_sum(edges, "rows", x, draw(edges.num_edges, 4, dtype=dtype))
    plan.use_chunk(512)
    many = Compressed(torch.tensor([0, 0, 2048]))
    ones = torch.ones(2048, 1, 3, dtype=dtype, device=DEVICE)
    assert gather_sum(ones, None, moved(many)).tolist() == [[[0, 0, 0]], [[2048, 2048, 2048]]]


def test_sum_of_strided_rows() -> None:
    """Parts of one tensor, rows of one number everywhere, and heads that don't lie together."""
    edges = graph("random")
    joint, weight = draw(TOKENS, 3, 4, 8), draw(edges.num_edges, 4)
    for x in (joint[:, 1], joint[:1, 2].expand(TOKENS, -1, -1), joint[:, 0].transpose(1, 2)):
        check_sum(edges, "rows", x, weight if x.shape[1] == 4 else None)
    check_sum(edges, "rows", joint[:, 2], weight[:, :1].expand(-1, 4))


# -- dot products ---------------------------------------------------------------------------------


@graphs
def test_dots(kind: str) -> None:
    check_dots(kind, 3, 5)


@pytest.mark.parametrize(("heads", "channels"), HEADS)
def test_dots_of_any_width(heads: int, channels: int) -> None:
    check_dots("hub", heads, channels)


def check_dots(kind: str, heads: int, channels: int) -> None:
    edges = graph(kind)
    joint = draw(TOKENS, 2, heads, channels)
    q, k = joint.unbind(1)
    found = sddmm(q.to(DEVICE), k.to(DEVICE), moved(edges.rows), edges.num_edges)
    wanted = bag.sddmm(q.double(), k.double(), edges.rows, edges.num_edges)
    close(found, wanted, torch.float32, channels)
    if kind == "left out":
        assert not found[int(edges.ptr[-1]) :].any()
        assert found[: int(edges.ptr[-1])].all()


@dtypes
def test_dots_in_half_precision(dtype: torch.dtype) -> None:
    edges = graph("hub")
    q, k = draw(2, TOKENS, 4, 32, dtype=dtype).unbind()
    found = sddmm(q.to(DEVICE), k.to(DEVICE), moved(edges.rows), edges.num_edges)
    wanted = bag.sddmm(q.double(), k.double(), edges.rows, edges.num_edges)
    close(found, wanted, dtype, 32)


# -- all of them ----------------------------------------------------------------------------------


def run_all(edges: SortedEdges, heads: int, channels: int) -> list[Tensor]:
    rows, columns = moved(edges.rows), moved(edges.columns)
    x, q = (draw(edges.num_rows, heads, channels).to(DEVICE) for _ in range(2))
    weight = draw(edges.num_edges, heads).to(DEVICE)
    out, count = gather_max(x.flatten(1), rows)
    return [
        gather_sum(x, weight, columns),
        gather_sum(x, None, rows),
        sddmm(q, x, rows, edges.num_edges),
        out,
        count,
        gather_max_backward(q.flatten(1), x.flatten(1), out, count, columns),
        segment_softmax(weight, rows),
        segment_softmax_backward(weight, 2 * weight, rows),
    ]


def test_two_runs_give_the_same_bits() -> None:
    edges = graph("hub")
    runs = []
    for _ in range(2):
        torch.manual_seed(1)
        runs.append(run_all(edges, 3, 5))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize(("heads", "channels"), [(0, 4), (2, 0), (0, 0)])
def test_nothing_to_compute(heads: int, channels: int) -> None:
    edges = graph("random")
    *sums, weights, change = run_all(edges, heads, channels)
    assert [y.any() for y in sums] == [False] * len(sums)
    assert weights.shape == change.shape == (edges.num_edges, heads)


def test_no_tokens() -> None:
    edges = SortedEdges.of(Edges(torch.zeros(2, 0, dtype=torch.int64)), 0)
    assert all(y.numel() == 0 for y in run_all(edges, 2, 3))


def test_float64_is_refused() -> None:
    edges, x = graph("random"), draw(TOKENS, 2, 3).double().to(DEVICE)
    scores = draw(edges.num_edges, 2).double().to(DEVICE)
    rows = moved(edges.rows)
    for call in (
        lambda: gather_sum(x, None, rows),
        lambda: gather_sum(x.float(), scores, rows),
        lambda: sddmm(x, x, rows, edges.num_edges),
        lambda: gather_max(x.flatten(1), rows),
        lambda: segment_softmax(scores, rows),
    ):
        with pytest.raises(ValueError, match=r"dtype is torch.float64, expected one of"):
            call()


@pytest.mark.skipif(DEVICE.type != "cuda", reason="takes 5 GB: for a GPU")
def test_offsets_of_more_than_32_bits() -> None:
    """A table of more than 2^31 numbers: the last rows are found."""
    channels, tokens = 1 << 16, (1 << 15) + 8
    x = torch.zeros(tokens, 1, channels, dtype=torch.bfloat16, device=DEVICE)
    x[-3:] = torch.arange(1, 4, dtype=torch.bfloat16, device=DEVICE)[:, None, None]
    index = torch.tensor([tokens - 3, tokens - 2, tokens - 1], dtype=torch.int32)
    form = moved(Compressed(torch.tensor([0, 2, 3]), index))
    assert gather_sum(x, None, form)[:, 0].unique(dim=1).tolist() == [[3], [3]]
    assert gather_max(x[:, 0], form)[0].unique(dim=1).tolist() == [[2], [3]]
