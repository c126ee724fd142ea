"""A net as plain data: the class of each module and the arguments it was made from."""

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.checks import value_error
from tokennet.interop.arguments import Made, arguments_of, parameters_of
from tokennet.interop.build import READERS, RESERVED, build, construct, put, tie
from tokennet.interop.catalogue import Catalogue, dtypes, functions
from tokennet.interop.compare import own_difference, tree_difference
from tokennet.interop.live import check_plain
from tokennet.interop.pyg_arguments import pyg_arguments, switches
from tokennet.net import BPEVocabulary, CharacterVocabulary, WordVocabulary

HINT = "keep what the constructor was given as an attribute, and derive the rest from it"


def describe(net: nn.Module) -> dict[str, Any]:
    """What `tn.interop.build` makes the same net of, with other numbers; JSON takes it.

    Each module is `{"type": its class, argument: value, ...}`; its children are arguments of it.
    `parts` are children that were exchanged afterwards, `shared` and `same` one module at several
    places, `tied` names of weights that are one parameter.

    Raises:
        ValueError: what can't be told as data, by name: a class that is not public, an attribute
            that no argument tells, hooks.
    """
    check_plain(net)
    describer = _Describer(net)
    tree, copy = describer.module(net, "")
    description: dict[str, Any] = {"net": tree}
    tied = _tied(net, copy)
    if tied:
        description["tied"] = tied
    _check(net, description, describer.own)
    return description


def to_data(value: Any, where: str) -> Any:
    """Plain values in a form that JSON keeps: tuples, dtypes, keys that are numbers."""
    return _Describer(nn.Identity()).value(value, where)[0]


def _check(net: nn.Module, description: Mapping[str, Any], classes: Iterable[type]) -> None:
    """Builds the net from the text of its description, and raises where it is another."""
    again = build(json.loads(json.dumps(description)), classes)
    difference = tree_difference(net, again)
    if difference is not None:
        where, found, expected = difference
        name = where or "the net"
        raise value_error(name, found, f"{expected}, as its constructor makes it", HINT)


def _tied(net: nn.Module, copy: nn.Module) -> list[list[str]]:
    """Names of parameters that are one and the same, where the copy does not know it yet."""
    groups: dict[int, list[str]] = {}
    for name, p in net.named_parameters(remove_duplicate=False):
        groups.setdefault(id(p), []).append(name)
    found = []
    for names in groups.values():
        new = {id(copy.get_parameter(name)): name for name in reversed(names)}
        if len(new) > 1:
            found.append(list(reversed(new.values())))
            tie(copy, names)
    return found


