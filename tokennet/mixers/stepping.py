"""What the mixers with a state of their own check when they go token by token.

Axes: B samples, D channels.
"""

from typing import Any

from torch import Tensor

from tokennet.checks import kind_of, type_error, value_error


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
