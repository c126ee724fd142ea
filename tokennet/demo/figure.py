"""The one picture: accuracy with and without a position code, beside what a permutation changes."""

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokennet.demo.results import Results, Row, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROUNDING = 2.0**-52  # of float64
LEAST = 1e-17  # where an error of exactly 0 is drawn
HINTS = {
    "full attention": "all patches see all",
    "sparse attention": "3x3 neighbours on the grid",
    "token MLP": "one MLP across positions",
    "1x1": "no patch sees another",
}


@dataclass(frozen=True)
class Palette:
    """Colours for light or dark paper."""

    paper: str
    ink: str
    quiet: str
    line: str
    without: str
    coded: str

    def of(self, row: Row) -> str:
        return self.coded if row.variant.position else self.without


LIGHT = Palette("#ffffff", "#1a1f2b", "#657083", "#e3e7ee", "#8793a6", "#2458d3")
DARK = Palette("#161a22", "#e9edf4", "#98a3b5", "#2b323e", "#8b98ac", "#7ba7ff")


def draw(results: Results, *, dark: bool = False, narrow: bool = False) -> bytes:
    """The picture as PNG; `narrow` stacks its two panels, for a phone."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colours = DARK if dark else LIGHT
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10.5, "svg.fonttype": "none"}):
        size = (4.6, 10.6) if narrow else (11.6, 4.9)
        figure = Figure(figsize=size, facecolor=colours.paper)
        if narrow:
            left = figure.add_axes((0.05, 0.535, 0.90, 0.355))
            right = figure.add_axes((0.05, 0.05, 0.90, 0.355))
        else:
            left = figure.add_axes((0.185, 0.105, 0.375, 0.66))
            right = figure.add_axes((0.605, 0.105, 0.375, 0.66))
        shift = -0.14 if narrow else 0.0  # makes room for the names
        _accuracy(left, results, colours, shift)
        _errors(right, results, colours, shift)
        _names(left, results, colours, narrow=narrow)
        if narrow:
            _names(right, results, colours, narrow=True)
        seeds = len(results.image_rows[0].runs)
        dots = "each dot a seed, the bar one standard deviation" if seeds > 1 else "one seed"
        _title(left, "Accuracy on held-out digits, %", dots, colours)
        _title(
            right, "Relative change when patches are permuted", "random weights, float64", colours
        )
        _key(figure, colours, narrow=narrow)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=170, facecolor=colours.paper)
    return buffer.getvalue()


def _height(results: Results, row: Row) -> float:
    """Where a net is drawn: operators from the top down, the one without a code above."""
    names = list(dict.fromkeys(r.variant.operator for r in results.image_rows))
    top = len(names) - 1 - names.index(row.variant.operator)
    return top + (-0.17 if row.variant.position else 0.17)


def _panel(axes: "Axes", results: Results, colours: Palette) -> None:
    """Paper without a frame; a faint line between operators."""
    count = len({r.variant.operator for r in results.image_rows})
    axes.set_ylim(-0.55, count - 0.4)
    axes.set_yticks([])
    axes.set_facecolor(colours.paper)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for y in range(count - 1):
        axes.axhline(y + 0.5, color=colours.line, lw=0.8, zorder=0)
    axes.tick_params(axis="x", length=0, labelcolor=colours.quiet, labelsize=9.5, pad=6)


def _accuracy(axes: "Axes", results: Results, colours: Palette, shift: float) -> None:
    _panel(axes, results, colours)
    low = min(min(r.accuracies) for r in results.image_rows)
    start = max(0, 10 * math.floor((low - 4) / 10))
    axes.set_xlim(start, 100 + 0.02 * (100 - start))
    step = 10 if start >= 40 else 20
    axes.set_xticks(range(start, 101, step))
    axes.grid(axis="x", color=colours.line, lw=0.8, zorder=0)
    axes.set_axisbelow(True)
    gap = 0.025 * (100 - start)
    for row in results.image_rows:
        y, colour = _height(results, row) + shift, colours.of(row)
        spread = row.deviation or 0.0
        axes.plot(
            [row.mean - spread, min(100, row.mean + spread)], [y, y], color=colour, lw=5,
            alpha=0.3, solid_capstyle="round", zorder=2,
        )  # fmt: skip
        axes.scatter(row.accuracies, [y] * len(row.runs), s=9, color=colour, alpha=0.75, lw=0)
        _dot(axes, row.mean, y, row, colours)
        edge = min(row.accuracies[0], row.mean - spread, *row.accuracies)
        _label(axes, edge - gap, y, f"{row.mean:.1f}", "right", colour, bold=True)


def _errors(axes: "Axes", results: Results, colours: Palette, shift: float) -> None:
    _panel(axes, results, colours)
    axes.set_xscale("log")
    axes.set_xlim(LEAST / 2, 3e2)
    ticks = [1e-16, 1e-12, 1e-8, 1e-4, 1.0]
    axes.set_xticks(ticks, [_power_of_ten(t) for t in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", color=colours.line, lw=0.8, zorder=0)
    axes.axvline(ROUNDING, color=colours.quiet, lw=1.1, dashes=(4, 3), zorder=1)
    # Where nothing else is: nets that claim nothing are far to the right.
    place = sorted({_height(results, r) for r in results.image_rows if r.certificate.error > 1e-3})
    middle = place[len(place) // 2] + shift if place else 0.5
    style: dict[str, Any] = {"va": "center_baseline", "size": 9, "color": colours.quiet}
    axes.text(ROUNDING * 2.5, middle, "float64 rounding", ha="left", **style)
    for row in results.image_rows:
        found = row.certificate
        y, x = _height(results, row) + shift, max(found.error, LEAST)
        _dot(axes, x, y, row, colours)
        right = x > 1e-5
        text = f"{found.status}, {_number(found.error)}"
        _label(axes, x / 4 if right else x * 4, y, text, "right" if right else "left", colours.ink)


def _dot(axes: "Axes", x: float, y: float, row: Row, colours: Palette) -> None:
    """Filled with a code, hollow without: readable without colour too."""
    face = colours.coded if row.variant.position else colours.paper
    axes.scatter(
        [x], [y], s=72, facecolor=face, edgecolor=colours.of(row), lw=2.2, zorder=4, clip_on=False
    )


def _label(
    axes: "Axes", x: float, y: float, text: str, side: str, colour: str, *, bold: bool = False
) -> None:
    style: dict[str, Any] = {"weight": "bold"} if bold else {}
    axes.text(x, y, text, ha=side, va="center_baseline", size=10, color=colour, zorder=5, **style)


def _names(axes: "Axes", results: Results, colours: Palette, *, narrow: bool) -> None:
    """Operator names: beside the panel, or on a phone above each pair of dots."""
    names = list(dict.fromkeys(r.variant.operator for r in results.image_rows))
    frame = axes.get_yaxis_transform()
    for i, name in enumerate(names):
        y = len(names) - 1 - i
        if narrow:
            box = {"facecolor": colours.paper, "edgecolor": "none", "pad": 1.5}
            axes.text(
                0.004, y + 0.42, name, transform=frame, va="top", size=10, weight="bold",
                color=colours.ink, zorder=6, bbox=box,
            )  # fmt: skip
            continue
        style: dict[str, Any] = {"transform": frame, "ha": "right"}
        axes.text(
            -0.045, y + 0.02, name, va="bottom", size=11.5, weight="bold", color=colours.ink,
            **style,
        )  # fmt: skip
        axes.text(-0.045, y - 0.06, HINTS[name], va="top", size=9, color=colours.quiet, **style)


def _title(axes: "Axes", title: str, under: str, colours: Palette) -> None:
    style: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "bottom",
    }
    axes.annotate(title, (0, 1), (0, 19), size=11.5, weight="bold", color=colours.ink, **style)
    axes.annotate(under, (0, 1), (0, 4), size=9.5, color=colours.quiet, **style)


def _key(figure: "Figure", colours: Palette, *, narrow: bool) -> None:
    """What the two kinds of dots are, once, at the top."""
    from matplotlib.lines import Line2D

    y, x = (0.975, 0.05) if narrow else (0.945, 0.185)
    place = x
    for text, face, edge in (
        ("without position code", colours.paper, colours.without),
        ("with position code", colours.coded, colours.coded),
    ):
        figure.add_artist(
            Line2D(
                [place + 0.006], [y], marker="o", ms=8, mfc=face, mec=edge, mew=2.2, ls="",
            )
        )  # fmt: skip
        step = 0.03 if narrow else 0.016
        figure.text(place + step, y, text, va="center_baseline", size=10.5, color=colours.ink)
        place += 0.475 if narrow else 0.19


def _power_of_ten(value: float) -> str:
    return "1" if value == 1 else f"$10^{{{round(math.log10(value))}}}$"


def _number(value: float) -> str:
    """1.9, or digits and a power of ten where it is small."""
    if value >= 0.01:
        return f"{value:.2f}" if value < 0.1 else f"{value:.1f}"
    if value == 0:
        return "0"
    digits, exponent = power(value)
    return f"${digits}\\times10^{{{exponent}}}$"
