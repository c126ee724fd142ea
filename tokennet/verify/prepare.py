"""A module made ready for checking: a copy with random weights, without dropout."""

import copy
import math

import torch
from torch import nn


def prepared(module: nn.Module, seed: int, dtype: torch.dtype) -> nn.Module:
    """A deep copy on the CPU in `dtype`, weights moved at random, dropout off.

    A zero-initialised output would pass every law: so every weight is moved, by about what its
    fan-in makes one. Weights that were equal because they are shared stay shared.
    """
    twin = copy.deepcopy(module).to("cpu")
    rng = torch.Generator().manual_seed(104_729 + seed)
    with torch.no_grad():
        for p in twin.parameters():
            if not p.is_floating_point():
                continue
            fan_in = math.prod(p.shape[1:]) if p.ndim > 1 else 4
            step = torch.randn(p.shape, generator=rng, dtype=torch.float64) / math.sqrt(
                max(fan_in, 1)
            )
            start = p.double() if p.ndim < 2 and _constant(p) else torch.zeros_like(p).double()
            p.copy_((start + step.to(p.device)).to(p.dtype))
    for part in twin.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
        elif isinstance(getattr(part, "dropout", None), float):
            part.dropout = 0.0  # type: ignore[assignment]
        part.requires_grad_(True)
    return twin.to(dtype)


def _constant(p: torch.Tensor) -> bool:
    """Whether all entries are equal: the ones of a norm are kept, random biases drawn anew."""
    return not p.numel() or bool((p == p.flatten()[0]).all())
