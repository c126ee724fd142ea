"""Local processes and other people's executors: each run once, and what dies costs one run."""

import multiprocessing
import runpy
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ablate_experiments import AXES, contents, dying, experiment, noted

from tokennet.ablate.ablate import ablate
from tokennet.ablate.load import load_ablation
from tokennet.ablate.pool import InlineExecutor, LocalPool, make_pool
from tokennet.ablate.record import DONE, MISSING
from tokennet.ablate.worker import WorkerError

EXAMPLE = (Path(__file__).parents[1] / "examples" / "ablation_on_cluster").with_suffix(".py")
PLAN: dict[str, Any] = {"seeds": 2, "minimise": "loss", "progress": False, "name": "toy"}


@pytest.fixture
def log(tmp_path: Path) -> str:
    return str(tmp_path / "log")


@pytest.fixture
def expected(tmp_path: Path) -> Callable[[Any], None]:
    """Compares with the same runs in this process."""
    alone = ablate(
        partial(experiment, log=str(tmp_path / "alone")), AXES, executor=InlineExecutor(),
        version="1", **PLAN,
    )  # fmt: skip

    def check(found: Any) -> None:
        assert contents(found) == contents(alone)

    return check


def test_local_processes(log: str, tmp_path: Path, expected: Callable[[Any], None]) -> None:
    """Deaths of all kinds, a lambda, and a process killed between two runs."""
    axes = {"a": [1, 2, 3], "b": {"plus": 1, "minus": -1}}
    found = ablate(partial(dying, log=log), axes, workers=2, timeout=3, **PLAN)
    errors = {run.outcome.error for run in found.failed}
    assert {run.labels["a"]: run.seed for run in found.failed} == {"1": 0, "2": 0, "3": 0}
    assert len(found.runs) - len(found.failed) == 9, "what died took nothing with it"
    assert any("took longer than 3 s" in error for error in errors)
    assert sum("the worker process died" in error for error in errors) == 2
    assert any("SIGSEGV" in error for error in errors)
    assert {line.split(maxsplit=3)[3] for line in noted(log)} == {"1 1"}, "one thread each"
    Path(log).unlink()
    inner = partial(experiment, log=log)
    same = ablate(lambda a, b, seed: inner(a, b, seed), AXES, workers=2, version="1", **PLAN)
    assert set(noted(log).values()) == {1}
    expected(same)


@pytest.mark.parametrize("kind", ["processes", "thread", "waits for nobody"])
def test_foreign_executors(kind: str, log: str, expected: Callable[[Any], None]) -> None:
    executor: Any = {
        "processes": lambda: ProcessPoolExecutor(2, multiprocessing.get_context("spawn")),
        "thread": lambda: ThreadPoolExecutor(1),
        "waits for nobody": Odd,
    }[kind]()
    found = ablate(partial(experiment, log=log), AXES, executor=executor, version="1", **PLAN)
    assert set(noted(log).values()) == {1}
    expected(found)
    if hasattr(executor, "shutdown"):
        executor.shutdown()


class Odd:
    """No `Executor`, and its futures can only be asked, like submitit's."""

    class Job:
        def __init__(self, call: Callable[[], Any]):
            self.call, self.asked = call, 0

        def done(self) -> bool:
            self.asked += 1
            return self.asked > 1

        def result(self) -> Any:
            return self.call()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Odd.Job":
        return Odd.Job(lambda: function(*arguments))


@pytest.mark.parametrize(
    ("backend", "package"), [("slurm", "submitit"), ("dask", "distributed"), ("mpi", "mpi4py")]
)
def test_the_example_on_two_workers(backend: str, package: str, tmp_path: Path) -> None:
    """submitit, which sends runs to SLURM, takes processes of this machine where there is none."""
    pytest.importorskip(package)
    main = runpy.run_path(str(EXAMPLE), run_name="example")["main"]
    found = main(backend, workers=2, seeds=1, folder=tmp_path)
    assert found.complete, found.failed
    alone = main("local", workers=1, seeds=1, folder=tmp_path / "alone")
    assert contents(found) == contents(alone)


