"""What an entry of the corpus is, and the two decorators that make one of a module class.

A bug and its twin are one class, `Class(bug)`: they differ where the argument is read, nowhere
else. `difficult` takes a class without arguments: a correct module that naive checks flag.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

PROPERTIES = (
    "Permutation",
    "EdgeOrder",
    "DuplicateEdges",
    "Padding",
    "NaNPadding",
    "LeftPadding",
    "BatchIndependence",
    "Interleaving",
    "Causality",
    "Prefix",
    "Cache",
    "Locality",
    "CyclicShift",
    "GridShift",
    "MemoryPermutation",
    "SignBasis",
    "TrainEval",
    "MemoryLayout",
    "Repeatability",
    "NoState",
    "Purity",
    "Finite",
)
DIFFICULTIES = ("always", "size", "value", "mode", "dtype", "gradient", "state")

Build = Callable[[], nn.Module]
Shows = Callable[[Build], float]


@dataclass(frozen=True)
class Task:
    """What a module is given, in which roles, and what nearly every module of the kind promises."""

    example: Callable[[], tuple[Tensor, ...]]
    arguments: Mapping[str, Any]
    promises: tuple[str, ...]

    def also(self, *names: str) -> "Task":
        return Task(self.example, self.arguments, _union(self.promises, names))

    def without(self, *names: str) -> "Task":
        left = tuple(p for p in self.promises if p not in names)
        return Task(self.example, self.arguments, left)

    def given(self, **arguments: Any) -> "Task":
        return Task(self.example, {**self.arguments, **arguments}, self.promises)


@dataclass(frozen=True)
class Entry:
    """A planted bug with its twin; or, where `broken` is empty, a correct module for both."""

    name: str
    make: Callable[[bool], nn.Module]
    example: Callable[[], tuple[Tensor, ...]]
    arguments: Mapping[str, Any]
    promises: tuple[str, ...]
    broken: tuple[str, ...]
    difficulty: str
    echo: str
    shows: Shows | None = None
    domain: Mapping[str, Any] = field(default_factory=dict)


ENTRIES: list[Entry] = []
DIFFICULT: list[Entry] = []


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _seeded(build: Build) -> nn.Module:
    """The same weights each time, whatever the state of the global generator, which stays."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def planted(
    name: str,
    task: Task,
    *,
    broken: tuple[str, ...],
    difficulty: str,
    echo: str,
    shows: Shows,
    domain: Mapping[str, Any] | None = None,
) -> Callable[[type], type]:
    """Registers `Class(bug)`; what the bug breaks is among what the twin promises."""

    def register(cls: type) -> type:
        def make(bug: bool) -> nn.Module:
            return _seeded(lambda: cls(bug))

        promises = _union(task.promises, broken)
        ENTRIES.append(
            Entry(
                name,
                make,
                task.example,
                task.arguments,
                promises,
                broken,
                difficulty,
                echo,
                shows,
                domain or {},
            )
        )
        return cls

    return register


def difficult(
    name: str, task: Task, *, why: str, domain: Mapping[str, Any] | None = None
) -> Callable[[type], type]:
    """Registers `Class()`, correct, with the reason why a naive check might flag it."""

    def register(cls: type) -> type:
        def make(bug: bool) -> nn.Module:
            return _seeded(cls)

        DIFFICULT.append(
            Entry(
                name,
                make,
                task.example,
                task.arguments,
                task.promises,
                (),
                "always",
                why,
                domain=domain or {},
            )
        )
        return cls

    return register
