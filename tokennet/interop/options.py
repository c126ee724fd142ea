"""A configuration of theirs, read key by key: what nobody has read at the end is refused."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tokennet.checks import kind_of, type_error, value_error

_MISSING = object()
LARGEST = 2**31
"""Sizes stay below it: no published model comes near."""
DEEPEST = 10_000
"""Layers, at most: each one is built before its weights are looked for."""


class Options:
    """Reads the options of one model.

    `name` begins the messages: "BertConfig.hidden_act is 'mish', expected one of gelu, relu".
    """

    def __init__(self, name: str, given: Mapping[str, Any]):
        if not isinstance(given, Mapping):
            raise type_error("config", kind_of(given), "a dict of options", "e.g. of config.json")
        self.name = name
        self.given = dict(given)
        self._read: set[str] = set()

    def has(self, key: str) -> bool:
        return key in self.given

    def take(self, key: str, default: Any = _MISSING, *, among: Collection[Any] = ()) -> Any:
        """The value of an option; without a default it has to be there."""
        self._read.add(key)
        value = self.given.get(key, default)
        if value is _MISSING:
            raise value_error(f"{self.name}.{key}", "missing", "a value", "add it to the config")
        if among and not any(_equal(value, one) for one in among):
            raise self.refused(key, value, "one of " + ", ".join(map(repr, among)))
        return value

    def take_int(
        self, key: str, default: Any = _MISSING, *, least: int = 1, most: int = LARGEST
    ) -> Any:
        """A whole number, at least `least` and below `most`; None where that is the default."""
        value = self.take(key, default)
        if value is None and default is None:
            return None
        return self.whole(key, value, least=least, most=most)

    def whole(self, key: str, value: Any, *, least: int = 1, most: int = LARGEST) -> int:
        """`value`, if it is a whole number; the option that it is of names it in the error."""
        if type(value) is not int or not least <= value < most:
            raise self.refused(key, value, f"a whole number from {least} to {most - 1}")
        return int(value)

    def take_depth(self, key: str, default: Any = _MISSING) -> Any:
        """A number of layers."""
        return self.take_int(key, default, least=0, most=DEEPEST)

    def take_number(self, key: str, default: Any = _MISSING, *, least: float = 0.0) -> Any:
        """A finite number, at least `least`; None where that is the default."""
        value = self.take(key, default)
        if value is None and default is None:
            return None
        plain = type(value) is int or type(value) is float
        if not plain or not math.isfinite(value) or value < least:
            raise self.refused(key, value, f"a number of at least {least:g}")
        return value

    def take_rate(self, key: str, default: Any = _MISSING) -> Any:
        """A probability of dropout, below 1."""
        value = self.take_number(key, default)
        if value is not None and value >= 1:
            raise self.refused(key, value, "a probability, 0 <= p < 1")
        return value

    def take_flag(self, key: str, default: Any = _MISSING) -> Any:
        """True or False."""
        return self.take(key, default, among=(True, False))

    def fixed(self, **expected: Any) -> None:
        """Options that have one value here; where they are not given they have it."""
        for key, value in expected.items():
            self._read.add(key)
            if not _equal(self.given.get(key, value), value):
                raise self.refused(key, self.given[key], repr(value))

    def ignore(self, *keys: str) -> None:
        """Options that change no output of the net: how it began, how it is trained or stored."""
        self._read.update(keys)

    def refused(self, key: str, value: Any, allowed: str) -> ValueError:
        hint = "tokennet has no import for another value yet"
        return value_error(f"{self.name}.{key}", repr(value)[:60], allowed, hint)

    def finish(self) -> None:
        """Raises for the options that nobody has read."""
        left = sorted(set(self.given) - self._read)
        if left:
            key = left[0]
            raise value_error(
                f"{self.name}.{key}", repr(self.given[key])[:60], "an option that tokennet knows",
                f"what it changes is not known here, so it is not ignored; all such: {_few(left)}",
            )  # fmt: skip


def _equal(value: Any, expected: Any) -> bool:
    """Equal and of one kind: True is no 1 here."""
    return (isinstance(value, bool) == isinstance(expected, bool)) and value == expected


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
