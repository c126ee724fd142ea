"""Compiles the CPU kernels, once for each instruction set: `python -m tokennet.ops.cpu.build`.

Needs the standard library alone: an install runs this file by its path, before torch is there.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parent / "src"
BUILT = Path(__file__).parent / "built"
FLAGS = (
    "-std=c++17",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",  # but infinities and NaN keep their meaning
    "-ffp-contract=fast",
    "-shared",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
)
X86 = {
    "avx512": ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
    "base": (),
}
TIME_LIMIT = 300  # seconds for one library; it takes about ten


def variants() -> dict[str, tuple[str, ...]]:
    """Instruction sets of this kind of processor, the widest first, with their flags."""
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return X86 if is_x86 else {"base": ()}


def library_path(variant: str) -> Path:
    return BUILT / f"kernels_{variant}.so"


def digest(variant: str) -> str:
    """Names the sources and flags of a library; a library with another digest is not used."""
    state = hashlib.sha256(" ".join((*FLAGS, *variants()[variant])).encode())
    for file in sorted(SOURCES.iterdir()):
        state.update(file.name.encode() + b"\0" + file.read_bytes())
    return state.hexdigest()[:32]


def is_current(variant: str) -> bool:
    """Whether the library is there and built from these sources."""
    path = library_path(variant)
    return path.exists() and digest(variant).encode() in path.read_bytes()


def compiler() -> list[str] | None:
    """The command of a C++ compiler: $CXX, or the first of the usual names that is there."""
    named = shlex.split(os.environ.get("CXX", ""))
    for command in [named] if named else [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(command[0]):
            return command
    return None


def build() -> str:
    """Makes the libraries that are missing or old; the reason where that is not possible, or ""."""
    missing = [variant for variant in variants() if not is_current(variant)]
    if not missing:
        return ""
    if sys.platform == "win32":
        return "the kernels are not built on Windows"
    command = compiler()
    if command is None:
        return "no C++ compiler found (set CXX, or install g++ or clang++)"
    try:
        BUILT.mkdir(exist_ok=True)
        running = {variant: _start(command, variant) for variant in missing}
    except OSError as problem:
        return str(problem)
    return "; ".join(filter(None, (_finish(v, process) for v, process in running.items())))


def _temporary(variant: str) -> Path:
    return library_path(variant).with_suffix(f".{os.getpid()}.tmp")


def _start(command: list[str], variant: str) -> subprocess.Popen[str]:
    define = f'-DTOKENNET_DIGEST="{digest(variant)}"'
    sources = sorted(map(str, SOURCES.glob("*.cpp")))
    flags = (*FLAGS, *variants()[variant], define)
    line = [*command, *flags, *sources, "-o", str(_temporary(variant))]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(variant: str, process: subprocess.Popen[str]) -> str:
    """Puts a library in its place; a half-written one is never seen there."""
    try:
        output = process.communicate(timeout=TIME_LIMIT)[0]
        if process.returncode != 0:
            lines = output.strip().splitlines() or [f"exit code {process.returncode}"]
            return f"{variant}: {next((x for x in lines if 'error' in x), lines[0])}"
        os.replace(_temporary(variant), library_path(variant))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return f"{variant}: the compiler took more than {TIME_LIMIT} s"
    except OSError as problem:
        return f"{variant}: {problem}"
    finally:
        _temporary(variant).unlink(missing_ok=True)
    return ""


def main() -> int:
    """Builds, and prints one line: what there is now, or why not."""
    problem = build()
    ready = ", ".join(variant for variant in variants() if is_current(variant))
    print(f"tokennet: CPU kernels ready: {ready or 'none'}" + (f" ({problem})" if problem else ""))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
