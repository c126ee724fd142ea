"""Graphs and tolerances for the tests of the Triton kernels over rows.

Axes: T rows of the flat view.
"""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from triton_support import DEVICE

from tokennet.ops.triton import plan
from tokennet.structure import Compressed, Edges, SortedEdges

TOKENS = 23
GRAPHS = ["random", "hub", "hub out", "left out", "no edges", "one edge"]
TOLERANCE = {torch.float32: 3e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""Of the largest number: a few roundings; the interpreter rounds bfloat16 down."""


@pytest.fixture
def split() -> Iterator[None]:
    """Rows of more than 9 entries are split, as the hubs' here are; the others' are not."""
    plan.use_chunk(9)
    yield
    plan.use_chunk(None)


def graph(kind: str, tokens: int = TOKENS) -> SortedEdges:
    """Repeated edges, tokens that no edge reaches or leaves; a hub that has half of the edges."""
    count = {"no edges": 0, "one edge": 1}.get(kind, 60)
    index = torch.randint(3, tokens - 2, (2, count))
    index[:, count // 2 :][:, :4] = index[:, :4][:, : count - count // 2]
    if kind.startswith("hub"):
        index[int(kind == "hub"), : count // 2] = 0
    keep = torch.rand(count) < 0.6 if kind == "left out" else None
    return SortedEdges.of(Edges(index), tokens, keep)


def moved(form: Compressed) -> Compressed:
    return Compressed(*(t if t is None else t.to(DEVICE) for t in form))


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """On the CPU; numbers that float16 and bfloat16 can hold, where one of them is asked for."""
    return torch.randn(*shape).to(dtype)


def close(found: Tensor, wanted: Tensor, dtype: torch.dtype, terms: int = 1) -> None:
    """As close as the dtype allows; sums of many terms cancel, so their size counts too."""
    assert found.dtype == dtype
    assert found.device.type == DEVICE.type
    found = found.cpu().double()
    assert found.isfinite().all()
    size = max(float(wanted.abs().max()) if wanted.numel() else 0, math.sqrt(terms))
    torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE[dtype] * size)


graphs = pytest.mark.parametrize("kind", GRAPHS)
sides = pytest.mark.parametrize("side", ["rows", "columns", "segments"])
dtypes = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16], ids=["f32", "f16", "bf16"]
)
