"""The metric against what it costs, and against the equivariance error."""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tokennet.ablate.report import words
from tokennet.ablate.report.numbers import finite
from tokennet.ablate.report.series import COLOURED
from tokennet.ablate.report.sketch import (
    MARKERS,
    PLAIN,
    Look,
    legend,
    legend_height,
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
    from tokennet.ablate.analysis import CellSummary

COSTS = {"parameters": "parameters", "flops": "FLOPs", "seconds": "seconds"}
ERROR = "equivariance_error"
ROUNDING = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}
_LEAST = 1e-18  # where an error of exactly 0 is drawn
_FAR = 20.0  # largest / smallest cost of a logarithmic axis


def cost_names(ablation: "Ablation") -> list[str]:
    """The costs that are known of a ranked choice."""
    ranking = ablation.analysis.ranking
    return [cost for cost in COSTS if any(finite(getattr(cell, cost)) for cell in ranking)]


def draw_costs(ablation: "Ablation", look: Look = PLAIN) -> "Figure":
    """The mean of every complete choice against its parameters, FLOPs and seconds (medians).

    The vertical bar is the 95 % interval. Panels are only of costs that are known.
    """
    known = cost_names(ablation)
    if not known:
        return message("No costs are known of a complete choice.", look)
    ranking = ablation.analysis.ranking
    names = _names(ranking)
    down = len(known) if look.narrow else 1
    width = look.width if look.narrow or len(known) > 1 else 6.5
    height = (2.7 if look.narrow else 3.3) * down + legend_height(names, width)
    figure = new_figure(height, look, width)
    panels = figure.subplots(down, 1 if look.narrow else len(known), squeeze=False).flatten()
    for panel, cost in zip(panels, known, strict=True):
        costs = [getattr(cell, cost) for cell in ranking]
        _scatter(panel, ablation, costs, look)
        _cost_axis(panel, [c for c in costs if finite(c)], look)
        under = "95 % interval; median of the seeds" if cost == "seconds" else "95 % interval"
        what = f"{words.shortened(ablation.plan.metric, 18)} and {COSTS[cost]}"
        title(panel, what, under, look)
    legend(figure, names, [_style(i, look) for i in range(len(names))], look)
    return figure


def _names(ranking: Sequence["CellSummary"]) -> list[str]:
    found = [f"{i}. {words.shortened(c.name, 40)}" for i, c in enumerate(ranking, 1)]
    rest = len(found) - COLOURED
    return found if rest <= 0 else [*found[:COLOURED], f"the other {rest}"]


def _style(place: int, look: Look) -> dict[str, Any]:
    colour = look.colours.faint if place >= COLOURED else look.colours.series[place]
    marker = "o" if place >= COLOURED else MARKERS[place]
    size = 5 if place >= COLOURED else 8
    return {"color": colour, "marker": marker, "ms": size, "lw": 0, "mew": 0}


def _scatter(
    axes: "Axes", ablation: "Ablation", across: Sequence[float | None], look: Look
) -> None:
    """Every ranked cell at its place `across`, the best drawn last."""
    ranking = ablation.analysis.ranking
    cells = list(ablation.analysis.cells)
    shown = [
        (place, cell, x)
        for place, (cell, x) in enumerate(zip(ranking, across, strict=True))
        if finite(x) and finite(cell.mean)
    ]
    plain(axes, look, up=True)
    ends = [e for _, cell, _ in shown for e in (cell.mean, *(cell.interval or ())) if finite(e)]
    scale, log = scale_of(ends)
    set_scale(axes.yaxis, log)
    axes.set_ylim(*limits([scale.scaled(e) for e in ends if e is not None], log=log, room=0.08))
    axes.yaxis.get_offset_text().set_color(look.colours.quiet)
    for place, cell, x in reversed(shown):
        style = _style(place, look)
        if cell.interval is not None and all(map(finite, cell.interval)):
            bar = [scale.scaled(end) for end in cell.interval]
            axes.plot([x, x], bar, color=style["color"], lw=2, alpha=0.45, zorder=2)
        (mark,) = axes.plot([x], [scale.scaled(cell.mean or 0.0)], zorder=3, **style)
        if look.links:
            mark.set_url(f"#cell-{cells.index(cell)}")
    if scale.power:
        axes.set_ylabel(scale.power.replace("·", "in "), size=9, color=look.colours.quiet)


def _cost_axis(axes: "Axes", costs: Sequence[float], look: Look) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    log = bool(costs) and min(costs) > 0 and max(costs) / min(costs) > _FAR
    set_scale(axes.xaxis, log)
    low, high = limits(costs, log=log, room=0.1)
    axes.set_xlim(low, high)
    near = high / low < 1e3 if log else True
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1, 3) if near else (1,), numticks=5) if log else MaxNLocator(3)
    )
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: _short(value, value if log else high - low))
    )


def _short(value: float, span: float) -> str:
    """`12.5 k`, `3 M`: as many digits as tell neighbours apart."""
    for size, unit in ((1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"), (1, "")):
        if abs(value) >= size:
            digits = max(0, min(6, 1 - math.floor(math.log10(span / size)))) if span > 0 else 3
            text = f"{value / size:.{digits}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + unit
    return f"{value:.3g}"


def rounding_of(ablation: "Ablation") -> dict[str, float]:
    """The rounding of the number format that the settings name, or of the two usual ones."""
    told = str(ablation.plan.settings.get("dtype", "")).removeprefix("torch.")
    if told in ROUNDING:
        return {told: ROUNDING[told]}
    return {name: ROUNDING[name] for name in ("float64", "float32")}


def errors_of(ablation: "Ablation") -> list[float | None]:
    """The median equivariance error of every ranked choice; None where it has none."""
    runs = {id(cell): runs for cell, runs in words.cell_runs(ablation)}
    found: list[float | None] = []
    for cell in ablation.analysis.ranking:
        values = [run.metrics[ERROR] for run in runs[id(cell)] if ERROR in run.metrics]
        known = bool(values) and all(finite(v) and v >= 0 for v in values)
        found.append(statistics.median(values) if known else None)
    return found


def draw_errors(ablation: "Ablation", axes: "Axes | None" = None, look: Look = PLAIN) -> "Figure":
    """The metric against `equivariance_error`, if runs returned one; rounding is a dashed line."""
    errors = errors_of(ablation)
    if not any(map(finite, errors)):
        return message(f"No complete choice has the metric {ERROR}.", look, axes)
    names = _names(ablation.analysis.ranking)
    own = axes is None
    if axes is None:
        axes = new_figure(3.6 + legend_height(names, look.width), look).subplots()
    places = [None if e is None else max(e, _LEAST) for e in errors]
    marks = rounding_of(ablation)
    _scatter(axes, ablation, places, look)
    set_scale(axes.xaxis, True)
    axes.set_xlim(*limits([*(p for p in places if p is not None), *marks.values()], log=True))
    for dtype, rounding in marks.items():
        axes.axvline(rounding, color=look.colours.quiet, lw=1.1, dashes=(4, 3), zorder=1)
        write(axes, rounding * 1.6, 0.98, dtype, colour=look.colours.quiet, size=9, va="top",
              transform=axes.get_xaxis_transform(), rotation=90, look=look)  # fmt: skip
    under = "median of the seeds; dashed: rounding" + (
        ", 0 is drawn at 10⁻¹⁸" if 0.0 in errors else ""
    )
    title(axes, f"{words.shortened(ablation.plan.metric, 24)} and equivariance error", under, look)
    figure = root(axes)
    if own:
        legend(figure, names, [_style(i, look) for i in range(len(names))], look)
    return figure
