"""Where runs are computed: processes of this machine, or anybody's executor."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass, field
from typing import Any

from tokennet.ablate.devices import read_devices, usable_cpus
from tokennet.ablate.record import Outcome
from tokennet.ablate.worker import WorkerError, execute, prepare
from tokennet.checks import kind_of, positive, type_error, value_error

MANY = 32  # runs at once for an executor that doesn't say how many workers it has
POLL = 0.1  # seconds between two looks at futures that can't be waited for
DIED = "the worker process died"
KILLED = "the worker process was killed, by somebody or for want of memory"
LIBRARIES = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in LIBRARIES}


@dataclass(frozen=True)
class Work:
    """One run as a worker gets it: see `worker.execute`."""

    content: bytes
    cell: int
    seed: int
    checkpoint: str | None


class Pool(ABC):
    """Takes runs and gives outcomes, in the order in which they end.

    `ahead`: `submit` returns at once, so the next run may start before the last one is stored.
    """

    size: int
    ahead = False

    @abstractmethod
    def has_room(self) -> bool:
        """Whether another run may be submitted now."""

    @abstractmethod
    def submit(self, run: str, work: Work) -> None:
        """Starts a run."""

    @abstractmethod
    def ended(self, seconds: float) -> list[tuple[str, Outcome]]:
        """Those that ended; waits for the first, at most so long.

        Raises:
            WorkerError: where no result of an experiment, but the workers themselves fail.
        """

    @abstractmethod
    def stop(self, *, kill: bool) -> None:
        """Ends the workers that are the pool's own."""


class InlineExecutor(Executor):
    """Runs everything at once in the caller's own thread: for debuggers and tests."""

    _max_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class Slot:
    """One local process, started at its first run; `since`: when its present run could begin."""

    env: dict[str, str]
    device: str
    executor: Any = None
    ready: Any = None
    run: str | None = None
    future: Any = None
    since: float | None = None

    def submit(self, run: str, work: Work) -> None:
        arguments = (work.content, work.cell, work.seed, self.device, work.checkpoint)
        self._start()
        try:
            self.future = self.executor.submit(execute, *arguments)
        except BrokenExecutor:  # it died after its last run, which is stored
            self.stop(kill=True)
            self._start()
            self.future = self.executor.submit(execute, *arguments)
        self.run, self.since = run, None

    def _start(self) -> None:
        if self.executor is None:
            from loky import ProcessPoolExecutor

            self.executor = ProcessPoolExecutor(max_workers=1, env=self.env)
            self.ready = self.executor.submit(prepare, os.getpid())

    def overdue(self, timeout: float) -> bool:
        """Whether the run takes too long; the start of the process does not count."""
        if not self.ready.done():
            return False
        if self.since is None:
            self.since = time.monotonic()
        return time.monotonic() - self.since > timeout

    def stop(self, *, kill: bool) -> None:
        if self.executor is not None:
            self.executor.shutdown(wait=True, kill_workers=kill)
        self.executor = self.ready = self.run = self.future = None


class LocalPool(Pool):
    """Processes of this machine, one run each at a time: what kills one costs one run."""

    ahead = True

    def __init__(self, slots: Sequence[Slot], timeout: float | None = None):
        self.size = len(slots)
        self._slots, self._timeout = list(slots), timeout

    def has_room(self) -> bool:
        return any(slot.run is None for slot in self._slots)

    def submit(self, run: str, work: Work) -> None:
        next(slot for slot in self._slots if slot.run is None).submit(run, work)

    def ended(self, seconds: float) -> list[tuple[str, Outcome]]:
        busy = [slot for slot in self._slots if slot.run is not None]
        if self._timeout is not None:
            seconds = min(seconds, POLL)
        wait([slot.future for slot in busy], timeout=seconds, return_when=FIRST_COMPLETED)
        found = []
        for slot in busy:
            assert slot.run is not None
            run = slot.run
            if slot.future.done():
                found.append((run, self._outcome(slot)))
                slot.run = None
            elif self._timeout is not None and slot.overdue(self._timeout):
                slot.stop(kill=True)
                text = f"took longer than {self._timeout:g} s: stopped"
                found.append((run, Outcome({}, seconds=self._timeout, error=text)))
        return found

    def _outcome(self, slot: Slot) -> Outcome:
        try:
            return _checked(slot.future.result())
        except BrokenExecutor as error:
            started = slot.ready.done() and slot.ready.exception() is None
            slot.stop(kill=True)
            if not started:
                raise WorkerError(f"no worker process could be started: {error}") from error
            return Outcome({}, error=f"{KILLED if 'SIGKILL' in str(error) else DIED}: {error}")

    def stop(self, *, kill: bool) -> None:
        with ThreadPoolExecutor(self.size) as threads:  # one after another, 64 take a while
            list(threads.map(lambda slot: slot.stop(kill=kill), self._slots))


