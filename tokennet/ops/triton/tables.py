"""Tensors as the kernels read them: rows of numbers, all of a row side by side.

Axes: T rows, E entries.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tokennet.checks import value_error
from tokennet.ops.triton.plan import Plan

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Table(NamedTuple):
    """`data [T, ...]`, whose rows begin `stride * unit` numbers apart.

    The unit is a power of 2 and known when a kernel is compiled: from it follows how many numbers
    one load may take. (Triton itself asks only whether a stride is a multiple of 16, which the 8
    numbers of a 16-byte load in half precision need not be.)
    """

    data: Tensor
    stride: int
    unit: int


def table_of(name: str, data: Tensor) -> Table:
    """The table of a tensor, copied only where a row does not lie side by side."""
    _check(name, data)
    if data[:1].numel() and not data[0].is_contiguous():
        data = data.contiguous()
    stride = data.stride(0)
    unit = min(stride & -stride, 16) if stride else 16
    return Table(data, stride // unit, unit)


def packed(name: str, data: Tensor) -> Tensor:
    """The same without gaps between rows: what belongs to entries, a few numbers each."""
    _check(name, data)
    return data.contiguous()


def _check(name: str, data: Tensor) -> None:
    if data.dtype not in DTYPES:
        allowed = "one of torch.float32, torch.bfloat16, torch.float16"
        raise value_error(f"{name}.dtype", data.dtype, allowed, "float64 runs in plain torch")


def result_of(plan: Plan, num_entries: int, like: Tensor, *rest: int) -> Tensor:
    """A new `[E, *rest]` for values of entries: zeros where no row may reach some of them."""
    make = like.new_empty if plan.covers(num_entries) else like.new_zeros
    return make(num_entries, *rest)
