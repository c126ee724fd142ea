"""Which questions an ablation is asked, and which of them it answers: one family, one correction.

Axes: n seeds, k components of one question (1 for a difference).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np

from tokennet.ablate.ablation import Plan
from tokennet.ablate.design import GRID, Labels, name_of
from tokennet.ablate.effects import directions, interaction, marginals
from tokennet.ablate.statistics import (
    SAMPLES,
    SignFlip,
    holm,
    paired,
    sign_flip,
    without_rounding,
)

CELLS, LEVELS, INTERACTION = "cells", "levels", "interaction"
Key = tuple[str, ...]  # the labels of a cell, in the order of the axes


@dataclass(frozen=True)
class Question:
    """Are the rows of `differences [n, k]` centred at 0?

    `sides`: the values whose difference they are, `[n]` each; None for an interaction, which has
    `freedom` directions.
    """

    kind: str
    axis: str | None
    first: str
    second: str
    differences: np.ndarray
    sides: tuple[np.ndarray, np.ndarray] | None = None
    freedom: int = 1


@dataclass(frozen=True)
class Decision:
    """The answer to one question of a family."""

    p: float
    p_holm: float
    exact: bool
    distinguishable: bool


@dataclass(frozen=True)
class Family:
    """All questions that are asked together; `reason` says which and why, `notes` what is not."""

    questions: tuple[Question, ...]
    reason: str
    grid: np.ndarray | None = None  # [n, labels of the first axis, ...], where it is complete
    notes: tuple[str, ...] = field(default=())


def key_of(labels: Mapping[str, str], plan: Plan) -> Key:
    """What identifies a cell: its labels in the order of the plan's axes."""
    return tuple(labels[axis] for axis in plan.axes)


def ask(plan: Plan, values: Mapping[Key, np.ndarray], baseline: Labels | None) -> Family:
    """The family of a plan. `values [n]` of the complete cells only, seeds in the same order.

    A baseline: every other cell against it. A complete grid of several axes: labels of each axis
    and interactions of each pair of axes. Neither: all pairs of cells.
    """
    known = [key for labels in plan.cells if (key := key_of(labels, plan)) in values]
    wide = [axis for axis, labels in plan.axes.items() if len(labels) > 1]
    is_grid = plan.design == GRID and len(wide) > 1
    grid = _grid(plan, values) if is_grid else None
    questions: list[Question] = []
    parts: list[str] = []
    notes: list[str] = []
    if baseline is not None:
        name, base = name_of(baseline), key_of(baseline, plan)
        if base in values:
            questions += [_cells(other, base, values) for other in known if other != base]
            parts.append(f"every other cell against the baseline ({name})")
        else:
            notes.append(f"the baseline ({name}) is incomplete: nothing is compared with it")
    if grid is not None:
        questions += [*_levels(plan, grid), *_interactions(plan, grid)]
        parts.append("all pairs of labels of each axis")
        parts.append("the interaction of each pair of axes")
        if baseline is None:
            notes.append("single cells are compared where a baseline is given")
    elif is_grid:
        notes.append("the grid is incomplete: no axis and no interaction is judged")
    if baseline is None and grid is None:
        questions += [_cells(a, b, values) for a, b in combinations(known, 2)]
        parts.append("all pairs of cells" + (" that are complete" if is_grid else ""))
    return Family(tuple(questions), ", ".join(parts) or "nothing", grid, tuple(notes))


def _grid(plan: Plan, values: Mapping[Key, np.ndarray]) -> np.ndarray | None:
    """All cells in the order of the axes, or None where one is not there."""
    places = list(product(*plan.axes.values()))
    if any(place not in values for place in places):
        return None
    sizes = [len(labels) for labels in plan.axes.values()]
    return np.stack([values[place] for place in places], 1).reshape(-1, *sizes)


def _cells(first: Key, second: Key, values: Mapping[Key, np.ndarray]) -> Question:
    a, b = values[first], values[second]
    names = ", ".join(first), ", ".join(second)
    return Question(CELLS, None, *names, paired(a, b)[:, None], (a, b))


def _levels(plan: Plan, grid: np.ndarray) -> Iterator[Question]:
    for place, (axis, labels) in enumerate(plan.axes.items()):
        means = marginals(grid, place)
        for i, j in combinations(range(len(labels)), 2):
            a, b = means[:, i], means[:, j]
            difference = without_rounding(a - b, grid)[:, None]
            yield Question(LEVELS, axis, labels[i], labels[j], difference, (a, b))


def _interactions(plan: Plan, grid: np.ndarray) -> Iterator[Question]:
    axes = list(plan.axes)
    for i, j in combinations(range(len(axes)), 2):
        freedom = directions(grid.shape[i + 1], grid.shape[j + 1])
        if freedom:
            rows = interaction(grid, i, j).reshape(len(grid), -1)
            yield Question(INTERACTION, None, axes[i], axes[j], rows, None, freedom)


def decide(
    questions: Sequence[Question],
    alpha: float,
    *,
    correct: Callable[[Sequence[float]], np.ndarray] = holm,
) -> list[Decision]:
    """What is called distinguishable, with all questions corrected together at level `alpha`."""
    samples = samples_of(len(questions), alpha)
    answers: list[SignFlip] = [sign_flip(q.differences, samples=samples) for q in questions]
    corrected = correct([answer.p for answer in answers])
    return [
        Decision(answer.p, float(p), answer.exact, bool(p <= alpha))
        for answer, p in zip(answers, corrected, strict=True)
    ]


def samples_of(questions: int, alpha: float) -> int:
    """Sampled flips: so many that the smallest p passes the correction of a large family too."""
    return max(SAMPLES, math.ceil(4 * questions / alpha) - 1)
