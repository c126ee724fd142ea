"""Channels made larger or smaller: token-wise modules for norms and maps.

Axes: D channels.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, type_error, value_error


class Gain(nn.Module):
    """(offset + g) x with a learned g for each channel, zero at first.

    With `offset=1` weight decay draws the gain to one: behind a norm without weights,
    `nn.Sequential(nn.RMSNorm(dim, elementwise_affine=False), Gain(dim))`, the norm of Gemma and of
    x-transformers.
    """

    def __init__(self, dim: int, *, offset: float = 1.0):
        super().__init__()
        self.dim = positive("dim", dim)
        self.offset = _number("offset", offset)
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any D"]:
        return x * (self.weight + self.offset)

    def extra_repr(self) -> str:
        return f"{self.dim}, offset={self.offset:g}"


class Scale(nn.Module):
    """factor x: a number that is not learned, as before logits that share the embedding's weights.

    `nn.Sequential(Scale(dim**-0.5), nn.Linear(dim, num_tokens, bias=False))`.
    """

    def __init__(self, factor: float):
        super().__init__()
        self.factor = _number("factor", factor)

    def forward(self, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return x * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor!r}"


def _number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise type_error(name, repr(value), "a number")
    if not math.isfinite(value):
        raise value_error(name, value, "a finite number")
    return float(value)
