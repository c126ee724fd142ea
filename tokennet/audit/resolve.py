"""From an adapter, a module and an example to the roles of all arguments."""

from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Adapter, Argument
from tokennet.audit.roles import (
    BATCHES,
    CODES,
    COUNTS,
    EDGES,
    MASKS,
    MEMORIES,
    TOKENS,
    Arguments,
    Carrier,
    Mask,
    Roles,
)
from tokennet.checks import type_error, value_error

_IGNORE = ("padding_mask", "pad_mask", "ignore")


def resolve(module: nn.Module, example: Any, adapter: Adapter) -> Roles:
    """Who is who in a call of the module, from the adapter and, where it is silent, the example."""
    arguments = Arguments(module, example, adapter.fixed)
    if not arguments.tensors():
        raise value_error("example", "without a tensor", "the arguments of one call, with tokens")
    taken: set[Argument] = set()

    def find(role: str, names: tuple[str, ...]) -> Argument | None:
        given = getattr(adapter, role)
        key = arguments.guess(names, taken) if given is None else arguments.key(role, given)
        if key is not None:
            taken.add(key)
        return key

    tokens = find("tokens", TOKENS)
    if tokens is None:
        tokens = next(iter(arguments.tensors()))
        taken.add(tokens)
    edges, mask = find("edges", EDGES), find("mask", MASKS)
    batch = find("batch", BATCHES)
    weight, attr = find("edge_weight", ("edge_weight",)), find("edge_attr", ("edge_attr",))
    memory, codes = find("memory", MEMORIES), find("codes", CODES)
    memory_mask = find("memory_mask", ("memory_mask", "memory_key_padding_mask"))
    value = _tensor(arguments, "tokens", tokens)
    layout = adapter.layout or _layout(value, arguments.value(mask), edges, batch)
    carrier = Carrier(tokens, layout, _channels(value, layout), _ids(value, adapter.vocabulary))
    beside = _alongside(arguments, adapter, carrier, codes, taken)
    heard = None if memory is None else _memory(arguments, memory, layout, adapter)
    attr_value = arguments.value(attr)
    return Roles(
        arguments.positional,
        arguments.named,
        carrier,
        _same(arguments, tokens, taken),
        _mask(arguments, mask, adapter.mask_kind, value, layout),
        edges,
        _edges_form(arguments.value(edges)),
        True,
        False,
        weight,
        attr,
        None if attr is None else (attr_value.shape[1] if attr_value.ndim > 1 else 1),
        attr is not None and attr_value.ndim == 1,
        None if attr is None else _ids(attr_value, None),
        batch,
        adapter.batch_kind or ("ptr" if batch and arguments.name(batch) == "ptr" else "vector"),
        _count(arguments, adapter, batch),
        heard,
        () if memory is None else _same(arguments, memory, taken),
        None
        if heard is None
        else _mask(
            arguments, memory_mask, adapter.memory_mask_kind,
            arguments.value(heard.key), heard.layout,
        ),
        beside,
        _codes_at(carrier, beside, codes),
        adapter.grid or (tuple(value.shape[2:]) if layout == "bchw" else None),
        adapter,
    )  # fmt: skip


def _tensor(arguments: Arguments, role: str, key: Argument) -> Tensor:
    value = arguments.value(key)
    if not isinstance(value, Tensor):
        found = type(value).__name__
        hint = f"the argument {arguments.name(key)!r} of the example holds {found}"
        raise type_error(role, repr(key), "the name or place of a tensor", hint)
    return value


def _layout(t: Tensor, mask: Any, edges: Any, batch: Any) -> str:
    """The axes of the tokens, from their shape and what stands beside them."""
    flat = batch is not None or (edges is not None and t.ndim < 3)
    if not t.is_floating_point():
        return "n" if t.ndim == 1 else "bn"
    if flat or t.ndim == 2:
        return "nd" if t.ndim > 1 else "n"
    if t.ndim == 3:
        turned = isinstance(mask, Tensor) and tuple(mask.shape) == (t.shape[1], t.shape[0])
        return "nbd" if turned and t.shape[0] != t.shape[1] else "bnd"
    if t.ndim == 4:
        return "bchw"
    hint = "say which argument has the tokens, and its layout, in an Adapter"
    raise value_error("tokens.shape", tuple(t.shape), "[B, N, D], [N, D], ids [B, N], ...", hint)


def _channels(t: Tensor, layout: str) -> int:
    axes = {"bnd": 2, "nbd": 2, "bdn": 1, "nd": 1, "bchw": 1}
    if len({"bchw": "bchw"}.get(layout, layout)) != t.ndim:
        raise value_error("tokens.shape", tuple(t.shape), f"axes {layout}", "or another layout")
    return t.shape[axes[layout]] if layout in axes else 1


def _ids(t: Tensor, given: tuple[int, int] | None) -> tuple[int, int] | None:
    """The ids that tokens may have: those given, else from 0 to the largest of the example."""
    if t.is_floating_point():
        return None
    if given is not None:
        return given
    if t.dtype == torch.bool:
        return 0, 1
    return min(0, int(t.min())) if t.numel() else 0, max(int(t.max()), 1) if t.numel() else 1


