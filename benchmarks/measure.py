"""CPU time of steps that take turns, and the peak memory of one in a process of its own (Linux)."""

import ctypes
import gc
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

Run = Callable[[], object]

LEAST = 0.2  # seconds of a sample: shorter steps are repeated inside it
STATUS, CLEAR, LIMITS = (
    Path("/proc") / name for name in ("self/status", "self/clear_refs", "meminfo")
)


def interleaved(
    runs: Mapping[str, Run],
    repeats: int,
    *,
    clock: Callable[[], float] = time.process_time,
    least: float = LEAST,
) -> dict[str, list[float]]:
    """Seconds of each run of each step, after one to warm up; which begins changes every round.

    CPU time by default, which other processes don't lengthen much: for one thread only.
    """
    counts: dict[str, int] = {}
    for name, run in runs.items():
        start = clock()
        run()
        counts[name] = 1 if clock() - start > least else _count(run, clock, least)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.disable()
    try:
        for i in range(repeats):
            for name in runs if i % 2 else reversed(runs):
                start = clock()
                for _ in range(counts[name]):
                    runs[name]()
                seconds[name].append((clock() - start) / counts[name])
    finally:
        gc.enable()
    return seconds


def _count(run: Run, clock: Callable[[], float], least: float) -> int:
    start = clock()
    run()
    return max(1, math.ceil(least / max(clock() - start, 1e-6)))


def growth(run: Run) -> int:
    """Bytes by which the resident memory of this process grows, at the most, in one run."""
    gc.collect()
    _give_back()
    CLEAR.write_text("5")  # the peak begins anew
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def _give_back() -> None:
    """Memory that the allocator holds is returned: a run that takes it again shall count."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident(key: str) -> int:
    """Bytes, from the kernel's account of this process: "VmRSS" now, "VmHWM" at the most."""
    lines = STATUS.read_text().splitlines()
    return next(1024 * int(v.split()[1]) for v in lines if v.startswith(key))


def can_measure_memory() -> bool:
    return os.access(CLEAR, os.W_OK)


def available() -> float:
    """Bytes that this machine could give a process now; infinite where nobody tells."""
    if not LIMITS.exists():
        return math.inf
    lines = LIMITS.read_text().splitlines()
    return next(1024 * int(v.split()[1]) for v in lines if v.startswith("MemAvailable"))


def in_fresh_process(function: Callable[..., Any], *args: Any, preload: list[str]) -> Any:
    """The result of a module's function, called in a process that has only imported `preload`.

    None where the process was killed, as for want of memory.
    """
    context = multiprocessing.get_context("forkserver")  # imports once, for all of them
    context.set_forkserver_preload(preload)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(function, *args).result()
        except BrokenProcessPool:
            return None


def write_whole(path: Path, text: str) -> None:
    """All of the file or none of it: a run that is stopped leaves the old one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
