"""The description of one operator in the lists that the parametrised tests run over."""

from collections.abc import Callable
from dataclasses import dataclass

import tokennet as tn

DIM = 8


@dataclass(frozen=True)
class Operator:
    """How to make it, which claimable laws it breaks (asserted as broken), and whether it mixes.

    `smooth=False`: the gradient is not that of the output (straight-through).
    """

    name: str
    make: Callable[[], tn.Mixer]
    breaks: tuple[str, ...] = ()
    mixes: bool = True
    smooth: bool = True


PERM, SHIFT, GRID, CAUSAL = "Permutation", "CyclicShift", "GridShift", "Causality"
ALL = (PERM, SHIFT, CAUSAL)
