"""A net again from its description: plain data in, and only known classes are made."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.interop.arguments import Made, parameters_of
from tokennet.interop.catalogue import Catalogue, dtypes, functions
from tokennet.net import Block, BPEVocabulary, CharacterVocabulary, WordVocabulary

RESERVED = ("type", "shared", "parts")
"""Keys of a description that are no arguments."""


def build(description: Mapping[str, Any], classes: Iterable[type] = ()) -> nn.Module:
    """The net of a description, on the "meta" device: without numbers, at no cost.

    Raises:
        ValueError: a class or an argument that is not known, by name.
    """
    if not isinstance(description, Mapping):
        raise type_error("description", kind_of(description), "a dict")
    builder = _Builder(Catalogue(classes))
    try:
        net = builder.value(description.get("net"), "net")
    except RecursionError:
        raise value_error("description", "nested too deeply", "that of a net") from None
    if not isinstance(net, nn.Module):
        raise type_error("description of net", kind_of(net), "that of a module")
    for names in description.get("tied", ()):
        tie(net, names)
    return net


def from_data(found: Any, where: str) -> Any:
    """Plain values again, from what `describe.to_data` made of them."""
    return _Builder(Catalogue()).value(found, where)


def construct(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Calls the class with arguments by name, on the "meta" device where it goes."""
    known, positional, named = parameters_of(kind), [], {}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise value_error(
            f"arguments of {where} ({kind.__name__})", f"with {unknown[0]!r}", "known ones",
            "a newer version may know it",
        )  # fmt: skip
    before_star = any(p.kind is p.VAR_POSITIONAL for p in known.values())
    for name, parameter in known.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += values.get(name, [])
            before_star = False
        elif name in values and (before_star or parameter.kind is parameter.POSITIONAL_ONLY):
            positional.append(values[name])
        elif name in values:
            named[name] = values[name]
    if issubclass(kind, Block):
        named["residual"] = _as_given
    try:
        with torch.random.fork_rng(devices=[]):
            return _called(kind, positional, named)
    except (TypeError, ValueError, AttributeError, IndexError, RuntimeError, KeyError) as error:
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        allowed = "those that its constructor takes"
        name = f"arguments of {where} ({kind.__name__})"
        raise value_error(name, f"refused ({text})", allowed) from error


def _called(kind: type, positional: list[Any], named: dict[str, Any]) -> Any:
    try:
        with torch.device("meta"):
            return kind(*positional, **named)
    except (NotImplementedError, RuntimeError):  # it reads numbers, which "meta" has none of
        made = kind(*positional, **named)
        return made.to("meta") if isinstance(made, nn.Module) else made


def _as_given(dim: int, mixer: nn.Module, dropout: float) -> nn.Module:
    """The parts of a stored block are its residuals themselves."""
    return mixer


def tie(net: nn.Module, names: Iterable[str]) -> None:
    """One parameter at all these places."""
    first, *others = names
    parameter = _owner(net, first)[0]._parameters.get(first.rpartition(".")[2])
    for name in others:
        owner, short = _owner(net, name)
        found = owner._parameters.get(short)
        if parameter is None or found is None or found.shape != parameter.shape:
            raise value_error(f"tied weights {first} and {name}", "unlike", "of one shape")
        owner._parameters[short] = parameter


