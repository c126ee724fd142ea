"""Where in a net something is exchanged: parts found by path, by class, or by a question."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.mixers import Mixer
from tokennet.net import TokenNet

Where = str | type | Callable[[str, Mixer], bool]


@dataclass(frozen=True, eq=False)
class Found:
    """A part of a net, with every path that leads to it: a part may be used more than once."""

    module: Mixer
    paths: tuple[str, ...]

    @property
    def path(self) -> str:
        """The first of them."""
        return self.paths[0]


def find(net: TokenNet, where: Where) -> list[Found]:
    """The mixers that `where` names, in the order of the net; none lies inside another.

    Raises:
        ValueError: where nothing is found, or one part inside another, with what there is.
    """
    asked = _question(where)
    paths: dict[Mixer, list[str]] = {}
    for path, module in net.named_modules(remove_duplicate=False):
        if isinstance(module, Mixer):
            paths.setdefault(module, []).append(path)
    found = [
        Found(module, tuple(own))
        for module, own in paths.items()
        if any(asked(path, module) for path in own)
    ]
    shown = getattr(where, "__name__", None) or repr(where)
    if not found:
        raise value_error("where", shown, f"one of {_candidates(paths)}")
    for outer in found:
        inside = [f for f in found if f is not outer and _within(f.module, outer.module)]
        if inside:
            raise value_error(
                "where", f"{shown}, which matches {outer.path} and {inside[0].path} inside it",
                "parts that don't contain each other", "name the outer or the inner ones",
            )  # fmt: skip
    return found


def _candidates(paths: dict[Mixer, list[str]]) -> str:
    """What there is, class by class: `Attention (mixers.1.mixers.0.mixer and 2 more)`."""
    by_class: dict[str, list[str]] = {}
    for module, own in paths.items():
        by_class.setdefault(type(module).__name__, []).append(own[0])
    more = {name: f" and {len(own) - 1} more" for name, own in by_class.items() if len(own) > 1}
    return ", ".join(f"{name} ({own[0]}{more.get(name, '')})" for name, own in by_class.items())


def _within(module: Mixer, outer: Mixer) -> bool:
    return any(m is module for m in outer.modules())


def _question(where: Any) -> Callable[[str, Mixer], bool]:
    if isinstance(where, str):
        return lambda path, module: matches(where, path, module)
    if isinstance(where, type):
        return lambda path, module: isinstance(module, where)
    if isinstance(where, nn.Module) or not callable(where):
        hint = 'e.g. "mixers.*.mixers.0.mixer" or "Attention"'
        raise type_error("where", kind_of(where), "a pattern, a class or a function", hint)
    return lambda path, module: bool(where(path, module))


def matches(pattern: str, path: str, module: Mixer) -> bool:
    """Whether the pattern names the path, or (without a dot) the class of the module.

    `*` stands for anything within one name between dots, `**` for any number of names.
    """
    by_class = "." not in pattern and fnmatchcase(type(module).__name__, pattern)
    return by_class or _along(pattern.split("."), path.split("."))


def _along(pattern: list[str], names: list[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_along(pattern[1:], names[i:]) for i in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _along(pattern[1:], names[1:])


def put(net: TokenNet, paths: tuple[str, ...], module: Mixer) -> None:
    """Sets the module at these paths."""
    for path in paths:
        parent, _, name = path.rpartition(".")
        setattr(net.get_submodule(parent), name, module)
