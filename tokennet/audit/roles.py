"""An adapter made complete: what each argument of an example carries, told from names and shapes.

Axes: B samples, N tokens, T tokens of all samples, D channels, E edges.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Adapter, Argument
from tokennet.checks import type_error, value_error

TOKENS = (
    "x", "input_ids", "decoder_input_ids", "inputs_embeds", "src", "tgt", "query", "tokens", "ids",
    "hidden_states", "input", "inputs", "h", "features", "pixel_values", "images", "image", "seq",
)  # fmt: skip
MASKS = (
    "mask", "attention_mask", "padding_mask", "key_padding_mask", "src_key_padding_mask",
    "tgt_key_padding_mask", "pad_mask", "valid", "x_mask", "token_mask", "node_mask", "lengths",
)  # fmt: skip
EDGES = ("edge_index", "edges", "adj", "adjacency", "adj_t")
BATCHES = ("batch", "batch_index", "index", "ptr")
MEMORIES = ("memory", "encoder_hidden_states", "context")
CODES = ("eigenvectors", "eigvecs", "pe", "lap_pe", "laplacian_pe")
COUNTS = ("batch_size", "dim_size", "num_graphs")


@dataclass(frozen=True)
class Carrier:
    """An argument with a row for each token: its axes, its channels, its ids if it has any."""

    key: Argument
    layout: str
    dim: int
    vocabulary: tuple[int, int] | None = None


@dataclass(frozen=True)
class Mask:
    """An argument that says which tokens are real: its kind, number type and shape."""

    key: Argument
    kind: str
    dtype: torch.dtype | None
    shape: str
    optional: bool
    name: str = ""


@dataclass(frozen=True, eq=False)
class Roles:
    """Who is who in a call. `positional` and `named` are the arguments of the example.

    `edges_form`: "index", a "matrix" or "matrices"; `turned`: with [source, target] in it.
    `directed`: whether outputs hear along edges and not against them. `united`: several samples may
    stand in one graph that is not told which is which.
    """

    positional: tuple[Any, ...]
    named: dict[str, Any]
    tokens: Carrier
    ties: tuple[Argument, ...] = ()
    mask: Mask | None = None
    edges: Argument | None = None
    edges_form: str = "index"
    directed: bool = True
    turned: bool = False
    edge_weight: Argument | None = None
    edge_attr: Argument | None = None
    edge_dim: int | None = None
    attr_flat: bool = False
    attr_ids: tuple[int, int] | None = None
    batch: Argument | None = None
    batch_kind: str = "vector"
    count: Argument | None = None
    memory: Carrier | None = None
    memory_ties: tuple[Argument, ...] = ()
    memory_mask: Mask | None = None
    alongside: tuple[Carrier, ...] = ()
    codes: tuple[int, int] | None = None
    grid: tuple[int, ...] | None = None
    adapter: Adapter = field(default_factory=Adapter)
    united: bool = False

    @property
    def width(self) -> int:
        """Channels of the tokens, with those of the arguments alongside."""
        return self.tokens.dim + sum(c.dim for c in self.alongside)

    @property
    def packed(self) -> bool:
        """Whether tokens of all samples stand in one list."""
        return self.tokens.layout in ("nd", "n") and self.mask is None

    @property
    def single(self) -> bool:
        """Whether a call has one sample only."""
        return self.tokens.layout in ("nd", "n") and self.batch is None and not self.united

    def size(self) -> tuple[int, int]:
        """(samples, tokens) of the example; of a list of all samples, the longest."""
        t, layout = self.value(self.tokens.key), self.tokens.layout
        if layout in ("nd", "n"):
            if self.batch is None:
                return 1, t.shape[0]
            counts = _lengths(self.value(self.batch), self.batch_kind)
            return len(counts), max(counts, default=0)
        if layout == "bchw":
            return t.shape[0], t.shape[2] * t.shape[3]
        axes = (layout.index("b"), layout.index("n"))
        return t.shape[axes[0]], t.shape[axes[1]]

    def value(self, key: Argument) -> Any:
        return self.positional[key] if isinstance(key, int) else self.named.get(key)


def _lengths(batch: Tensor, kind: str) -> list[int]:
    counts = batch.diff() if kind == "ptr" else torch.bincount(batch)
    return counts.tolist()


def split_example(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of an example."""
    if isinstance(example, Tensor):
        return (example,), {}
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, (tuple, list)):
        pair = len(example) == 2 and isinstance(example[0], (tuple, list))
        if pair and isinstance(example[1], Mapping):
            return tuple(example[0]), dict(example[1])
        return tuple(example), {}
    hint = "a tensor, a tuple of arguments, or a mapping from names to arguments"
    raise type_error("example", type(example).__name__, "the arguments of one call", hint)


class Arguments:
    """The arguments of an example, found by name or by position."""

    def __init__(self, module: nn.Module, example: Any, fixed: Mapping[str, Any]):
        self.positional, named = split_example(example)
        self.named = {**named, **fixed}
        try:
            parameters = inspect.signature(module.forward).parameters
        except (TypeError, ValueError):  # forward of C code
            parameters = inspect.signature(lambda *args, **kwargs: None).parameters
        ordinary = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self.names = [n for n, p in parameters.items() if p.kind in ordinary]
        self.known = [n for n, p in parameters.items() if p.kind not in (2, 4)]
        self.open = any(p.kind == inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        self.defaults = {n: p.default for n, p in parameters.items()}

    def key(self, role: str, name: Argument) -> Argument:
        """Where an argument stands in the call."""
        if isinstance(name, int):
            if not 0 <= name < len(self.positional):
                if 0 <= name < len(self.names):
                    return self.names[name]
                allowed = f"a place among the {len(self.positional)} arguments of the example"
                raise value_error(role, name, allowed)
            return name
        if name in self.named:
            return name
        if name in self.names and self.names.index(name) < len(self.positional):
            return self.names.index(name)
        if name in self.known or self.open:
            return name
        near = get_close_matches(name, self.known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        allowed = f"an argument of forward: {', '.join(self.known)}"
        raise value_error(role, repr(name), allowed, hint)

    def value(self, key: Argument | None) -> Any:
        if key is None:
            return None
        return self.positional[key] if isinstance(key, int) else self.named.get(key)

    def name(self, key: Argument) -> str:
        if isinstance(key, int):
            return self.names[key] if key < len(self.names) else str(key)
        return key

    def tensors(self) -> dict[Argument, Tensor]:
        """All arguments that are tensors, by place or name."""
        every: list[tuple[Argument, Any]] = [*enumerate(self.positional), *self.named.items()]
        return {k: v for k, v in every if isinstance(v, Tensor)}

    def guess(self, names: tuple[str, ...], taken: set[Argument]) -> Argument | None:
        """The first of some names under which the example has a tensor."""
        found = {self.name(k): k for k in self.tensors() if k not in taken}
        return next((found[n] for n in names if n in found), None)

    def optional(self, key: Argument) -> bool:
        """Whether an argument may be None."""
        return self.defaults.get(self.name(key), 0) is None
