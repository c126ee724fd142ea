"""Splits of samples that any machine makes alike.

Axes: S samples.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from tokennet.checks import positive


def stratified_folds(labels: Int[Tensor, " S"], folds: int, seed: int) -> list[Int[Tensor, " F"]]:
    """The samples in `folds` parts, each with its share of every class, to one sample.

    Dealt out like cards: shuffled, sorted by class, the i-th to part i mod `folds`.
    """
    positive("folds", folds, minimum=2)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[labels[order].argsort(stable=True)]
    return [order[i::folds].sort().values for i in range(folds)]


def complement(part: Int[Tensor, " F"], size: int) -> Int[Tensor, " R"]:
    """The numbers from 0 to size - 1 that are not in `part`, in order."""
    rest = torch.ones(size, dtype=torch.bool)
    rest[part] = False
    return rest.nonzero().squeeze(1)
