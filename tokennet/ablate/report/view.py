"""What the page says, as plain values for its template; every number knows where its runs are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokennet.ablate.record import DONE, FAILED, RunRecord
from tokennet.ablate.report import words
from tokennet.ablate.report.numbers import (
    NOTHING,
    chance,
    count,
    digits_for,
    duration,
    finite,
    share,
    size,
)  # fmt: skip
from tokennet.ablate.report.tables import metric_names

if TYPE_CHECKING:
    from tokennet.ablate.ablation import Ablation
    from tokennet.ablate.analysis import CellSummary, Comparison, Effect

_COSTS = {"parameters": count, "flops": count, "seconds": duration, "memory": size}
_HEADS = {"parameters": "parameters", "flops": "FLOPs", "seconds": "time", "memory": "memory"}


@dataclass(frozen=True)
class Link:
    """Words that lead to a part of the page; `full` is what they are short for."""

    words: str
    target: str
    full: str = ""


def _link(name: str, target: str, room: int = 70) -> Link:
    words_ = words.shortened(name, room)
    return Link(words_, target, name if words_ != words.one_line(name) else "")


class View:
    """An ablation in the words of the page."""

    def __init__(self, ablation: "Ablation"):
        self.ablation = ablation
        self.analysis = ablation.analysis
        self.cells = words.cell_runs(ablation)
        names = [cell.name for cell in self.analysis.cells]
        self._places = {name: i for i, name in enumerate(names) if names.count(name) == 1}
        self._axes = {axis: i for i, axis in enumerate(ablation.plan.axes)}
        self._metrics = metric_names(ablation)

    @property
    def tiles(self) -> list[tuple[str, str]]:
        """The few numbers at the top."""
        runs, analysis = self.ablation.runs, self.analysis
        done = sum(run.status == DONE for run in runs)
        real = sum(c.distinguishable for c in analysis.comparisons)
        spent = [r.outcome.seconds for r in runs if r.outcome and finite(r.outcome.seconds)]
        return [
            (f"{done:,} of {len(runs):,}", "runs are done"),
            (f"{len(analysis.ranking)} of {len(analysis.cells)}", "choices have all seeds"),
            (f"{real} of {len(analysis.comparisons)}", "comparisons are distinguishable"),
            (duration(sum(spent)), "in all runs together"),
        ]

    @property
    def costs(self) -> list[str]:
        """The costs that are known of any cell."""
        return [c for c in _COSTS if any(getattr(cell, c) is not None for cell, _ in self.cells)]

    @property
    def ranking_head(self) -> list[str]:
        others = [words.shortened(name, 24) for name in self._metrics[1:]]
        return [
            words.shortened(self.ablation.plan.metric, 24), "95 % interval", "middle half", "n",
            *others, *(_HEADS[c] for c in self.costs),
        ]  # fmt: skip

    @property
    def ranking(self) -> list[dict[str, Any]]:
        """One for every complete cell, the best first."""
        return [self._ranked(rank, cell) for rank, cell in enumerate(self.analysis.ranking, 1)]

    def _ranked(self, rank: int, cell: "CellSummary") -> dict[str, Any]:
        digits = words.digits_of(cell)
        numbers = [
            digits.with_deviation(cell.mean, cell.deviation), digits.interval(cell.interval),
            digits.alone(cell.iqm), str(len(cell.values)),
        ]  # fmt: skip
        for name in self._metrics[1:]:
            numbers.append(_other((cell.others or {}).get(name)))
        numbers += [_COSTS[c](getattr(cell, c)) for c in self.costs]
        baseline = cell.labels == self.ablation.plan.baseline
        link = _link(cell.name, self._cell_target(cell))
        return {"rank": rank, "name": link, "numbers": numbers, "baseline": baseline}

    def _cell_target(self, cell: "CellSummary") -> str:
        return f"cell-{self.analysis.cells.index(cell)}"

    @property
    def incomplete(self) -> list[tuple[Link, str]]:
        found = words.incomplete(self.ablation)
        return [(_link(cell.name, self._cell_target(cell)), why) for cell, why in found]

    @property
    def comparisons(self) -> list[dict[str, Any]]:
        return [self._compared(c) for c in self.analysis.comparisons]

    def _compared(self, c: "Comparison") -> dict[str, Any]:
        digits = words.digits_of_difference(c)
        effect = digits_for(
            [c.effect_size], 0.1 * abs(c.effect_size) if finite(c.effect_size) else None
        )
        numbers = [
            digits.alone(c.difference), digits.interval(c.interval), effect.alone(c.effect_size),
            share(c.improvement), chance(c.p), chance(c.p_holm),
        ]  # fmt: skip
        needed = "" if c.seeds_needed is None else f"about {c.seeds_needed} seeds needed"
        ends = [_link(name, self._target(c, name), 50) for name in (c.first, c.second)]
        return {"ends": ends, "axis": c.axis, "numbers": numbers, "needed": needed, "n": c.n,
                "real": c.distinguishable, "interaction": c.kind == "interaction"}  # fmt: skip

    def _target(self, c: "Comparison", name: str) -> str:
        """Where the runs of one side of a comparison are."""
        if c.kind == "levels":
            return self._level_target(c.axis or "", name)
        if c.kind == "interaction":
            return f"axis-{self._axes[name]}" if name in self._axes else "runs"
        return f"cell-{self._places[name]}" if name in self._places else "runs"

    def _level_target(self, axis: str, label: str) -> str:
        known = self.ablation.plan.axes.get(axis, ())
        return f"level-{self._axes[axis]}-{known.index(label)}" if label in known else "runs"

    @property
    def effects(self) -> list[dict[str, Any]]:
        return [self._effect(effect) for effect in self.analysis.effects]

    def _effect(self, effect: "Effect") -> dict[str, Any]:
        means = [level.mean for level in effect.levels]
        ends = [e for level in effect.levels for e in (level.interval or ()) if finite(e)]
        widths = [(l.interval[1] - l.interval[0]) / 4 for l in effect.levels if l.interval]  # noqa: E741
        digits = digits_for([*means, *ends], min((w for w in widths if w > 0), default=None))
        levels = [
            (_link(level.label, self._level_target(effect.axes[0], level.label), 36),
             digits.alone(level.mean), digits.interval(level.interval))
            for level in effect.levels
        ]  # fmt: skip
        part = effect.share if finite(effect.share) else 0.0
        axes = [_link(axis, f"axis-{self._axes[axis]}") for axis in effect.axes]
        return {"axes": axes, "share": share(effect.share), "part": f"{100 * part:.1f}",
                "levels": levels}  # fmt: skip

    @property
    def axes(self) -> list[dict[str, Any]]:
        """Every label of every axis, with the cells that have it."""
        found = []
        for axis, labels in self.ablation.plan.axes.items():
            levels = [
                (self._level_target(axis, label), label,
                 [_link(c.name, self._cell_target(c)) for c, _ in self.cells
                  if c.labels[axis] == label])
                for label in labels
            ]  # fmt: skip
            found.append({"name": axis, "target": f"axis-{self._axes[axis]}", "levels": levels})
        return found

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [
            {"target": f"failure-{run.id}", "name": ", ".join(run.labels.values()),
             "seed": run.seed, "line": words.last_line(_error(run)), "error": _error(run)}
            for run in self.ablation.failed
        ]  # fmt: skip

    @property
    def run_head(self) -> list[str]:
        metrics = [words.shortened(name, 24) for name in self._metrics]
        costs = [_HEADS[c] for c in self.costs]
        return ["seed", "state", *metrics, *costs, "commit", "machine", "id"]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Every cell with its runs: where numbers come from."""
        seeds = len(self.ablation.plan.seeds)
        return [
            {"target": self._cell_target(cell), "name": cell.name, "complete": cell.complete,
             "why": "" if cell.complete else words.lacking(cell, runs, seeds),
             "rows": [self._run(run) for run in runs]}
            for cell, runs in self.cells
        ]  # fmt: skip

    def _run(self, run: RunRecord) -> dict[str, Any]:
        found = run.outcome
        metrics = [_exact(run.metrics.get(name)) for name in self._metrics]
        costs = [_COSTS[c](getattr(found, c) if found else None) for c in self.costs]
        origin = [found.commit, found.machine] if found else [None, None]
        failed = f"failure-{run.id}" if run.status == FAILED else ""
        cells = [*metrics, *costs, *(text or NOTHING for text in origin)]
        return {"seed": run.seed, "state": Link(run.status, failed), "cells": cells, "id": run.id}

    @property
    def configuration(self) -> list[tuple[str, str]]:
        """Everything that was resolved, one line for each value."""
        plan = self.ablation.plan
        found = [
            ("name", plan.name),
            ("metric", f"{plan.metric}, {words.direction(self.ablation)}"),
        ]
        found += [("design", plan.design), ("seeds", ", ".join(map(str, plan.seeds)))]
        baseline = plan.baseline
        found += [("baseline", ", ".join(baseline.values()) if baseline else "none")]
        found += [(f"axes.{axis}", ", ".join(labels)) for axis, labels in plan.axes.items()]
        found += [(f"settings.{key}", value) for key, value in _flat(plan.settings)]
        found += [("store", self.ablation.store or "none")]
        outcomes = [run.outcome for run in self.ablation.runs if run.outcome]
        versions = [f"{name} {version}" for o in outcomes for name, version in o.versions.items()]
        found += [("versions", ", ".join(sorted(set(versions))))]
        found += [("commits", ", ".join(sorted({o.commit for o in outcomes if o.commit})))]
        return [(key, value or NOTHING) for key, value in found]


def _other(found: tuple[float, float] | None) -> str:
    return NOTHING if found is None else digits_for(found[:1], found[1]).with_deviation(*found)


def _exact(value: float | None) -> str:
    return NOTHING if value is None else repr(value)


def _error(run: RunRecord) -> str:
    return (run.outcome.error if run.outcome else None) or "no traceback was kept"


def _flat(settings: Mapping[Any, Any], path: str = "") -> list[tuple[str, str]]:
    """Nested settings as paths and values: `task.batch`, `64`."""
    found: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{path}{key}.")
        else:
            found.append((f"{path}{key}", value if isinstance(value, str) else repr(value)))
    return found
