"""The classes that a stored net may name: a file chooses among them and brings no code."""

import importlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

import tokennet.laws
import tokennet.mixers
import tokennet.net
import tokennet.ops
import tokennet.topology
from tokennet.checks import kind_of, type_error, value_error
from tokennet.mixers.score import BiasedScore

ACTIVATIONS = (
    "CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh",
    "LeakyReLU", "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU",
    "Sigmoid", "Softmax", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
)  # fmt: skip
LAYERS = (
    "AlphaDropout", "BatchNorm1d", "BatchNorm2d", "Bilinear", "Conv1d", "Conv2d", "Dropout",
    "Dropout1d", "Embedding", "Flatten", "GRUCell", "GroupNorm", "Identity", "LSTMCell",
    "LayerNorm", "Linear", "ModuleDict", "ModuleList", "RMSNorm", "RNNCell", "Sequential",
    "Unflatten",
)  # fmt: skip
FUNCTIONS = ("segment_max", "segment_mean", "segment_min", "segment_std", "segment_sum")
DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int32", "int64", "bool")

PATH = re.compile(r"(mixers|net|interop)(\.[a-z]\w*)+\.[A-Z]\w*")


def _public() -> dict[str, type]:
    found: dict[str, type] = {"BiasedScore": BiasedScore}
    for package in (tokennet.laws, tokennet.mixers, tokennet.net, tokennet.topology):
        for name, value in vars(package).items():
            if isinstance(value, type) and value.__module__.startswith("tokennet."):
                found.setdefault(name, value)
    found = {name: c for name, c in found.items() if not name.startswith("_")}
    return found | {f"nn.{name}": getattr(nn, name) for name in (*ACTIVATIONS, *LAYERS)}


class Catalogue:
    """Names of classes, and classes of names.

    Args:
        classes: the user's own, which a file can name only where they are passed.
    """

    def __init__(self, classes: Iterable[type] = ()):
        self._public = _public()
        self._names = {c: name for name, c in self._public.items()}
        self._own: dict[str, type] = {}
        for c in classes:
            if not isinstance(c, type):
                raise type_error("classes", kind_of(c), "classes", "e.g. classes=[MyMixer]")
            self._own[c.__name__] = c

    def name(self, kind: type, where: str) -> str:
        """The name under which a class is stored."""
        if kind in self._names:
            return self._names[kind]
        package = kind.__module__.split(".")[0]
        if package == "torch_geometric" and _pyg(kind.__name__) is kind:
            return f"pyg.{kind.__name__}"
        inside = f"{kind.__module__.removeprefix('tokennet.')}.{kind.__name__}"
        if _inside(inside) is kind:
            return inside
        if package in ("tokennet", "torch") or kind.__name__ == "Parametrized":
            raise value_error(
                where, f"a {kind.__module__}.{kind.__qualname__}", "a public class of tokennet, or "
                "one of the modules of torch.nn that tn.interop.save_pretrained knows",
                "put it into a class of your own and pass that to from_pretrained(classes=)",
            )  # fmt: skip
        if self._own.setdefault(kind.__name__, kind) is not kind:
            hint = "a file tells classes apart by their names alone; rename one"
            raise value_error(where, f"one of two classes {kind.__name__}", "one", hint)
        return f"own.{kind.__name__}"

    def find(self, name: Any, where: str) -> type:
        """The class of a stored name."""
        if isinstance(name, str) and name.startswith("own."):
            short = name.removeprefix("own.")
            if short in self._own:
                return self._own[short]
            hint = f"pass it: from_pretrained(folder, classes=[{short}])"
            raise value_error(where, f"of the user's class {short}", "a class that is known", hint)
        if isinstance(name, str) and name.startswith("pyg."):
            found = _pyg(name.removeprefix("pyg."))
            if found is not None:
                return found
        inside = _inside(name)
        if inside is not None:
            return inside
        if not isinstance(name, str) or name not in self._public:
            raise value_error(
                f"type of {where}", repr(name)[:60], "a class that this tokennet knows",
                "a newer version may know it; the file may also be damaged",
            )  # fmt: skip
        return self._public[name]


def _inside(name: Any) -> type | None:
    """A module of tokennet that has no public name, by its file: `mixers.file.Name`."""
    if not isinstance(name, str) or not PATH.fullmatch(name):
        return None
    file, _, short = name.rpartition(".")
    try:
        module = importlib.import_module(f"tokennet.{file}")
    except ModuleNotFoundError:
        return None
    found = getattr(module, short, None)
    is_module = isinstance(found, type) and issubclass(found, nn.Module)
    return found if is_module and found.__module__ == module.__name__ else None


def _pyg(name: str) -> type | None:
    """A module of `torch_geometric.nn`, by its public name."""
    try:
        import torch_geometric.nn as library
    except ImportError as error:
        hint = "the net has a convolution of PyG: pip install 'tokennet[pyg]'"
        raise ImportError(hint) from error
    found = getattr(library, name, None)
    is_module = isinstance(found, type) and issubclass(found, nn.Module)
    return found if is_module and found.__module__.startswith("torch_geometric.nn.") else None


def functions() -> Mapping[str, Any]:
    """The functions that a module may be given."""
    return {name: getattr(tokennet.ops, name) for name in FUNCTIONS}


def dtypes() -> Mapping[str, torch.dtype]:
    """The dtypes that a module may be given."""
    return {name: getattr(torch, name) for name in DTYPES}
