"""How large rounding makes a difference: measured, by rounding differently.

Monte-Carlo arithmetic (Parker 1997): every floating point result gets other last bits. The
disturbance follows the conditioning of what is computed; equal values stay equal, so ties are not
broken.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

_BITS = {8: (torch.int64, 37), 4: (torch.int32, 17), 2: (torch.int16, 7)}
_ODD = {torch.int64: 0x1E3779B97F4A7C15, torch.int32: 0x1E3779B1, torch.int16: 0x1E37}


class Rounding(TorchDispatchMode):
    """Inside, each operation rounds a little differently; `k` chooses how.

    `by_place`: equal values at different places are rounded differently too.
    """

    def __init__(self, k: float, *, by_place: bool = False):
        super().__init__()
        self.k, self.by_place = k, by_place

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch loads its compiler, 3 seconds, and asks it about each operation

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.is_view or func._schema.is_mutable:
            return out
        if isinstance(out, Tensor):
            return disturbed(out, self.k, by_place=self.by_place)
        return tree_map_only(Tensor, lambda t: disturbed(t, self.k, by_place=self.by_place), out)


def disturbed(t: Tensor, k: float, *, by_place: bool = False) -> Tensor:
    """t, each value with its last two bits replaced by a hash of the others, and of its place.

    Doing it twice changes nothing and no order is turned round: what is only copied, sorted or
    compared (topk, gather, a maximum) is rounded once, as in floating point arithmetic.
    """
    if not t.is_floating_point() or not t.numel():
        return t
    kind, shift = _BITS[t.element_size()]
    upper = t.detach().view(kind) >> 2
    key = upper ^ int(k)
    if by_place:
        key = key ^ (torch.arange(t.numel(), device=t.device).view(t.shape) * 40_503).to(kind)
    mixed = key * _ODD[kind]
    moved = ((upper << 2) | (((mixed >> shift) ^ mixed) & 3)).view(t.dtype)
    # Whole numbers are exact: counts, 0 and 1, masks near the largest number, infinities.
    return torch.where(t == t.round(), t, moved)


@contextmanager
def disturbed_weights(module: nn.Module, k: float) -> Iterator[None]:
    """The module with weights rounded differently, put back afterwards."""
    kept = [(p, p.data) for p in module.parameters()]
    try:
        for p, data in kept:
            p.data = disturbed(data, k)
        yield
    finally:
        for p, data in kept:
            p.data = data


def noise(
    module: nn.Module,
    plain: list[Tensor],
    measure: Callable[[], list[Tensor]],
    differences: Callable[[list[Tensor], list[Tensor]], list[float]],
) -> list[float]:
    """How far each part of the measurement `plain` moves by rounding: the most of three tries.

    A gradient that is exactly zero stays so, however one rounds: its noise is zero.
    """
    largest = [0.0] * len(plain)
    for k in (12.9898e3, 78.233e3, 37.719e3):
        with disturbed_weights(module, k), Rounding(k):
            moved = measure()
        largest = [max(pair) for pair in zip(largest, differences(plain, moved), strict=True)]
    if len(largest) > 2:
        largest[2] = 0.0  # what is out of reach is out of reach
    return [x if math.isfinite(x) else 0.0 for x in largest]
