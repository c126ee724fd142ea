"""Rotary codes for texts longer than those that a model was trained on first."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import positive, type_error, value_error
from tokennet.mixers.rotary import Rotary


class StretchedRotary(Rotary):
    """`Rotary` whose slow turns are `factor` times slower: far offsets look like near ones.

    As in Llama 3.1 (Grattafiori et al. 2024, "The Llama 3 herd of models"). A pair of channels
    turns t times along the texts that the model was trained on first. Where t > high it turns as
    before, where t < low `factor` times slower, and between by a mean of both, linear in t.

    Args:
        factor: how much longer texts shall be.
        original_tokens: the length of the first texts.
        low: turns below which all is stretched.
        high: turns above which nothing is.
    """

    def __init__(
        self,
        head_dim: int,
        *,
        factor: float,
        original_tokens: int,
        low: float = 1.0,
        high: float = 4.0,
        base: float = 10_000.0,
        angles: torch.dtype | None = torch.float64,
    ):
        super().__init__(head_dim, base=base, angles=angles)
        self.original_tokens = positive("original_tokens", original_tokens)
        self.factor = _number("factor", factor, 1.0)
        self.low, self.high = _number("low", low, 0.0), _number("high", high, 0.0)
        if not self.low < self.high:
            raise value_error("high", high, f"more than low ({low})")

    def frequencies(self, device: torch.device | None = None) -> Float[Tensor, "R_half"]:
        """Angle from one position to the next, for each pair of channels."""
        plain = super().frequencies(device)
        # by the length of a wave, and in this order: published weights learned with the rounding
        turns = self.original_tokens / (2 * math.pi / plain)
        share = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return (1 - share) * plain / self.factor + share * plain


def _number(name: str, value: float, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise type_error(name, repr(value), "a number")
    if not least <= value < math.inf:
        raise value_error(name, value, f"at least {least}")
    return float(value)