def _checked(found: Any, whose: str = "a local process") -> Outcome:
    if isinstance(found, WorkerError):
        raise found
    if not isinstance(found, Outcome):
        raise WorkerError(f"{whose} gave back {kind_of(found)} instead of a result")
    return found


@dataclass
class ForeignPool(Pool):
    """An executor that is not ours: it is neither started nor ended here."""

    executor: Any
    size: int
    _runs: dict[str, Any] = field(default_factory=dict)

    def has_room(self) -> bool:
        return len(self._runs) < self.size

    def submit(self, run: str, work: Work) -> None:
        self._runs[run] = self.executor.submit(
            execute, work.content, work.cell, work.seed, "cpu", work.checkpoint
        )

    def ended(self, seconds: float) -> list[tuple[str, Outcome]]:
        futures = list(self._runs.values())
        if all(isinstance(future, Future) for future in futures):
            wait(futures, timeout=seconds, return_when=FIRST_COMPLETED)
        else:  # e.g. submitit's jobs
            end = time.monotonic() + seconds
            while not any(future.done() for future in futures) and time.monotonic() < end:
                time.sleep(POLL)
        over = [run for run, future in self._runs.items() if future.done()]
        return [(run, self._outcome(self._runs.pop(run))) for run in over]

    def _outcome(self, future: Any) -> Outcome:
        try:
            return _checked(future.result(), f"the executor {kind_of(self.executor)}")
        except WorkerError:
            raise
        except (BrokenExecutor, CancelledError) as error:
            text = f"{type(error).__name__}: {error}"
            raise WorkerError(f"the executor {kind_of(self.executor)} failed: {text}") from error
        except Exception as error:  # e.g. Dask's KilledWorker: it has tried the run several times
            return Outcome(
                {}, error=f"the executor gave no result: {type(error).__name__}: {error}"
            )

    def stop(self, *, kill: bool) -> None:
        for future in self._runs.values():
            if hasattr(future, "cancel"):
                future.cancel()


def make_pool(executor: Any, workers: Any, devices: Any, timeout: Any) -> Pool:
    """The pool that the arguments of `tn.ablate` ask for.

    Raises:
        TypeError, ValueError: for arguments that are wrong or exclude each other.
    """
    if workers is not None:
        positive("workers", workers)
    if timeout is not None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float):
            raise type_error("timeout", repr(timeout), "seconds for each run, or None")
        if not timeout > 0:
            raise value_error("timeout", timeout, "seconds, more than 0")
    if executor is None:
        return LocalPool(_slots(workers, devices), timeout)
    if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
        hint = "e.g. None (processes of this machine) or Dask's client.get_executor()"
        raise type_error("executor", kind_of(executor), "an object with a method submit", hint)
    for name, value in (("timeout", timeout), ("devices", devices)):
        if value is not None:
            raise value_error(
                name, repr(value), "None with an executor", "set it where the executor is made"
            )
    size = workers or getattr(executor, "_max_workers", None)
    if isinstance(executor, ThreadPoolExecutor) and (size or MANY) > 1:
        hint = "use processes, or ThreadPoolExecutor(1): random states belong to the process"
        raise value_error("executor", f"a ThreadPoolExecutor of {size}", "one thread", hint)
    return ForeignPool(executor, size if isinstance(size, int) else MANY)


def _slots(workers: int | None, devices: Any) -> list[Slot]:
    env = {**ONE_THREAD, "LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}  # a run may need what it needs
    # The order of sets of texts, the same in every process.
    env["PYTHONHASHSEED"] = os.environ.get("PYTHONHASHSEED", "0")
    if devices is None:
        return [Slot(env, "cpu") for _ in range(workers or usable_cpus())]
    if workers is not None:
        hint = "name a device twice for two processes on it"
        raise value_error("workers", workers, "None with devices: one process each", hint)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else None
    slots = []
    for device in read_devices(devices):
        if device.type == "cuda":
            index = device.index or 0
            own = {"CUDA_VISIBLE_DEVICES": names[index] if names else str(index)}
            slots.append(Slot({**env, **own}, "cuda:0"))
        else:
            slots.append(Slot(env, str(device)))
    return slots