class _Describer:
    """Describes modules, and keeps a copy without numbers of each: what its description gives."""

    def __init__(self, net: nn.Module):
        self.catalogue = Catalogue()
        self.seen: dict[int, tuple[dict[str, Any], nn.Module]] = {}
        self.number = 0
        self.own: set[type] = set()
        modules = net.named_modules(remove_duplicate=False)
        self.times = Counter(id(m) for _, m in modules)

    def module(self, module: nn.Module, where: str) -> tuple[dict[str, Any], nn.Module]:
        if id(module) in self.seen:
            first, copy = self.seen[id(module)]
            if "shared" not in first:
                self.number += 1
                first["shared"] = self.number
            return {"same": first["shared"]}, copy
        found, copy = self.object(module, where)
        parts = self._parts(module, copy, where)
        if parts:
            found["parts"] = parts
        difference = own_difference(where, module, copy)
        if difference is not None:
            at, own, made = difference
            raise value_error(at or "the net", own, f"{made}, as its constructor makes it", HINT)
        self.seen[id(module)] = found, copy
        return found, copy

    def object(self, thing: Any, where: str) -> tuple[dict[str, Any], Any]:
        """A module, a topology, a law, ...: anything that a class makes of arguments."""
        name, kind = where or "the net", type(thing)
        found = {"type": self.catalogue.name(kind, name)}
        if found["type"].startswith("own."):
            self.own.add(kind)
        write = WRITERS.get(kind)
        more: list[str] = []
        if found["type"].startswith("pyg."):
            given, more = pyg_arguments(thing, name)
        else:
            given = arguments_of(thing, name) if write is None else write(thing)
        taken = [n for n in RESERVED if n in given]
        if taken:
            raise value_error(f"an argument of {kind.__name__}", taken[0], "another name")
        values = {}
        for key, value in given.items():
            found[key], values[key] = self.value(value, f"{where}.{key}".lstrip("."))
        make = READERS.get(kind, construct)
        for turned in switches(kind, more):  # all of them once, where none is open
            copy = make(kind, {**values, **turned}, name)
            if not more or tree_difference(thing, copy) is None:
                return {**found, **turned}, copy
        return found, make(kind, values, name)

    def _parts(self, module: nn.Module, copy: nn.Module, where: str) -> dict[str, Any]:
        """Children, of any depth, that the constructor makes otherwise."""
        found: dict[str, Any] = {}

        def look(one: nn.Module, two: nn.Module, path: str) -> None:
            there = {n for n, m in one._modules.items() if m is not None}
            gone = [n for n, m in two._modules.items() if m is not None and n not in there]
            if gone:
                name = f"{where}.{path}{gone[0]}".lstrip(".")
                raise value_error(name, "missing", "there, as the constructor makes it")
            for name, child in one._modules.items():
                if child is None:
                    continue
                other, at = two._modules.get(name), f"{path}{name}"
                if id(child) in self.seen and self.seen[id(child)][1] is other:
                    continue
                new = other is not None and own_difference("", child, other) is not None
                if new or other is None or self.times[id(child)] > self.times[id(module)]:
                    found[at], part = self.module(child, f"{where}.{at}".lstrip("."))
                    put(copy, at, part)
                else:
                    look(child, other, f"{at}.")

        look(module, copy, "")
        return found

    def value(self, value: Any, where: str) -> tuple[Any, Any]:
        """A value as data, and what that data gives."""
        if value is None or isinstance(value, bool | int | str):
            return value, value
        if isinstance(value, float):
            plain = value if math.isfinite(value) else {"number": str(value)}
            return plain, value
        if isinstance(value, nn.Module):
            return self.module(value, where)
        if isinstance(value, Made):
            found, made = self._list(value.modules, where)
            return {"made": found}, Made(*made)
        if isinstance(value, list):
            return self._list(value, where)
        if isinstance(value, tuple):
            found, made = self._list(value, where)
            return {"tuple": found}, tuple(made)
        if isinstance(value, set | frozenset):
            found, made = self._list(sorted(value, key=repr), where)
            return {"set": found}, frozenset(made)
        if isinstance(value, dict):
            return self._dict(value, where)
        return self._named(value, where)

    def _list(self, values: Iterable[Any], where: str) -> tuple[list[Any], list[Any]]:
        pairs = [self.value(v, f"{where}[{i}]") for i, v in enumerate(values)]
        return [found for found, _ in pairs], [made for _, made in pairs]

    def _dict(self, value: Mapping[Any, Any], where: str) -> tuple[Any, Any]:
        pairs = {k: self.value(v, f"{where}.{k}") for k, v in value.items()}
        made = {k: v[1] for k, v in pairs.items()}
        if all(isinstance(k, str) for k in value):
            return {"dict": {k: v[0] for k, v in pairs.items()}}, made
        keys = {k: self.value(k, where)[0] for k in value}
        return {"pairs": [[keys[k], v[0]] for k, v in pairs.items()]}, made

    def _named(self, value: Any, where: str) -> tuple[Any, Any]:
        """What is told by a name, or by the arguments of its class."""
        if isinstance(value, torch.dtype):
            return {"dtype": _key(dtypes(), value, where)}, value
        if isinstance(value, Tensor) and value.dtype == torch.int64 and value.ndim == 1:
            return {"integers": value.tolist()}, value.cpu()
        if isinstance(value, type):
            return {"class": self.catalogue.name(value, where)}, value
        if type(value) in WRITERS or dataclasses.is_dataclass(value):
            return self.object(value, where)
        plain = not callable(value) and hasattr(value, "__dict__")
        if plain and set(parameters_of(type(value))) <= set(vars(value)):
            return self.object(value, where)
        return {"function": _key(functions(), value, where)}, value


def _key(known: Mapping[str, Any], value: Any, where: str) -> str:
    for name, one in known.items():
        if one is value:
            return name
    shown = getattr(value, "__qualname__", None) or repr(value)[:60]
    hint = "write a class with arguments that are modules, numbers, texts or topologies"
    raise value_error(where, shown, "something that can be told as data", hint)


WRITERS: Mapping[type, Any] = {
    BPEVocabulary: lambda v: {"tokenizer": v._tokenizer.to_str()},
    CharacterVocabulary: lambda v: {"symbols": v.symbols, "unknown": v.unknown},
    WordVocabulary: lambda v: {
        "symbols": v.symbols, "unknown": v.unknown, "pattern": v._split.__self__.pattern,
    },
}  # fmt: skip
"""Objects that are told by something else than the arguments of their class."""
