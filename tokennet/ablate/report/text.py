"""What an ablation found, for a terminal."""

import io
import shutil
from typing import TYPE_CHECKING, Any

from tokennet.ablate.report import words
from tokennet.ablate.report.numbers import count, duration, share

if TYPE_CHECKING:
    from tokennet.ablate.ablation import Ablation
    from tokennet.ablate.analysis import Comparison

WIDEST, NARROWEST = 100, 60
_FIRST = 12  # comparisons of a kind, cells that are not complete, failures
_NAME = 96  # letters of a choice


def as_text(ablation: "Ablation", width: int | None = None) -> str:
    """Ranking, comparisons, effects and what is incomplete, in plain letters.

    `width`: columns; None: those of the terminal, at most 100.
    """
    columns = shutil.get_terminal_size((WIDEST, 24)).columns if width is None else width
    columns = min(max(columns, NARROWEST), WIDEST)
    plan = ablation.plan
    parts = [
        _wrapped(f"{plan.name}: {plan.metric} ({words.direction(ablation)})", columns),
        _wrapped(f"{words.asked(ablation)}; {words.state(ablation.runs)}", columns),
        "",
        *_ranking(ablation, columns),
        *_incomplete(ablation, columns),
        *_comparisons(ablation, columns),
        *_effects(ablation, columns),
        *_failures(ablation, columns),
        *_notes(ablation, columns),
    ]
    where = ablation.store or "nowhere: give `store` to keep them"
    parts += ["", _wrapped(f"Runs: {where}", columns)]
    return "\n".join(line.rstrip() for part in parts for line in part.split("\n"))


def _rendered(thing: Any, columns: int) -> str:
    from rich.console import Console

    file = io.StringIO()
    console = Console(
        file=file, width=columns, color_system=None, force_terminal=False, force_jupyter=False,
        legacy_windows=False, emoji=False, markup=False, highlight=False,
    )  # fmt: skip
    console.print(thing)
    return file.getvalue().rstrip("\n")


def _wrapped(sentence: str, columns: int, mark: str = "") -> str:
    """`sentence` over as many lines as it needs, the later ones indented below the first."""
    from rich.text import Text

    inner = columns - len(mark)
    lines = _rendered(Text(words.one_line(sentence), overflow="fold"), inner).split("\n")
    return "\n".join((mark if not i else " " * len(mark)) + line for i, line in enumerate(lines))


def _ranking(ablation: "Ablation", columns: int) -> list[str]:
    ranking = ablation.analysis.ranking
    if not ranking:
        return ["No choice is complete: there is no ranking."]
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("choice", overflow="fold", min_width=12)
    table.add_column(Text(words.shortened(ablation.plan.metric, 24)), no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    shown = {
        "parameters": [count(cell.parameters) for cell in ranking],
        "seconds": [duration(cell.seconds) for cell in ranking],
    }
    if all(cell.parameters is None for cell in ranking):
        del shown["parameters"]
    for title in shown:
        table.add_column(
            "median time" if title == "seconds" else title, justify="right", no_wrap=True
        )
    for rank, cell in enumerate(ranking):
        digits = words.digits_of(cell)
        found = [
            str(rank + 1),
            words.shortened(cell.name, _NAME),
            digits.with_deviation(cell.mean, cell.deviation),
            digits.interval(cell.interval),
            str(len(cell.values)),
            *(column[rank] for column in shown.values()),
        ]
        table.add_row(*map(Text, found))
    under = "mean ± sample deviation over seeds; bootstrap (BCa) interval of the mean"
    if len(ablation.plan.seeds) == 1:
        under = "one seed: no deviation, no interval"
    return [_rendered(table, columns), _wrapped(under, columns)]


def _incomplete(ablation: "Ablation", columns: int) -> list[str]:
    found = [f"{words.shortened(c.name, _NAME)}: {why}" for c, why in words.incomplete(ablation)]
    return _list("Incomplete, so in no ranking and no comparison:", found, columns)


def _list(title: str, items: list[str], columns: int) -> list[str]:
    """A title and the first items below it; nothing without items."""
    if not items:
        return []
    lines = [_wrapped(item, columns, "  - ") for item in items[:_FIRST]]
    if len(items) > _FIRST:
        lines.append(f"    and {len(items) - _FIRST} more")
    return ["", _wrapped(title, columns), *lines]


def _comparisons(ablation: "Ablation", columns: int) -> list[str]:
    analysis = ablation.analysis
    if not analysis.comparisons:
        return []
    real = [c for c in analysis.comparisons if c.distinguishable]
    open_ = [c for c in analysis.comparisons if not c.distinguishable]
    few = [c for c in open_ if c.n < c.least_seeds]
    number = words.plural(len(analysis.comparisons), "comparison")
    title = f"Distinguishable at level {analysis.alpha:g} (Holm over {number}):"
    parts = _list(title, [_sentence(c) for c in real], columns)
    if not real:
        parts = ["", _wrapped(title.replace(":", ": none"), columns)]
    title = "Not distinguishable:"
    parts += _list(title, [_sentence(c) for c in open_ if c.n >= c.least_seeds], columns)
    if few:
        title = f"Not distinguishable by {few[0].n} seeds, however large the difference"
        title += f" (it takes {few[0].least_seeds}):"
        parts += _list(title, [words.shortened(words.compared(c), 400) for c in few], columns)
    return [*parts, _wrapped(f"Family: {analysis.family}", columns)]


def _sentence(comparison: "Comparison") -> str:
    return words.shortened(comparison, 400)


def _effects(ablation: "Ablation", columns: int) -> list[str]:
    effects = ablation.analysis.effects
    found = [f"{words.shortened(words.effect_name(e), _NAME)}: {share(e.share)}" for e in effects]
    return _list("Share of the variance between choices:", found, columns)


def _failures(ablation: "Ablation", columns: int) -> list[str]:
    found = [
        f"{words.shortened(', '.join(run.labels.values()), _NAME)}, seed {run.seed}: "
        f"{words.shortened(words.last_line(run.outcome.error if run.outcome else ''), 200)}"
        for run in ablation.failed
    ]
    return _list("Failed:", found, columns)


def _notes(ablation: "Ablation", columns: int) -> list[str]:
    return _list("Notes:", words.notes(ablation), columns)
