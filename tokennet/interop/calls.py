"""Calls of a net with plain tensors, as files of other formats need them.

Axes: B samples, N tokens, E edges, D channels.
"""

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.structure import Edges, Padded, Structure

AXES = ("batch", "tokens", "edges")


class Call(nn.Module):
    """A net that takes its inputs and the facts of its structures as tensors, one after the other.

    `names`, `tensors` and `axes` (which of them may vary) lie in the order of the arguments.
    """

    def __init__(
        self, net: nn.Module, inputs: Any, structure: Structure | None, fixed: Collection[str]
    ):
        super().__init__()
        self.net = net
        self.fixed = tuple(fixed)
        self.names: list[str] = []
        self.tensors: list[Tensor] = []
        self.axes: list[dict[int, str]] = []
        self._inputs = self._take(inputs, "inputs")
        self._structure = self._take(structure, "")

    @staticmethod
    def of(
        net: nn.Module, inputs: Any, structure: Structure | None, fixed: Collection[str]
    ) -> "Call":
        call = Call(net, inputs, structure, fixed)
        for name, t, axes in zip(call.names, call.tensors, call.axes, strict=True):
            for axis, kind in axes.items():
                if kind != "edges" and t.shape[axis] < 2:
                    hint = (
                        "tracing fixes sizes below two; pass fixed= for an axis that never varies"
                    )
                    raise value_error(f"{kind} of {name}", t.shape[axis], "at least 2", hint)
        return call

    def forward(self, *given: Tensor) -> Tensor:
        rest = iter(given)
        inputs = _put(self._inputs, rest)
        return self.net(inputs, _put(self._structure, rest))

    def _take(self, value: Any, name: str) -> Any:
        """Notes the tensors of a value; what is left tells how to put them back."""
        if value is None:
            return None
        if isinstance(value, Tensor):
            self._note(value, name, _axes(value))
            return Tensor
        if isinstance(value, Structure):
            return self._facts(value, name)
        if isinstance(value, tuple | list):
            return tuple(self._take(v, f"{name}_{i}") for i, v in enumerate(value))
        raise type_error(
            name, kind_of(value), "tensors", "texts and molecules go through tokenizers"
        )

    def _facts(self, structure: Structure, name: str) -> Any:
        if not isinstance(structure.layout, Padded):
            hint = "pad the example: x, structure = tn.Tokens(x, structure).padded()"
            raise value_error("structure.layout", "packed", "padded [B, N]", hint)
        if structure.memory is not None:
            hint = "tn.EncodedMemory makes it of tensors"
            raise value_error("structure.memory", "there", "None", hint)
        prefix = f"{name}_" if name else ""
        self._note(structure.layout.valid, f"{prefix}mask", {0: "batch", 1: "tokens"})
        edges, facts = structure.edges, []
        if edges is not None:
            for fact, axis in (("index", 1), ("weight", 0), ("attr", 0)):
                t = getattr(edges, fact)
                if t is not None:
                    facts.append(fact)
                    self._note(t.contiguous(), f"{prefix}edge_{fact}", {axis: "edges"})
        return {"edges": facts, "grid": structure.grid}

    def _note(self, t: Tensor, name: str, axes: dict[int, str]) -> None:
        self.names.append(name)
        self.tensors.append(t)
        self.axes.append({axis: kind for axis, kind in axes.items() if kind not in self.fixed})


def _axes(t: Tensor) -> dict[int, str]:
    """What the axes of an input are: ids `[B, N]`, features `[B, N, D]`, else samples first."""
    has_tokens = t.ndim == 3 or (t.ndim == 2 and not t.is_floating_point())
    return {0: "batch", 1: "tokens"} if has_tokens else {0: "batch"}


def _put(kind: Any, rest: Iterator[Tensor]) -> Any:
    """The value again, with the next tensors in it."""
    if kind is None:
        return None
    if kind is Tensor:
        return next(rest)
    if isinstance(kind, tuple):
        return tuple(_put(k, rest) for k in kind)
    mask = next(rest)
    facts = {name: next(rest) for name in kind["edges"]}
    return Structure.padded(mask, edges=Edges(**facts) if facts else None, grid=kind["grid"])


def larger(inputs: Any, structure: Structure | None, grown: Collection[str]) -> tuple[Any, Any]:
    """Twice as many samples, and one more token, where these are among `grown`."""
    return _more(inputs, grown), _more(structure, grown)


def _more(value: Any, grown: Collection[str]) -> Any:
    if isinstance(value, Tensor):
        return _more_rows(value, grown, 1 in _axes(value))
    if isinstance(value, tuple | list):
        return tuple(_more(v, grown) for v in value)
    if value is None:
        return None
    valid = value.layout.valid
    after, edges = _more_rows(valid, grown, True), value.edges
    if edges is not None:
        size, wide = valid.shape[1], after.shape[1]
        index = edges.index.div(size, rounding_mode="floor") * wide + edges.index % size
        weight, attr = edges.weight, edges.attr
        if "batch" in grown:
            index = torch.cat([index, index + valid.shape[0] * wide], 1)
            weight, attr = (None if t is None else torch.cat([t, t]) for t in (weight, attr))
        edges = Edges(index, weight, attr)
    return Structure.padded(after, edges=edges, grid=value.grid)


def _more_rows(t: Tensor, grown: Collection[str], has_tokens: bool) -> Tensor:
    t = torch.cat([t, t]) if "batch" in grown else t
    return torch.cat([t, t[:, :1]], 1) if "tokens" in grown and has_tokens else t
