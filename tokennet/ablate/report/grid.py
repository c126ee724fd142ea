"""Two axes as a table of means: for the page and as a picture."""

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokennet.ablate.report import words
from tokennet.ablate.report.numbers import NOTHING, digits_for, finite
from tokennet.ablate.report.sketch import PLAIN, Look, message, new_figure, root, title, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tokennet.ablate.ablation import Ablation
    from tokennet.ablate.analysis import CellSummary

_NARROWEST = 4.4  # inches
MOST_SHADE = 0.6  # of the accent's colour, so that letters on it can be read


@dataclass(frozen=True)
class Square:
    """One pair of labels: the mean over its cells, or why there is none.

    `shade` is 0 for the worst and 1 for the best mean of the grid. `places` of its cells in the
    plan: where its runs are found.
    """

    says: str
    shade: float | None
    places: tuple[int, ...]
    why: str = ""


@dataclass(frozen=True)
class Grid:
    """The means by two axes; `over`: the axes that they are averaged over."""

    down: str
    across: str
    over: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    squares: tuple[tuple[Square, ...], ...]
    power: str


def grids(ablation: "Ablation") -> list[Grid]:
    """One for each pair of axes of a grid; other designs have none."""
    if ablation.plan.design != "grid":
        return []
    pairs = itertools.combinations(ablation.plan.axes, 2)
    return [grid_of(ablation, down, across) for down, across in pairs]


def grid_of(ablation: "Ablation", down: str, across: str) -> Grid:
    """The means of the labels of two axes; the longer axis goes down."""
    axes = ablation.plan.axes
    if len(axes[across]) > len(axes[down]):
        down, across = across, down
    found = [[_members(ablation, {down: r, across: c}) for c in axes[across]] for r in axes[down]]
    means = [[_mean(members) for members in row] for row in found]
    known = [m for row in means for m in row if m is not None]
    deviations = [cell.deviation for cell in ablation.analysis.ranking if finite(cell.deviation)]
    spread = min((d for d in deviations if d), default=0.0 if deviations else None)
    digits = digits_for(known, spread)
    near = [digits.scaled(abs(m)) for m in known if m]
    own = bool(near) and max(near) > 1000 * min(near)  # no power of ten suits them all
    low, high = min(known, default=0.0), max(known, default=0.0)
    up = ablation.plan.higher_is_better

    def square(members: list[tuple[int, "CellSummary"]], mean: float | None) -> Square:
        places = tuple(place for place, _ in members)
        if mean is None:
            return Square(NOTHING, None, places, "incomplete" if members else "not tried")
        part = 0.5 if high == low else (mean - low) / (high - low)
        says = digits_for([mean], None).alone(mean) if own else digits.number(mean)
        return Square(says, part if up else 1 - part, places)

    squares = tuple(
        tuple(square(members, mean) for members, mean in zip(row, line, strict=True))
        for row, line in zip(found, means, strict=True)
    )
    over = tuple(axis for axis in axes if axis not in (down, across))
    return Grid(down, across, over, axes[down], axes[across], squares, "" if own else digits.power)


def _members(ablation: "Ablation", labels: dict[str, str]) -> list[tuple[int, "CellSummary"]]:
    return [
        (place, cell)
        for place, cell in enumerate(ablation.analysis.cells)
        if all(cell.labels.get(axis) == label for axis, label in labels.items())
    ]


def _mean(members: list[tuple[int, "CellSummary"]]) -> float | None:
    """The mean of the cells' means, if every one of them is complete."""
    means = [cell.mean for _, cell in members if cell.complete and finite(cell.mean)]
    if not members or len(means) < len(members):
        return None
    return math.fsum((mean or 0.0) / len(means) for mean in means)


def draw_grid(
    ablation: "Ablation", axes: "Axes | None" = None, look: Look = PLAIN,
    pair: tuple[str, str] | None = None,
) -> "Figure":  # fmt: skip
    """The means by two axes of a grid, in a stronger colour where better.

    `pair`: which axes, else the first two. Over further axes it shows marginal means.
    """
    known = list(ablation.plan.axes)
    chosen = tuple(known[:2]) if pair is None else pair
    if len(chosen) < 2 or any(axis not in known for axis in chosen):
        return message(f"A grid needs two of the axes {', '.join(known)}.", look, axes)
    grid = grid_of(ablation, *chosen)
    if axes is None:
        letters = max(len(words.shortened(label, 24)) for label in grid.columns)
        left = 0.6 + 0.08 * max(len(words.shortened(label, 28)) for label in grid.rows)
        width = min(look.width, left + len(grid.columns) * max(1.2, 0.1 * letters))
        axes = new_figure(1.35 + 0.42 * len(grid.rows), look, max(width, _NARROWEST)).subplots()
    _draw(axes, grid, look)
    under = "stronger colour: better" + (f"; mean over {', '.join(grid.over)}" if grid.over else "")
    title(
        axes,
        words.shortened(ablation.plan.metric, 24) + grid.power.replace("·", ", in "),
        under,
        look,
    )
    return root(axes)


def _draw(axes: "Axes", grid: Grid, look: Look) -> None:
    from matplotlib.patches import Rectangle

    colours = look.colours
    room = min(24, max(6, int((44 if look.narrow else 100) / (len(grid.columns) + 1))))
    small = 8.0 if len(grid.columns) > 8 or look.narrow else 10.0
    for j, row in enumerate(grid.squares):
        for i, square in enumerate(row):
            empty = square.shade is None
            box = Rectangle((i - 0.48, j - 0.46), 0.96, 0.92, lw=0.8 if empty else 0)
            box.set_facecolor(colours.paper if empty else colours.accent)
            box.set_edgecolor(colours.line)
            box.set_alpha(1.0 if empty else 0.06 + (MOST_SHADE - 0.06) * (square.shade or 0.0))
            axes.add_patch(box)
            says = square.why if empty else square.says
            ink = colours.quiet if empty else colours.ink
            write(axes, i, j, says, colour=ink, size=small - 2 if empty else small, ha="center",
                  va="center_baseline", look=look)  # fmt: skip
    axes.set_xlim(-0.5, len(grid.columns) - 0.5)
    axes.set_ylim(len(grid.rows) - 0.5, -0.5)
    across = [words.shortened(label, room) for label in grid.columns]
    down = [words.shortened(label, 28) for label in grid.rows]
    axes.set_xticks(range(len(across)), across, size=small)
    axes.set_yticks(range(len(down)), down, size=small)
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set_parse_math(False)
        tick.set_color(colours.ink)
    axes.tick_params(length=0)
    axes.set_facecolor(colours.paper)
    axes.spines[:].set_visible(False)
    style: dict[str, Any] = {"size": 9, "color": colours.quiet, "parse_math": False}
    axes.set_xlabel(words.shortened(grid.across, 24), **style)
    axes.set_ylabel(words.shortened(grid.down, 24), **style)
