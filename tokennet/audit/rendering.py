"""Tokens and a structure as the arguments of a call, and the answer as rows of tokens or samples.

Axes: B samples, N tokens of the longest sample, T rows of the flat view, D channels, E edges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Argument
from tokennet.audit.outputs import Form, chosen
from tokennet.audit.roles import Carrier, Mask, Roles
from tokennet.structure import Packed, Structure, Tokens

SPREAD = 1000  # features that differ by 1 are so many ids apart


class NotRepresentableError(Exception):
    """These tokens can't be given to this module: padding without a mask, two graphs for one."""


class RefusedError(Exception):
    """The module raised an error; the message is its own."""


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of one call."""

    positional: tuple[Any, ...]
    named: dict[str, Any]

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Call":
        """The same with every tensor changed; one that is given twice stays one."""
        known: dict[int, Tensor] = {}

        def new(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return known.setdefault(id(value), change(value))

        return Call(
            tuple(new(v) for v in self.positional), {k: new(v) for k, v in self.named.items()}
        )

    def tensors(self) -> list[Tensor]:
        return [v for v in (*self.positional, *self.named.values()) if isinstance(v, Tensor)]


class Adapted(nn.Module):
    """A module of any making as one that maps (x, structure) to rows.

    `x [*tokens, D]` holds the features, or in one channel what ids are made of, and behind them
    the channels of all arguments that stand alongside.
    """

    def __init__(self, module: nn.Module, roles: Roles, form: Form | None = None):
        super().__init__()
        self.module = module
        self.roles = roles
        self.form = form
        self.change: Callable[[Call], Call] | None = None

    def forward(self, x: Tensor, structure: Structure) -> Tensor:
        call = self.call(x, structure)
        call = call if self.change is None else self.change(call)
        return self.read(self.run(call, x), structure)

    def run(self, call: Call, x: Tensor) -> Any:
        """The module's own answer; with ids, gradients arrive at x through the embeddings."""
        if self.roles.tokens.vocabulary is None or not x.requires_grad:
            return self._answered(call)
        key = self.roles.tokens.key
        ids = call.positional[key] if isinstance(key, int) else call.named[key]
        slope = x[..., 0] - x[..., 0].detach()
        hooks = [
            m.register_forward_hook(_sloping(ids, slope))
            for m in self.module.modules()
            if isinstance(m, nn.Embedding)
        ]
        try:
            return self._answered(call)
        finally:
            for hook in hooks:
                hook.remove()

    def _answered(self, call: Call) -> Any:
        try:
            return self.module(*call.positional, **call.named)
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            raise RefusedError(f"{type(error).__name__}: {lines[0][:160]}") from error

    def read(self, answer: Any, structure: Structure) -> Tensor:
        """The answer as [*tokens, O] or [B, O]."""
        y = chosen(answer, self.roles.adapter.output)
        assert self.form is not None
        return self.form.rows(y, structure)

    def call(self, x: Tensor, structure: Structure) -> Call:
        """The arguments that carry these tokens: copies, as a module may write into them."""
        roles = self.roles
        self._check(structure)
        values: dict[Argument, Any] = {}
        start = roles.tokens.dim
        values[roles.tokens.key] = carried(roles.tokens, x[..., :start], roles, structure)
        for key in roles.ties:
            values[key] = values[roles.tokens.key]
        for other in roles.alongside:
            part = x[..., start : start + other.dim]
            values[other.key] = carried(other, part, roles, structure)
            start += other.dim
        if roles.mask is not None:
            values[roles.mask.key] = masked(roles.mask, structure, x.dtype)
        if roles.edges is not None:
            self._edges(values, structure, x.dtype)
        if roles.batch is not None:
            values[roles.batch] = _batch(roles, structure)
        if roles.count is not None:
            values[roles.count] = structure.batch
        if roles.memory is not None and structure.memory is not None:
            self._memory(values, structure.memory)
        for name, make in roles.adapter.computed.items():
            values[name] = make(structure.batch, structure.layout.max_length)
        return self._filled(values, x).mapped(torch.clone)

    def _check(self, structure: Structure) -> None:
        roles = self.roles
        layout = structure.layout
        if roles.packed != isinstance(layout, Packed):
            raise NotRepresentableError("another layout")
        if roles.single and structure.batch != 1:
            raise NotRepresentableError("one sample at a time")
        counted = (
            roles.united
            or roles.batch is None
            or roles.batch_kind == "ptr"
            or roles.count is not None
        )
        if not counted and structure.batch and int(structure.lengths[-1]) == 0:
            raise NotRepresentableError("a last sample without tokens, not counted anywhere")
        padded = not roles.packed and not bool(layout.valid.all())
        if padded and roles.mask is None:
            raise NotRepresentableError("padding without a mask")
        if padded and roles.mask is not None and roles.mask.kind == "lengths":
            valid = layout.valid.view(layout.shape)
            if not bool((valid[:, 1:] <= valid[:, :-1]).all()):
                raise NotRepresentableError("lengths tell nothing of holes")

    def _edges(self, values: dict[Argument, Any], structure: Structure, dtype: torch.dtype) -> None:
        roles, edges = self.roles, structure.edges
        assert roles.edges is not None
        if edges is None:
            raise NotRepresentableError("no edges")
        index = edges.index.long()
        if not roles.packed:
            index = _local(index, structure, roles.edges_form)
        if roles.edges_form != "index":
            like = roles.value(roles.edges)
            kind = dtype if like.is_floating_point() else like.dtype
            matrix = _matrix(index, structure, roles.edges_form)
            values[roles.edges] = (matrix.mT if roles.turned else matrix).to(kind)
            return
        values[roles.edges] = index
        if roles.edge_weight is not None:
            values[roles.edge_weight] = edges.weight
        if roles.edge_attr is not None and edges.attr is not None:
            attr = as_ids(edges.attr, roles.attr_ids) if roles.attr_ids else edges.attr
            values[roles.edge_attr] = attr[:, 0] if roles.attr_flat else attr

    def _memory(self, values: dict[Argument, Any], memory: Tokens) -> None:
        roles = self.roles
        assert roles.memory is not None
        values[roles.memory.key] = carried(roles.memory, memory.x, roles, memory.structure)
        for key in roles.memory_ties:
            values[key] = values[roles.memory.key]
        if roles.memory_mask is not None:
            mask = masked(roles.memory_mask, memory.structure, memory.x.dtype)
            values[roles.memory_mask.key] = mask
        elif not bool(memory.structure.layout.valid.all()):
            raise NotRepresentableError("padding of the memory without a mask")

    def _filled(self, values: dict[Argument, Any], x: Tensor) -> Call:
        """The example's arguments with these in their places, floating point ones in x's dtype."""

        def fit(value: Any) -> Any:
            floats = isinstance(value, Tensor) and value.is_floating_point()
            return value.to(x.dtype) if floats else value

        positional = tuple(values.get(i, fit(v)) for i, v in enumerate(self.roles.positional))
        named = {k: fit(v) for k, v in self.roles.named.items()}
        named.update({k: v for k, v in values.items() if isinstance(k, str)})
        named.update({k: fit(named[k]) for k in self.roles.adapter.computed})
        return Call(positional, named)


