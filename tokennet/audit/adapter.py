"""How a module of any making is called: which argument carries what, and where the answer is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tokennet.checks import type_error, value_error

Argument = str | int
Layout = Literal["bnd", "nbd", "bdn", "bn", "nb", "nd", "n", "bchw"]
MaskKind = Literal["keep", "ignore", "additive", "lengths"]
Reader = Callable[[Any], Any]

LAYOUTS = ("bnd", "nbd", "bdn", "bn", "nb", "nd", "n", "bchw")
MASK_KINDS = ("keep", "ignore", "additive", "lengths")
BATCH_KINDS = ("vector", "ptr")


@dataclass(frozen=True)
class Adapter:
    """What an audit must know of a module's arguments; what is None is told from the example.

    Arguments are named as in `forward`, or by position. Axes: b samples, n tokens, d channels.

    Args:
        tokens: the argument with features or integer ids.
        layout: its axes: "bnd", "nbd" (tokens first), "bdn" (channels before tokens), "bn" and "nb"
            (ids), "nd" and "n" (all samples in one list, or a single sample), "bchw" (an image,
            each pixel a token).
        vocabulary: (lowest, highest) id, both allowed.
        mask: which tokens are real.
        mask_kind: "keep" (True or 1 = real), "ignore" (True or 1 = padding), "additive" (0 and the
            lowest number), "lengths" (a number for each sample).
        edges: `edge_index` [2, E] (source, target), or an adjacency [n, n] or [b, n, n] with
            [target, source].
        edge_weight, edge_attr: numbers of each edge, [E] and [E, K].
        batch: the sample of each token ("vector"), or where samples begin ("ptr").
        batch_kind: "vector" or "ptr".
        count: the argument that is given the number of samples (`batch_size`, `dim_size`).
        memory, memory_mask: a second set of tokens (an encoder's output), and which are real;
            the mask is of `memory_mask_kind`.
        codes: eigenvector codes of the tokens, of which signs and bases are free.
        alongside: other arguments with a row for each token; they are moved along with it.
        grid: the shape of the grid in which the tokens lie.
        output: the field, the place, or a function that takes the answer out of what `forward`
            gives; None: `last_hidden_state`, `logits`, or the first tensor.
        cache: a method `step(tokens, state) -> (output, state)` for the next tokens, first with
            state None; its name, or a function of (module, tokens, state).
        fixed: other arguments, given in every call.
        computed: arguments made from (number of samples, number of tokens): a causal mask.
    """

    tokens: Argument | None = None
    layout: Layout | None = None
    vocabulary: tuple[int, int] | None = None
    mask: Argument | None = None
    mask_kind: MaskKind | None = None
    edges: Argument | None = None
    edge_weight: Argument | None = None
    edge_attr: Argument | None = None
    batch: Argument | None = None
    batch_kind: Literal["vector", "ptr"] | None = None
    count: Argument | None = None
    memory: Argument | None = None
    memory_mask: Argument | None = None
    memory_mask_kind: MaskKind | None = None
    codes: Argument | None = None
    alongside: tuple[Argument, ...] = ()
    grid: tuple[int, ...] | None = None
    output: Argument | Reader | None = None
    cache: str | Callable[..., Any] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    computed: Mapping[str, Callable[[int, int], Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in (
            ("layout", LAYOUTS),
            ("mask_kind", MASK_KINDS),
            ("memory_mask_kind", MASK_KINDS),
            ("batch_kind", BATCH_KINDS),
        ):
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise value_error(name, repr(value), f"one of {', '.join(allowed)}")
        for name in ("tokens", "mask", "edges", "batch", "memory", "memory_mask", "codes"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
                hint = "pass the tensors in `example`"
                raise type_error(name, type(value).__name__, "an argument's name or place", hint)
        if self.vocabulary is not None and not self.vocabulary[0] <= self.vocabulary[1]:
            raise value_error("vocabulary", self.vocabulary, "(lowest, highest)")


@dataclass(frozen=True)
class Preset:
    """How a known kind of module is called, and what its documentation promises.

    Args:
        example: arguments of one call, a tuple or a mapping.
        adapter: which argument is which.
        promises: names of properties, as `audit` takes them.
        domain: settings for `Domain`, by name (`{"num_tokens": (1, 32)}`).
        source: the kind of module, in words: "torch TransformerEncoder, eval mode".
    """

    example: tuple[Any, ...] | Mapping[str, Any]
    adapter: Adapter
    promises: tuple[str, ...]
    domain: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
