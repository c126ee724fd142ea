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
from ablate_kills import CELLS, disturb, executions, half_finished, rows, start

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
    what = ["coordinator", "worker", "group"]
    found = disturb(tmp_path, what, pause=0.03, save=save, seeds=4, longest=0.9, seed=int(save))
    assert found.kills.total() == 3
    assert found.hits.total() >= 2, "kills that hit nothing prove nothing"
    assert (found.lost, found.orphans) == (0, 0)
    runs = 4 * CELLS
    expected = {"runs": runs, "done": runs, "metrics": runs, "points": 20 * runs}
    none = {"same choice and seed": 0, "coordinators": 0}
    assert rows(tmp_path / "runs.sqlite") == {**expected, **none}
    ended = load_ablation(tmp_path / "runs.sqlite")
    steps, twice = executions(tmp_path / "log")
    assert steps > 20 * runs, "no run was interrupted"
    assert twice <= 2 * found.kills.total(), "only what ended and was not yet stored"
    alone = tmp_path / "alone"
    alone.mkdir()
    assert contents(ended) == contents(undisturbed(alone, 4, save)), "bit for bit"
    assert not (tmp_path / "runs.sqlite.checkpoints").exists()


def shared(tmp_path: Path, killed: bool) -> tuple[Path, Path]:
    """Two coordinators that begin together; if `killed`, the first is killed half way."""
    store, log = tmp_path / "runs.sqlite", tmp_path / "log"
    both = [start(store, log, 0.02, False, 5) for _ in range(2)]
    if killed:
        while len(half_finished(log)) < 3:  # more than two: both are at work
            assert both[0].poll() is None
            time.sleep(0.01)
        os.killpg(both[0].pid, signal.SIGKILL)
    codes = [process.wait() for process in both]
    assert codes == [-9 if killed else 0, 0]
    return store, log


@pytest.mark.parametrize("killed", [False, True])
def test_two_coordinators_share_the_work(tmp_path: Path, killed: bool) -> None:
    store, log = shared(tmp_path, killed)
    assert load_ablation(store).complete
    assert rows(store)["runs"] == 5 * CELLS
    ends = {line: count for line, count in noted(log).items() if line.endswith("end")}
    assert len(ends) == 5 * CELLS
    if not killed:
        assert set(noted(log).values()) == {1}, "each step of each run once"


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
