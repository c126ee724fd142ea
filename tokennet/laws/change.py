"""How laws change an input: other features in some rows, other memory, other padding."""

import math

import torch
from torch import Tensor

from tokennet.laws.rows import pick
from tokennet.structure import Tokens


def noise(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=rng, dtype=torch.float64).to(like) * 2


def changed(tokens: Tokens, where: Tensor, rng: torch.Generator) -> Tokens:
    """Other features in the flat rows `where`: other numbers, at times large ones or zeros."""
    layout = tokens.structure.layout
    flat = layout.flat(tokens.x)
    other = flat + noise(flat, rng) + 1
    kind = pick(rng, 0, 7)
    if kind == 0:
        other = other * 30
    elif kind == 1:
        other = torch.zeros_like(other)
    new = torch.where(where[:, None], other, flat)
    return Tokens(layout.unflat(new), tokens.structure)


def with_memory(tokens: Tokens, memory: Tokens) -> Tokens:
    return Tokens(tokens.x, tokens.structure.with_facts(memory=memory))


def content(like: Tensor, kind: int, rng: torch.Generator) -> Tensor:
    """What padding holds: zeros, noise, large values or NaN."""
    if kind in (0, 3):
        return torch.full_like(like, math.nan if kind else 0.0)
    return noise(like, rng) * (1e3 if kind == 2 else 1)
