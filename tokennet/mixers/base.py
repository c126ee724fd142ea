"""What a mixer is, and how the promises of several compose."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.laws import CLAIMABLE, Causality, Law, MemoryPermutation, closure
from tokennet.structure import Structure

FACTS = frozenset({"edges", "grid", "memory", "position"})


class Mixer(nn.Module, ABC):
    """A module `(x, structure) -> y` from tokens to tokens, that says what it promises.

    Write `forward` and set `claims`; `tn.verify` holds the mixer to them. Beyond its claims, every
    mixer owes the contract: samples don't see each other, padding does not matter, padded and
    packed tokens give the same rows, dtype and device stay, inputs are left alone.
    """

    claims: frozenset[Law] = frozenset()
    """The laws that hold whatever the weights are. Without a claim nothing is promised."""

    reads: frozenset[str] = frozenset()
    """The facts besides features that the output depends on: of edges, grid, memory, position."""

    max_tokens: int | None = None
    """The longest sample that the mixer can take; None: any."""

    pooled: bool = False
    """Whether the output has one row for each sample (a readout) and not for each token."""

    couples_samples: bool = False
    """Whether in train mode the samples of a batch see each other, as through batch statistics."""

    dim: int | None = None
    """Channels of the input; None: any."""

    out_dim: int | None = None
    """Channels of the output; None: as many as come in, unless `width` says otherwise."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        """The mixed tokens, `[*tokens, out_dim]`."""

    def width(self, dim: int | None) -> int | None:
        """Channels of the output for `dim` channels of input; None where that is not known."""
        return dim if self.out_dim is None else self.out_dim

    def start(self, structure: Structure) -> Any:
        """The state before the first token, for `step`; the structure tells batch and memory.

        All tensors in it have the batch as first axis, so that samples can be chosen and repeated.
        """
        self.check_steps(structure)
        return Prefix(structure)

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        """The next token of every sample: what `forward` gives there, and the state after it.

        Any causal mixer has it. Without a method of its own it runs over all tokens so far each
        time, which is exact, and slow.
        """
        if not isinstance(state, Prefix):
            hint = "state = mixer.start(structure)"
            raise type_error("state", kind_of(state), "what start(structure) gave", hint)
        state = state.extended(x)
        return self(state.x, state.structure)[:, -1], state

    def check_steps(self, structure: Structure) -> None:
        """Raises where this mixer can't go token by token."""
        name = type(self).__name__
        if not isinstance(structure, Structure):
            raise type_error("structure", kind_of(structure), "a Structure")
        if Causality() not in closure(self.claims) or self.pooled:
            raise value_error(
                f"claims of {name}", sorted(law.name for law in self.claims), "Causality",
                "an output that depends on later tokens can't be had step by step",
            )  # fmt: skip
        if self.reads - {"position", "memory"}:
            raise value_error(
                f"reads of {name}", sorted(self.reads), "position and memory at most",
                "the next token has no edges or grid yet",
            )  # fmt: skip
        structure.require(self.reads, name)

    def check(self, x: Tensor, structure: Structure) -> None:
        """Raises where x, the structure and this mixer don't fit together; no values are read."""
        if not isinstance(structure, Structure):
            kind, hint = type(structure).__name__, "e.g. Structure.padded(mask.bool())"
            raise type_error("structure", kind, "a Structure", hint)
        structure.check(x)
        if self.dim is not None and x.shape[-1] != self.dim:
            name = type(self).__name__
            raise value_error("x.shape[-1]", x.shape[-1], f"{self.dim}, the dim of {name}")
        longest = structure.layout.max_length
        if self.max_tokens is not None and longest > self.max_tokens:
            self._check_length(structure)
        structure.require(self.reads, type(self).__name__)
        if not torch.compiler.is_compiling():
            check_place("x", x, self)

    def _check_length(self, structure: Structure) -> None:
        """Padding may be longer than `max_tokens`, samples may not."""
        longest = int(structure.lengths.max())
        if longest > (self.max_tokens or 0):
            raise value_error(
                "tokens in a sample", longest, f"at most max_tokens ({self.max_tokens}) of "
                f"{type(self).__name__}", "shorten the samples, or build it for more tokens",
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prefix:
    """The tokens so far, `[B, t, D]`, of a mixer that goes step by step; `structure` fits them."""

    structure: Structure
    x: Tensor | None = None

    def extended(self, x: Float[Tensor, "B D"]) -> "Prefix":
        """With one more token for each sample."""
        batch = self.structure.batch
        if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[0] != batch:
            shape = tuple(x.shape) if isinstance(x, Tensor) else kind_of(x)
            raise value_error("x", shape, f"one token for each sample, [{batch}, D]")
        whole = x[:, None] if self.x is None else torch.cat([self.x, x[:, None]], 1)
        memory = self.structure.memory
        structure = Structure.dense(batch, whole.shape[1], device=x.device, memory=memory)
        return Prefix(structure, whole)


def check_place(name: str, x: Tensor, module: nn.Module) -> None:
    """Raises where x is of another dtype than the module's parameters, or on another device."""
    p = next(module.parameters(), None)
    if p is None or not p.is_floating_point():
        return
    owner = f"the parameters of {type(module).__name__}"
    if x.device != p.device:
        raise value_error(f"{name}.device", x.device, f"{p.device} as {owner}")
    if x.dtype != p.dtype and not torch.is_autocast_enabled(x.device.type):
        hint = f"use {name}.to({p.dtype}) or .to({x.dtype}) of the module"
        raise type_error(f"{name}.dtype", x.dtype, f"{p.dtype} as {owner}", hint)


def check_chain(parts: Iterable[tuple[str, Mixer]], dim: int | None) -> None:
    """Raises where a mixer gets other channels than it takes."""
    for name, mixer in parts:
        if mixer.dim is not None and dim is not None and mixer.dim != dim:
            raise value_error(f"{name}.dim", mixer.dim, f"{dim}, the channels that reach it")
        dim = mixer.width(dim)


def add(x: Tensor, y: Tensor, name: str) -> Tensor:
    """x + y, of equal shapes: one channel would spread over all without a word."""
    if x.shape != y.shape:
        raise value_error(
            f"output of {name}", list(y.shape), f"{list(x.shape)}, which it is added to"
        )
    return x + y


def compose_claims(parts: Iterable[Mixer]) -> frozenset[Law]:
    """What a composition keeps: the intersection of its parts' claims.

    `MemoryPermutation` is neutral for a part that reads no memory, and no claim where none does.
    """
    parts = list(parts)
    readers = any("memory" in p.reads for p in parts)
    neutral = {MemoryPermutation()} if readers else set()
    kept = frozenset(CLAIMABLE)
    for part in parts:
        kept &= closure(part.claims) | (frozenset() if "memory" in part.reads else neutral)
    return kept


def compose_reads(parts: Iterable[Mixer]) -> frozenset[str]:
    """All that any part reads."""
    return frozenset().union(*(p.reads for p in parts))


def compose_max_tokens(parts: Iterable[Mixer]) -> int | None:
    """The smallest domain of the parts."""
    known = [p.max_tokens for p in parts if p.max_tokens is not None]
    return min(known) if known else None  # compiled code knows no `default`


def compose_couples(parts: Iterable[Mixer]) -> bool:
    """Whether any part lets the samples of a batch see each other."""
    return any(p.couples_samples for p in parts)


def as_mixer(name: str, value: Any) -> Mixer:
    """`value`, if it is a mixer."""
    if not isinstance(value, Mixer):
        hint = "wrap a token-wise module in tn.TokenWise" if isinstance(value, nn.Module) else ""
        raise type_error(name, kind_of(value), "a Mixer", hint)
    return value