def carried(carrier: Carrier, x: Tensor, roles: Roles, structure: Structure) -> Tensor:
    """Rows `x [*tokens, d]` in the axes of the argument, as ids where it has ids."""
    if carrier.vocabulary is not None:
        ids = as_ids(x[..., 0], carrier.vocabulary)
        x = ids if "d" not in carrier.layout else ids[..., None]
    elif carrier.layout in ("bn", "nb", "n"):
        x = x[..., 0]
    layout = carrier.layout
    if layout in ("nd", "n"):
        return x.squeeze(0) if not roles.packed else x
    if layout in ("nbd", "nb"):
        return x.transpose(0, 1)
    if layout == "bdn":
        return x.transpose(1, 2)
    if layout == "bchw":
        grid = structure.grid or roles.grid
        if grid is None or len(grid) != 2 or grid[0] * grid[1] != x.shape[1]:
            raise NotRepresentableError("these tokens are no image")
        return x.transpose(1, 2).unflatten(2, grid)
    return x


def as_ids(x: Tensor, vocabulary: tuple[int, int]) -> Tensor:
    """Ids made of numbers: equal ones of equal numbers, the lowest one of 0."""
    low, high = vocabulary
    place = (x.detach().double().abs().nan_to_num() * SPREAD).floor()
    return low + place.to(torch.int64) % (high - low + 1)


