"""What the wrappers launch, without running it: for the compiler's check of the kernels.

A kernel is replaced by a recorder in the module that launches it; what it is called with says which
variant of it would be compiled, as a launch on a GPU would decide it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

POINTERS = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.bool: "*i1",
    torch.uint8: "*u8",
}


@dataclass(frozen=True)
class Launched:
    """One variant of a kernel, as `triton.compiler.ASTSource` takes it."""

    kernel: Any
    signature: dict[str, str]
    constants: dict[str, Any]
    attrs: dict[tuple[int], list[list[Any]]]
    options: dict[str, int]
    grid: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.kernel.__name__


@dataclass
class Recorder:
    """Stands in for a kernel: `recorder[grid](...)` notes the call."""

    kernel: Any
    found: list[Launched] = field(default_factory=list)

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*args: Any, **kwargs: Any) -> None:
            options = {n: kwargs.pop(n) for n in ("num_warps", "num_stages") if n in kwargs}
            names = self.kernel.arg_names
            given = dict(zip(names, args, strict=False)) | kwargs
            fixed = {p.name for p in self.kernel.params if p.do_not_specialize}
            signature, constants, attrs = {}, {}, {}
            for i, name in enumerate(names):
                kind, aligned = _kind(given[name], fixed=name in fixed or name in kwargs)
                signature[name] = "constexpr" if name in kwargs else kind
                if signature[name] == "constexpr":
                    constants[name] = given[name]
                elif aligned:
                    attrs[(i,)] = [["tt.divisibility", 16]]
            self.found.append(Launched(self.kernel, signature, constants, attrs, options, grid))

        return launch


def _kind(value: Any, *, fixed: bool) -> tuple[str, bool]:
    """The type of an argument, and whether 16 divides it."""
    if value is None:
        return "constexpr", False
    if isinstance(value, Tensor):
        return POINTERS[value.dtype], value.data_ptr() % 16 == 0
    if isinstance(value, int):
        if value == 1 and not fixed:
            return "constexpr", False
        return "i32" if -(2**31) <= value < 2**31 else "i64", value % 16 == 0 and not fixed
    return "fp32", False


@contextmanager
def recorded(module: ModuleType, *names: str) -> Iterator[list[Launched]]:
    """The launches of the kernels of these names by functions of a module."""
    kernels = {name: getattr(module, name) for name in names}
    found: list[Launched] = []
    try:
        for name, kernel in kernels.items():
            setattr(module, name, Recorder(kernel, found))
        yield found
    finally:
        for name, kernel in kernels.items():
            setattr(module, name, kernel)
