"""`kill -9` at any moment, and two coordinators at once: nothing lost, nothing twice."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ablate_experiments import AXES, contents, noted, slow_steps
from ablate_kills import CELLS, Disturbed, disturb, executions, half_finished, rows, start

from tokennet.ablate.ablate import ablate
from tokennet.ablate.load import load_ablation
from tokennet.ablate.pool import InlineExecutor
from tokennet.ablate.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


def undisturbed(folder: Path, seeds: int, save: bool) -> Any:
    one = partial(slow_steps, log=str(folder / "log"), pause=0.0, save=save)
    return ablate(
        one, AXES, seeds=seeds, minimise="loss", name="steps", version="1", progress=False,
        executor=InlineExecutor(), store=folder / "alone.sqlite",
    )  # fmt: skip


@pytest.mark.parametrize("save", [False, True], ids=["from the start", "from checkpoints"])
def test_kills(tmp_path: Path, save: bool) -> None:
    """With forked workers, so that five kills take seconds; `loky`'s are killed below."""
    what = ["coordinator", "group", "coordinator", "group", "coordinator"]
    given = {"pause": 0.02, "save": save, "seeds": 5, "forked": True}
    found = disturb(tmp_path, what, longest=0.6, seed=int(save), **given)
    assert found.kills.total() == 5
    assert found.hits.total() >= 3, "kills that hit nothing prove nothing"
    check(tmp_path, found, 5, save)


def test_kills_of_local_processes(tmp_path: Path) -> None:
    """A killed worker costs a second start of its run; workers end with their coordinator."""
    given = {"pause": 0.02, "save": False, "seeds": 3, "forked": False}
    found = disturb(tmp_path, ["worker", "coordinator"], longest=0.2, seed=0, **given)
    assert found.hits == {"worker": 1, "coordinator": 1}
    check(tmp_path, found, 3, False)


def check(folder: Path, found: Disturbed, seeds: int, save: bool) -> None:
    """All is as if nothing had happened."""
    assert (found.lost, found.orphans) == (0, 0)
    runs = seeds * CELLS
    expected = {"runs": runs, "done": runs, "metrics": runs, "points": 20 * runs}
    none = {"same choice and seed": 0, "coordinators": 0}
    assert rows(folder / "runs.sqlite") == {**expected, **none}
    steps, twice = executions(folder / "log")
    assert steps > 20 * runs, "no run was interrupted"
    assert twice <= 2 * found.kills.total(), "only what ended and was not yet stored"
    alone = folder / "alone"
    alone.mkdir()
    ended = load_ablation(folder / "runs.sqlite")
    assert contents(ended) == contents(undisturbed(alone, seeds, save)), "bit for bit"
    assert not (folder / "runs.sqlite.checkpoints").exists()


@pytest.mark.parametrize("killed", [False, True])
def test_two_coordinators_share_the_work(tmp_path: Path, killed: bool) -> None:
    """They begin together; where one is killed half way, the other takes its runs over."""
    store, log = tmp_path / "runs.sqlite", tmp_path / "log"
    given = {"pause": 0.02, "save": False, "seeds": 5, "forked": True}
    both = [start(tmp_path, **given) for _ in range(2)]
    while len(half_finished(log)) < 3:  # more than two: both are at work
        assert both[0].is_alive()
        time.sleep(0.005)
    if killed:
        os.killpg(both[0].pid, signal.SIGKILL)
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [-9 if killed else 0, 0]
    assert load_ablation(store).complete
    assert rows(store)["runs"] == 5 * CELLS
    lines = noted(log)
    assert sum(line.endswith("end") for line in lines) == 5 * CELLS
    if killed:
        assert set(lines.values()) <= {1, 2}, "what was half finished began again"
    else:
        assert set(lines.values()) == {1}, "each step of each run once"


def test_the_test_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without claims two coordinators do everything twice, and it is seen."""
    one = partial(slow_steps, log=str(tmp_path / "log"), pause=0.0, save=False)
    plan: dict[str, Any] = {"seeds": 1, "minimise": "loss", "version": "1", "progress": False}
    call = partial(
        ablate, one, AXES, executor=InlineExecutor(), store=tmp_path / "runs.sqlite", **plan
    )
    entered: list[int] = []

    def at_first_claim(self: Store, run: str, me: Any, real: Any = Store.claim) -> bool:
        if not entered:  # a second coordinator, while the first has begun
            entered.append(1)
            call()
        return real(self, run, me) if sound else bool(real(self, run, me) or True)

    for sound in (True, False):
        monkeypatch.setattr(Store, "claim", at_first_claim)
        call()
        entered.clear()
        (tmp_path / "runs.sqlite").unlink()
        assert set(noted(tmp_path / "log").values()) == ({1} if sound else {2}), sound
        (tmp_path / "log").unlink()
