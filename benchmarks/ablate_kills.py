"""`kill -9` at random moments of a running ablation: is the final table the undisturbed one?

python benchmarks/ablate_kills.py [kills]

For runs that start again and runs that go on from checkpoints: four fifths of the kills with
workers that are forked (a restart takes moments), the rest with the default, loky's processes.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from ablate_experiments import AXES, contents, slow_steps
from ablate_kills import CELLS, Disturbed, disturb, executions, rows

from tokennet.ablate.ablate import ablate
from tokennet.ablate.load import load_ablation
from tokennet.ablate.pool import InlineExecutor

FORKED = ["coordinator", "group"]
LOKY = ["coordinator", "worker", "group", "worker", "coordinator"]


def undisturbed(folder: Path, seeds: int) -> list:
    one = partial(slow_steps, log=str(folder / "alone"), pause=0.0, save=False)
    return contents(
        ablate(
            one, AXES, seeds=seeds, minimise="loss", name="steps", version="1", progress=False,
            executor=InlineExecutor(),
        )
    )  # fmt: skip


def measure(kills: int, *, save: bool, forked: bool, seed: int) -> bool:
    """One line of the table; whether nothing was lost, doubled or changed."""
    kinds = FORKED if forked else LOKY
    seeds = 5 + kills  # enough that it is never done before the last kill
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = {"pause": 0.02, "save": save, "seeds": seeds, "forked": forked}
        what = [kinds[i % len(kinds)] for i in range(kills)]
        found = disturb(folder, what, longest=1.0, seed=seed, **given)
        table, runs = rows(folder / "runs.sqlite"), seeds * CELLS
        steps, twice = executions(folder / "log")
        same = contents(load_ablation(folder / "runs.sqlite")) == undisturbed(folder, seeds)
    whole = table == {
        "runs": runs, "done": runs, "metrics": runs, "points": 20 * runs,
        "same choice and seed": 0, "coordinators": 0,
    }  # fmt: skip
    kind = ("forked" if forked else "loky") + (", checkpoints" if save else "")
    cells = (
        kind, _words(found), found.hits.total(), runs, found.lost, table["same choice and seed"],
        "yes" if same and whole else "NO", found.orphans, steps - 20 * runs, twice,
        f"{time.perf_counter() - begin:.0f} s",
    )  # fmt: skip
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return same and whole and not found.lost and not found.orphans


def _words(found: Disturbed) -> str:
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(found.kills.items()))
    return f"{found.kills.total()}: {kinds}"


def main(kills: int = 50) -> None:
    titles = (
        "workers", "kills", "hit a run half way", "runs", "lost or stored again", "stored twice",
        "table as undisturbed", "orphans", "steps done again", "runs that ended twice", "time",
    )  # fmt: skip
    print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles), flush=True)
    good = [
        measure(count, save=save, forked=forked, seed=seed)
        for seed, save in enumerate((False, True))
        for forked, count in ((True, kills - kills // 5), (False, kills // 5))
    ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
