"""What a convolution of PyG was made from, which not all of them keep."""

import itertools
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from tokennet.checks import value_error
from tokennet.interop.arguments import argument_of, parameters_of


def pyg_arguments(module: nn.Module, where: str) -> tuple[dict[str, Any], list[str]]:
    """The arguments that attributes tell, and the names of switches that none does."""
    found, open_ = {}, []
    for name, parameter in parameters_of(type(module)).items():
        own = vars(module).get(f"initial_{name}", getattr(module, name, parameter.empty))
        switch = isinstance(parameter.default, bool)
        if own is parameter.empty and switch:
            open_.append(name)
        elif own is not parameter.empty and (switch or not isinstance(own, Tensor)):
            is_module = isinstance(own, nn.Module) and not switch
            found[name] = own if is_module else argument_of(own, parameter)
        elif parameter.default is parameter.empty:
            raise value_error(
                f"{where} ({type(module).__name__})", f"without an attribute {name!r}",
                "a convolution that keeps its arguments", "put it into a class of your own",
            )  # fmt: skip
    return found, open_


def switches(kind: type, names: list[str]) -> Iterator[dict[str, bool]]:
    """All that the open switches may be, their defaults first."""
    default = {name: parameters_of(kind)[name].default for name in names}
    for turned in itertools.product((False, True), repeat=len(names)):
        yield {n: default[n] ^ t for n, t in zip(names, turned, strict=True)}
