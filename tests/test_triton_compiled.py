"""What the compiler makes of the Triton kernels: registers, loads, instructions; without a GPU."""

import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
REGISTERS = 128
"""Of a thread: at most, so that 16 warps fit into each quarter of a multiprocessor."""
SLOWER = 1.1
"""Times the instructions of the committed baseline; compilers differ, so for known ones alone."""
ROWS = (
    "gather_sum_kernel", "sddmm_kernel", "gather_max_kernel", "gather_max_backward_kernel",
    "attend_forward", "attend_rows", "attend_columns",
)  # fmt: skip
"""Kernels that gather rows: 16 bytes a load, where rows are aligned."""
ODD = "odd shape"
"""In the names of variants whose rows are not: see cubin_variants.py, which imports triton."""


def _missing() -> str:
    """Why there is nothing to compile with; empty where there is."""
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:
        return "Triton is not installed"
    tools = Path(spec.origin).parent / "backends/nvidia/bin"
    absent = [name for name in ("ptxas", "cuobjdump", "nvdisasm") if not (tools / name).exists()]
    return f"Triton has no {', '.join(absent)} here" if absent else ""


pytestmark = [
    pytest.mark.skipif(bool(_missing()), reason=_missing()),
    pytest.mark.timeout(1200),  # 150 kernels: two and a half minutes of one core
]


@cache
def figures(*options: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """(Triton's version, figures of each kernel), from a process without the interpreter."""
    import os

    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, str(HERE / "cubin.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return found["triton"], found["figures"]


def broken(one: dict[str, Any], before: list[float] | None, *, aligned: bool = True) -> set[str]:
    """Which gates a kernel does not pass."""
    gathers = one["kernel"].removesuffix(" of pieces") in ROWS
    gates = {
        "stack": one["stack"] > 0,
        "registers": one["registers"] > REGISTERS,
        "loads": gathers and aligned and one["wide"] == 0,
    }
    if before is not None:
        _, per_edge, wide = before
        gates["slower"] = one["per_edge"] > SLOWER * per_edge
        gates["narrower"] = one["wide"] < wide / SLOWER
    return {name for name, failed in gates.items() if failed}


def baseline(version: str) -> dict[str, list[float]]:
    return json.loads((HERE / "triton_baseline.json").read_text()).get(version, {})


@pytest.mark.slow
def test_kernels_keep_to_their_figures() -> None:
    """Nothing spills, 16 bytes a load, and no more instructions an edge than the baseline has."""
    version, found = figures()
    known = baseline(version)
    failed = {
        name: broken(one, known.get(name), aligned=ODD not in name) for name, one in found.items()
    }
    assert not {name: (gates, found[name]) for name, gates in failed.items() if gates}
    assert {one["kernel"].removesuffix(" of pieces") for one in found.values()} >= set(ROWS)


@pytest.mark.slow
def test_the_baseline_is_complete() -> None:
    """For a version that it knows: every kernel and nothing else; or else write it anew."""
    version, found = figures()
    known = baseline(version)
    assert not known or set(known) == set(found), "python tests/cubin.py --write"


def test_planted_defects_are_caught() -> None:
    """A tile that is too large spills; rows that lie askew cost narrow loads and instructions."""
    _, found = figures("--planted")
    by_name = {name.split(":")[0]: one for name, one in found.items()}
    right = by_name["nothing wrong"]
    before = [right["registers"], right["per_edge"], right["wide"]]
    assert broken(by_name["a huge tile"], None) >= {"stack"}
    assert broken(by_name["rows askew"], before) == {"loads", "slower", "narrower"}
    assert not broken(right, before)
