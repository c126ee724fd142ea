"""Codes of a token's place in its sample.

Axes: P places, D channels.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokennet.checks import positive, type_error, value_error
from tokennet.net.position import OrderPosition
from tokennet.structure import Structure


class LearnedPosition(OrderPosition):
    """x_i + e[position of i]: a vector to learn for each of `num_tokens` positions.

    Gehring et al. 2017; BERT, ViT. Longer samples are refused: nothing was learned for them.

    Args:
        first: the row of the first position; rows before it are not read (RoBERTa has two).
        scale: times the vectors (x-transformers has dim**-0.5).
    """

    def __init__(self, num_tokens: int, dim: int, *, first: int = 0, scale: float = 1.0):
        super().__init__()
        if isinstance(scale, bool) or not isinstance(scale, (int, float)):
            raise type_error("scale", repr(scale), "a number", "e.g. dim**-0.5")
        self.scale = float(scale)
        self.max_tokens = positive("num_tokens", num_tokens)
        self.dim = self.out_dim = positive("dim", dim)
        self.first = positive("first", first, minimum=0)
        self.code = nn.Parameter(torch.empty(first + num_tokens, dim))
        nn.init.trunc_normal_(self.code, std=0.02)

    def at(self, place: Int[Tensor, " P"], dtype: torch.dtype) -> Float[Tensor, "P D"]:
        # padding may lie beyond the last place
        at = (place + self.first).clamp(max=self.code.shape[0] - 1)
        return self._scaled(self.code.index_select(0, at))

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        layout = structure.layout
        if len(layout.shape) == 2 and layout.padded_valid is None:
            return self._scaled(self.code[self.first : self.first + layout.shape[1]])
        return super().codes(structure, dtype)

    def _scaled(self, code: Tensor) -> Tensor:
        return code if self.scale == 1 else code * self.scale


class SinusoidalPosition(OrderPosition):
    """x_i + [sin(i w_0), cos(i w_0), sin(i w_1), ...] with w_j = base^(-2j/D).

    "Attention is all you need", section 3.5. No parameters, any length; `dim` must be even.
    """

    def __init__(self, dim: int, *, base: float = 10_000.0):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        if dim % 2:
            raise value_error("dim", dim, "an even number", "sines and cosines come in pairs")
        self.base = checked_base(base)

    def at(self, place: Int[Tensor, " P"], dtype: torch.dtype) -> Float[Tensor, "P D"]:
        assert self.dim is not None
        return waves(place, self.dim, self.base).to(dtype)


class IntegerPosition(OrderPosition):
    """x_i + i in every channel: there to show why nobody does so.

    It grows without bound, and soon drowns the content (`tn.verify_position`).
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)

    def at(self, place: Int[Tensor, " P"], dtype: torch.dtype) -> Float[Tensor, "P D"]:
        return place.to(dtype)[:, None].expand(-1, self.dim or 1)


class SigmoidPosition(OrderPosition):
    """x_i + 1 / (1 + e^-i) in every channel: there to show why nobody does so.

    Bounded, but it runs into 1: from some place on rounding leaves all codes equal.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)

    def at(self, place: Int[Tensor, " P"], dtype: torch.dtype) -> Float[Tensor, "P D"]:
        return place.to(dtype).sigmoid()[:, None].expand(-1, self.dim or 1)


class SinePosition(OrderPosition):
    """x_i + sin(2 pi i / period) in every channel: there to show why one wave is not enough.

    A short period repeats itself, a long one hardly tells neighbours apart: 2 pi / period at most.
    """

    def __init__(self, dim: int, *, period: float):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        if not period > 0:
            raise value_error("period", period, "a number of tokens greater than 0")
        self.period = float(period)

    def at(self, place: Int[Tensor, " P"], dtype: torch.dtype) -> Float[Tensor, "P D"]:
        wave = (place.double() * (2 * math.pi / self.period)).sin().to(dtype)
        return wave[:, None].expand(-1, self.dim or 1)


def checked_base(base: float) -> float:
    """The base of the frequencies, if it is one."""
    if base <= 1:
        raise value_error("base", base, "a number greater than 1")
    return float(base)


def waves(place: Int[Tensor, "*any"], dim: int, base: float) -> Float[Tensor, "*any D"]:
    """[sin(i w_0), cos(i w_0), ...] of every place, in float64: places grow large."""
    step = torch.arange(0, dim, 2, device=place.device, dtype=torch.float64)
    angle = place.double()[..., None] * base ** (-step / dim)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)
