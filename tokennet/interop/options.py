"""A configuration of theirs, read key by key: what nobody has read at the end is refused."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tokennet.checks import kind_of, type_error, value_error

_MISSING = object()


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
