"""How a choice becomes a part of a net: callables are given what they ask for."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from tokennet.checks import kind_of, type_error, value_error

SHORT = {"d": "dim", "n": "num_tokens", "h": "num_heads"}


def make(path: str, part: Any, facts: Mapping[str, Any]) -> Any:
    """What `part` makes of the facts: `lambda dim, n: tn.TokenMLP(n)`, `tn.GraphConvolution`.

    Arguments without a default get the fact of their name; `d`, `n` and `h` are short for `dim`,
    `num_tokens` and `num_heads`. An argument with a default keeps it.

    Raises:
        TypeError, ValueError: for what can't be called, or asks for more than there is.
    """
    if isinstance(part, nn.Module) or not callable(part):
        hint = "e.g. lambda dim, num_tokens: tn.Attention(dim, 4)"
        raise type_error(path, kind_of(part), "a class or function that makes a module", hint)
    given, ordered = {}, []
    for parameter in _required(path, part):
        name = SHORT.get(parameter.name, parameter.name)
        if name not in facts:
            allowed = "one of " + ", ".join(facts)
            raise value_error(f"an argument of {path}", repr(parameter.name), allowed)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            ordered.append(facts[name])
        else:
            given[parameter.name] = facts[name]
    return part(*ordered, **given)


def _required(path: str, part: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(part).parameters.values()
    except (TypeError, ValueError):
        raise type_error(path, kind_of(part), "a callable with a signature") from None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in parameters if p.default is p.empty and p.kind not in variable]
