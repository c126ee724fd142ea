"""What happens in a worker: one run, from its seed to everything that was measured."""

import gc
import os
import pickle
import platform
import signal
import socket
import sys
import threading
import time
import traceback
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy
import torch

from tokennet.ablate import randomness
from tokennet.ablate.record import Outcome
from tokennet.ablate.run import Run, call

LONGEST_ERROR = 20_000  # characters of a traceback that are kept, from its end
WATCH = 0.2  # seconds between two looks at whether the coordinator is there
HERE = str(Path(__file__).parent)
_busy = threading.Lock()


class WorkerError(RuntimeError):
    """The worker itself is not fit for any run: no result of an experiment."""


def prepare(coordinator: int | None) -> None:
    """Makes a process of our own a worker: one thread, no Ctrl-C, gone with its coordinator."""
    torch.set_num_threads(1)
    # Ctrl-C goes to every process of the terminal: the coordinator decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if coordinator is not None:
        threading.Thread(target=_watch, args=(coordinator,), daemon=True).start()
    gc.collect()
    gc.freeze()  # what was imported is not looked through at every collection between runs


def _watch(coordinator: int) -> None:
    while os.getppid() == coordinator:
        time.sleep(WATCH)
    os._exit(1)


def execute(
    content: bytes, cell: int, seed: int, device: str, checkpoint: str | None
) -> "Outcome | WorkerError":
    """One run of `content`: the experiment and the arguments of each cell, by cloudpickle.

    Whatever the experiment raises becomes the outcome's error. A `WorkerError`, where no
    experiment could run here, is returned: executors wrap what is raised, each in its own way.
    """
    if not _busy.acquire(blocking=False):
        return WorkerError(
            "two runs at once in one process would share their random states: "
            "use an executor with one thread in each process"
        )
    try:
        before = randomness.states()
        try:
            return _measured(content, cell, Run(seed, device, _path(checkpoint)))
        finally:
            randomness.restore(before)  # in the caller's own process nothing has changed
    finally:
        _busy.release()


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _measured(content: bytes, cell: int, run: Run) -> "Outcome | WorkerError":
    try:
        experiment, values = pickle.loads(content)
    except Exception as error:
        return WorkerError(
            f"the experiment can't be loaded in a worker on {socket.gethostname()}: "
            f"{type(error).__name__}: {error}; its module must be found there too"
        )
    randomness.seed_all(run.seed)
    states = randomness.compressed(randomness.states())
    on_gpu = run.device.type == "cuda"
    _reset_peak(on_gpu, run.device)
    metrics: dict[str, float] = {}
    problem = None
    start = time.perf_counter()
    try:
        metrics = call(experiment, values[cell], run)
        if on_gpu:
            torch.cuda.synchronize(run.device)  # an error of a kernel belongs to its run
    except (Exception, SystemExit) as error:
        problem = _text(error)
    seconds = time.perf_counter() - start
    return Outcome(
        metrics=metrics if problem is None else {},
        curves=run.curves,
        parameters=run.parameters,
        flops=run.flops,
        seconds=seconds,
        memory=_peak(on_gpu, run.device),
        error=problem,
        versions=_versions(),
        machine=_machine(str(run.device)),
        random_states=states,
    )


def _text(error: BaseException) -> str:
    """The traceback from the experiment's own frames on, its end kept where it is long."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(HERE):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))
    return text if len(text) <= LONGEST_ERROR else f"...\n{text[-LONGEST_ERROR:]}"


def _reset_peak(on_gpu: bool, device: torch.device) -> None:
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts again from here
    except OSError:
        return


def _peak(on_gpu: bool, device: torch.device) -> int | None:
    """Bytes; without /proc the peak of the process since its start."""
    if on_gpu:
        return torch.cuda.max_memory_allocated(device)
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@lru_cache(maxsize=1)
def _installed() -> str:
    try:
        return version("tokennet")
    except PackageNotFoundError:
        return "not installed"


def _versions() -> dict[str, str]:
    found = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "tokennet": _installed(),
    }
    geometric: Any = sys.modules.get("torch_geometric")
    if geometric is not None:
        found["torch_geometric"] = geometric.__version__
    return found


@lru_cache(maxsize=8)
def _machine(device: str) -> str:
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    else:
        name = platform.processor() or platform.machine()
        try:
            lines = Path("/proc/cpuinfo").read_text().splitlines()
            name = next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
        except (OSError, StopIteration):
            pass
    return f"{socket.gethostname()}, {name}"
