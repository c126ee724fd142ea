"""Which implementation of an operation runs, what it costs, and why it was chosen.

with tn.backend("reference"):  ...            # dense oracles instead of the fast paths
print(tn.backend.explain(net, x, structure))  # which ran, and why
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from types import ModuleType, TracebackType
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import type_error, value_error

BACKENDS = {
    "auto": "the fastest that the device and the dtype allow",
    "reference": "the dense oracles of ops.reference",
    "torch": "plain differentiable torch: float64, second derivatives, vmap",
    "bag": "the sparse kernels in torch alone, sums by embedding_bag",
    "cpp": "the compiled sparse kernels, float32 on a CPU",
    "triton": "the Triton sparse kernels, on a GPU",
}
_current = ["auto"]
_flops: list[list[int]] = []
_notes: list[Counter["Choice"]] = []


@dataclass(frozen=True)
class Choice:
    """An operation, what ran it, and why."""

    operation: str
    implementation: str
    reason: str


@dataclass(frozen=True)
class Explanation:
    """Which implementations ran in a call, how often, and why: `print` it, or read `choices`."""

    choices: tuple[tuple[Choice, int], ...]

    @property
    def implementations(self) -> frozenset[str]:
        return frozenset(choice.implementation for choice, _ in self.choices)

    def __str__(self) -> str:
        rows = [("operation", "calls", "ran", "why")]
        rows += [(c.operation, str(n), c.implementation, c.reason) for c, n in self.choices]
        if len(rows) == 1:
            return "no sparse operation ran"
        wide = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ("  ".join([*map(str.ljust, row[:3], wide), row[3]]) for row in rows)
        return "\n".join(lines)


class backend:  # noqa: N801 - reads like a function
    """Chooses the implementation inside the block: `with tn.backend("reference"):`.

    "auto" takes the fastest that the device and the dtype allow, "reference" the dense oracles,
    "torch" plain differentiable torch (float64, second derivatives, vmap), "bag" the sparse kernels
    in torch alone, "cpp" the compiled ones (float32 on a CPU), "triton" those for a GPU. A kernel
    that can't run on the given tensors is refused, never replaced.

    Raises:
        ValueError: for another name, or kernels that are not there.
    """

    def __init__(self, name: str):
        if name not in BACKENDS:
            raise value_error("backend", repr(name), f"one of {', '.join(map(repr, BACKENDS))}")
        if name in ("cpp", "triton"):
            ready, reason = _cpp() if name == "cpp" else _triton()
            if not ready:
                raise value_error("backend", repr(name), "one that is here", reason)
        self.name = name
        self._previous: list[str] = []

    def __enter__(self) -> None:
        self._previous.append(_current[0])
        _current[0] = self.name

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current[0] = self._previous.pop()

    @staticmethod
    def explain(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
        """Calls the function and tells which implementations of sparse operations ran, and why.

        A backward pass counts only where the function runs it.
        """
        if not callable(function):
            raise type_error("function", type(function).__name__, "a module or a function")
        found: Counter[Choice] = Counter()
        _notes.append(found)
        try:
            function(*args, **kwargs)
        finally:
            _notes.remove(found)
        return Explanation(tuple(found.items()))


def current() -> str:
    """The name that the innermost block has chosen."""
    return _current[0]


def is_reference() -> bool:
    """Whether the oracles are to run."""
    return _current[0] == "reference"


def is_fused(operation: str, *tensors: Tensor | None) -> bool:
    """Whether a fused kernel runs on these tensors, rather than plain torch or the oracle."""
    name = _current[0]
    given = [t for t in tensors if t is not None]
    wide = any(t.dtype == torch.float64 for t in given)
    device = given[0].device.type
    if name in ("reference", "torch"):
        note(operation, name, "chosen by tn.backend")
    elif name == "bag":
        return True
    elif name == "cpp" and (wide or device != "cpu"):
        raise _refusal(name, given, "float32, bfloat16 or float16 on a CPU")
    elif name == "triton" and (wide or device not in ("cuda", "cpu")):
        raise _refusal(name, given, "float32, bfloat16 or float16 on a GPU")
    elif wide:
        note(operation, "torch", "float64 has no fused kernel")
    elif device not in ("cpu", "cuda"):
        note(operation, "torch", f"no kernels for {device}")
    elif device == "cuda" and not _triton()[0]:
        note(operation, "torch", _triton()[1])
    else:
        return True
    return False


def kernels(operation: str, device: torch.device) -> ModuleType:
    """The module whose kernel runs on these tensors, which `is_fused` has accepted."""
    name, reason = _current[0], "chosen by tn.backend"
    if name not in ("bag", "cpp", "triton"):
        here = "cpp" if device.type == "cpu" else "triton"
        ready, reason = _cpp() if here == "cpp" else _triton()
        name = here if ready else "bag"
    note(operation, name, reason)
    if name == "cpp":
        from tokennet.ops import cpu

        return cpu
    if name == "triton":
        from tokennet.ops import triton

        return triton
    from tokennet.ops import bag

    return bag


def note(operation: str, implementation: str, reason: str) -> None:
    """Tells the open `explain` calls what runs."""
    for found in _notes:
        found[Choice(operation, implementation, reason)] += 1


def _refusal(name: str, given: list[Tensor], allowed: str) -> ValueError:
    found = ", ".join(sorted({f"{t.dtype} on {t.device.type}" for t in given}))
    return value_error("backend", repr(name), f"one for {found}", f"it takes {allowed}")


def _cpp() -> tuple[bool, str]:
    from tokennet.ops.cpu import library

    return library.status()


def constant_result(function: Any) -> Any:
    """`torch.compiler.assume_constant_result`, which would load the whole compiler at import."""
    function._dynamo_marked_constant = True
    return function


@constant_result
def _triton() -> tuple[bool, str]:
    return _found_triton()


@cache
def _found_triton() -> tuple[bool, str]:
    if find_spec("triton") is None:
        return False, "Triton is not installed: pip install triton"
    return True, "Triton is installed"


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
