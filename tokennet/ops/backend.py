"""Which implementation of an operation runs, and what it costs.

`with tn.backend("reference"):` runs the dense oracles of `ops.reference` instead of the fast paths.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tokennet.checks import value_error

BACKENDS = ("auto", "reference")
_current = ["auto"]
_flops: list[list[int]] = []


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Chooses the implementation inside the block: "auto" (fast) or "reference" (dense oracle)."""
    if name not in BACKENDS:
        raise value_error("backend", repr(name), f"one of {', '.join(map(repr, BACKENDS))}")
    previous = _current[0]
    _current[0] = name
    try:
        yield
    finally:
        _current[0] = previous


def is_reference() -> bool:
    """Whether the oracles are to run."""
    return _current[0] == "reference"


@contextmanager
def sparse_flops() -> Iterator[list[int]]:
    """Collects the floating point operations of sparse products, which torch does not count."""
    collected: list[int] = []
    _flops.append(collected)
    try:
        yield collected
    finally:
        _flops.remove(collected)


def is_counting() -> bool:
    """Whether a `sparse_flops` block is open; then no fused kernel should hide its cost."""
    return bool(_flops)


def record_flops(count: int) -> None:
    """Tells the open `sparse_flops` blocks of `count` operations."""
    for collected in _flops:
        collected.append(count)
