"""Convolutions of PyG, alone and in stacks."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.interop.draft import Draft
from tokennet.interop.live import check_plain
from tokennet.interop.options import Options
from tokennet.interop.pyg_models import attention, sums
from tokennet.interop.pyg_models.parts import (
    PARTS,
    Piece,
    describe_part,
    kind_options,
    listed,
    make_part,
    origin_of,
)
from tokennet.mixers import Mixer, TokenWise
from tokennet.net import FeatureTokenizer, TokenNet

Make = Callable[[Options, str], Piece]
MAKE: Mapping[str, Make] = {**sums.MAKE, **attention.MAKE}
DESCRIBE = {**sums.DESCRIBE, **attention.DESCRIBE}
HOOKS = tuple(
    f"_{step}_forward_{when}"
    for step in ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")
    for when in ("pre_hooks", "hooks")
)


class Stack(nn.Module):
    """Convolutions, norms and activations of torch and PyG, one after the other.

    Weights are named as those of `nn.Sequential` and `nn.ModuleList`: "0.weight". Edge weights,
    edge features and the sample of each token go to the modules that take them.
    """

    def __init__(self, *modules: nn.Module):
        super().__init__()
        if not modules:
            raise value_error("modules", "()", "at least one convolution")
        for i, module in enumerate(modules):
            if not isinstance(module, nn.Module):
                raise type_error(f"modules[{i}]", kind_of(module), "a module, e.g. nn.ReLU()")
            self.add_module(str(i), module)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        facts = {"edge_index": edge_index, "edge_weight": edge_weight, "edge_attr": edge_attr}
        given = {k: v for k, v in {**facts, "batch": batch}.items() if v is not None}
        for module in self._modules.values():  # `children()` gives a repeated module once
            assert module is not None
            known = set(inspect.signature(module.forward).parameters)
            if isinstance(inner := getattr(module, "conv", None), nn.Module):  # GPSConv passes on
                known |= set(inspect.signature(inner.forward).parameters)
            x = module(x, **{k: v for k, v in given.items() if k in known})
        return x


def describe(module: Any) -> dict[str, Any]:
    """The options of a live convolution or stack."""
    if not isinstance(module, Stack):
        return _without_kind(describe_module(module, type(module).__name__))
    check_plain(module)
    parts = [describe_module(m, f"Stack.{n}") for n, m in module._modules.items()]
    return {"modules": parts}


def _without_kind(options: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k != "kind"}


def describe_module(module: Any, where: str) -> dict[str, Any]:
    """The options of a convolution or a token-wise module, with its `kind`."""
    kind = origin_of(module, where)
    if kind == "GPSConv":
        from tokennet.interop.pyg_models import gps

        return {"kind": kind, **gps.describe(module, where)}
    if kind not in DESCRIBE:
        if kind in PARTS:
            return describe_part(module, where)
        allowed = "one of " + ", ".join(sorted({*MAKE, *PARTS, "GPSConv"}))
        raise value_error(where, kind, allowed)
    for name in HOOKS:
        if getattr(module, name, None):
            raise value_error(f"hooks of {where}", "there", "none", "they may change the outputs")
    if getattr(module, "_explain", None):
        raise value_error(f"{where}.explain", True, "False", "a mask of edges changes the outputs")
    names = ("flow", "decomposed_layers")
    found = DESCRIBE[kind](module, where)
    return {"kind": kind, **found, **{name: getattr(module, name) for name in names}}


def make_module(given: Any, where: str, theirs: str) -> list[Piece]:
    """The mixers of a description; `theirs` begins the names of its weights."""
    options, kind = kind_options(given, where)
    if kind not in MAKE and kind != "GPSConv":
        return make_part(given, where, theirs)
    piece = make(kind, options, theirs)
    options.finish()
    return [piece]


def make(kind: str, options: Options, theirs: str) -> Piece:
    """One convolution as a mixer."""
    if kind == "GPSConv":
        from tokennet.interop.pyg_models import gps

        return gps.make(options, theirs)
    options.ignore("node_dim")
    options.fixed(flow="source_to_target", decomposed_layers=1)
    return MAKE[kind](options, theirs)


def draft(pieces: Sequence[Piece], dim: int, readout: Piece | None = None) -> Draft:
    """A net on features, of these mixers."""
    lines, kept = listed(pieces, "mixers")
    last: Mixer = TokenWise(nn.Identity()) if readout is None else readout.mixer
    if readout is not None:
        lines, kept = [*lines, *readout.within("readout")], (*kept, *readout.kept)
    return Draft(TokenNet(FeatureTokenizer(dim), [p.mixer for p in pieces], last), lines, kept)


def read(options: Options) -> Draft:
    piece = make(options.name, options, "")
    assert piece.mixer.dim is not None
    return draft([piece], piece.mixer.dim)


def read_stack(options: Options) -> Draft:
    given = options.take("modules")
    if not isinstance(given, list | tuple) or not given:
        raise options.refused("modules", given, "a list of descriptions, at least one")
    pieces = [piece for i, m in enumerate(given) for piece in make_module(m, f"Stack.{i}", f"{i}.")]
    dim = next((p.mixer.dim for p in pieces if p.mixer.dim is not None), None)
    if dim is None:
        raise options.refused("modules", "without channels", "at least one convolution")
    return draft(pieces, dim)


READ = {**dict.fromkeys(MAKE, read), "Stack": read_stack}
