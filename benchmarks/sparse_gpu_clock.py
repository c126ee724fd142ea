"""Times and memory on a GPU: steps that take turns, what copying reaches."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Run = Callable[[], object]
FLUSH = 256 * 2**20  # bytes written between two runs: five times the cache of an H200
REPEATS = 7


class Budget:
    """Wall time that is left of what a run may take."""

    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        return self.end - time.monotonic()


def timed(run: Run, device: str) -> float:
    """Milliseconds of one run: by events of a GPU, whose cache is overwritten first."""
    if device == "cpu":
        start = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - start)
    torch.empty(FLUSH, dtype=torch.int8, device=device).zero_()
    start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start_event.record()
    run()
    end_event.record()
    end_event.synchronize()
    return start_event.elapsed_time(end_event)


def interleaved(runs: Mapping[str, Run], device: str, repeats: int = REPEATS) -> dict[str, float]:
    """Median milliseconds of each; they take turns, and which begins changes every round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(repeats):
        for name in runs if i % 2 else reversed(runs):
            times[name].append(timed(runs[name], device))
    return {name: statistics.median(values) for name, values in times.items()}


def peak(run: Run, device: str) -> float | None:
    """MiB that one run takes on top of what is there already."""
    if device == "cpu":
        return None
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def wall(run: Run, device: str, times: int = 50) -> float:
    """Milliseconds of each of several runs one after another, launches included."""
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        run()
    if device != "cpu":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start) / times


def replayed(run: Run) -> Run:
    """The same launches, recorded once in a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def copy_ceiling(device: str) -> float:
    """TB/s of copying, reading and writing counted."""
    source = torch.randn(2**28 if device != "cpu" else 2**16, device=device)
    target = torch.empty_like(source)
    run = {"copy": lambda: target.copy_(source)}
    return 8 * source.numel() / interleaved(run, device)["copy"] / 1e9
