"""Activations as PyG names them: modules, functions, and texts in any spelling."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tokennet.checks import kind_of, value_error
from tokennet.interop.options import Options

ACTIVATIONS: dict[str, tuple[Callable[..., nn.Module], tuple[str, ...]]] = {
    "CELU": (nn.CELU, ("alpha",)),
    "ELU": (nn.ELU, ("alpha",)),
    "GELU": (nn.GELU, ("approximate",)),
    "LeakyReLU": (nn.LeakyReLU, ("negative_slope",)),
    "Mish": (nn.Mish, ()),
    "ReLU": (nn.ReLU, ()),
    "ReLU6": (nn.ReLU6, ()),
    "SELU": (nn.SELU, ()),
    "Sigmoid": (nn.Sigmoid, ()),
    "SiLU": (nn.SiLU, ()),
    "Softplus": (nn.Softplus, ("beta", "threshold")),
    "Tanh": (nn.Tanh, ()),
}
"""Torch's class and the options that change its output."""

FUNCTIONS: dict[Any, str] = {
    F.elu: "ELU", F.gelu: "GELU", F.leaky_relu: "LeakyReLU", F.relu: "ReLU", F.selu: "SELU",
    F.sigmoid: "Sigmoid", F.silu: "SiLU", F.tanh: "Tanh", torch.relu: "ReLU",
    torch.selu: "SELU", torch.sigmoid: "Sigmoid", torch.tanh: "Tanh",
}  # fmt: skip
NAMES = {**{name.lower(): name for name in ACTIVATIONS}, "swish": "SiLU"}


def plain_name(name: str) -> str:
    """As PyG's resolvers compare names: `batch_norm` and `BatchNorm` are one."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def act_of(act: object, where: str = "act") -> tuple[str | None, dict[str, Any]]:
    """Name and options of a live activation, in the words of `act=` and `act_kwargs=`."""
    if act is None:
        return None, {}
    if isinstance(act, nn.Module):
        kind = type(act).__name__
        if kind in ACTIVATIONS and type(act) is getattr(nn, kind):
            return kind, {name: getattr(act, name) for name in ACTIVATIONS[kind][1]}
        found = kind
    elif getattr(act, "__module__", "") == "torch_geometric.nn.resolver":
        return "SiLU", {}  # the one function there is x * sigmoid(x)
    elif callable(act) and act in FUNCTIONS:
        return FUNCTIONS[act], {}
    else:
        found = getattr(act, "__name__", kind_of(act))
    raise value_error(where, found, "one of " + ", ".join(ACTIVATIONS))


def take_act(options: Options, default: str | None = "relu") -> Callable[[], nn.Module] | None:
    """What makes the activation that `act` and `act_kwargs` name."""
    name, given = options.take("act", default), options.take("act_kwargs", None) or {}
    if name is None:
        return None
    kind = NAMES.get(plain_name(name)) if isinstance(name, str) else None
    if kind is None:
        raise options.refused("act", name, "one of " + ", ".join(ACTIVATIONS))
    make, known = ACTIVATIONS[kind]
    nested = Options(f"{options.name}.act_kwargs", given)
    nested.ignore("inplace")
    values = {key: nested.take(key) for key in known if nested.has(key)}
    nested.finish()
    return lambda: make(**values)