def _owner(net: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, short = name.rpartition(".")
    try:
        return net.get_submodule(path), short
    except AttributeError:
        raise value_error("tied weights", repr(name), "names of parameters") from None


def put(module: nn.Module, path: str, part: nn.Module) -> None:
    """Sets a part of a module, in the place of another or anew."""
    owner, short = _owner(module, path)
    owner._modules[short] = part


class _Builder:
    """Makes values of descriptions, and remembers what is shared."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue
        self.shared: dict[int, Any] = {}

    def value(self, found: Any, where: str) -> Any:
        if found is None or isinstance(found, bool | int | float | str):
            return found
        if isinstance(found, list):
            return [self.value(v, f"{where}[{i}]") for i, v in enumerate(found)]
        if not isinstance(found, Mapping):
            raise type_error(f"description of {where}", kind_of(found), "plain values")
        if "type" in found:
            return self._object(found, where)
        if len(found) == 1:
            (kind, content), *_ = found.items()
            read = getattr(self, f"_read_{kind}", None)
            if isinstance(kind, str) and read is not None:
                return read(content, where)
        raise value_error(f"description of {where}", repr(dict(found))[:60], "one that is known")

    def _object(self, found: Mapping[str, Any], where: str) -> Any:
        kind = self.catalogue.find(found["type"], where)
        given = {n: self.value(v, f"{where}.{n}") for n, v in found.items() if n not in RESERVED}
        made = READERS.get(kind, construct)(kind, given, where)
        for path, part in found.get("parts", {}).items():
            put(made, path, self.value(part, f"{where}.{path}"))
        if "shared" in found:
            self.shared[found["shared"]] = made
        return made

    def _read_same(self, number: Any, where: str) -> Any:
        if number not in self.shared:
            raise value_error(f"description of {where}", f"the same as {number}", "one before it")
        return self.shared[number]

    def _read_made(self, content: Any, where: str) -> Made:
        return Made(*self.value(content, where))

    def _read_tuple(self, content: Any, where: str) -> tuple[Any, ...]:
        return tuple(self.value(content, where))

    def _read_set(self, content: Any, where: str) -> frozenset[Any]:
        return frozenset(self.value(content, where))

    def _read_dict(self, content: Any, where: str) -> dict[str, Any]:
        return {name: self.value(v, f"{where}.{name}") for name, v in content.items()}

    def _read_pairs(self, content: Any, where: str) -> dict[Any, Any]:
        return dict(self.value(pair, where) for pair in content)

    def _read_integers(self, content: Any, where: str) -> torch.Tensor:
        return torch.tensor(content, dtype=torch.int64, device="cpu")

    def _read_number(self, content: Any, where: str) -> float:
        return float(content)

    def _read_dtype(self, name: Any, where: str) -> torch.dtype:
        return _among(dtypes(), name, where)

    def _read_function(self, name: Any, where: str) -> Any:
        return _among(functions(), name, where)

    def _read_class(self, name: Any, where: str) -> type:
        return self.catalogue.find(name, where)


def _among(known: Mapping[str, Any], name: Any, where: str) -> Any:
    if name not in known:
        raise value_error(f"description of {where}", repr(name)[:60], "one of " + ", ".join(known))
    return known[name]


def _sequential(kind: type, values: Mapping[str, Any], where: str) -> Any:
    args = values.get("args", [])
    named = len(args) == 1 and isinstance(args[0], dict)
    return construct(kind, {"args": [OrderedDict(args[0])] if named else args}, where)


def _characters(kind: type, values: Mapping[str, Any], where: str) -> Any:
    symbols, unknown = list(values["symbols"]), values["unknown"]
    last = symbols[-1:] == [unknown]  # a symbol that was added to those of the text
    made = CharacterVocabulary("".join(symbols[:-1] if last else symbols), unknown=unknown)
    return _checked_symbols(made, symbols, where)


def _words(kind: type, values: Mapping[str, Any], where: str) -> Any:
    made = WordVocabulary([], unknown=values["unknown"], pattern=values["pattern"])
    made.symbols = list(values["symbols"])
    made._ids = {word: i for i, word in enumerate(made.symbols)}
    return _checked_symbols(made, made.symbols, where)


def _checked_symbols(made: Any, symbols: list[str], where: str) -> Any:
    if made.symbols != symbols or not all(isinstance(s, str) for s in symbols):
        raise value_error(f"symbols of {where}", "out of order", "as they were stored")
    return made


def _byte_pairs(kind: type, values: Mapping[str, Any], where: str) -> Any:
    import tokenizers

    return BPEVocabulary(tokenizers.Tokenizer.from_str(values["tokenizer"]))


READERS: Mapping[type, Any] = {
    nn.Sequential: _sequential,
    CharacterVocabulary: _characters,
    WordVocabulary: _words,
    BPEVocabulary: _byte_pairs,
}
"""Classes whose constructor does not take what is stored."""
