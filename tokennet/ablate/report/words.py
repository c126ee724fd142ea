"""What the text, the tables and the page say in the same words."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokennet.ablate.record import DONE, FAILED, MISSING, RUNNING, RunRecord
from tokennet.ablate.report.numbers import Digits, digits_for

if TYPE_CHECKING:
    from tokennet.ablate.ablation import Ablation
    from tokennet.ablate.analysis import CellSummary, Comparison, Effect

BETWEEN = " \u00d7 "


def one_line(words: object) -> str:
    """Labels come from users: line breaks and tabs become spaces, what can't be shown goes."""
    text = " ".join(str(words).split())
    return "".join(c for c in text if c.isprintable())


def shortened(words: object, room: int) -> str:
    """On one line, and the beginning and the end of what is too long."""
    text = one_line(words)
    if len(text) <= room:
        return text
    head = (room - 1) // 2
    return f"{text[:head]}…{text[len(text) - (room - 1 - head) :]}"


def plural(number: int, word: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def direction(ablation: "Ablation") -> str:
    """Which values of the metric are good."""
    return "higher is better" if ablation.plan.higher_is_better else "lower is better"


def asked(ablation: "Ablation") -> str:
    """The size of the plan: `4 choices × 6 seeds, grid of mixer × position`."""
    plan = ablation.plan
    size = f"{plural(len(plan.cells), 'choice')}{BETWEEN}{plural(len(plan.seeds), 'seed')}"
    return f"{size}, {plan.design} of {BETWEEN.join(map(one_line, plan.axes))}"


def state(runs: Iterable[RunRecord]) -> str:
    """How runs ended: `24 runs: 22 done, 2 failed`."""
    found = Counter(run.status for run in runs)
    parts = [f"{found[s]:,} {s}" for s in (DONE, FAILED, RUNNING, MISSING) if found[s]]
    return f"{plural(found.total(), 'run')}: {', '.join(parts)}" if parts else "no runs"


def cell_runs(ablation: "Ablation") -> list[tuple["CellSummary", list[RunRecord]]]:
    """Every cell with its runs, in the plan's order."""
    cells = ablation.analysis.cells
    found: dict[tuple[tuple[str, str], ...], list[RunRecord]] = {_key(c.labels): [] for c in cells}
    for run in ablation.runs:
        found.setdefault(_key(run.labels), []).append(run)
    return [(cell, found[_key(cell.labels)]) for cell in cells]


def _key(labels: object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(dict(labels).items()))  # type: ignore[call-overload]


def lacking(cell: "CellSummary", runs: Iterable[RunRecord], seeds: int) -> str:
    """Why a cell is not complete: `8 of 10 seeds: 2 failed`."""
    found = Counter(run.status for run in runs)
    parts = [f"{found[s]} {s}" for s in (FAILED, RUNNING, MISSING) if found[s]]
    parts += [f"{len(cell.not_finite)} not finite"] if cell.not_finite else []
    return f"{len(cell.values)} of {plural(seeds, 'seed')}: {', '.join(parts) or 'no values'}"


def incomplete(ablation: "Ablation") -> list[tuple["CellSummary", str]]:
    """The cells that enter no ranking and no comparison, and why."""
    seeds = len(ablation.plan.seeds)
    return [
        (cell, lacking(cell, runs, seeds))
        for cell, runs in cell_runs(ablation)
        if not cell.complete
    ]


def digits_of(cell: "CellSummary") -> Digits:
    """How the numbers of a cell are written."""
    return digits_for([cell.mean, *cell.values], cell.deviation)


def digits_of_difference(comparison: "Comparison") -> Digits:
    """How the numbers of a comparison are written."""
    ends = [] if comparison.interval is None else list(comparison.interval)
    return digits_for([comparison.difference, *ends], comparison.deviation)


def compared(comparison: "Comparison") -> str:
    """What a comparison is about: `attention - MLP (mixer)`."""
    if comparison.kind == "interaction":
        return f"interaction of {comparison.first} and {comparison.second}"
    where = f" ({comparison.axis})" if comparison.axis else ""
    return f"{comparison.first} - {comparison.second}{where}"


def effect_name(effect: "Effect") -> str:
    """`mixer`, or `mixer × position` for what two do beyond their sum."""
    return BETWEEN.join(effect.axes)


def last_line(error: str | None) -> str:
    """What a traceback says in the end."""
    lines = [line for line in (error or "").strip().splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def notes(ablation: "Ablation") -> list[str]:
    """What a reader should know besides, but for what the list of incomplete cells says better."""
    found = [*ablation.notes, *ablation.analysis.notes]
    return [note for note in found if not note.startswith("incomplete, so ")]


def lead(ablation: "Ablation") -> str:
    """The finding in one sentence or two."""
    analysis, plan = ablation.analysis, ablation.plan
    if not analysis.ranking:
        return f"No choice has all of its {plural(len(plan.seeds), 'seed')}: there is no ranking."
    best = analysis.ranking[0]
    number = digits_of(best).with_deviation(best.mean, best.deviation)
    words = f"{one_line(best.name)} is first of {len(analysis.ranking)}: "
    words += f"{one_line(plan.metric)} {number} (n = {len(best.values)})."
    if not analysis.comparisons:
        return f"{words} Nothing could be compared."
    real = sum(c.distinguishable for c in analysis.comparisons)
    of = plural(len(analysis.comparisons), "comparison")
    return f"{words} {real} of {of} {'is' if real == 1 else 'are'} distinguishable."
