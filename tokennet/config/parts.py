"""Parts of nets in a file: `{type: Attention, num_heads: 4, topology: {type: Causal}}`.

Three tags, so that nothing is guessed: `type` makes an object of a class, `class` is the class
itself, `function` is any object by `package.module:name`. A mapping without a tag is refused.
"""

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from tokennet.config.reader import mapping, near, of_type, problem, under

TAGS = ("type", "class", "function")


@dataclass(frozen=True)
class Part:
    """A class and some of its arguments; calling it with the rest makes the object."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "__signature__", inspect.Signature(list(self._missing().values())))

    def _missing(self) -> dict[str, inspect.Parameter]:
        """Arguments without a default that the file does not give, of inner parts too."""
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        found = {
            p.name: p.replace(kind=p.KEYWORD_ONLY)
            for p in inspect.signature(find_class(self.name)).parameters.values()
            if p.default is p.empty and p.kind not in variable and p.name not in self.arguments
        }
        for value in self.arguments.values():
            if isinstance(value, Part):
                found.update(value._missing())
        return found

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.arguments.items())})"

    def __call__(self, *given: Any, **facts: Any) -> Any:
        made = find_class(self.name)
        names = set(inspect.signature(made).parameters)
        own = {
            name: value(**{k: facts[k] for k in value._missing() if k in facts})
            if isinstance(value, Part)
            else value
            for name, value in self.arguments.items()
        }
        return made(*given, **own, **{k: v for k, v in facts.items() if k in names})


def find_class(name: str) -> Any:
    """A public class of tokennet, or of torch.nn as `nn.RMSNorm`."""
    if name.startswith("nn."):
        from torch import nn

        return getattr(nn, name.removeprefix("nn."))
    import tokennet.api as api

    return getattr(api, name)


def known_classes() -> list[str]:
    """The names that `type` and `class` take, but for those of torch.nn."""
    import tokennet.api as api

    return [name for name in api.__all__ if isinstance(getattr(api, name), type)]


def read_value(path: str, value: Any) -> Any:
    """A value of an axis or an argument: plain, a list of plain ones, or a tagged mapping."""
    if isinstance(value, list):
        return [read_value(f"{path}[{i}]", part) for i, part in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    tags = [tag for tag in TAGS if tag in value]
    if len(tags) != 1:
        hint = "e.g. {type: Attention, num_heads: 4}"
        raise problem(path, "a mapping needs one of the keys type, class, function", hint)
    tag = tags[0]
    name = of_type(under(path, tag), value[tag], str)
    if tag == "function":
        mapping(path, value, [tag])
        return load_object(under(path, tag), name)
    _check_class(under(path, tag), name)
    if tag == "class":
        mapping(path, value, [tag])
        return find_class(name)
    return _read_part(path, name, {k: v for k, v in mapping(path, value).items() if k != tag})


def _check_class(path: str, name: str) -> None:
    if name.startswith("nn."):
        from torch import nn

        if isinstance(getattr(nn, name.removeprefix("nn."), None), type):
            return
        raise problem(path, f"torch has no {name!r}", near(name, [f"nn.{n}" for n in dir(nn)]))
    if name not in known_classes():
        raise problem(path, f"tokennet has no class {name!r}", near(name, known_classes()))


def _read_part(path: str, name: str, given: dict[str, Any]) -> Part:
    parameters = inspect.signature(find_class(name)).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        mapping(path, given, list(parameters))
    arguments = {}
    for key, value in given.items():
        inner = read_value(under(path, key), value)
        known = parameters.get(key)
        arguments[key] = inner if known is None else _typed(under(path, key), inner, known)
    return Part(name, arguments)


def _typed(path: str, value: Any, parameter: inspect.Parameter) -> Any:
    return value if isinstance(value, Part) else of_type(path, value, parameter.annotation)


def load_object(path: str, name: str) -> Any:
    """What `package.module:name` names."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise problem(path, f"{name!r} is not of the form package.module:name")
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise problem(path, f"importing {module} raised {type(error).__name__}: {error}") from error
    try:
        return attrgetter(attribute)(found)
    except AttributeError:
        hint = near(attribute, [n for n in dir(found) if not n.startswith("_")])
        raise problem(path, f"module {module} has no {attribute!r}", hint) from None
