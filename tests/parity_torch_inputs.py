"""What torch's transformers and their imports are called with: padding on the right.

Axes: B samples, N tokens, M memory tokens, D channels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from parity import Audited
from torch import Tensor, nn

import tokennet as tn

DIM = 8
Padded = tuple[Tensor, Tensor]


class Given(NamedTuple):
    """Tokens and memory with their real rows; `packed`: ours is called without padding."""

    x: Tensor
    valid: Tensor
    memory: Tensor
    memory_valid: Tensor
    packed: Tensor

    def ours(self, *, memory: bool = False) -> tuple[Tensor, "tn.Structure"]:
        facts = tn.Tokens(*_laid(self.memory, self.memory_valid, self.packed)) if memory else None
        return _laid(self.x, self.valid, self.packed, facts)

    def swapped(self) -> "Given":
        """The memory as tokens."""
        return Given(self.memory, self.memory_valid, self.x, self.valid, self.packed)

    def rows(self, y: Tensor) -> Tensor:
        """The real rows of an output of ours."""
        return y if self.packed else y[self.valid]


def _laid(
    x: Tensor, valid: Tensor, packed: Tensor, memory: "tn.Tokens | None" = None
) -> tuple[Tensor, "tn.Structure"]:
    if packed:
        return x[valid], tn.Structure.packed(valid.sum(1).tolist(), memory=memory)
    return x, tn.Structure.padded(valid, memory=memory)


def padded(g: torch.Generator, batch: int, dim: int) -> Padded:
    lengths = torch.randint(1, 7, (batch,), generator=g)
    valid = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    return torch.randn(*valid.shape, dim, generator=g), valid


def inputs(seed: int, model: nn.Module) -> Given:
    g = torch.Generator().manual_seed(seed)
    batch = 2 + seed % 3
    source = getattr(model, "kdim", DIM)
    x = padded(g, batch, DIM)
    return Given(*x, *padded(g, batch, source), torch.tensor(bool(seed % 2)))


class _Plain(nn.Module):
    """Original or import, called alike: `run(module, *arguments)`."""

    def __init__(self, module: nn.Module, run: Callable[..., Tensor]):
        super().__init__()
        self.module, self.run = module, run


class _One(_Plain):
    """Tokens and which are real."""

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return self.run(self.module, x, valid)


class _Two(_Plain):
    """The same with memory."""

    def forward(self, x: Tensor, memory: Tensor, valid: Tensor, memory_valid: Tensor) -> Tensor:
        return self.run(self.module, x, memory, valid, memory_valid)


def _run_ours(net: Any, x: Tensor, valid: Tensor) -> Tensor:
    return net(x, tn.Structure.padded(valid.bool()))


def run_with_memory(
    net: Any, x: Tensor, memory: Tensor, valid: Tensor, memory_valid: Tensor
) -> Tensor:
    facts = tn.Tokens(memory, tn.Structure.padded(memory_valid.bool()))
    return net(x, tn.Structure.padded(valid.bool(), memory=facts))


def audit_one(theirs: nn.Module, ours: "tn.TokenNet", run: Callable[..., Tensor]) -> Audited:
    example = torch.randn(2, 5, DIM), torch.ones(2, 5, dtype=torch.bool)
    roles = {"tokens": "x", "mask": "valid", "mask_kind": "keep"}
    return Audited(_One(theirs, run), _One(ours, _run_ours), example, roles)


def audit_two(
    theirs: nn.Module, ours: "tn.TokenNet", run: Callable[..., Tensor],
    own: Callable[..., Tensor] = run_with_memory,
) -> Audited:  # fmt: skip
    source = getattr(theirs, "kdim", DIM)
    example = (
        torch.randn(2, 5, DIM), torch.randn(2, 4, source),
        torch.ones(2, 5, dtype=torch.bool), torch.ones(2, 4, dtype=torch.bool),
    )  # fmt: skip
    roles = {
        "tokens": "x", "mask": "valid", "mask_kind": "keep",
        "memory": "memory", "memory_mask": "memory_valid", "memory_mask_kind": "keep",
    }  # fmt: skip
    return Audited(_Two(theirs, run), _Two(ours, own), example, roles)
