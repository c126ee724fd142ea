"""What a mixer is, and how the promises of several compose."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import value_error
from tokennet.laws import CLAIMABLE, Law, MemoryPermutation, closure
from tokennet.structure import Structure

FACTS = frozenset({"edges", "grid", "memory", "position"})


class Mixer(nn.Module, ABC):
    """A module `(x, structure) -> y` that maps tokens to tokens, and says what it promises.

    Write `forward` and set `claims`; `tn.verify` holds the mixer to them. Beyond its claims, every
    mixer owes the contract: samples don't see each other, padding does not matter, padded and packed
    tokens give the same rows, dtype and device stay, inputs are left alone.
    """

    claims: frozenset[Law] = frozenset()
    """The laws that hold whatever the weights are. Without a claim nothing is promised."""

    reads: frozenset[str] = frozenset()
    """The facts besides features that the output depends on: of edges, grid, memory, position."""

    max_tokens: int | None = None
    """The longest sample that the mixer can take; None: any."""

    pooled: bool = False
    """Whether the output has one row for each sample (a readout) and not for each token."""

    dim: int | None = None
    """Channels of the input; None: any."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        """The mixed tokens, `[*tokens, out_dim]`."""

    def check(self, x: Tensor, structure: Structure) -> None:
        """Raises where x, the structure and this mixer don't fit together: shapes only, no reading."""
        structure.check(x)
        if self.dim is not None and x.shape[-1] != self.dim:
            name = type(self).__name__
            raise value_error("x.shape[-1]", x.shape[-1], f"{self.dim}, the dim of {name}")
        longest = structure.layout.max_length
        if self.max_tokens is not None and longest > self.max_tokens:
            self._check_length(structure)
        structure.require(self.reads, type(self).__name__)

    def _check_length(self, structure: Structure) -> None:
        """Padding may be longer than `max_tokens`, samples may not."""
        longest = int(structure.lengths.max())
        if longest > (self.max_tokens or 0):
            raise value_error(
                "tokens in a sample", longest, f"at most max_tokens ({self.max_tokens}) of "
                f"{type(self).__name__}", "shorten the samples, or build it for more tokens",
            )  # fmt: skip


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
    return min((p.max_tokens for p in parts if p.max_tokens is not None), default=None)


def as_mixer(name: str, value: Any) -> Mixer:
    """`value`, if it is a mixer."""
    if not isinstance(value, Mixer):
        hint = "wrap a token-wise module in tn.Pointwise" if isinstance(value, nn.Module) else ""
        raise TypeError(
            f"{name} is {type(value).__name__}, expected a Mixer" + (f"; {hint}" if hint else "")
        )
    return value
