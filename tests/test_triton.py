"""The suites of the Triton kernels, each in the interpreter, in a process of its own."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SUITES = [
    path.name
    for path in sorted(Path(__file__).parent.glob("test_triton_*.py"))
    if "triton_support" in path.read_text()
]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.skipif(torch.cuda.is_available(), reason="they run on the GPU, directly")
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="they run directly")
@pytest.mark.timeout(1200)  # a minute or two of one core each
@pytest.mark.parametrize("suite", SUITES)
def test_in_the_interpreter(suite: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"tests/{suite}"]
    done = subprocess.run(
        command,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > 5, done.stdout


def test_there_are_suites() -> None:
    assert "test_triton_attend.py" in SUITES
