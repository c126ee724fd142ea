"""What is known about a batch of tokens: layout, edges, grid, memory. Facts, no rules.

Axes: B samples, N tokens of the longest sample, T rows of the flat view, D channels,
M memory tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tokennet.checks import type_error, value_error
from tokennet.structure.door import check_edges, check_memory, checked_grid
from tokennet.structure.edges import Edges, SortedEdges
from tokennet.structure.layout import Layout, Packed, Padded


@dataclass(frozen=True, eq=False)
class Structure:
    """The facts about a batch; `Structure.dense`, `.padded`, `.packed`, `.from_pyg` build it.

    Args:
        layout: `Padded` or `Packed`.
        edges: pairs of tokens, over rows of `x.flatten(0, -2)`; none may join two samples.
        grid: `(H, W)` or `(N,)`: every sample holds the cells of this grid, row by row.
        memory: the tokens that cross-mixing reads, as many samples as this structure has.

    Raises:
        ValueError, TypeError: the argument's name, its value and what is allowed.
    """

    layout: Layout
    edges: Edges | None = None
    grid: tuple[int, ...] | None = None
    memory: "Tokens | None" = None
    _sorted: list[SortedEdges] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.layout, (Padded, Packed)):
            raise type_error("layout", type(self.layout).__name__, "Padded or Packed")
        if isinstance(self.edges, Tensor):
            object.__setattr__(self, "edges", Edges(self.edges))
        if self.edges is not None:
            check_edges(self.edges, self.layout, known=bool(self._sorted))
            if not self._sorted:
                self._sorted.append(SortedEdges.of(self.edges, self.layout.rows))
        if self.grid is not None:
            object.__setattr__(self, "grid", checked_grid(self.grid, self.layout))
        if isinstance(self.memory, Tensor) and self.memory.ndim == 3:
            object.__setattr__(self, "memory", Tokens.dense(self.memory))
        if self.memory is not None:
            if not isinstance(self.memory, Tokens):
                kind = type(self.memory)
                shape = tuple(self.memory.shape) if issubclass(kind, Tensor) else kind.__name__
                raise type_error("memory", shape, "Tokens or a tensor [B, M, D]")
            check_memory(self.memory, self.layout)

    # -- constructors -----------------------------------------------------------------------------

    @staticmethod
    def dense(
        batch: int, num_tokens: int, *, device: torch.device | str | None = None, **facts: Any
    ) -> "Structure":
        """`batch` samples of `num_tokens` tokens each, x `[batch, num_tokens, D]`."""
        for name, value in (("batch", batch), ("num_tokens", num_tokens)):
            if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
                raise type_error(name, repr(value), "a whole number")
            if value < 0:
                raise value_error(name, value, "a whole number, at least 0")
        return Structure(Padded.dense_batch(batch, num_tokens, device=device), **facts)

    @staticmethod
    def padded(valid: Bool[Tensor, "B N"], **facts: Any) -> "Structure":
        """x `[B, N, D]` where `valid` is True at a real token (Hugging Face: `mask.bool()`)."""
        return Structure(Padded(valid), **facts)

    @staticmethod
    def packed(
        lengths: Tensor | list[int] | tuple[int, ...],
        *,
        device: torch.device | str | None = None,
        **facts: Any,
    ) -> "Structure":
        """x `[sum(lengths), D]`, the samples one after the other."""
        return Structure(Packed.of(lengths, device=device), **facts)

    @staticmethod
    def from_pyg(data: Any) -> "Structure":
        """The structure of a PyG `Data` or `Batch` with sorted `batch`; see `Tokens.from_pyg`."""
        tokens = Tokens.from_pyg(data)
        if tokens.order is not None:
            raise value_error(
                "data.batch", "unsorted", "a sorted vector",
                "use Tokens.from_pyg(data), which sorts the rows and can restore their order",
            )  # fmt: skip
        return tokens.structure

    @staticmethod
    def from_networkx(graph: Any) -> "Structure":
        """The structure of one networkx graph or of a list of them; see `Tokens.from_networkx`."""
        from tokennet.structure.convert import structure_from_networkx

        return structure_from_networkx(graph)

    # -- facts ------------------------------------------------------------------------------------

    @property
    def batch(self) -> int:
        """Number of samples."""
        return self.layout.batch

    @property
    def device(self) -> torch.device:
        return self.layout.device

    @property
    def lengths(self) -> Int[Tensor, " B"]:
        """Real tokens of each sample."""
        return self.layout.lengths

    @property
    def sorted_edges(self) -> SortedEdges:
        """The edges in CSR order, sorted once when the structure was made."""
        if not self._sorted:
            raise value_error(
                "structure.edges", None, "edges", "pass edges=Edges(index), or use another topology"
            )
        kept = self._sorted[0]
        if self.edges is not None and self.edges.requires_grad:
            return kept.with_values(self.edges)
        return kept

    def with_facts(self, **facts: Any) -> "Structure":
        """The same structure with other `edges`, `grid` or `memory`."""
        if "edges" not in facts:
            facts["_sorted"] = self._sorted
        return replace(self, **{"_sorted": [], **facts})

    def to(self, device: torch.device | str) -> "Structure":
        """The structure on another device."""
        return Structure(
            self.layout.to(device),
            None if self.edges is None else self.edges.to(device),
            self.grid,
            None if self.memory is None else self.memory.to(device),
        )

    def require(self, facts: frozenset[str] | set[str], reader: str) -> None:
        """Raises where one of the facts that `reader` reads is missing."""
        for name in ("edges", "grid", "memory"):
            if name in facts and getattr(self, name) is None:
                raise value_error(
                    f"structure.{name}", None, f"{name}, which {reader} reads",
                    f"build the structure with {name}=...",
                )  # fmt: skip

    def check(self, x: Tensor, name: str = "x") -> None:
        """Raises where x does not lie as this structure's layout says, or on another device."""
        shape = self.layout.shape
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise type_error(name, kind, "a tensor of floating point numbers")
        if x.ndim != len(shape) + 1 or tuple(x.shape[:-1]) != shape:
            letters = "[B, N, D]" if len(shape) == 2 else "[T, D]"
            lead = ", ".join(str(n) for n in shape)
            raise value_error(
                f"{name}.shape", tuple(x.shape), f"[{lead}, D]", f"the structure is for {letters}"
            )
        if x.device != self.device:
            raise value_error(f"{name}.device", x.device, f"the structure's ({self.device})")