class Broken(Executor):
    """Does some runs, then fails in one of the ways in which executors do."""

    def __init__(self, problem: Any, after: int = 3):
        self.problem, self.left, self._max_workers = problem, after, 1

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        self.left -= 1
        if self.left >= 0:
            return InlineExecutor().submit(function, *arguments)
        if self.problem == "submit":
            raise RuntimeError("no more")
        future: Future[Any] = Future()
        if isinstance(self.problem, Exception):
            future.set_exception(self.problem)
        else:
            future.set_result(self.problem)
        return future


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("submit", "the executor takes no runs: RuntimeError: no more"),
        (BrokenProcessPool("all died"), "the executor Broken failed: BrokenProcessPool: all died"),
        (17, "the executor Broken gave back int instead of a result"),
    ],
)
def test_a_broken_executor_stops(problem: Any, said: str, log: str, tmp_path: Path) -> None:
    one, store = partial(experiment, log=log), tmp_path / "runs.sqlite"
    with pytest.raises(WorkerError, match=said) as error:
        ablate(one, AXES, executor=Broken(problem), store=store, **PLAN)
    assert error.value.__notes__ == ["stopped: 3 of 12 runs are stored; the same call goes on"]
    states = [run.status for run in load_ablation(store).runs]
    assert (states.count(DONE), states.count(MISSING)) == (3, 9)
    assert ablate(one, AXES, executor=InlineExecutor(), store=store, **PLAN).complete
    assert set(noted(log).values()) == {1}


def test_a_lost_run_is_a_failed_run(log: str) -> None:
    """An executor that says of one run that it can't be computed, as Dask does."""
    lost = Broken(MemoryError("worker was killed"))
    found = ablate(partial(experiment, log=log), AXES, executor=lost, **PLAN)
    text = "the executor gave no result: MemoryError: worker was killed"
    assert {run.outcome.error for run in found.failed} == {text}
    assert len(found.failed) == 9


def test_two_runs_in_one_process_are_refused(log: str) -> None:
    """They would draw from each other's random numbers: seen in the worker, whoever sent them."""

    class Threads(Executor):
        _max_workers = 2

        def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
            return pool.submit(function, *arguments)

    def waits(a: int, seed: int) -> dict[str, float]:
        time.sleep(0.5)
        return {"loss": 0.0}

    with ThreadPoolExecutor(2) as pool, pytest.raises(WorkerError, match="two runs at once"):
        ablate(waits, {"a": [1, 2]}, executor=Threads(), version="1", **PLAN)


def test_what_cannot_be_loaded_stops(tmp_path: Path) -> None:
    """A module that only this process has: no run failed, the workers can't begin."""
    with pytest.raises(WorkerError, match=r"can't be loaded in a worker on .*found there too"):
        ablate(Unloadable(), {"a": [1, 2]}, executor=InlineExecutor(), version="1", **PLAN)


class Unloadable:
    __name__ = "unloadable"

    def __call__(self, a: int, seed: int) -> dict[str, float]:
        return {"loss": 0.0}

    def __reduce__(self) -> Any:
        return (_refuse, ())


def _refuse() -> None:
    raise ModuleNotFoundError("No module named 'mine'")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": 0}, "workers is 0, expected at least 1"),
        ({"workers": "2"}, "workers is '2', expected a whole number"),
        ({"timeout": -1}, "timeout is -1, expected seconds, more than 0"),
        ({"timeout": "1"}, "timeout is '1', expected seconds for each run"),
        ({"executor": "dask"}, "executor is str, expected an object with a method submit"),
        ({"executor": ThreadPoolExecutor}, "executor is the class ThreadPoolExecutor, expected"),
        ({"executor": ThreadPoolExecutor(2)}, "a ThreadPoolExecutor of 2, expected one thread"),
        ({"executor": InlineExecutor(), "timeout": 1}, "timeout is 1, expected None with an exec"),
        ({"executor": InlineExecutor(), "devices": "auto"}, "devices is 'auto', expected None"),
        ({"devices": "gpu"}, "devices is 'gpu', expected None, \"auto\" or a list"),
        ({"devices": ["gpu:0"]}, "devices is 'gpu:0', expected a device of torch"),
        ({"devices": ["cuda:99"]}, "devices is 'cuda:99', expected one of the . CUDA devices"),
        ({"devices": ["cpu"], "workers": 2}, "workers is 2, expected None with devices"),
    ],
)
def test_pools_that_are_refused(given: dict[str, Any], said: str) -> None:
    empty = dict.fromkeys(("executor", "workers", "devices", "timeout"))
    with pytest.raises((TypeError, ValueError), match=said):
        make_pool(**{**empty, **given})


def test_a_process_for_each_device(monkeypatch: Any) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def seen(devices: Any) -> list[tuple[str, str | None]]:
        pool = make_pool(None, None, devices, None)
        assert isinstance(pool, LocalPool)
        return [(s.device, s.env.get("CUDA_VISIBLE_DEVICES")) for s in pool._slots]

    assert seen("auto") == seen(["cuda:0", "cuda:1"]) == [("cuda:0", "0"), ("cuda:0", "1")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert seen(["cuda:1", "cpu"]) == [("cuda:0", "7"), ("cpu", None)]
