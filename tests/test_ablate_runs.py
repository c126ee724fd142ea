"""`ablate`: every run once, the same whoever computes it, failures kept; bad requests refused."""

import io
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from ablate_experiments import AXES, contents, experiment, failing, note, noted, slow_steps

from tokennet import files
from tokennet.ablate.ablate import ablate
from tokennet.ablate.ablation import Plan
from tokennet.ablate.load import load_ablation
from tokennet.ablate.pool import InlineExecutor
from tokennet.ablate.progress import Tally
from tokennet.ablate.record import DONE, FAILED, MISSING, Outcome, RunRecord
from tokennet.ablate.run import Run


@pytest.fixture
def log(tmp_path: Path) -> str:
    return str(tmp_path / "log")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def run_here(function: Any, **changes: Any) -> Any:
    given: dict[str, Any] = {"seeds": 4, "minimise": "loss", "progress": False, "name": "toy"}
    axes = changes.pop("axes", AXES)
    return ablate(function, axes, executor=InlineExecutor(), **{**given, **changes})


@pytest.mark.usefixtures("no_typecheck")  # its frames and its draws
def test_every_choice_and_seed_once(log: str, store: Path) -> None:
    before = (random.getstate()[1][:9], numpy.random.get_state()[1].sum(), torch.get_rng_state())
    found = run_here(partial(experiment, log=log), store=store)
    after = (random.getstate()[1][:9], numpy.random.get_state()[1].sum(), torch.get_rng_state())
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2]), "the caller's random states are its own"
    assert len(found.runs) == 24 == len(noted(log))
    assert set(noted(log).values()) == {1}
    assert found.complete
    places = [(run.labels["a"], run.labels["b"], run.seed) for run in found.runs]
    assert places == [(a, b, s) for a in "123" for b in ("plus", "minus") for s in range(4)]
    noise: dict[int, set[float]] = {}
    for run in found.runs:
        noise.setdefault(run.seed, set()).add(run.metrics["noise"])
    assert [len(values) for values in noise.values()] == [1] * 4, "choices are paired by seed"
    assert len(set.union(*noise.values())) == 4, "and seeds differ"
    out = found.runs[0].outcome
    assert out.versions["torch"] == torch.__version__
    assert out.memory > 2**20
    assert out.machine
    assert contents(load_ablation(store)) == contents(found)


def test_the_same_call_computes_what_is_missing(log: str, store: Path) -> None:
    one = partial(experiment, log=log)
    first = run_here(one, store=store, seeds=3)
    assert run_here(one, store=store, seeds=3).runs == first.runs
    assert len(noted(log)) == 18
    more = run_here(one, store=store)
    assert (len(noted(log)), set(noted(log).values())) == (24, {1})
    assert "18 of 24 runs were in the store before this call" in more.notes
    other = run_here(one, store=store, version="two")
    assert set(noted(log).values()) == {2}
    assert any("24 runs of 'toy' by other code" in text for text in other.notes)
    fewer = run_here(one, store=store, axes={**AXES, "a": [1, 2]}, seeds=[1, 3])
    assert set(noted(log).values()) == {2}, "another plan, the same runs"
    assert len(fewer.runs) == 8


