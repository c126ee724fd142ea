"""Kills an ablation again and again, and compares what comes out with an undisturbed one."""

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablate_experiments import AXES, main, noted

# Coordinators are forked from a process that has imported torch once: seconds become moments.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tokennet.ablate.coordinator", "tokennet.ablate.identity", "loky"])
CELLS = len(AXES["a"]) * len(AXES["b"])


@dataclass
class Disturbed:
    """What happened. `hits`: kills that found a run half finished, by what was killed."""

    kills: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    lost: int = 0  # runs that were stored and later were not, or were stored again
    orphans: int = 0  # workers that went on without their coordinator


def start(folder: Path, *, pause: float, save: bool, seeds: int, forked: bool) -> Any:
    """The ablation in a process group of its own, with two workers, forked or loky's."""
    store, log = str(folder / "runs.sqlite"), str(folder / "log")
    process = CONTEXT.Process(target=main, args=(store, log, pause, save, seeds, forked))
    process.start()
    return process


def disturb(folder: Path, what: list[str], *, longest: float, seed: int, **given: Any) -> Disturbed:
    """Runs the ablation in `folder`, kills in turn `what` at random moments, lets it end at last.

    Each is "coordinator", "group" (with its workers) or "worker". A moment is up to `longest`
    seconds after a next sign of the runs; one in eight is at once, while it starts.
    """
    store, log = folder / "runs.sqlite", folder / "log"
    chance, found = random.Random(seed), Disturbed()
    stored: dict[str, str] = {}
    running = None
    for target in what:
        if running is None:
            running = start(folder, **given)
        before = _size(log)
        early = target != "worker" and chance.random() < 0.125
        while not early and _size(log) == before and running.is_alive():
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, longest))
        assert running.is_alive(), "it ended before all kills: more seeds are needed"
        _kill(target, running.pid, chance)
        found.kills[target] += 1
        found.hits[target] += bool(half_finished(log))
        if target == "worker":
            continue
        running.join()
        running = None
        time.sleep(0.5)  # the workers have noticed by now
        size = _size(log)
        time.sleep(0.2)
        found.orphans += _size(log) != size
        now = stored_runs(store)
        found.lost += sum(now.get(run) != ended for run, ended in stored.items())
        stored = now
    if running is None:
        running = start(folder, **given)
    running.join()
    assert running.exitcode == 0
    now = stored_runs(store)
    found.lost += sum(now.get(run) != ended for run, ended in stored.items())
    return found


def _kill(target: str, pid: int, chance: random.Random) -> None:
    if target == "group":
        os.killpg(pid, signal.SIGKILL)
        return
    workers = _children(pid)
    os.kill(chance.choice(workers) if target == "worker" else pid, signal.SIGKILL)


def half_finished(log: Path) -> list[str]:
    """The runs whose last line is no end."""
    last: dict[str, str] = {}
    for line in noted_lines(log):
        run, _, word = line.rpartition(" ")
        last[run] = word
    return [run for run, word in last.items() if word != "end"]


def noted_lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def executions(log: Path) -> tuple[int, int]:
    """Steps in all, and runs that came to their end more than once."""
    lines = noted(log)
    ends = {line: count for line, count in lines.items() if line.endswith(" end")}
    return lines.total() - sum(ends.values()), sum(count > 1 for count in ends.values())


def rows(store: Path) -> dict[str, int]:
    """How many rows the tables have, runs and metrics that stand there twice."""
    twice = "SELECT 1 FROM runs GROUP BY labels, seed HAVING count(*) > 1"
    with closing(sqlite3.connect(store)) as connection:
        one = lambda query: connection.execute(query).fetchone()[0]  # noqa: E731
        return {
            "runs": one("SELECT count(*) FROM runs"),
            "done": one("SELECT count(*) FROM runs WHERE status = 'done'"),
            "metrics": one("SELECT count(*) FROM metrics"),
            "points": one("SELECT count(*) FROM curves"),
            "same choice and seed": one(f"SELECT count(*) FROM ({twice})"),
            "coordinators": one("SELECT count(*) FROM coordinators"),
        }


def stored_runs(store: Path) -> dict[str, str]:
    if not store.exists() or not store.stat().st_size:
        return {}
    with closing(sqlite3.connect(store)) as connection:
        return dict(connection.execute("SELECT id, ended FROM runs WHERE status = 'done'"))


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _children(pid: int) -> list[int]:
    """The workers: processes that loky has started for `pid`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == pid and b"popen_loky" in command:
            found.append(int(folder.name))
    return found
