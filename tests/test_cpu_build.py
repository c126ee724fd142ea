"""Building and loading the CPU kernels: what goes wrong harms nobody and is told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tokennet.ops.cpu import build, library

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler")
WIDEST = next(iter(build.variants()))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The build script beside sources that take no time: what every library has."""
    shutil.copy(Path(build.__file__), tmp_path / "build.py")
    (tmp_path / "src").mkdir()
    for name in ("library.cpp", "export.h"):
        shutil.copy(build.SOURCES / name, tmp_path / "src" / name)
    return tmp_path


def run(package: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The script alone, in a Python that sees neither torch nor tokennet."""
    line = [sys.executable, "-I", "-S", str(package / "build.py")]
    return subprocess.run(line, env={**os.environ, **variables}, capture_output=True, text=True)


def built(package: Path) -> list[str]:
    return sorted(path.name for path in (package / "built").glob("*"))


@needs_compiler
def test_builds_once_for_each_instruction_set(package: Path) -> None:
    done = run(package)
    assert done.returncode == 0, done.stdout
    assert done.stdout == f"tokennet: CPU kernels ready: {', '.join(build.variants())}\n"
    assert built(package) == sorted(build.library_path(name).name for name in build.variants())
    times = [path.stat().st_mtime_ns for path in (package / "built").iterdir()]
    assert run(package).returncode == 0
    assert times == [path.stat().st_mtime_ns for path in (package / "built").iterdir()]
    source = package / "src" / "library.cpp"
    source.write_text(source.read_text() + "// changed\n")
    assert run(package, CXX="/nonexistent").stdout.startswith("tokennet: CPU kernels ready: none (")
    assert run(package).returncode == 0
    assert times != [path.stat().st_mtime_ns for path in (package / "built").iterdir()]


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"CXX": "/nonexistent"}, "no C++ compiler found (set CXX, or install g++ or clang++)"),
        ({"CXX": "", "PATH": "/nonexistent"}, "no C++ compiler found"),
        ({"CXX": "false"}, f"{WIDEST}: exit code 1"),
    ],
)
def test_failing_compilers_are_harmless(
    package: Path, variables: dict[str, str], reason: str
) -> None:
    done = run(package, **variables)
    assert done.returncode == 1
    assert done.stdout.startswith(f"tokennet: CPU kernels ready: none ({reason}")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert built(package) == []


@needs_compiler
def test_errors_of_the_compiler_are_told(package: Path) -> None:
    (package / "src" / "library.cpp").write_text("not C++\n")
    done = run(package)
    assert done.returncode == 1
    assert "error" in done.stdout
    assert built(package) == []


def test_libraries_of_other_sources_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if not build.is_current(WIDEST):
        pytest.skip("the kernels are not built")
    monkeypatch.setattr(build, "digest", lambda variant: "0" * 32)
    assert library.load(WIDEST) == (
        None,
        f"the compiled kernels are built from other sources: run {library.COMMAND}",
    )


def test_missing_and_broken_libraries_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "kernels.so"
    monkeypatch.setattr(build, "library_path", lambda variant: path)
    assert library.load("base") == (None, f"no compiled kernels: run {library.COMMAND}")
    path.write_bytes(b"no library")
    found, reason = library.load("base")
    assert found is None
    assert reason.startswith("the compiled kernels do not load (")


def test_status_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_chosen", lambda: (None, "a reason"))
    assert library.status() == (False, "a reason")
    with pytest.raises(RuntimeError, match="a reason"):
        library.kernels()


@pytest.mark.parametrize("capability", ["AVX512", "AVX2", "DEFAULT"])
def test_torch_chooses_the_instruction_set(
    capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(library, "load", lambda variant: (None, asked.append(variant)))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    library._chosen.__wrapped__()
    wanted = {"AVX512": "avx512", "AVX2": "avx2"}.get(capability, "base")
    assert asked == [wanted if wanted in build.variants() else "base"]