@pytest.mark.usefixtures("no_typecheck")  # its frames and its draws
def test_a_failure_costs_one_run(log: str, store: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    one = partial(failing, log=log, flag=str(flag))
    found = run_here(one, store=store, seeds=10)
    (failed,) = found.failed
    assert (failed.labels, failed.seed) == ({"a": "2", "b": "plus"}, 3)
    assert failed.outcome.error.endswith("ArithmeticError: this seed fails\n")
    assert "in failing\n" in failed.outcome.error
    assert "tokennet/ablate" not in failed.outcome.error, "our own frames say nothing"
    assert sum(run.status == DONE for run in found.runs) == 59
    again = run_here(one, store=store, seeds=10)
    assert "1 of the runs failed in an earlier call" in again.notes[0]
    assert set(noted(log).values()) == {1}, "not again unless it is asked for"
    flag.touch()
    mended = run_here(one, store=store, seeds=10, retry_failed=True)
    assert mended.complete
    assert noted(log).most_common(2) == [("2 1 3", 2), ("1 1 0", 1)]


def test_long_tracebacks_keep_their_end(tmp_path: Path) -> None:
    def one(a: int, seed: int) -> dict[str, float]:
        raise ValueError("x" * 50_000 + " the end")

    error = run_here(one, axes={"a": [1, 2]}, seeds=1).runs[0].outcome.error
    assert len(error) < 20_010
    assert error.endswith(" the end\n")


@pytest.mark.parametrize("answer", [{}, None, 0.5, {"loss": "low"}, {1: 0.5}])
def test_answers_that_are_no_metrics_fail(answer: Any) -> None:
    found = run_here(lambda a, seed: answer, axes={"a": [1, 2]}, seeds=1, version="1")
    assert [run.status for run in found.runs] == [FAILED, FAILED]
    assert "expected" in found.runs[0].outcome.error


def test_the_metric_that_decides_must_be_there(log: str, store: Path) -> None:
    one = partial(experiment, log=log)
    found = run_here(one, store=store, minimise="lost")
    assert len(found.failed) == 24
    text = "the experiment returned no metric 'lost', only 'loss', 'noise'"
    assert found.runs[0].outcome.error == text
    assert load_ablation(store).failed == found.failed
    assert run_here(one, store=store).complete, "what it did return is not lost"
    assert set(noted(log).values()) == {1}


def test_not_a_number_is_a_result(store: Path) -> None:
    def one(a: int, seed: int) -> dict[str, float]:
        return {"loss": float("nan") if a else float("inf")}

    found = run_here(one, axes={"a": [0, 1]}, seeds=1, store=store)
    assert [repr(run.metrics["loss"]) for run in found.runs] == ["inf", "nan"]


def test_ctrl_c_keeps_what_is_done(log: str, store: Path) -> None:
    def one(a: int, b: int, seed: int) -> dict[str, float]:
        if noted(log).total() == 7:
            note(log, "stop")
            raise KeyboardInterrupt
        return experiment(a, b, seed, log)

    with pytest.raises(KeyboardInterrupt) as stop:
        run_here(one, store=store, version="1")
    note_of_it = "stopped: 7 of 24 runs are stored; the same call goes on"
    assert stop.value.__notes__ == [note_of_it]
    states = [run.status for run in load_ablation(store).runs]
    assert (states.count(DONE), states.count(MISSING)) == (7, 17), "no claim is left"
    assert run_here(one, store=store, version="1").complete
    assert set(noted(log).values()) == {1}
    with pytest.raises(KeyboardInterrupt) as stop:
        run_here(one, version="2", minimise="loss") if Path(log).write_text("x\n" * 7) else None
    assert stop.value.__notes__[1].startswith("nothing is kept of it: pass store=")


@pytest.mark.usefixtures("no_typecheck")
def test_a_run_goes_on_from_its_checkpoint(log: str, store: Path, monkeypatch: Any) -> None:
    one = partial(slow_steps, log=log, pause=0.0, save=True)
    plan: dict[str, Any] = {"seeds": 2, "version": "1"}
    whole = run_here(one, **plan)
    steps = noted(log).total()
    Path(log).unlink()
    saved = []

    def save(run: Run, state: Any, real: Any = Run.save) -> None:
        real(run, state)
        saved.append(1)
        if len(saved) == 15:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save", save)
    with pytest.raises(KeyboardInterrupt):
        run_here(one, store=store, **plan)
    folder = store.with_name("runs.sqlite.checkpoints")
    assert len(list(folder.iterdir())) == 1
    found = run_here(one, store=store, **plan)
    assert noted(log).total() == steps, "no step twice"
    assert contents(found) == contents(whole), "bit for bit, curves too"
    assert not folder.exists()

    # killed after the last run was stored, before its checkpoint was removed
    folder.mkdir()
    for record in found.runs:
        (folder / record.id).write_bytes(b"left behind")
    assert contents(run_here(one, store=store, **plan)) == contents(whole)
    assert not folder.exists()


def test_a_checkpoint_whose_folder_goes_meanwhile_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run ends between making the folder and writing into it, and removes it."""
    folder, removed = tmp_path / "checkpoints", []

    def remove(path: Path, content: bytes, real: Any = files.write_atomically) -> None:
        if not removed:
            removed.append(folder.rmdir())
        real(path, content)

    monkeypatch.setattr(files, "write_atomically", remove)
    run = Run(0, checkpoint=folder / "run")
    run.save({"step": 3})
    assert removed
    assert run.load() == {"step": 3}


def test_progress_says_what_there_is(log: str, tmp_path: Path, capsys: Any) -> None:
    one = partial(failing, log=log, flag=str(tmp_path / "flag"))
    run_here(one, progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ablate: 24 of 24 runs, best so far 3, minus: loss -")
    assert said.err.endswith(" (4 seeds), 1 failed\n")
    run_here(one)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    labels = {"[red]a[/]": 1, "b": 2}  # no markup of ours
    run_here(partial(experiment, log=log), axes={"a": labels, "b": [1]}, progress=True)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "best so far [red]a[/], 1: loss 2." in shown
    assert "0/?" in shown, "not 0 of 100 before anything is known"
    assert shown.rstrip().endswith("(4 seeds)")


@pytest.mark.parametrize(
    ("seconds", "said"), [(3.0, "9 s left"), (60.0, "3 min left"), (3600.0, "3 h 00 min left")]
)
def test_time_left(seconds: float, said: str) -> None:
    plan = Plan("toy", {"a": ("x", "y")}, ({"a": "x"}, {"a": "y"}), (0, 1, 2, 3), "loss", False)
    tally = Tally(plan, workers=2)
    assert tally.line() == "0 of 8 runs"
    for seed in range(2):
        out = Outcome({"loss": float(seed)}, seconds=seconds)
        tally.add(RunRecord(str(seed), {"a": "x"}, seed, DONE, out))
    words = f"2 of 8 runs, best so far x: loss 0.5 (2 seeds), {said}"
    assert tally.line() == words


def test_silence_costs_no_rich(tmp_path: Path) -> None:
    program = (
        "import sys; from tokennet.ablate.ablate import ablate\n"
        "from tokennet.ablate.pool import InlineExecutor as I\n"
        "f = lambda a, seed: {'x': float(a)}\n"
        "r = ablate(f, {'a': [1, 2]}, seeds=1, maximise='x', executor=I(), progress=False)\n"
        "assert r.complete and r.runs[0].outcome.commit is None\n"
        "print({'rich', 'torch_geometric', 'matplotlib', 'hypothesis'} & set(sys.modules))"
    )
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path,
        env=environment,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
