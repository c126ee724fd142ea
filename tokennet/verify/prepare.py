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
    twin = without_dropout(copy.deepcopy(module).to("cpu"))
    redraw(twin, seed)
    return twin.to(dtype)


def redraw(module: nn.Module, seed: int, *, only_constant: bool = False) -> None:
    """Draws weights anew, in place; `only_constant`: those that are all the same number."""
    rng = torch.Generator().manual_seed(104_729 + seed)
    with torch.no_grad():
        for p in module.parameters():
            if not p.is_floating_point():
                continue
            fan_in = math.prod(p.shape[1:]) if p.ndim > 1 else 4
            step = torch.randn(p.shape, generator=rng, dtype=torch.float64) / math.sqrt(
                max(fan_in, 1)
            )
            constant = _constant(p)
            if only_constant and not constant:
                continue
            start = p.double() if p.ndim < 2 and constant else torch.zeros_like(p).double()
            p.copy_((start + step.to(p.device)).to(p.dtype))


def without_dropout(module: nn.Module) -> nn.Module:
    """The module with every probability of dropout set to zero, in place, and weights learning."""
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
        for holder in (part, getattr(part, "config", None)):
            for name, value in list(getattr(holder, "__dict__", {}).items()):
                if "drop" in name and isinstance(value, float) and 0 <= value < 1:
                    setattr(holder, name, 0.0)
        part.requires_grad_(True)
    return module


def _constant(p: torch.Tensor) -> bool:
    """Whether all entries are equal: the ones of a norm are kept, random biases drawn anew."""
    return not p.numel() or bool((p == p.flatten()[0]).all())