@dataclass(frozen=True, eq=False)
class Tokens:
    """Features together with their structure: `x, structure = tokens`.

    `order [T]`, where rows had to be sorted, tells which row of the source each row of x was.
    """

    x: Float[Tensor, "*tokens D"]
    structure: Structure
    order: Int[Tensor, " T"] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.structure, Structure):
            kind = type(self.structure).__name__
            raise type_error("structure", kind, "a Structure", "e.g. Structure.padded(mask.bool())")
        self.structure.check(self.x)

    def __iter__(self) -> Iterator[Any]:
        yield self.x
        yield self.structure

    @staticmethod
    def dense(x: Float[Tensor, "B N D"], **facts: Any) -> "Tokens":
        """Tokens of a tensor without padding."""
        if not isinstance(x, Tensor) or x.ndim != 3:
            shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise value_error("x", shape, "a tensor [B, N, D]")
        return Tokens(x, Structure.dense(x.shape[0], x.shape[1], device=x.device, **facts))

    @staticmethod
    def from_list(samples: list[Float[Tensor, "_ D"]], **facts: Any) -> "Tokens":
        """Packed tokens of a list of samples `[n_b, D]`, of different lengths."""
        from tokennet.structure.convert import tokens_from_list

        return tokens_from_list(samples, **facts)

    @staticmethod
    def from_pyg(data: Any) -> "Tokens":
        """Packed tokens of a PyG `Data` or `Batch`, or of anything with its attributes.

        Reads `x`, `edge_index`, `edge_weight`, `edge_attr`, `batch`, `ptr`. An unsorted `batch` is
        sorted (stably); `tokens.restore(y)` puts rows back into the order of `data`.
        """
        from tokennet.structure.convert import tokens_from_pyg

        return tokens_from_pyg(data)

    @staticmethod
    def from_networkx(graph: Any, *, features: list[str], weight: str | None = None) -> "Tokens":
        """Packed tokens of a networkx graph, or a list of graphs, in the order of `graph.nodes`.

        `features` names the node attributes that become channels, `weight` an edge attribute.
        """
        from tokennet.structure.convert import tokens_from_networkx

        return tokens_from_networkx(graph, features=features, weight=weight)

    def restore(self, y: Tensor) -> Tensor:
        """Rows of a result `[T, ...]`, in the order of the source they were read from."""
        return y if self.order is None else torch.empty_like(y).index_copy(0, self.order, y)

    def to(self, device: torch.device | str) -> "Tokens":
        order = None if self.order is None else self.order.to(device)
        return Tokens(self.x.to(device), self.structure.to(device), order)

    def packed(self) -> "Tokens":
        """The same tokens one after the other, padding dropped."""
        from tokennet.structure.transform import to_packed

        return to_packed(self)

    def padded(self) -> "Tokens":
        """The same tokens padded at the end to the longest sample."""
        from tokennet.structure.transform import to_padded

        return to_padded(self)

    def to_list(self) -> list[Float[Tensor, "_ D"]]:
        """One tensor `[n_b, D]` for each sample."""
        packed = self.packed()
        return list(packed.x.split(packed.structure.lengths.tolist()))

    def to_pyg(self) -> Any:
        """A PyG `Batch`, one `Data` a sample, with `edge_weight` and `edge_attr` if any."""
        from tokennet.structure.export import tokens_to_pyg

        return tokens_to_pyg(self)

    def to_networkx(self) -> list[Any]:
        """One `networkx.MultiDiGraph` for each sample: features as the node attribute `x`, edges
        with `weight` and `attr` where there are any."""
        from tokennet.structure.export import tokens_to_networkx

        return tokens_to_networkx(self)

    @cached_property
    def num_tokens(self) -> int:
        """Real tokens in all samples."""
        return int(self.structure.lengths.sum())
