"""Which builds of the CPU kernels can run here, and tests that run on each of them."""

from collections.abc import Iterator
from functools import cache

import pytest
import torch

from tokennet.ops.cpu import launch, library
from tokennet.ops.cpu.build import variants

NARROWER = {"AVX512": ("avx512", "avx2", "base"), "AVX2": ("avx2", "base")}
RUNNABLE = [
    variant
    for variant in NARROWER.get(torch.backends.cpu.get_cpu_capability(), ("base",))
    if variant in variants()
]
load = cache(library.load)


@pytest.fixture(params=RUNNABLE)
def variant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test with the kernels of one instruction set."""
    built, reason = load(request.param)
    if built is None:
        pytest.skip(reason)
    monkeypatch.setattr(launch, "kernels", lambda: built)
    return request.param


@pytest.fixture
def threads() -> Iterator[None]:
    """Lets a test choose the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
