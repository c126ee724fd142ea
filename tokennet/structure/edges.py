"""Which tokens are joined: edges over the rows of the flat view, kept sorted by target.

Axes: E edges, T rows of the flat view, K channels of an edge.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tokennet.checks import type_error, value_error


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges `index [2, E]`, rows (source, target), with optional `weight [E]` and `attr [E, K]`.

    Entries address rows of `x.flatten(0, -2)`. A repeated edge counts as often as it stands there;
    self-loops are ordinary edges. Direction matters: list both for an undirected graph.
    """

    index: Int[Tensor, "2 E"]
    weight: Float[Tensor, " E"] | None = None
    attr: Float[Tensor, "E K"] | None = None

    def __post_init__(self) -> None:
        index = self.index
        if not isinstance(index, Tensor):
            raise type_error("edges.index", type(index).__name__, "an integer tensor [2, E]")
        if index.dtype not in (torch.int64, torch.int32):
            raise type_error("edges.index", index.dtype, "torch.int64 or torch.int32")
        if index.ndim != 2 or index.shape[0] != 2:
            raise value_error(
                "edges.index.shape", tuple(index.shape), "[2, E], rows (source, target)",
                "transpose it: index.T" if index.ndim == 2 and index.shape[1] == 2 else "",
            )  # fmt: skip
        for name, value, rank in (("weight", self.weight, 1), ("attr", self.attr, 2)):
            if value is None:
                continue
            if not isinstance(value, Tensor) or not value.is_floating_point():
                kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise type_error(f"edges.{name}", kind, "a tensor of floating point numbers")
            if value.ndim != rank or value.shape[0] != index.shape[1]:
                allowed = f"[{index.shape[1]}{', K' * (rank - 1)}], one for each edge"
                raise value_error(f"edges.{name}.shape", tuple(value.shape), allowed)
            if value.device != index.device:
                raise value_error(
                    f"edges.{name}.device", value.device, f"{index.device} as the index"
                )

    @property
    def num_edges(self) -> int:
        return self.index.shape[1]

    @property
    def requires_grad(self) -> bool:
        """Whether weights or features are being learned."""
        return any(t is not None and t.requires_grad for t in (self.weight, self.attr))

    def to(self, device: torch.device | str) -> "Edges":
        move = lambda t: None if t is None else t.to(device)  # noqa: E731
        return Edges(self.index.to(device), move(self.weight), move(self.attr))


class Compressed(NamedTuple):
    """Edges row by row: those of row t are `ptr[t]:ptr[t+1]`, and `index` names their other ends.

    `place` tells where in the sorted edges each of them stands; None: in the same order. Without
    `index` the entries of a row are the values themselves: segments.
    """

    ptr: Int[Tensor, " T_plus_1"]
    index: Int[Tensor, " E"] | None = None  # type: ignore[assignment] # not a tuple's method
    place: Int[Tensor, " E"] | None = None

    @property
    def num_rows(self) -> int:
        return self.ptr.shape[0] - 1


