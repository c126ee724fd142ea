"""`tn.ablate`: which choice matters, and is the difference real?"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokennet.ablate.ablation import Ablation
from tokennet.ablate.record import DONE, FAILED
from tokennet.ablate.request import Request, packed, read_request, require_extras
from tokennet.checks import kind_of, switch, type_error


def ablate(
    experiment: Callable[..., Any],
    axes: Mapping[str, Any],
    *,
    seeds: int | Sequence[int] = 10,
    maximise: str | None = None,
    minimise: str | None = None,
    baseline: Mapping[str, Any] | None = None,
    design: str | Sequence[Mapping[str, Any]] = "grid",
    fixed: Mapping[str, Any] | None = None,
    match: Any = None,
    store: str | os.PathLike[str] | None = None,
    executor: Any = None,
    workers: int | None = None,
    devices: Sequence[str] | str | None = None,
    timeout: float | None = None,
    name: str | None = None,
    version: str | None = None,
    retry_failed: bool = False,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Ablation:
    """Runs `experiment(**choice, seed=seed)` for every choice and seed, and says what differs.

        result = tn.ablate(
            experiment, {"mixer": {"attention": make_a, "MLP": make_b}}, seeds=10,
            maximise="accuracy", store="runs.sqlite",
        )
        print(result)

    The experiment returns a dict of numbers. If it has an argument `run`, it gets a `Run`, for
    curves, costs and checkpoints. Python, NumPy and torch are seeded before, the same for every
    choice: choices are compared seed by seed. Experiment and choices travel by cloudpickle, so
    lambdas and functions of a notebook are fine.

    Args:
        axes: for each argument its choices, {label: value} or a list of values.
        seeds: how many, or which.
        maximise, minimise: the metric that decides; the experiment's own `metric` and
            `higher_is_better` if neither is given.
        baseline: the choice that the others are compared with, one label on each axis.
        design: "grid" (every combination), "one at a time" (around the baseline) or a list of
            choices.
        fixed: arguments of the experiment that are the same in every run.
        match: "parameters", "flops" or a `Budget`: widths that give all choices equal budgets.
        store: an SQLite file. Every run is kept there as it ends, and the same call goes on after
            a crash, computes only what is missing, and shares the work with others that make the
            same call at the same time. None: nothing is kept.
        executor: any `concurrent.futures.Executor` whose workers run one thing at a time, or
            submitit's; None: processes of this machine, with one torch thread each.
        workers: runs at once; None: the usable CPUs, or what the executor says of itself.
        devices: GPUs for the local processes, one process each: "auto" for all, or a list. None:
            the CPU, also where there is a GPU. The experiment finds its device in `run.device`.
        timeout: seconds for each run, of local processes; what takes longer has failed.
        name: of the experiment in the store; None: the function's own.
        version: of the experiment's code; None: a hash of it. Another version is another run.
        retry_failed: runs that failed before are computed again.
        settings: kept with the results for a reader, e.g. the file that asked for them.
        progress: shows how far it is, on stderr.

    Raises:
        TypeError, ValueError: for arguments that don't fit, before anything runs.
        StoreError: the store can't be used or written. What is in it stays.
        WorkerError: the executor, not the experiment, fails.
    """
    require_extras()
    request = read_request(
        experiment,
        axes,
        seeds,
        maximise,
        minimise,
        baseline,
        design,
        match,
        name,
        version,
        fixed,
        settings,
    )
    switch("retry_failed", retry_failed)
    switch("progress", progress)
    from tokennet.ablate.pool import make_pool
    from tokennet.ablate.schema import StoreError

    if store is not None and not isinstance(store, str | os.PathLike):
        raise type_error("store", kind_of(store), "the name of a file, or None")
    pool = make_pool(executor, workers, devices, timeout)
    content = packed(experiment, request.cells)
    with contextlib.ExitStack() as stack:
        if store is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tokennet-"))
        path = Path(store if store is not None else Path(folder) / "runs.sqlite")
        try:
            found = _run(request, path, pool, content, retry_failed, progress)
        except (StoreError, KeyboardInterrupt) as error:
            if store is None:
                error.add_note("nothing is kept of it: pass store= to go on after a stop")
            raise
    return found if store is not None else Ablation(found.plan, found.runs, None, found.notes)


def _run(
    request: Request, path: Path, pool: Any, content: bytes, retry_failed: bool, progress: bool
) -> Ablation:
    from tokennet.ablate.coordinator import Job, seen
    from tokennet.ablate.identity import run_id
    from tokennet.ablate.pool import Work
    from tokennet.ablate.progress import Tally, make_progress
    from tokennet.ablate.store import Planned, Store

    plan, notes = request.plan, list(request.notes)
    planned: dict[str, Planned] = {}
    works: dict[int, list[tuple[str, Work]]] = {seed: [] for seed in plan.seeds}
    folder = f"{path.absolute()}.checkpoints"
    for index, cell in enumerate(request.cells):
        for seed in plan.seeds:
            run = run_id(plan.name, request.code, cell, seed)
            planned[run] = Planned(run, cell.labels, seed)
            works[seed].append((run, Work(content, index, seed, f"{folder}/{run}")))
    with Store(path) as opened:
        ablation = opened.add(plan, request.code, list(planned.values()), notes)
        before = [seen(record, plan.metric) for record in opened.records(ablation)]
        failed = [record.id for record in before if record.status == FAILED]
        if retry_failed:
            opened.retry(failed)
        elif failed:
            notes.append(
                f"{len(failed)} of the runs failed in an earlier call and were not computed "
                "again; retry_failed=True does that"
            )
        stored = sum(record.status == DONE for record in before)
        if stored:
            notes.append(f"{stored} of {len(before)} runs were in the store before this call")
        other = opened.other_code(plan.name, request.code)
        if other:
            notes.append(
                f"the store has {other} runs of {plan.name!r} by other code: they don't count here"
            )
        # Seed by seed: whenever it stops, most choices can be compared.
        order = {run: work for each in works.values() for run, work in each}
        tally = Tally(plan, pool.size)
        Job(opened, pool, ablation, order, planned, tally, make_progress(progress)).work()
        runs = tuple(seen(record, plan.metric) for record in opened.records(ablation))
    return Ablation(plan, runs, str(path), tuple(notes))
