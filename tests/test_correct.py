"""Correct mixers on which naive checks raise a false alarm: rounding, ties, absent kernels."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from mutants import DIM, PERM, Body, Mutant, heads, mask_of, softmax
from torch import Tensor

import tokennet as tn

CORRECT: dict[str, Body] = {}


def correct(name: str) -> Callable[[Body], Body]:
    """Registers a body."""
    return lambda body: CORRECT.setdefault(name, body)


def _each(x: Tensor, s: tn.Structure, f: Callable[[Tensor], Tensor]) -> Tensor:
    """f of every sample `[n, D]` that is not empty."""
    rows = [f(r) if len(r) else r for r in tn.Tokens(x, s).to_list()]
    y = torch.cat([x.new_zeros(0, DIM), *rows])
    return y if x.ndim == 2 else torch.zeros_like(x).masked_scatter(s.layout.valid[..., None], y)


@correct("cosine attention with logits of 80")
def _(m, x, s, bug):
    q, k, v = heads(m, x, s)
    q, k = F.normalize(q, dim=-1, eps=1e-6), F.normalize(k, dim=-1, eps=1e-6)
    weights = softmax(80 * q @ k.mT, mask_of(s)[:, None].expand(-1, q.shape[1], -1))
    return s.layout.unpad(weights @ v)


@correct("the three largest scores")
def _(m, x, s, bug):
    q, k, v = heads(m, x, s)
    mask, size = mask_of(s)[:, None].expand(-1, q.shape[1], -1), q.shape[1]
    if not size:
        return x
    scores = (q @ k.mT).masked_fill(~mask, -math.inf)
    least = scores.topk(min(3, size), -1).values[..., -1:]
    return s.layout.unpad(softmax(scores.masked_fill(~mask, 0), mask & (scores >= least)) @ v)


@correct("the sum of the three largest, whose ties share no gradient")
def _(m, x, s, bug):
    return _each(m.v(x), s, lambda r: r + r.topk(min(3, len(r)), 0).values.sum(0))


@correct("eigenvalues of the covariance, not there in bfloat16")
def _(m, x, s, bug):
    own = torch.diag(torch.arange(DIM)).to(x)
    return _each(m.v(x), s, lambda r: r + torch.linalg.eigvalsh(r.mT @ r / len(r) + own))


@correct("float32 softmax in a module of float64")
def _(m, x, s, bug):
    q, k, v = heads(m, x, s)
    mask = mask_of(s)[:, None].expand(-1, q.shape[1], -1)
    return s.layout.unpad(softmax((q @ k.mT).float(), mask).to(x.dtype) @ v)


@correct("channels from 1e-6 to 1e6")
def _(m, x, s, bug):
    return _each(m.v(x), s, lambda r: r + r.mean(0)) * (10.0 ** torch.linspace(-6, 6, DIM)).to(x)


@pytest.mark.parametrize("name", CORRECT)
def test_no_false_alarm(name: str) -> None:
    tn.verify(Mutant(CORRECT[name], False, PERM, ())).raise_if_broken()
