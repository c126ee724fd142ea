"""Small helpers of the laws."""

import torch
from torch import Tensor

from tokennet.structure import Tokens


def pick(rng: torch.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


def rows_of_samples(tokens: Tokens) -> list[Tensor]:
    """Flat rows of the real tokens, for each sample."""
    layout = tokens.structure.layout
    return list(real_rows(tokens).split(layout.lengths.tolist()))


def real_rows(tokens: Tokens) -> Tensor:
    """Flat rows of all real tokens."""
    return tokens.structure.layout.valid.flatten().nonzero().squeeze(1)


def in_front(valid: Tensor) -> bool:
    """Whether all padding of `valid [B, N]` stands behind the tokens."""
    return bool((valid[:, 1:] <= valid[:, :-1]).all())
