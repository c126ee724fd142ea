"""States of the mixers that go token by token, and what they check.

Axes: B samples, M tokens so far, G heads of keys and values, D channels.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import kind_of, type_error, value_error
from tokennet.structure import Structure


def check_token(x: Any, batch: int, dim: int) -> None:
    """Raises where x is not the next token of every sample, `[B, D]`."""
    shape = tuple(x.shape) if isinstance(x, Tensor) else kind_of(x)
    if shape != (batch, dim):
        raise value_error("x", shape, f"one token for each sample, [{batch}, {dim}]")


def check_state(state: Any, like: str, fits: bool) -> None:
    """Raises where a state is not what `start` gave."""
    if not fits:
        raise type_error(
            "state", kind_of(state), f"what start(structure) gave, {like}",
            "state = mixer.start(structure)",
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cache:
    """Keys and values of the tokens so far, or of the memory, `[B, M, G, D]`."""

    structure: Structure
    k: Tensor | None = None
    v: Tensor | None = None

    def extended(self, k: Tensor, v: Tensor) -> "Cache":
        """With those of one more token."""
        if self.k is None or self.v is None:
            return Cache(self.structure, k, v)
        return Cache(self.structure, torch.cat([self.k, k], 1), torch.cat([self.v, v], 1))
