"""`tn.ablate`: which choice matters, and is the difference real?"""

import contextlib
import importlib.util
import inspect
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tokennet.ablate.ablation import Ablation, Plan
from tokennet.ablate.design import Cell, Labels, choose, read_axes, read_choice, read_seeds
from tokennet.ablate.record import DONE, FAILED
from tokennet.ablate.run import takes_run
from tokennet.checks import kind_of, switch, type_error, value_error

NEEDED = ("loky", "cloudpickle", "scipy")


class MissingAblateError(ImportError):
    """A package that ablations need is not installed."""


def ablate(
    experiment: Callable[..., Any],
    axes: Mapping[str, Any],
    *,
    seeds: int | Sequence[int] = 10,
    maximise: str | None = None,
    minimise: str | None = None,
    baseline: Mapping[str, Any] | None = None,
    design: str | Sequence[Mapping[str, Any]] = "grid",
    match: Any = None,
    store: str | os.PathLike[str] | None = None,
    executor: Any = None,
    workers: int | None = None,
    devices: Sequence[str] | str | None = None,
    timeout: float | None = None,
    name: str | None = None,
    version: str | None = None,
    retry_failed: bool = False,
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
        progress: shows how far it is, on stderr.

    Raises:
        TypeError, ValueError: for arguments that don't fit, before anything runs.
        StoreError: the store can't be used or written. What is in it stays.
        WorkerError: the executor, not the experiment, fails.
    """
    _require()
    request = _read(
        experiment, axes, seeds, maximise, minimise, baseline, design, match, name, version
    )
    switch("retry_failed", retry_failed)
    switch("progress", progress)
    from tokennet.ablate.pool import make_pool
    from tokennet.ablate.schema import StoreError

    if store is not None and not isinstance(store, str | os.PathLike):
        raise type_error("store", kind_of(store), "the name of a file, or None")
    pool = make_pool(executor, workers, devices, timeout)
    content = _packed(experiment, request.cells)
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


@dataclass(frozen=True)
class Request:
    """What is asked for, once it was found to be in order."""

    plan: Plan
    cells: tuple[Cell, ...]
    code: str
    notes: tuple[str, ...]


def _require() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingAblateError(
            f"ablations need {', '.join(missing)}: pip install 'tokennet[ablate]'"
        )


def _read(
    experiment: Any, axes: Any, seeds: Any, maximise: Any, minimise: Any, baseline: Any,
    design: Any, match: Any, name: Any, version: Any,
) -> Request:  # fmt: skip
    from tokennet.ablate.identity import code_version

    if not callable(experiment) or isinstance(experiment, type):
        allowed = "a function of the axes and a seed that returns a dict of metrics"
        raise type_error("experiment", kind_of(experiment), allowed)
    for key, text in (("name", name), ("version", version)):
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise type_error(key, repr(text), "a text that says something, or None")
    known = read_axes(axes)
    metric, higher = _metric(experiment, maximise, minimise)
    chosen: Labels | None = None
    if baseline is not None:
        chosen = read_choice("baseline", baseline, known)
    kind, cells = choose(design, known, chosen)
    notes: list[str] = []
    if match is not None:
        from tokennet.ablate.budget import match_widths

        before = cells
        cells, notes = match_widths(match, experiment, cells, chosen)
        changed = {
            new.name: {k: v for k, v in new.values.items() if k not in old.values}
            for old, new in zip(before, cells, strict=True)
        }
    for cell in cells:
        _fits(experiment, cell)
    settings: dict[str, Any] = {
        "experiment": _name_of(experiment),
        "choices": {a: {label: _words(v) for label, v in c.items()} for a, c in known.items()},
    }
    if version is not None:
        settings["version"] = version
    if match is not None:
        settings |= {"match": _words(match), "matched": changed}
    own = getattr(experiment, "settings", None)
    if isinstance(own, Mapping):
        settings["task"] = {str(k): _words(v) for k, v in own.items()}
    plan = Plan(
        name or _name_of(experiment),
        {axis: tuple(choices) for axis, choices in known.items()},
        tuple(cell.labels for cell in cells),
        read_seeds(seeds), metric, higher, kind, chosen, settings,
    )  # fmt: skip
    return Request(plan, tuple(cells), version or code_version(experiment), tuple(notes))


def _metric(experiment: Any, maximise: Any, minimise: Any) -> tuple[str, bool]:
    for key, text in (("maximise", maximise), ("minimise", minimise)):
        if text is not None and (not isinstance(text, str) or not text):
            raise type_error(key, repr(text), 'the name of a metric, e.g. "accuracy"')
    if maximise is not None and minimise is not None:
        raise value_error("minimise", repr(minimise), "None beside maximise", "one metric decides")
    if maximise is not None or minimise is not None:
        return maximise or minimise, maximise is not None
    metric, higher = (getattr(experiment, n, None) for n in ("metric", "higher_is_better"))
    if not isinstance(metric, str) or not isinstance(higher, bool):
        hint = 'e.g. maximise="accuracy" or minimise="loss"'
        raise value_error("maximise", None, "the metric that decides", hint)
    return metric, higher


def _fits(experiment: Any, cell: Cell) -> None:
    """The experiment takes what it would get, and needs nothing else."""
    parameters = inspect.signature(experiment).parameters
    kinds = inspect.Parameter
    named = [
        n
        for n, p in parameters.items()
        if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    ]
    given = [*cell.values, "seed", *(["run"] if takes_run(experiment) else [])]
    words = ", ".join(named) or "none"
    if not any(p.kind is kinds.VAR_KEYWORD for p in parameters.values()):
        for key in given:
            if key not in named:
                near = get_close_matches(key, [n for n in named if n not in given], n=1)
                hint = f"is {near[0]!r} meant?" if near else f"add {key!r} to it"
                allowed = f"a function that takes {key!r} (it takes {words})"
                raise value_error("experiment", _name_of(experiment), allowed, hint)
    for key, parameter in parameters.items():
        if parameter.kind in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL):
            continue
        if parameter.default is kinds.empty and key not in given:
            hint = "give it a default, or make it an axis"
            allowed = f"a function that needs no {key!r}: it gets {', '.join(given)}"
            raise value_error("experiment", _name_of(experiment), allowed, hint)


def _name_of(experiment: Any) -> str:
    own = getattr(experiment, "name", None)
    if isinstance(own, str) and own:
        return own
    function = getattr(experiment, "func", experiment)  # of a partial
    found = getattr(function, "__name__", type(function).__name__)
    return "experiment" if found == "<lambda>" else found


def _words(value: Any) -> str:
    """A value for a reader, the same in every process."""
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text[:200]


def _packed(experiment: Any, cells: Sequence[Cell]) -> bytes:
    """Everything in one piece: what the experiment and the choices share stays shared."""
    import cloudpickle

    try:
        return cloudpickle.dumps((experiment, [cell.values for cell in cells]))
    except Exception as error:
        parts = {"experiment": experiment}
        for cell in cells:
            for axis, value in cell.values.items():
                parts[f"axes[{axis!r}][{cell.labels.get(axis)!r}]"] = value
        for part, value in parts.items():
            try:
                cloudpickle.dumps(value)
            except Exception as own:
                hint = f"make it inside the function ({type(own).__name__}: {own})"
                allowed = "something that can be sent to another process"
                raise type_error(part, kind_of(value), allowed, hint) from own
        raise type_error(
            "experiment", kind_of(experiment), "something that can be pickled", str(error)
        ) from error


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
