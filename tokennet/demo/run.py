"""Runs the demo: trainings and verifications in two processes, shown as they arrive."""

import importlib.util
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tokennet.demo.results import Certificate, Example, Results, Row, Run, Variant, finding

EXTRAS = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "jinja2": "jinja2"}
WORKERS = 2


class MissingExtraError(ImportError):
    """A package that only the demo needs is not installed."""


def require_extras() -> None:
    """Raises where a package is missing, before anything is trained."""
    missing = [name for module, name in EXTRAS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"the demo needs {', '.join(missing)}: pip install 'tokennet[demo]'"
        )


def run_demo(
    out: Path, *, seeds: int = 5, quick: bool = False, console: Console | None = None
) -> Results:
    """Trains and verifies every net, writes page, figure and numbers to the folder `out`."""
    require_extras()
    console = console or Console()
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    from tokennet.demo.data import graph_task
    from tokennet.demo.jobs import EXAMPLES, QUICK, Effort, certify, example, train
    from tokennet.demo.nets import GRAPH_MIXERS, IMAGE_MIXERS

    effort = QUICK if quick else Effort()
    task = "karate club" if quick else graph_task()
    images = [Variant("digits", name, code) for name in IMAGE_MIXERS for code in (False, True)]
    graphs = [Variant(task, name) for name in GRAPH_MIXERS]
    variants = [*reversed(graphs), *images]  # the longest first: full attention on the graph
    console.print(
        f"[bold]tokennet demo[/bold]  {len(variants)} nets on digits and {task}, "
        f"every net verified and trained from several seeds, {WORKERS} processes",
        soft_wrap=True,
    )
    jobs: list[Callable[[], Any]] = [partial(certify, v, effort) for v in variants]
    # Full attention over Cora's 2,708 tokens costs as much as half of the digits.
    counts = {v: min(seeds, 3) if v.task == "Cora" else seeds for v in variants}
    jobs += [partial(train, v, seed, effort) for v in variants for seed in range(counts[v])]
    jobs += [partial(example, name, effort) for name in EXAMPLES]
    found = _collect(jobs, counts, console)
    rows = {v: _row(v, found) for v in variants}
    results = Results(
        image_rows=tuple(rows[v] for v in images),
        graph_rows=tuple(rows[v] for v in graphs),
        examples=tuple(sorted(f for f in found if isinstance(f, Example))),
        versions=_versions(),
        quick=quick,
        seconds=time.perf_counter() - start,
    )
    from tokennet.demo.output import print_table, write_all

    with console.status("drawing"):
        paths = write_all(results, out)
    print_table(results, console)
    for name, path in paths.items():
        console.print(f"{name:8}{path}", highlight=False, soft_wrap=True)
    console.print(f"{time.perf_counter() - start:.0f} s", highlight=False)
    return results


def _collect(
    jobs: list[Callable[[], Any]], counts: dict[Variant, int], console: Console
) -> list[Any]:
    """The results of all jobs in the order in which they end; a line for each net that is done."""
    from tokennet.demo.jobs import start_worker

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    context = multiprocessing.get_context("spawn")  # forking after torch has run is not safe
    found: list[Any] = []
    with (
        Progress(*columns, console=console, transient=True) as progress,
        ProcessPoolExecutor(WORKERS, context, initializer=start_worker) as pool,
    ):
        bar = progress.add_task("training and verifying", total=len(jobs))
        futures: list[Future[Any]] = [pool.submit(job) for job in jobs]
        try:
            for future in as_completed(futures):
                found.append(future.result())
                progress.advance(bar)
                text = _news(found, counts)
                if text:
                    progress.console.print(text, highlight=False, soft_wrap=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _news(found: list[Any], counts: dict[Variant, int]) -> str:
    """What the latest result completes, in words; empty if nothing."""
    last = found[-1]
    if isinstance(last, Certificate):
        verdict = "[green]held[/]  " if last.ok else "[red]BROKEN[/]"
        return f"verified {last.variant!s:35} {verdict} Permutation {finding(last)}"
    if not isinstance(last, Run):
        return ""
    runs = [f for f in found if isinstance(f, Run) and f.variant == last.variant]
    if len(runs) < counts[last.variant]:
        return ""
    mean = sum(r.accuracy for r in runs) / len(runs)
    return f"trained  {last.variant!s:35} {mean:5.1f} % (n = {len(runs)})"


def _row(variant: Variant, found: list[Any]) -> Row:
    runs = [f for f in found if isinstance(f, Run) and f.variant == variant]
    certificate = next(f for f in found if isinstance(f, Certificate) and f.variant == variant)
    return Row(variant, tuple(sorted(runs, key=lambda r: r.seed)), certificate)


def _versions() -> dict[str, str]:
    from importlib.metadata import version
    from platform import python_version

    names = ("tokennet", "torch", "scikit-learn", "networkx")
    return {"Python": python_version(), **{name: version(name) for name in names}}
