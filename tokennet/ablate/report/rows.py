"""Pictures with one row for each choice or comparison: a value, its interval, and its runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokennet.ablate.report import words
from tokennet.ablate.report.numbers import Digits, chance, finite
from tokennet.ablate.report.sketch import (
    PLAIN,
    Look,
    limits,
    message,
    new_figure,
    plain,
    root,
    scale_of,
    set_scale,
    title,
    write,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tokennet.ablate.ablation import Ablation
    from tokennet.ablate.analysis import CellSummary, Comparison

MOST = 40  # rows of a picture; tables have all


@dataclass(frozen=True)
class Row:
    """One line of the picture; `real`: drawn in full colour, else hollow."""

    name: str
    value: float
    interval: tuple[float, float] | None
    says: str
    dots: tuple[float, ...] = ()
    real: bool = True
    link: str = ""

    @property
    def numbers(self) -> list[float]:
        """Everything finite that the row draws."""
        return [v for v in (self.value, *(self.interval or ()), *self.dots) if finite(v)]


def draw_ranking(ablation: "Ablation", axes: "Axes | None" = None, look: Look = PLAIN) -> "Figure":
    """Complete choices, the best at the top: each run a dot, the mean, its 95 % interval as a bar.

    On `axes` of matplotlib, or on a new figure; returns the figure.
    """
    ranking = ablation.analysis.ranking
    cells = list(ablation.analysis.cells)
    rows = [
        _choice(ablation, rank, cell, cells.index(cell)) for rank, cell in enumerate(ranking, 1)
    ]
    under = (
        "dots: seeds; bar: 95 % interval of the mean"
        if len(ablation.plan.seeds) > 1
        else "one seed"
    )
    what = f"{words.shortened(ablation.plan.metric, 20)} ({words.direction(ablation)})"
    return _draw(rows, what, under, axes, look, missing="No choice is complete.")


def _choice(ablation: "Ablation", rank: int, cell: "CellSummary", place: int) -> Row:
    digits = words.digits_of(cell)
    base = " (baseline)" if cell.labels == ablation.plan.baseline else ""
    mean = cell.mean if cell.mean is not None else float("nan")
    says = digits.with_deviation(cell.mean, cell.deviation)
    name = f"{rank}. {cell.name}{base}"
    return Row(name, mean, cell.interval, says, cell.values, link=f"#cell-{place}")


def draw_differences(
    ablation: "Ablation", axes: "Axes | None" = None, look: Look = PLAIN
) -> "Figure":
    """Paired differences, first minus second, with their 95 % intervals and a line at zero.

    Filled and coloured: distinguishable. Interactions have no sign and are left to the tables.
    """
    told = enumerate(ablation.analysis.comparisons)
    found = [(i, c) for i, c in told if finite(c.difference) and c.kind != _MUTE]
    rows = [_difference(i, c) for i, c in sorted(found, key=lambda each: _order(each[1]))]
    under = "first minus second; p after Holm; filled: distinguishable"
    what = (
        f"Differences in {words.shortened(ablation.plan.metric, 20)} ({words.direction(ablation)})"
    )
    return _draw(rows, what, under, axes, look, missing="Nothing could be compared.", zero=True)


_MUTE = "interaction"


def _order(comparison: "Comparison") -> tuple[bool, bool, float]:
    """Levels before cells, what is distinguishable before the rest, the largest first."""
    single = comparison.kind == "cells"
    return single, not comparison.distinguishable, -abs(comparison.difference)


def _difference(place: int, comparison: "Comparison") -> Row:
    digits = words.digits_of_difference(comparison)
    says = f"{digits.alone(comparison.difference)}, p = {chance(comparison.p_holm)}"
    ends = comparison.interval
    known = ends if ends is not None and all(map(finite, ends)) else None
    return Row(
        words.compared(comparison), comparison.difference, known, says, (),
        comparison.distinguishable, f"#comparison-{place}",
    )  # fmt: skip


def _draw(
    rows: Sequence[Row], what: str, under: str, axes: "Axes | None", look: Look, *, missing: str,
    zero: bool = False,
) -> "Figure":  # fmt: skip
    shown = [row for row in rows if row.numbers][:MOST]
    if not shown:
        return message(missing, look, axes)
    if len(rows) > len(shown):
        under += f"; the first {len(shown)} of {len(rows)}"
    split = look.narrow and any(len(row.name) > _beside(row) for row in shown)
    if axes is None:
        each = (0.68 if split else 0.52) if look.narrow else 0.33
        axes = new_figure(1.15 + each * len(shown), look).subplots()
    numbers = [v for row in shown for v in row.numbers]
    scale, log = scale_of([*numbers, 0.0] if zero else numbers)
    _frame(axes, [scale.scaled(v) for v in numbers], len(shown), log, look, zero)
    for place, row in enumerate(shown):
        y = len(shown) - 1 - place
        level = y if not look.narrow else y - (0.28 if split else 0.16)
        _marks(axes, level, row, scale, look)
        _words(axes, y, row, look, split)
    title(axes, what + scale.power.replace("·", ", in "), under, look)
    return root(axes)


def _frame(
    axes: "Axes", numbers: list[float], count: int, log: bool, look: Look, zero: bool
) -> None:
    plain(axes, look)
    set_scale(axes.xaxis, log)
    axes.set_yticks([])
    axes.set_ylim(-0.6, count - 0.4 + (0.2 if look.narrow else 0.0))
    axes.set_xlim(*limits([*numbers, 0.0] if zero else numbers, log=log, room=0.03))
    axes.xaxis.get_offset_text().set_color(look.colours.quiet)
    if zero:
        axes.axvline(0.0, color=look.colours.quiet, lw=1.2, zorder=1)


def _beside(row: Row) -> int:
    """Letters of a name that stands, on a phone, on one line with its number."""
    return int(44 - 0.88 * len(row.says))


def _marks(axes: "Axes", level: float, row: Row, scale: Digits, look: Look) -> None:
    colours = look.colours
    colour = colours.accent if row.real else colours.quiet
    if row.interval is not None:
        ends = [scale.scaled(end) for end in row.interval]
        axes.plot(
            ends, [level] * 2, color=colour, lw=5, alpha=0.32, solid_capstyle="round", zorder=2
        )  # fmt: skip
    if row.dots:
        dots = [scale.scaled(v) for v in row.dots]
        axes.scatter(dots, [level] * len(dots), s=11, color=colour, alpha=0.5, lw=0, zorder=3)
    if finite(row.value):
        marks = axes.scatter(
            [scale.scaled(row.value)], [level], s=52, zorder=4, lw=1.8, edgecolor=colour,
            facecolor=colour if row.real else colours.paper,
        )  # fmt: skip
        if look.links and row.link:
            marks.set_urls([row.link])


def _words(axes: "Axes", y: float, row: Row, look: Look, split: bool) -> None:
    """Name and number beside the row; on a phone above it, `split` over two lines if need be."""
    colours = look.colours
    ink = colours.ink if row.real else colours.quiet
    style: dict[str, Any] = {
        "va": "center_baseline", "transform": axes.get_yaxis_transform(), "look": look,
    }  # fmt: skip
    if not look.narrow:
        name = words.shortened(row.name, look.letters)
        write(axes, -0.015, y, name, colour=ink, link=row.link, ha="right", **style)
        write(axes, 1.015, y, row.says, colour=colours.quiet, size=9.5, ha="left", **style)
        return
    style["bbox"] = {"facecolor": colours.paper, "edgecolor": "none", "pad": 1.5}
    name = words.shortened(row.name, look.letters if split else _beside(row))
    lift = 0.32 if split else 0.26
    write(axes, 0, y + lift, name, colour=ink, link=row.link, ha="left", **style)
    place = (0, y + 0.03, "left") if split else (1, y + lift, "right")
    write(axes, *place[:2], row.says, colour=colours.quiet, size=9, ha=place[2], **style)