@dataclass(frozen=True, eq=False)
class SortedEdges:
    """Edges in the order (target, source), with what is computed from them once.

    `order [E]` gives the place of each sorted edge in the caller's list. `ptr [T+1]` is the CSR
    pointer: the edges into token t are `ptr[t]:ptr[t+1]`. `keep [E]`, where it is not None, is
    False at an edge that must be left out (a fixed number of edges keeps shapes static); such edges
    stand at the end, behind `ptr[-1]`, where no row reaches them.
    """

    source: Int[Tensor, " E"]
    target: Int[Tensor, " E"]
    ptr: Int[Tensor, " T_plus_1"]
    order: Int[Tensor, " E"]
    weight: Float[Tensor, " E"] | None = None
    attr: Float[Tensor, "E K"] | None = None
    keep: Bool[Tensor, " E"] | None = None
    memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(edges: Edges, num_rows: int, keep: Tensor | None = None) -> "SortedEdges":
        """Sorts once, stably by (target, source): the caller's order changes no result's bits."""
        source, target = edges.index.long()
        row = target if keep is None else target.where(keep, num_rows)
        order = torch.argsort(row * num_rows + source, stable=True)
        pick = lambda t: None if t is None else t.index_select(0, order)  # noqa: E731
        return SortedEdges(
            source.index_select(0, order),
            target.index_select(0, order),
            _pointer(row.index_select(0, order), num_rows),
            order,
            pick(edges.weight),
            pick(edges.attr),
            pick(keep),
        )

    @property
    def num_edges(self) -> int:
        return self.source.shape[0]

    @property
    def num_rows(self) -> int:
        return self.ptr.shape[0] - 1

    @property
    def requires_grad(self) -> bool:
        """Whether weights or features are being learned: then nothing made of them is kept."""
        return any(t is not None and t.requires_grad for t in (self.weight, self.attr))

    def restricted(self, keep: Bool[Tensor, " E"]) -> "SortedEdges":
        """The same, where of the edges that count only those with `keep` go on counting."""
        keep = keep if self.keep is None else keep & self.keep
        first = torch.argsort((~keep).to(torch.uint8), stable=True)
        before = torch.cat([keep.new_zeros(1, dtype=torch.int64), keep.cumsum(0)])
        pick = lambda t: None if t is None else t.index_select(0, first)  # noqa: E731
        return SortedEdges(
            self.source.index_select(0, first),
            self.target.index_select(0, first),
            before.index_select(0, self.ptr),
            self.order.index_select(0, first),
            pick(self.weight),
            pick(self.attr),
            keep.index_select(0, first),
        )

    def with_values(self, edges: Edges) -> "SortedEdges":
        """The same order with weights and features sorted anew: a backward pass uses them up."""
        pick = lambda t: None if t is None else t.index_select(0, self.order)  # noqa: E731
        return replace(self, weight=pick(edges.weight), attr=pick(edges.attr), memo={})

    @property
    def index(self) -> Int[Tensor, "2 E"]:
        """(source, target), in the sorted order."""
        return torch.stack([self.source, self.target])

    def unsort(self, values: Tensor) -> Tensor:
        """Values of sorted edges `[E, ...]`, in the caller's order."""
        return torch.empty_like(values).index_copy(0, self.order, values)

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """`make()`, computed once for these edges and kept.

        Not kept while compiling, nor where weights or features need gradients: used once.
        """
        if name in self.memo:
            return self.memo[name]
        if torch.compiler.is_compiling():
            return make()
        with torch.inference_mode(False):  # an inference tensor could not be used in training later
            value = make()
        if not self.requires_grad:
            self.memo[name] = value
        return value

    @property
    def by_source(self) -> tuple[Tensor, Tensor]:
        """CSC: (order [E] into the sorted edges, ptr [T+1]); `order[ptr[s]:ptr[s+1]]` leave s."""

        def make() -> tuple[Tensor, Tensor]:
            row = self.source if self.keep is None else self.source.where(self.keep, self.num_rows)
            order = torch.argsort(row, stable=True)
            return order, _pointer(row.index_select(0, order), self.num_rows)

        return self.remember("by_source", make)

    @property
    def rows(self) -> Compressed:
        """CSR, for kernels: the edges into each token."""
        make = lambda: Compressed(self.ptr, self.source.int())  # noqa: E731
        return self.remember("rows", make)

    @property
    def columns(self) -> Compressed:
        """CSC, for kernels: the edges out of each token."""

        def make() -> Compressed:
            order, ptr = self.by_source
            return Compressed(ptr, self.target.index_select(0, order).int(), order.int())

        return self.remember("columns", make)

    @property
    def with_self_loops(self) -> "SortedEdges":
        """The same, where each token without a self-loop gets one (weight 1, features 0)."""
        return self.remember("with_self_loops", self._add_self_loops)

    def _add_self_loops(self) -> "SortedEdges":
        rows = torch.arange(self.num_rows, device=self.source.device)
        loop = (self.source == self.target).to(torch.int64)
        has_loop = torch.zeros_like(rows).index_add(0, self.target, loop) > 0
        kept = torch.ones_like(loop, dtype=torch.bool) if self.keep is None else self.keep

        def fill(t: Tensor | None, value: float) -> Tensor | None:
            return (
                None if t is None else torch.cat([t, t.new_full((len(rows), *t.shape[1:]), value)])
            )

        index = torch.cat([self.index, rows.expand(2, -1)], dim=1)
        edges = Edges(index, fill(self.weight, 1), fill(self.attr, 0))
        return SortedEdges.of(edges, self.num_rows, torch.cat([kept, ~has_loop]))


def _pointer(row: Int[Tensor, " E"], num_rows: int) -> Int[Tensor, " T_plus_1"]:
    """Where each row begins among sorted row numbers."""
    return torch.searchsorted(row, torch.arange(num_rows + 1, device=row.device))
