"""Values of a file, checked: what is wrong is said with the path of the key and a suggestion."""

import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Any, Union, get_args, get_origin

PLAIN = (bool, int, float, str)


class ConfigError(ValueError):
    """Something in a file that is not allowed; the message begins with the path of the key."""


def problem(path: str, what: str, hint: str = "") -> ConfigError:
    """`axes.mixer.attention.num_heads: 'x' is no whole number; ...`"""
    return ConfigError(f"{path or 'the file'}: {what}" + (f"; {hint}" if hint else ""))


def under(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def near(name: Any, known: Iterable[str]) -> str:
    """`did you mean 'seeds'?`, or what there is."""
    names = list(known)
    found = difflib.get_close_matches(str(name), names, n=1)
    if found:
        return f"did you mean {found[0]!r}?"
    shown = ", ".join(names[:12])
    return f"there is {shown}" + (" and more" if len(names) > 12 else "") if names else ""


def mapping(path: str, value: Any, known: Iterable[str] | None = None) -> dict[str, Any]:
    """A mapping with texts as keys, all of them `known`."""
    if not isinstance(value, Mapping):
        raise problem(path, f"{_shown(value)} is no mapping", "write `key: value` lines below it")
    for key in value:
        if not isinstance(key, str):
            hint = "write it in quotes: YAML reads no, on, 1 and null as values"
            raise problem(path, f"the key {key!r} is no text", hint)
        if known is not None and key not in known:
            raise problem(under(path, key), "unknown key", near(key, known))
    return dict(value)


def of_type(path: str, value: Any, annotation: Any) -> Any:
    """`value`, if it has one of the plain types of the annotation; others are not checked here.

    An int passes for a float, True and False only for a bool.
    """
    allowed = _plain_types(annotation)
    if allowed is None or _matches(value, allowed):
        return value
    if isinstance(value, int) and float in allowed and not isinstance(value, bool):
        return float(value)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    wanted = " or ".join(names.get(kind, "null") for kind in allowed)
    raise problem(path, f"{_shown(value)} is not {wanted}")


def _matches(value: Any, allowed: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in allowed
    return isinstance(value, allowed)


def _plain_types(annotation: Any) -> tuple[type, ...] | None:
    """The types of an annotation if all are plain, None for any other."""
    if get_origin(annotation) in (Union, types.UnionType):
        found: list[type] = []
        for part in get_args(annotation):
            inner = _plain_types(part)
            if inner is None:
                return None
            found += inner
        return tuple(found)
    if annotation is None or annotation is type(None):
        return (type(None),)
    return (annotation,) if annotation in PLAIN else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
