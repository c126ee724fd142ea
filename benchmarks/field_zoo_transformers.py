"""Models of transformers that build from a tiny random configuration."""

from collections.abc import Callable, Iterator

from torch import nn


def transformers_modules() -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """None yet."""
    yield from ()
