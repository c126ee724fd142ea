"""What the runs of an ablation say: every cell, and the differences that are real."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tokennet.ablate.ablation import Plan
from tokennet.ablate.design import Labels, name_of, read_choice
from tokennet.ablate.effects import interaction_effect, marginals, shares
from tokennet.ablate.family import Decision, Family, Question, ask, decide, key_of, samples_of
from tokennet.ablate.power import least_seeds, seeds_needed
from tokennet.ablate.statistics import effect_size, improvement, interval, least_p, sample_deviation
from tokennet.checks import probability, value_error

if TYPE_CHECKING:
    from tokennet.ablate.ablation import Ablation

Interval = tuple[float, float]  # low, high
UNKNOWN = (math.nan, math.nan)


@dataclass(frozen=True)
class CellSummary:
    """One cell of the plan. `values` of the metric that decides, one for each of `seeds`.

    `missing` (or still running), `failed` and `not_finite` (NaN, infinite, beyond 1e150, or without
    the metric) are the other seeds; statistics of a cell that is not `complete` describe the rest.
    What needs more values than there are is None: all of them without any, `deviation` and
    `interval` with one. `deviation`: the sample's (n - 1). `interval`: of the mean, BCa bootstrap,
    95 %. `iqm`: the mean of the middle half. `others`: mean and deviation of the other metrics,
    NaN where they have none. The costs are medians.
    """

    labels: Labels
    name: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    missing: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    not_finite: tuple[int, ...] = ()
    mean: float | None = None
    deviation: float | None = None
    interval: Interval | None = None
    iqm: float | None = None
    median: float | None = None
    others: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    parameters: float | None = None
    flops: float | None = None
    seconds: float | None = None
    memory: float | None = None
    run_ids: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every seed of the plan has a value."""
        return bool(self.values) and not (self.missing or self.failed or self.not_finite)


@dataclass(frozen=True)
class Comparison:
    """`first` minus `second`, paired by seed; `print` it for a sentence.

    `kind` is "cells" (names of cells), "levels" (two labels of `axis`, averaged over the others) or
    "interaction" (`first` and `second` are axes; `difference` is the root mean square of what the
    two do beyond their sum, and has neither sign nor interval: NaN).

    `p`: paired sign-flip test, `exact` or by sampled flips; `p_holm`: corrected over the family.
    `effect_size`: mean difference / deviation of the differences; infinite or 0 where that is 0.
    `improvement`: how probably a run of the first (of levels: a seed's average) is better than an
    independent one of the second.
    `least_p`: the smallest p that n seeds can give, `least_p_holm` after the correction,
    `least_seeds`: with fewer no comparison of this family can be distinguishable.
    `seeds_needed`: for a power of 80 % at the strictest level of the correction, if the effect is
    as large as it looks; None: more than 1,000, or the difference is 0, or n is 1.
    """

    kind: str
    axis: str | None
    first: str
    second: str
    n: int
    difference: float
    deviation: float
    interval: Interval
    p: float
    p_holm: float
    exact: bool
    effect_size: float
    improvement: float | None
    least_p: float
    least_p_holm: float
    least_seeds: int
    seeds_needed: int | None
    distinguishable: bool
    higher_is_better: bool

    def __str__(self) -> str:
        from tokennet.ablate.sentences import comparison_sentence

        return comparison_sentence(self)


@dataclass(frozen=True)
class Level:
    """A label of an axis: the metric's mean over all cells with it, and its 95 % interval (None
    with one seed)."""

    label: str
    mean: float
    interval: Interval | None


@dataclass(frozen=True)
class Effect:
    """What an axis of a complete grid does, or two axes beyond their sum.

    `share` of the variance between the cells' means (eta squared), 0 where they are all equal; the
    shares of all axes and pairs make 1 but for what three axes do together. `levels` of a single
    axis, in the plan's order.
    """

    axes: tuple[str, ...]
    share: float
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """What an ablation says about the metric that decides.

    `cells`: all, in the plan's order. `ranking`: the complete ones, best mean first. `comparisons`:
    everything that is called distinguishable or not, corrected together at level `alpha`; `family`
    says in a sentence what that is. `notes`: what is left out and why.
    """

    cells: tuple[CellSummary, ...]
    ranking: tuple[CellSummary, ...]
    comparisons: tuple[Comparison, ...]
    effects: tuple[Effect, ...]
    alpha: float
    family: str
    notes: tuple[str, ...] = ()


