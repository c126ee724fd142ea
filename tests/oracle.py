"""Fast paths beside their dense oracles: outputs, and the gradients of every input."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import tokennet as tn
from tokennet.structure import SortedEdges

HEADS = [(1, 1), (2, 3), (1, 20), (2, 64)]  # heads, channels of a head
GRAPHS = ["random", "empty", "loops", "hub in", "hub out", "repeated", "kept"]
TOLERANCE = {torch.float64: 1e-11, torch.float32: 3e-5, torch.bfloat16: 3e-2}


def graph(kind: str, rows: int, seed: int = 0) -> SortedEdges:
    """Sorted edges over `rows` tokens; the last token stays alone."""
    rng, count = torch.Generator("cpu").manual_seed(seed), 3 * rows
    shape = 2, count if rows > 1 else rows
    index = torch.randint(0, max(rows - 1, 1), shape, generator=rng, device="cpu")
    if kind == "empty":
        index = index[:, :0]
    elif kind == "loops":
        index = torch.arange(rows, device="cpu").expand(2, -1)
    elif kind == "hub in":
        index[1] = 0
    elif kind == "hub out":
        index[0] = 0
    elif kind == "repeated":
        index = index[:, : rows // 2 + 1].repeat(1, 4)
    keep = None
    if kind == "kept":
        keep = (torch.rand(index.shape[1], generator=rng, device="cpu") < 0.5).to(device())
    return SortedEdges.of(tn.Edges(index.to(device())), rows, keep)


def device() -> torch.device:
    """Where tensors are made: `with torch.device("cuda"):` moves a whole test."""
    return torch.get_default_device()


def random(*shape: int, dtype: torch.dtype) -> Tensor:
    """Not contiguous, so that no operation may count on it."""
    if not shape:
        return torch.randn((), dtype=dtype)
    return torch.randn(*shape[:-1], shape[-1], 2, dtype=dtype)[..., 0]


def results(op: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Output, and gradients of all inputs under a fixed cotangent; inputs must not change."""
    leaves = [t.detach().requires_grad_() for t in inputs]
    before = [t.detach().clone() for t in leaves]
    y = op(*leaves)
    wave = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(y.dtype)
    grads = torch.autograd.grad(y, leaves, wave, allow_unused=True, materialize_grads=True)
    assert all(map(torch.equal, before, leaves)), "an input was modified"
    return [y.detach(), *grads]


def compare(op: Callable[..., Tensor], *inputs: Tensor, scale: float = 1.0) -> list[Tensor]:
    """Fast path against oracle, the oracle in float64."""
    dtype = inputs[0].dtype
    fast = results(op, list(inputs))
    with tn.backend("reference"):
        slow = results(op, [t.double() for t in inputs])
    for a, b in zip(fast, slow, strict=True):
        assert a.dtype == dtype
        assert a.isfinite().all()
        limit = TOLERANCE[dtype] * scale * max(1.0, float(b.abs().max()) if b.numel() else 1.0)
        torch.testing.assert_close(a.double(), b, rtol=0, atol=limit)
    return fast


dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
graphs = pytest.mark.parametrize("kind", GRAPHS)
heads = pytest.mark.parametrize(("num_heads", "head_dim"), HEADS)
