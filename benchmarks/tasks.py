"""How near the common nets of the built-in tasks come to the references, with the tasks' recipes.

    python -m benchmarks.tasks --seeds 5
    python -m benchmarks.tasks --tasks Cora CiteSeer --seeds 10 --first 100

One thread; seconds are those of the processor in a run, training and tests, data loaded before.
Deviations are of the sample, over the seeds; a mean without one is a single run. Published
references are in the papers named, computed ones come from `task_references.py` and
`text_references.py`. Tasks whose data is not there are left out, and named. "reached": the mean is
as good as the reference, or within the larger of the two deviations of it.
"""

import argparse
import statistics
import sys
import time
import warnings

import torch

import tokennet as tn
from tokennet.tasks import TASKS
from tokennet.tasks.base import Task

HEAD = (
    "task", "metric", "reference", "source", "ours", "seeds", "reached", "equivariance error",
    "CPU s / run",
)  # fmt: skip


def runs(task: Task, seeds: range) -> tuple[list[dict[str, float]], list[float]]:
    """Metrics and seconds of each run."""
    found, seconds = [], []
    for seed in seeds:
        task.data(seed)
        start = time.process_time()
        found.append(task(seed=seed))
        seconds.append(time.process_time() - start)
        text = f"{task.name}, seed {seed}: {found[-1][task.metric]:.4f}, {seconds[-1]:.1f} s"
        print(text, file=sys.stderr, flush=True)
    return found, seconds


def reached(task: Task, values: list[float]) -> bool:
    """Whether the mean is as good as the reference, to the larger of the deviations."""
    spread = max(statistics.stdev(values) if len(values) > 1 else 0.0, task.reference.spread or 0.0)
    gap = task.reference.value - statistics.mean(values)
    return (gap if task.higher_is_better else -gap) <= spread


def with_spread(value: float, spread: float | None) -> str:
    shown = f"{value:.3f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.0e}"
    return shown if spread is None else f"{shown} ± {spread:.3f}"


def row(task: Task, seeds: range) -> tuple[str, ...]:
    """The table's line for a task."""
    found, seconds = runs(task, seeds)
    values = [metrics[task.metric] for metrics in found]
    spread = statistics.stdev(values) if len(seeds) > 1 else None
    errors = [metrics["equivariance_error"] for metrics in found if "equivariance_error" in metrics]
    return (
        task.name,
        f"{task.metric} {'↑' if task.higher_is_better else '↓'}",
        with_spread(task.reference.value, task.reference.spread),
        task.reference.source,
        with_spread(statistics.mean(values), spread),
        str(len(seeds)),
        "yes" if reached(task, values) else "no",
        f"{statistics.median(errors):.0e}" if errors else "",
        f"{statistics.mean(seconds):.0f}",
    )


def line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (5)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--epochs", type=int, help="in place of the recipes', to try it out")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)  # PyG's
    print(
        f"Python {sys.version.split()[0]}, torch {torch.__version__}, tokennet {tn.__version__}, "
        f"one CPU thread\n\n{line(HEAD)}\n{line(('---',) * len(HEAD))}",
        flush=True,
    )
    absent = []
    for name in options.tasks:
        try:
            print(line(row(TASKS[name](epochs=options.epochs), seeds)), flush=True)
        except (FileNotFoundError, ImportError) as error:
            absent.append(f"left out: {name} ({error})")
    print("", *absent, sep="\n")


if __name__ == "__main__":
    main()
