"""Laws that mixers obey, and which of them can be claimed.

The contract of every mixer: `BatchIndependence`, `PaddingBlindness`, `LayoutAgreement`.
What a mixer may claim, because it is closed under composition: `Permutation`, `CyclicShift`,
`GridShift`, `Causality`, `MemoryPermutation`. `Locality` holds for one operator, and is no claim.
The others are asked by `audit`, of any module.
"""

from tokennet.laws.codes import SignBasis
from tokennet.laws.conduct import (
    Cache,
    Conduct,
    Finite,
    Interleaving,
    MemoryLayout,
    NoState,
    Purity,
    Repeatability,
    TrainEval,
)
from tokennet.laws.edges import DuplicateEdges, EdgeOrder
from tokennet.laws.gradient import GradientOf
from tokennet.laws.influence import BatchIndependence, LayoutAgreement, Locality
from tokennet.laws.law import Case, Law, closure
from tokennet.laws.order import Causality, Prefix
from tokennet.laws.padding import LeftPadding, NaNPadding, Padding, PaddingBlindness
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
    "Cache",
    "Case",
    "Causality",
    "Conduct",
    "CyclicShift",
    "DuplicateEdges",
    "EdgeOrder",
    "Finite",
    "GradientOf",
    "GridShift",
    "Interleaving",
    "Law",
    "LayoutAgreement",
    "LeftPadding",
    "Locality",
    "MemoryLayout",
    "MemoryPermutation",
    "NaNPadding",
    "NoState",
    "Padding",
    "PaddingBlindness",
    "Permutation",
    "Prefix",
    "Purity",
    "Repeatability",
    "SignBasis",
    "TrainEval",
    "closure",
]
