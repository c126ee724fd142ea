"""Whether two nets are built alike: classes, arguments, names, shapes, and what they share."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

INTERNAL = {*vars(nn.Module()), "origin", "_compiled_call_impl"}
"""Attributes of every module; the origin of a net is stored beside its description."""

Ignore = Callable[[nn.Module, str], bool]


class Difference(NamedTuple):
    """The first place where two nets are not alike."""

    where: str
    found: str
    expected: str


def tree_difference(
    found: nn.Module, expected: nn.Module, ignore: Ignore | None = None
) -> Difference | None:
    """The first difference, or None; numbers of the weights are not compared.

    `ignore(module, name)`: whether an attribute or a child may differ.
    """
    pairs = list(_pairs("", found, expected, ignore))
    for where, one, two in pairs:
        if one is None or two is None:
            return Difference(where, _kind(one), _kind(two))
        difference = own_difference(where, one, two, ignore)
        if difference is not None:
            return difference
    return _sharing(pairs)


def own_difference(
    where: str,
    found: nn.Module,
    expected: nn.Module,
    ignore: Ignore | None = None,
) -> Difference | None:
    """The first difference of the modules themselves, without their children."""
    if type(found) is not type(expected):
        return Difference(where, _kind(found), _kind(expected))
    one, two = own_attributes(found), own_attributes(expected)
    for name in sorted({*one, *two}):
        if ignore is not None and ignore(found, name):
            continue
        if name not in one or name not in two or not alike(one[name], two[name]):
            at = f"{where}.{name}".lstrip(".")
            return Difference(at, _shown(one, name), _shown(two, name))
    one, two = _tensors(found), _tensors(expected)
    for name in sorted({*one, *two}):
        if one.get(name) != two.get(name):
            at = f"{where}.{name}".lstrip(".")
            return Difference(at, one.get(name, "missing"), two.get(name, "missing"))
    return None


def own_attributes(module: nn.Module) -> dict[str, Any]:
    """What the module has of its own: its plain attributes."""
    return {name: value for name, value in vars(module).items() if name not in INTERNAL}


def alike(one: Any, two: Any) -> bool:
    """Equal values; objects of one class with equal attributes are alike."""
    if one is two:
        return True
    if type(one) is not type(two) or isinstance(one, Tensor | nn.Module):
        return False
    if type(one).__module__ == "torch_geometric.inspector":
        return True  # what PyG reads off the class, which is the same
    if isinstance(one, dict):
        return list(one) == list(two) and all(alike(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(alike, one, two))
    if isinstance(one, float) and one != one:
        return two != two
    if isinstance(one, functools.partial):
        return alike((one.func, one.args, one.keywords), (two.func, two.args, two.keywords))
    if bool(one == two):
        return True
    owner = getattr(one, "__self__", None)
    if owner is not None:  # a bound method, such as a compiled pattern's
        return one.__name__ == two.__name__ and alike(owner, two.__self__)
    if hasattr(one, "to_str"):  # a tokenizer of the tokenizers library
        return one.to_str() == two.to_str()
    return hasattr(one, "__dict__") and not callable(one) and alike(vars(one), vars(two))


def _pairs(
    where: str,
    found: nn.Module | None,
    expected: nn.Module | None,
    ignore: Ignore | None = None,
) -> Iterator[tuple[str, nn.Module | None, nn.Module | None]]:
    yield where, found, expected
    if found is None or expected is None or type(found) is not type(expected):
        return
    one, two = found._modules, expected._modules
    for name in [*one, *(n for n in two if n not in one)]:
        if ignore is not None and ignore(found, name) and ignore(expected, name):
            continue
        if one.get(name) is not None or two.get(name) is not None:
            at = f"{where}.{name}".lstrip(".")
            yield from _pairs(at, one.get(name), two.get(name), ignore)


def _sharing(
    pairs: list[tuple[str, nn.Module | None, nn.Module | None]],
) -> Difference | None:
    """What is one module or tensor at two places on one side has to be so on the other."""
    first: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for where, one, two in pairs:
        for name, a, b in [("", one, two), *_tensor_pairs(one, two)]:
            at = f"{where}.{name}".strip(".")
            seen = [known.setdefault(id(x), at) for known, x in zip(first, (a, b), strict=True)]
            if seen[0] != seen[1]:
                told = [f"that of {s}" if s != at else "one of its own" for s in seen]
                return Difference(at, told[0], told[1])
    return None


def _tensor_pairs(one: Any, two: Any) -> list[tuple[str, Any, Any]]:
    found = []
    for kind in ("_parameters", "_buffers"):
        a, b = getattr(one, kind), getattr(two, kind)
        found += [(n, t, b.get(n)) for n, t in a.items() if t is not None]
    return found


def _tensors(module: nn.Module) -> dict[str, str]:
    """Parameters and buffers of its own, in words."""
    found = {}
    for kind, tensors in (("parameter", module._parameters), ("buffer", module._buffers)):
        for name, t in tensors.items():
            kept = "" if name not in module._non_persistent_buffers_set else ", not persistent"
            found[name] = "None" if t is None else f"a {kind} {list(t.shape)}{kept}"
    return found


def _kind(module: nn.Module | None) -> str:
    if module is None:
        return "missing"
    kind = type(module)
    return f"a {kind.__name__}"


def _shown(attributes: dict[str, Any], name: str) -> str:
    if name not in attributes:
        return "missing"
    value = attributes[name]
    if isinstance(value, Tensor):
        return f"a plain tensor {list(value.shape)}"
    if isinstance(value, nn.Module) or callable(value):
        return f"a {type(value).__name__}"
    return repr(value)[:60]
