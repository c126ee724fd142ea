"""Any net in a folder, as plain data and weights, and back."""

import itertools
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.interop.build import build, from_data
from tokennet.interop.describe import describe, to_data
from tokennet.interop.origin import LIBRARIES, Origin
from tokennet.interop.stored import read_stored, write_stored
from tokennet.net import TokenNet

KEPT = "origin.kept."
"""What names of weights begin with that came with an imported net, which has no use for them."""


def save_pretrained(net: TokenNet, folder: str | os.PathLike[str]) -> Path:
    """Writes `config.json` and `model.safetensors`, for `from_pretrained`; the folder.

    The net is told by data alone: classes, arguments and weights, of tokennet's and torch's public
    modules and of own classes that keep their arguments as attributes. It is built from that data
    here already, so what would come back as another net is refused.

    Raises:
        ValueError: a part that can't be told as data, by name, with what to do.
    """
    if not isinstance(net, TokenNet):
        raise type_error("net", kind_of(net), "a TokenNet")
    description, weights = describe(net), weights_of(net)
    kept = {} if net.origin is None else net.origin.kept
    config = {
        "tokennet_version": sys.modules["tokennet"].__version__,
        **description,
        "frozen": [name for name, p in net.named_parameters() if not p.requires_grad],
        "origin": None if net.origin is None else _origin(net.origin),
    }
    weights |= {f"{KEPT}{name}": _plain(name, t) for name, t in kept.items()}
    folder = Path(folder)
    write_stored(folder, config, weights)
    return folder


def from_pretrained(folder: str | os.PathLike[str], *, classes: Iterable[type] = ()) -> TokenNet:
    """The net that `save_pretrained` wrote: in eval mode, on the CPU, with the same bits.

    Nothing is downloaded and no code of the files is run: they name public classes of tokennet and
    torch. Published models of other libraries are read by `from_transformers` and its like.

    Args:
        classes: the user's own classes that the net is made of.

    Raises:
        ValueError: files that are damaged, changed, of another library or of a newer version.
    """
    config, weights = read_stored(Path(folder))
    _check_entries(config)
    net = build(config, classes)
    if not isinstance(net, TokenNet):
        raise value_error("the stored net", kind_of(net), "a TokenNet")
    kept = {name: weights.pop(name) for name in list(weights) if name.startswith(KEPT)}
    _fill(net, weights, frozenset(config["frozen"]))
    if config["origin"] is not None:
        kept = {name.removeprefix(KEPT): t for name, t in kept.items()}
        net.origin = _read_origin(config["origin"], kept)
    return net.eval()


def _check_entries(config: Mapping[str, Any]) -> None:
    """Raises for entries of another kind than `save_pretrained` writes."""
    _check_names(config.get("frozen"), "frozen")
    tied = config.get("tied", [])
    if not isinstance(tied, list):
        raise type_error("tied of the description", kind_of(tied), "a list of lists of names")
    for names in tied:
        _check_names(names, "tied", least=2)
    origin = config.get("origin")
    if origin is None:
        return
    if not isinstance(origin, dict):
        raise type_error("origin of the description", kind_of(origin), "null or an object")
    for key in ("library", "kind"):
        if not isinstance(origin.get(key), str):
            raise type_error(f"origin.{key}", repr(origin.get(key))[:60], "a name")
    if not isinstance(origin.get("config"), dict):
        raise type_error("origin.config", kind_of(origin.get("config")), "an object of options")
    _check_names(origin.get("names"), "origin.names")


def _check_names(found: Any, where: str, *, least: int = 0) -> None:
    plain = isinstance(found, list) and all(isinstance(name, str) for name in found)
    if not plain or len(found) < least:
        allowed = "a list of names" + (f", at least {least}" if least else "")
        raise type_error(f"{where} of the description", repr(found)[:60], allowed)


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, each once: also those that a state dict leaves out.

    What was computed in one dtype and moved to another can't be computed again.
    """
    own = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    _check_memory(own)
    return {name: _plain(name, t) for name, t in own.items()}


def _plain(name: str, t: Tensor) -> Tensor:
    """The numbers of a tensor, on the CPU, in memory of their own."""
    if t.is_meta or t.layout is not torch.strided or t.is_quantized:
        found = "on the meta device" if t.is_meta else str(t.layout)
        raise value_error(name, found, "a plain tensor with numbers")
    t = t.detach().cpu().contiguous()
    return t if t.untyped_storage().nbytes() == t.nbytes else t.clone()


def _check_memory(own: Mapping[str, Tensor]) -> None:
    """Raises where two tensors are views of the same numbers: they would come back as two."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for name, t in own.items():
        if t.numel() and not t.is_meta and t.layout is torch.strided:
            steps = zip(t.shape, t.stride(), strict=True)
            last = t.storage_offset() + sum((n - 1) * s for n, s in steps)
            size, memory = t.element_size(), t.untyped_storage().data_ptr()
            start, end = int(t.storage_offset() * size), int((last + 1) * size)
            spans.setdefault(memory, []).append((start, end, name))
    for found in spans.values():
        found.sort()
        for (_, end, first), (start, _, second) in itertools.pairwise(found):
            if start < end:
                raise value_error(
                    second, f"in the memory of {first}", "weights of its own",
                    "tie weights by one Parameter at both places: a.weight = b.weight",
                )  # fmt: skip


def _fill(net: nn.Module, weights: Mapping[str, Tensor], frozen: frozenset[str]) -> None:
    """Puts the numbers into a net without numbers, at every place that shares them."""
    own: dict[str, Tensor] = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    names = sorted(set(own) ^ set(weights))
    if names:
        found = "missing" if names[0] in own else "left over"
        raise value_error(f"weight {names[0]}", found, "one weight for each of the description")
    new: dict[int, Tensor] = {}
    for name, old in own.items():
        t = weights[name]
        if t.shape != old.shape:
            shape = list(old.shape)
            raise value_error(f"shape of {name}", list(t.shape), f"{shape} as described")
        if isinstance(old, nn.Parameter):
            t = nn.Parameter(t, requires_grad=name not in frozen)
        new[id(old)] = t
    for part in net.modules():
        for table in (part._parameters, part._buffers):
            for name, shared in table.items():
                if shared is not None:
                    table[name] = new[id(shared)]  # type: ignore[assignment]


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "library": origin.library,
        "kind": origin.kind,
        "config": to_data(dict(origin.config), "origin.config"),
        "names": list(origin.names),
    }


def _read_origin(found: Mapping[str, Any], kept: Mapping[str, Tensor]) -> Origin:
    if found["library"] not in LIBRARIES:
        allowed = "one of " + ", ".join(LIBRARIES)
        raise value_error("origin.library", found["library"], allowed)
    config = from_data(found["config"], "origin.config")
    return Origin(found["library"], found["kind"], config, tuple(found["names"]), kept)