def _alongside(
    arguments: Arguments, adapter: Adapter, tokens: Carrier, codes: Any, taken: set[Argument]
) -> tuple[Carrier, ...]:
    """Arguments with a row for each token: those named, the codes, and others of that shape."""
    keys = [arguments.key("alongside", a) for a in adapter.alongside]
    if codes is not None:
        keys.append(codes)
    value = arguments.value(tokens.key)
    rows = tuple(value.shape[: 1 if tokens.layout in ("nd", "n") else 2])
    if tokens.layout not in ("bdn", "bchw") and 0 not in rows and 1 not in rows:
        for key, other in arguments.tensors().items():
            fits = tuple(other.shape[: len(rows)]) == rows and other.ndim <= len(rows) + 1
            if key not in taken and key not in keys and fits and other is not value:
                keys.append(key)
    taken.update(keys)
    found = []
    for key in keys:
        other = _tensor(arguments, "alongside", key)
        dim = other.shape[-1] if other.ndim > len(rows) else 1
        layout = "nbd" if tokens.layout.startswith("nb") else tokens.layout
        flat = other.ndim == len(rows)
        layout = layout.replace("d", "") if flat else layout
        found.append(Carrier(key, layout, dim, _ids(other, None)))
    return tuple(found)


def _codes_at(tokens: Carrier, beside: tuple[Carrier, ...], codes: Any) -> tuple[int, int] | None:
    """The channels in which the codes stand."""
    start = tokens.dim
    if codes == tokens.key:
        return 0, tokens.dim
    for other in beside:
        if codes is not None and other.key == codes:
            return start, start + other.dim
        start += other.dim
    return None


def _same(arguments: Arguments, key: Argument, taken: set[Argument]) -> tuple[Argument, ...]:
    """Arguments that are the very same tensor: query, key and value of self-attention."""
    value = arguments.value(key)
    return tuple(k for k, v in arguments.tensors().items() if v is value and k != key)


def _memory(arguments: Arguments, key: Argument, layout: str, adapter: Adapter) -> Carrier:
    value = _tensor(arguments, "memory", key)
    if not value.is_floating_point():
        return Carrier(key, "bn", 1, _ids(value, adapter.vocabulary))
    layout = layout if layout in ("bnd", "nbd") and value.ndim == 3 else "bnd"
    return Carrier(key, layout, value.shape[-1])


def _mask(
    arguments: Arguments, key: Argument | None, kind: str | None, tokens: Tensor, layout: str
) -> Mask | None:
    if key is None:
        return None
    value, name = arguments.value(key), arguments.name(key)
    optional = arguments.optional(key)
    if value is not None and not isinstance(value, Tensor):
        raise type_error("mask", type(value).__name__, f"a tensor, the argument {name!r}")
    if kind is None:
        kind = "ignore" if any(word in name for word in _IGNORE) else "keep"
        if value is not None and value.is_floating_point() and value.numel() and value.min() < 0:
            kind = "additive"
        whole = value is not None and value.ndim == 1 and value.dtype != torch.bool
        if "length" in name or (whole and layout not in ("nd", "n")):
            kind = "lengths"
    shape = "b" if kind == "lengths" else _mask_shape(value, tokens, layout)
    return Mask(key, kind, None if value is None else value.dtype, shape, optional, name)


def _mask_shape(value: Tensor | None, tokens: Tensor, layout: str) -> str:
    """Axes of a mask: "bn", "nb", "n", "bn1", "b1n", "b11n", "bnn" or "b1nn"."""
    if value is None:
        return "n" if layout in ("nd", "n") else "bn"
    if layout in ("nd", "n"):
        return "n" if value.ndim == 1 else "n1"
    n = tokens.shape[layout.index("n")]
    b = tokens.shape[layout.index("b")]
    shapes = {
        (b, n): "bn", (n, b): "nb", (b, n, 1): "bn1", (b, 1, n): "b1n", (b, 1, 1, n): "b11n",
        (b, n, n): "bnn", (b, 1, n, n): "b1nn",
    }  # fmt: skip
    found = shapes.get(tuple(value.shape))
    if found is None:
        allowed = f"[{b}, {n}], or with axes of 1 between, or [{b}, {n}, {n}]"
        raise value_error("mask.shape", tuple(value.shape), allowed)
    return found


def _edges_form(value: Any) -> str:
    """A list of edges, or a matrix of one or of each sample."""
    if not isinstance(value, Tensor):
        return "index"
    listed = value.ndim == 2 and value.shape[0] == 2 and not value.is_floating_point()
    if listed and value.dtype != torch.bool:
        return "index"
    return "matrix" if value.ndim == 2 else "matrices"


def _count(arguments: Arguments, adapter: Adapter, batch: Any) -> Argument | None:
    if adapter.count is not None:
        return arguments.key("count", adapter.count)
    if batch is None:
        return None
    return next((n for n in COUNTS if n in arguments.known), None)
