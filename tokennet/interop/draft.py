"""What the reader of one model makes of its configuration: a net, and the names of its weights."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tokennet.checks import value_error
from tokennet.interop.options import Options
from tokennet.interop.translation import Line
from tokennet.net import TokenNet


@dataclass(frozen=True, eq=False)
class Draft:
    """A net with random weights, and a line for each tensor of the original's state dict.

    Args:
        kept: names, or beginnings of names that end with a dot, of weights that the net has no use
            for; they are carried along for the way back.
        older: names of older files as pairs (pattern, replacement) for `re.sub`, applied in turn to
            names that are neither in the lines nor kept.
    """

    net: TokenNet
    lines: Sequence[Line]
    kept: tuple[str, ...] = ()
    older: tuple[tuple[str, str], ...] = ()


Reader = Callable[[Options], Draft]


def find_reader(library: str, kind: str) -> Reader:
    """The function that reads the configuration of this class of this library."""
    table: Mapping[str, str] = package_of(library).READERS
    if kind not in table:
        raise value_error(
            f"the model's class in {library}", kind, "one of " + ", ".join(sorted(table)),
            "a subclass may compute something else, so it is not taken for its parent",
        )  # fmt: skip
    module = importlib.import_module(f"tokennet.interop.{library}_models.{table[kind]}")
    return module.READ[kind]


def kinds(library: str) -> list[str]:
    """The classes that can be imported."""
    return sorted(package_of(library).READERS)


def draft_of(library: str, kind: str, config: Mapping[str, Any]) -> Draft:
    """The draft of a configuration; every option has been read."""
    reader = find_reader(library, kind)
    options = Options(kind, config)
    draft = reader(options)
    options.finish()
    return draft


def plan_of(library: str, kind: str, config: Mapping[str, Any]) -> Draft | None:
    """The draft of a configuration on the "meta" device, at no cost; None where it needs numbers.

    PNA's needs them, which reads its degrees.
    """
    try:
        with torch.device("meta"):
            return draft_of(library, kind, config)
    except (RuntimeError, OverflowError) as error:
        if "meta" in str(error):
            return None
        # sizes whose product is no size
        text = str(error).splitlines()[0][:100]
        raise value_error(f"options of {kind}", f"no net ({text})", "sizes of a net") from None


def package_of(library: str) -> Any:
    """The folder of readers for a library."""
    return importlib.import_module(f"tokennet.interop.{library}_models")
