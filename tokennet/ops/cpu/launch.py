"""Calls of compiled functions: tensors go as pointers, whole numbers as int64, others as float."""

import ctypes

import torch
from torch import Tensor

from tokennet.checks import type_error
from tokennet.ops.cpu.library import kernels as kernels


def launch(name: str, *arguments: Tensor | int | float | None) -> None:
    """Runs a function of the library; which argument is of which kind must not change."""
    function = getattr(kernels(), name)
    if function.argtypes is None:
        function.argtypes = [_kind(argument) for argument in arguments]
        function.restype = None
    function(*[a.data_ptr() if isinstance(a, Tensor) else a for a in arguments])


def _kind(argument: Tensor | int | float | None) -> type:
    if isinstance(argument, float):
        return ctypes.c_float
    return ctypes.c_int64 if isinstance(argument, int) else ctypes.c_void_p


def rows_apart(name: str, x: Tensor) -> Tensor:
    """float32 on the CPU, the numbers of a row side by side, rows any stride apart."""
    if x.dtype != torch.float32 or x.device.type != "cpu":
        raise type_error(name, f"{x.dtype} on {x.device}", "torch.float32 on the cpu")
    side_by_side = 1
    for size, stride in zip(reversed(x.shape[1:]), reversed(x.stride()[1:]), strict=True):
        if size != 1 and stride != side_by_side:
            return x.contiguous()
        side_by_side *= size
    return x


def flat(name: str, x: Tensor) -> Tensor:
    """float32 on the CPU, without gaps."""
    return rows_apart(name, x).contiguous()
