"""Laws that mixers obey, and which of them can be claimed.

The contract of every mixer: `BatchIndependence`, `PaddingBlindness`, `LayoutAgreement`.
What a mixer may claim, because it is closed under composition: `Permutation`, `CyclicShift`,
`GridShift`, `Causality`, `MemoryPermutation`. `Locality` holds for one operator, and is no claim.
"""

from tokennet.laws.influence import (
    BatchIndependence,
    Causality,
    LayoutAgreement,
    Locality,
    PaddingBlindness,
)
from tokennet.laws.law import Case, Law, closure
from tokennet.laws.symmetry import CyclicShift, GridShift, MemoryPermutation, Permutation

CONTRACT: tuple[Law, ...] = (BatchIndependence(), PaddingBlindness(), LayoutAgreement())
CLAIMABLE: tuple[Law, ...] = (
    Permutation(),
    CyclicShift(),
    GridShift(),
    Causality(),
    MemoryPermutation(),
)

__all__ = [
    "CLAIMABLE",
    "CONTRACT",
    "BatchIndependence",
    "Case",
    "Causality",
    "CyclicShift",
    "GridShift",
    "Law",
    "LayoutAgreement",
    "Locality",
    "MemoryPermutation",
    "PaddingBlindness",
    "Permutation",
    "closure",
]
