"""Live modules of other libraries: which class they are, exactly."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from tokennet.checks import kind_of, type_error, value_error

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
    return kind, importlib.import_module(f"tokennet.interop.{library}_models.{readers[kind]}")


def check_plain(module: nn.Module) -> None:
    """Raises for what a state dict does not tell: hooks and parametrisations."""
    for name, part in module.named_modules():
        where = name or "the model"
        hooks = [*part._forward_hooks.values(), *part._forward_pre_hooks.values()]
        if any(getattr(hook, "__module__", None) != CAPTURING for hook in hooks):
            raise value_error(f"hooks of {where}", "there", "none", "they may change the outputs")
        if hasattr(part, "parametrizations"):
            hint = "torch.nn.utils.parametrize.remove_parametrizations writes them into the weights"
            raise value_error(f"parametrizations of {where}", "there", "none", hint)
        if "forward" in vars(part):
            hint = "what it computes now is not known"
            raise value_error(f"forward of {where}", "replaced", "that of its class", hint)


def check_parts(module: nn.Module, fresh: nn.Module) -> None:
    """Raises where a part is another than in a fresh model of the same options.

    Parts that `module` does not have are fine: not all are asked for by options.
    """
    expected = {name: _words(part) for name, part in fresh.named_modules()}
    for name, part in module.named_modules():
        if (found := _words(part)) != expected.get(name):
            allowed = f"{expected.get(name, 'nothing')}, as the model's options say"
            hint = "what was changed after it was built is not in its options: change them too"
            raise value_error(name or "the model", found, allowed, hint)


def _words(part: nn.Module) -> str:
    return f"{type(part).__name__}({part.extra_repr()})"


def exact(module: object, kind: type, where: str) -> Any:
    """`module`, if it is of this very class: a subclass may compute something else."""
    if type(module) is not kind:
        raise type_error(where, kind_of(module), f"a {kind.__name__}, and no subclass of it")
    return module