def analyse(
    ablation: "Ablation", *, alpha: float = 0.05, baseline: Labels | None = None
) -> Analysis:
    """Summaries, comparisons and effects; a `baseline` here takes the place of the plan's.

    Raises:
        MissingAblateError: without scipy.
        TypeError, ValueError: for a level outside 0 .. 1, or a baseline that is no cell.
    """
    from tokennet.ablate.request import require_extras
    from tokennet.ablate.summary import summarise

    require_extras()
    if not probability("alpha", alpha):
        raise value_error("alpha", alpha, "more than 0", "0.05 is usual")
    plan = ablation.plan
    baseline = plan.baseline if baseline is None else _read_baseline(baseline, plan)
    cells = summarise(ablation)
    complete = [cell for cell in cells if cell.complete]
    values = {key_of(cell.labels, plan): np.array(cell.values) for cell in complete}
    family = ask(plan, values, baseline)
    sign = -1.0 if plan.higher_is_better else 1.0
    return Analysis(
        cells,
        tuple(sorted(complete, key=lambda cell: sign * (cell.mean or 0.0))),
        _comparisons(family, alpha, plan.higher_is_better),
        _effects(plan, family.grid),
        alpha,
        _family_sentence(family, alpha),
        (*_incomplete(cells, len(plan.seeds)), *family.notes, *_too_few(family, plan, alpha)),
    )


def _read_baseline(baseline: Labels, plan: Plan) -> Labels:
    axes = {axis: dict.fromkeys(labels) for axis, labels in plan.axes.items()}
    found = read_choice("baseline", baseline, axes)
    if found not in plan.cells:
        raise value_error("baseline", name_of(found), "a cell of the plan", f"a {plan.design}")
    return found


def _comparisons(family: Family, alpha: float, higher_is_better: bool) -> tuple[Comparison, ...]:
    questions = family.questions
    decisions = decide(questions, alpha) if questions else []
    return tuple(
        _comparison(question, decision, len(questions), alpha, higher_is_better)
        for question, decision in zip(questions, decisions, strict=True)
    )


def _comparison(
    question: Question, decision: Decision, asked: int, alpha: float, higher_is_better: bool
) -> Comparison:
    rows, n = question.differences, len(question.differences)
    within, better = UNKNOWN, None
    if question.sides is None:
        difference, deviation, effect = interaction_effect(rows, question.freedom)
    else:
        line = rows[:, 0]
        difference = float(line.mean())
        deviation = math.nan if n < 2 else sample_deviation(line) or 0.0
        effect = effect_size(line)
        within = interval(line) or UNKNOWN
        better = improvement(*question.sides, higher_is_better=higher_is_better)
    least = least_p(n, samples=samples_of(asked, alpha))
    fewest = least_seeds(asked, alpha)
    # One more than there are, where they were too few: the t-test would have been content.
    more = max(fewest, 1 if decision.distinguishable else n + 1)
    return Comparison(
        kind=question.kind,
        axis=question.axis,
        first=question.first,
        second=question.second,
        n=n,
        difference=difference,
        deviation=deviation,
        interval=within,
        p=decision.p,
        p_holm=decision.p_holm,
        exact=decision.exact,
        effect_size=effect,
        improvement=better,
        least_p=least,
        least_p_holm=min(1.0, asked * least),
        least_seeds=fewest,
        seeds_needed=seeds_needed(effect, alpha / asked, least=more, directions=question.freedom),
        distinguishable=decision.distinguishable,
        higher_is_better=higher_is_better,
    )


def _effects(plan: Plan, grid: np.ndarray | None) -> tuple[Effect, ...]:
    if grid is None:
        return ()
    share = shares(grid)
    axes = [(place, *found) for place, found in enumerate(plan.axes.items()) if len(found[1]) > 1]
    single = [
        Effect((axis,), share[place,], _axis_levels(labels, marginals(grid, place)))
        for place, axis, labels in axes
    ]
    pairs = [Effect((a[1], b[1]), share[a[0], b[0]]) for a, b in combinations(axes, 2)]
    return (*single, *pairs)


def _axis_levels(labels: tuple[str, ...], means: np.ndarray) -> tuple[Level, ...]:
    columns = zip(labels, means.T, strict=True)
    return tuple(Level(label, float(column.mean()), interval(column)) for label, column in columns)


def _family_sentence(family: Family, alpha: float) -> str:
    count = len(family.questions)
    if not count:
        return "nothing was compared"
    asked = "1 comparison" if count == 1 else f"{count} comparisons, corrected together (Holm)"
    return f"{asked} at level {alpha:g}: {family.reason}"


def _incomplete(cells: tuple[CellSummary, ...], seeds: int) -> list[str]:
    found = [f"{c.name} ({len(c.values)} of {seeds} seeds)" for c in cells if not c.complete]
    return [f"incomplete, so in no ranking and no comparison: {'; '.join(found)}"] if found else []


def _too_few(family: Family, plan: Plan, alpha: float) -> list[str]:
    needed = least_seeds(len(family.questions), alpha)
    if not family.questions or len(plan.seeds) >= needed:
        return []
    seeds = "1 seed" if len(plan.seeds) == 1 else f"{len(plan.seeds)} seeds"
    return [f"{seeds} cannot show any difference here, however large: at least {needed} are needed"]
