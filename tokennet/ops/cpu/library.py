"""Loads the compiled kernels for this processor, if there are any, and says why not."""

import ctypes
from functools import cache
from typing import NamedTuple

import torch

COMMAND = "python -m tokennet.ops.cpu.build"
VARIANT_OF = {"AVX512": "avx512", "AVX2": "avx2"}


class Status(NamedTuple):
    """Whether the kernels can run, and what they are built for or why they can't."""

    ready: bool
    reason: str


def load(variant: str) -> tuple[ctypes.CDLL | None, str]:
    """The library for one instruction set, or None and the reason; one of other sources is none."""
    from tokennet.ops.cpu import build  # not above: COMMAND runs that file as the main module

    path = build.library_path(variant)
    if not path.exists():
        return None, f"no compiled kernels: run {COMMAND}"
    try:
        library = ctypes.CDLL(str(path))
        function = library.tokennet_digest
    except (OSError, AttributeError) as problem:
        return None, f"the compiled kernels do not load ({problem}): run {COMMAND}"
    function.restype = ctypes.c_char_p
    if function().decode() != build.digest(variant):
        return None, f"the compiled kernels are built from other sources: run {COMMAND}"
    return library, f"built for {variant.upper() if variant != 'base' else 'any processor'}"


@cache
def _chosen() -> tuple[ctypes.CDLL | None, str]:
    """The widest instruction set that torch uses here: ATEN_CPU_CAPABILITY sets both."""
    from tokennet.ops.cpu.build import variants

    variant = VARIANT_OF.get(torch.backends.cpu.get_cpu_capability(), "base")
    return load(variant if variant in variants() else "base")


def status() -> Status:
    """Whether there are kernels for this processor, and which, or what to do."""
    library, reason = _chosen()
    return Status(library is not None, reason)


def kernels() -> ctypes.CDLL:
    """The library that runs here; ask `status` first."""
    library, reason = _chosen()
    if library is None:
        raise RuntimeError(reason)
    return library
