"""What store and bookkeeping cost a run, and what a second worker brings.

python benchmarks/ablate_overhead.py [seconds]    (runs of 2 seconds if nothing is given)

All times come from the store: from the end of the first runs to the end of the last, so that the
start of the processes does not count. The machine should have nothing else to do; of the repeated
measurements the median is the result.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tokennet.ablate.ablate import ablate

REPEATS = 3
LIMIT = 10.0  # ms a run
GAIN = 1.8
AXES = {"a": [1, 2]}


def at_once(a: int, seed: int) -> dict[str, float]:
    return {"x": float(a)}


def with_curves(a: int, seed: int, run: Any) -> dict[str, float]:
    for step in range(100):
        run.log(step, loss=1.0, accuracy=0.5)
    return {f"metric {i}": float(i) for i in range(9)} | {"x": float(a)}


def work(a: int, seed: int, rounds: int) -> dict[str, float]:
    """Nothing but arithmetic of one core."""
    x = 1.0
    for _ in range(rounds):
        x = x * 0.999999 + 1e-6
    return {"x": x}


def wait(a: int, seed: int, seconds: float) -> dict[str, float]:
    time.sleep(seconds)
    return {"x": 0.0}


def measure(experiment: Any, seeds: int, workers: int) -> tuple[float, float]:
    """Runs a second, and the experiment's own mean seconds."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "runs.sqlite"
        found = ablate(
            experiment, AXES, seeds=seeds, maximise="x", store=store, workers=workers,
            version="1", progress=False,
        )  # fmt: skip
        with closing(sqlite3.connect(store)) as connection:
            rows = connection.execute("SELECT ended, seconds FROM runs ORDER BY ended").fetchall()
    assert found.complete
    ended = [datetime.fromisoformat(row[0]).timestamp() for row in rows]
    # The first run of each worker waited for its process.
    rate = (len(ended) - workers) / (ended[-1] - ended[workers - 1])
    return rate, statistics.fmean(row[1] for row in rows[workers:])


def overhead() -> bool:
    print("| experiment, one worker | runs | ms a run, repeated | median | allowed |")
    print("|---|---|---|---|---|")
    middles = []
    for name, experiment in (
        ("returns at once", at_once),
        ("200 points of curves, 10 metrics", with_curves),
    ):
        costs = []
        for _ in range(REPEATS):
            rate, own = measure(experiment, 150, 1)
            costs.append(1000 * (1 / rate - own))
        middles.append(statistics.median(costs))
        words = ", ".join(f"{cost:.1f}" for cost in costs)
        print(f"| {name} | 300 | {words} | {middles[-1]:.1f} | {LIMIT:.0f} |", flush=True)
    return max(middles) <= LIMIT


def rounds_for(seconds: float) -> int:
    """So many rounds take about so long here; the least of several tries is the quietest."""
    return round(1e6 * seconds / min(_seconds_of(10**6) for _ in range(5)))


def _seconds_of(rounds: int) -> float:
    start = time.perf_counter()
    work(0, 0, rounds)
    return time.perf_counter() - start


def gain(seconds: float) -> bool:
    rounds = rounds_for(seconds)
    print(f"\n| runs of {seconds:g} s | two workers over one, repeated | median | at least |")
    print("|---|---|---|---|")
    middles = {}
    for name, experiment in (
        ("waiting", partial(wait, seconds=seconds)),
        ("arithmetic", partial(work, rounds=rounds)),
    ):
        ratios = []
        for _ in range(REPEATS):  # one and two in turn: a busy moment meets both
            one, two = (measure(experiment, 4 * workers, workers)[0] for workers in (1, 2))
            ratios.append(two / one)
        middles[name] = statistics.median(ratios)
        words = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {name} | {words} | {middles[name]:.2f} | {GAIN} |", flush=True)
    return min(middles.values()) >= GAIN


def main(seconds: float = 2.0) -> None:
    good = [overhead(), gain(seconds)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
