"""What the modules of the corpus share: correct on purpose, also where no token is real.

Axes: B samples, H heads, N tokens, T tokens of all samples, E edges, D channels.
"""

import torch
from torch import Tensor, nn


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Over the last axis where mask is True; zeros, and finite gradients, where it never is."""
    low = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, low).softmax(-1) * mask


def clear(x: Tensor, mask: Tensor) -> Tensor:
    """Zeros at what isn't a token, whatever stood there."""
    return x.masked_fill(~mask[..., None], 0)


def causal(tokens: int, device: torch.device | None = None) -> Tensor:
    return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()


def split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # [B, H, N, D / H]


def merge(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(-2)  # [B, N, D]


def mean(x: Tensor, mask: Tensor) -> Tensor:
    """`[B, D]`, over the real tokens; zeros where there are none."""
    return clear(x, mask).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def scatter_sum(x: Tensor, index: Tensor, size: int) -> Tensor:
    return x.new_zeros(size, *x.shape[1:]).index_add(0, index, x)


def scatter_mean(x: Tensor, index: Tensor, size: int) -> Tensor:
    count = torch.bincount(index, minlength=size).clamp(min=1).to(x.dtype)
    return scatter_sum(x, index, size) / count[:, None]


def scatter_softmax(score: Tensor, index: Tensor, size: int) -> Tensor:
    """Over the entries of the same index; score is `[E]`."""
    low = score.new_full((size,), -torch.inf)
    peak = low.scatter_reduce(0, index, score.detach(), "amax")
    weight = (score - peak[index]).exp()
    return weight / scatter_sum(weight, index, size)[index]


class Projections(nn.Module):
    """Queries, keys and values of `dim` channels."""

    def __init__(self, dim: int):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.q(x), self.k(x), self.v(x)


class Readout(nn.Module):
    """Two linear maps with a nonlinearity between: what follows in a net."""

    def __init__(self, dim: int, out: int | None = None):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, 8), nn.GELU(), nn.Linear(8, out or dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