def masked(mask: Mask, structure: Structure, dtype: torch.dtype) -> Tensor | None:
    """The mask of a structure, in the form that the argument has; None where it may be absent."""
    layout = structure.layout
    if getattr(layout, "dense", False) and mask.optional:
        return None
    valid = layout.valid.view(layout.shape)
    if mask.kind == "lengths":
        return valid.sum(1).to(mask.dtype or torch.int64)
    if mask.shape in ("bnn", "b1nn"):
        pairs = valid[:, None, :].expand(-1, valid.shape[1], -1)
        value = pairs if mask.shape == "bnn" else pairs[:, None]
    else:
        value = {
            "bn": lambda v: v, "nb": lambda v: v.T, "n": lambda v: v[0],
            "n1": lambda v: v[0, :, None], "bn1": lambda v: v[..., None],
            "b1n": lambda v: v[:, None], "b11n": lambda v: v[:, None, None],
        }[mask.shape](valid)  # fmt: skip
    if mask.kind == "additive":
        zero = torch.zeros(value.shape, dtype=dtype)
        return zero.masked_fill(~value, torch.finfo(dtype).min)
    value = ~value if mask.kind == "ignore" else value
    kind = mask.dtype or torch.bool
    return value.to(dtype if kind.is_floating_point else kind)


def _batch(roles: Roles, structure: Structure) -> Tensor:
    layout = structure.layout
    if roles.batch_kind == "ptr":
        return torch.cat([layout.lengths.new_zeros(1), layout.lengths.cumsum(0)])
    return layout.sample


def _local(index: Tensor, structure: Structure, form: str) -> Tensor:
    """Edges among the rows of one sample, for a module that has one list for all of them."""
    if form == "matrices" or structure.batch == 1:
        return index
    size = structure.layout.max_length
    parts = [index[:, index[0] // size == b] - b * size for b in range(structure.batch)]
    if any(not torch.equal(parts[0], p) for p in parts[1:]):
        raise NotRepresentableError("one list of edges for all samples")
    return parts[0]


def _matrix(index: Tensor, structure: Structure, form: str) -> Tensor:
    size = structure.layout.max_length if form == "matrices" else structure.layout.rows
    if form == "matrix":
        size = structure.layout.max_length
        found = torch.zeros(size, size)
        found[index[1], index[0]] = 1
        return found
    found = torch.zeros(structure.batch, size, size)
    found[index[1] // size, index[1] % size, index[0] % size] = 1
    return found


def _sloping(ids: Tensor, slope: Tensor) -> Callable[..., Tensor | None]:
    """A hook: what an embedding gives for the ids of tokens answers to `slope [*tokens]` too."""

    def hook(module: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor | None:
        here = given[0] if given else None
        if not isinstance(here, Tensor) or here.shape != ids.shape or not torch.equal(here, ids):
            return None
        turned = slope if slope.shape == ids.shape else slope.T.reshape(ids.shape)
        direction = torch.cos(torch.arange(out.shape[-1], dtype=out.dtype) + 0.3)
        return out + turned.to(out)[..., None] * direction

    return hook
