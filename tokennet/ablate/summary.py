"""Each cell of a plan, summed up over its seeds."""

import math
from collections.abc import Iterable
from statistics import median

import numpy as np

from tokennet.ablate.ablation import Ablation
from tokennet.ablate.analysis import CellSummary
from tokennet.ablate.design import Labels, name_of
from tokennet.ablate.record import DONE, FAILED, RunRecord
from tokennet.ablate.statistics import interquartile_mean, interval, sample_deviation

HUGE = 1e150  # squares of larger numbers overflow: what diverged so far has no value


def summarise(ablation: Ablation) -> tuple[CellSummary, ...]:
    """All cells of the plan, in its order; a run that is not there counts as missing."""
    plan = ablation.plan
    runs = {(tuple(sorted(run.labels.items())), run.seed): run for run in ablation.runs}
    cells = []
    for labels in plan.cells:
        key = tuple(sorted(labels.items()))
        found = {seed: runs.get((key, seed)) for seed in plan.seeds}
        cells.append(_summary(labels, plan.metric, found))
    return tuple(cells)


def _summary(labels: Labels, metric: str, runs: dict[int, RunRecord | None]) -> CellSummary:
    known = {seed: run for seed, run in runs.items() if run is not None}
    done = {seed: run for seed, run in known.items() if run.status == DONE}
    failed = tuple(seed for seed, run in known.items() if run.status == FAILED)
    measured = {seed: run.metrics.get(metric, math.nan) for seed, run in done.items()}
    usable = {seed: value for seed, value in measured.items() if abs(value) <= HUGE}
    values = tuple(usable.values())
    outcomes = [run.outcome for run in done.values() if run.outcome is not None]
    return CellSummary(
        labels,
        name_of(labels),
        tuple(usable),
        values,
        tuple(seed for seed in runs if seed not in done and seed not in failed),
        failed,
        tuple(seed for seed in done if seed not in usable),
        float(np.mean(values)) if values else None,
        sample_deviation(values),
        interval(values),
        interquartile_mean(values) if values else None,
        median(values) if values else None,
        _others(metric, done.values()),
        _median(outcome.parameters for outcome in outcomes),
        _median(outcome.flops for outcome in outcomes),
        _median(outcome.seconds for outcome in outcomes),
        _median(outcome.memory for outcome in outcomes),
        tuple(run.id for run in known.values()),
    )


def _median(found: Iterable[float | None]) -> float | None:
    known = [value for value in found if value is not None]
    return float(median(known)) if known else None


def _others(metric: str, runs: Iterable[RunRecord]) -> dict[str, tuple[float, float]]:
    """Mean and deviation of the other metrics, over the runs that have them."""
    values: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.metrics.items():
            if name != metric:
                values.setdefault(name, []).append(value)
    return {name: _mean_and_deviation(given) for name, given in values.items()}


def _mean_and_deviation(values: list[float]) -> tuple[float, float]:
    if not all(abs(value) <= HUGE for value in values):
        return math.nan, math.nan
    spread = sample_deviation(values)
    return float(np.mean(values)), math.nan if spread is None else spread
