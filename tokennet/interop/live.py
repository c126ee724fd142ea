"""Live modules of other libraries: which class they are, exactly."""

import importlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from torch import nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.interop.compare import alike, own_attributes

CAPTURING = "transformers.utils.output_capturing"
"""Leaves hooks on a model that was once asked for its hidden states; they only look on."""


def live_class(
    module: nn.Module, library: str, readers: Mapping[str, str], prefix: str
) -> tuple[str, Any]:
    """The name of the module's class, and the file that reads it. A subclass is refused."""
    kind = type(module).__name__
    if not f"{type(module).__module__}.".startswith(prefix):
        allowed = f"a class of {prefix.removesuffix('.')}"
        raise type_error("source", f"{kind} of {type(module).__module__}", allowed)
    if kind not in readers:
        raise value_error(
            f"the model's class in {library}", kind, "one of " + ", ".join(sorted(readers)),
        )  # fmt: skip
    check_plain(module)
    _check_modes(module)
    return kind, importlib.import_module(f"tokennet.interop.{library}_models.{readers[kind]}")


def check_plain(module: nn.Module) -> None:
    """Raises for what a state dict does not tell: hooks, parametrisations, replaced methods."""
    for name, part in module.named_modules():
        where = name or "the model"
        hooks = [*part._forward_hooks.values(), *part._forward_pre_hooks.values()]
        if any(getattr(hook, "__module__", None) != CAPTURING for hook in hooks):
            raise value_error(f"hooks of {where}", "there", "none", "they may change the outputs")
        backward = [part._backward_hooks, part._backward_pre_hooks]
        backward += [p._backward_hooks for p in part.parameters(recurse=False)]
        if any(backward):
            raise value_error(f"backward hooks of {where}", "there", "none", "remove them first")
        if hasattr(part, "parametrizations"):
            hint = "torch.nn.utils.parametrize.remove_parametrizations writes them into the weights"
            raise value_error(f"parametrizations of {where}", "there", "none", hint)
        replaced = [n for n in vars(part) if callable(getattr(type(part), n, None))]
        if replaced:
            hint = "what it computes now is not known"
            raise value_error(f"{replaced[0]} of {where}", "replaced", "that of its class", hint)


def _check_modes(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if part.training != module.training:
            mode, other = ("train" if m.training else "eval" for m in (part, module))
            hint = "call .train() or .eval() of the whole; freeze parts of the net instead"
            raise value_error(f"mode of {name}", mode, f"{other}, as of the whole", hint)


def shared_names(module: nn.Module) -> list[list[str]]:
    """Names that are several for the same weights."""
    found: dict[int, list[str]] = defaultdict(list)
    for name, p in module.named_parameters(remove_duplicate=False):
        found[id(p)].append(name)
    return [names for names in found.values() if len(names) > 1]


def check_parts(module: nn.Module, fresh: nn.Module) -> None:
    """Raises where a part is another than in a fresh model of the same options.

    Parts that `module` does not have are fine: not all are asked for by options.
    """
    parts = dict(fresh.named_modules(remove_duplicate=False))
    expected = {name: _words(part) for name, part in parts.items()}
    for name, part in module.named_modules(remove_duplicate=False):
        if (found := _words(part)) != expected.get(name):
            allowed = f"{expected.get(name, 'nothing')}, as the model's options say"
            hint = "what was changed after it was built is not in its options: change them too"
            raise value_error(name or "the model", found, allowed, hint)
        if name and name in parts:
            _check_attributes(part, parts[name], name)


def _check_attributes(part: nn.Module, other: nn.Module, name: str) -> None:
    """Raises where the public attributes differ, such as a number of heads or a scale."""
    if type(part) is not type(other):
        raise value_error(name, f"another class {type(part).__name__}", "the library's own")
    one, two = own_attributes(part), own_attributes(other)
    for key in sorted({*one, *two} - {"config", "gradient_checkpointing"}):
        if key.startswith("_") or (key in one and key in two and alike(one[key], two[key])):
            continue
        if key not in one and key in part._parameters:  # None there, a weight here: the state tells
            continue
        found, allowed = repr(one.get(key, "missing"))[:60], repr(two.get(key, "missing"))[:60]
        raise value_error(f"{name}.{key}", found, f"{allowed}, as the model's options say")


def _words(part: nn.Module) -> str:
    return f"{type(part).__name__}({part.extra_repr()})"


def exact(module: object, kind: type, where: str) -> Any:
    """`module`, if it is of this very class: a subclass may compute something else."""
    if type(module) is not kind:
        raise type_error(where, kind_of(module), f"a {kind.__name__}, and no subclass of it")
    return module
