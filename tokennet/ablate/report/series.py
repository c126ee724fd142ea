"""Learning curves with the band of their seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokennet.ablate.record import DONE, Curve, RunRecord
from tokennet.ablate.report import words
from tokennet.ablate.report.numbers import finite
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

COLOURED = len(MARKERS)  # choices with a colour of their own: the best ones
_MANY = 10  # seeds, from which on the band is of the middle 80 %


@dataclass(frozen=True)
class Band:
    """Mean and band over the seeds of a cell, at the steps that all of its seeds logged."""

    name: str
    steps: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    complete: bool
    best: int | None  # place in the ranking


def band_words(seeds: int) -> str:
    """What the band is of."""
    if seeds == 1:
        return "one seed"
    return "mean; band: 10 to 90 % of the seeds" if seeds >= _MANY else "mean; band: all seeds"


def curve_names(ablation: "Ablation") -> list[str]:
    """The curves that finished runs logged, in the order in which they were told."""
    done = [run.outcome for run in ablation.runs if run.status == DONE and run.outcome]
    return list({name: None for outcome in done for name in outcome.curves})


def bands(ablation: "Ablation", name: str) -> list[Band]:
    """A band for every cell with this curve: the ranked first, best first; then the incomplete."""
    places = {id(cell): place for place, cell in enumerate(ablation.analysis.ranking)}
    found = []
    for cell, runs in words.cell_runs(ablation):
        curves = _curves(runs, name)
        if curves:
            place = places.get(id(cell)) if cell.complete else None
            found.append(_band(words.one_line(cell.name), curves, place))
    last = len(places)
    return sorted(found, key=lambda band: last if band.best is None else band.best)


def _curves(runs: Sequence[RunRecord], name: str) -> list[Curve]:
    found = [r.outcome.curves.get(name, ()) for r in runs if r.status == DONE and r.outcome]
    return [curve for curve in found if curve]


def _band(name: str, curves: list[Curve], best: int | None) -> Band:
    values = [dict(curve) for curve in curves]
    common = set(values[0]).intersection(*values[1:])
    kept = {s: [v[s] for v in values] for s in sorted(common) if finite(s)}
    kept = {s: v for s, v in kept.items() if all(map(finite, v))}
    wide = len(curves) >= _MANY
    ends = [_ends(sorted(v), 0.1 if wide else 0.0) for v in kept.values()]
    mean = tuple(math.fsum(x / len(v) for x in v) for v in kept.values())
    low, high = tuple(e[0] for e in ends), tuple(e[1] for e in ends)
    return Band(name, tuple(kept), mean, low, high, best is not None, best)


def _ends(ordered: list[float], cut: float) -> tuple[float, float]:
    """The quantiles `cut` and 1 - `cut`, linear between neighbours."""
    return _quantile(ordered, cut), _quantile(ordered, 1 - cut)


def _quantile(ordered: list[float], q: float) -> float:
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    part = place - below
    above = ordered[min(below + 1, len(ordered) - 1)]
    return ordered[below] * (1 - part) + above * part


def draw_curves(
    ablation: "Ablation", axes: "Axes | None" = None, look: Look = PLAIN,
    names: Sequence[str] | None = None,
) -> "Figure":  # fmt: skip
    """A panel for each logged curve (or those of `names`): means over the seeds, and their band.

    The best choices have colours; incomplete ones are dashed. `axes` takes the first name.
    """
    told = curve_names(ablation) if names is None else list(names)
    found = {name: bands(ablation, name) for name in told}
    if not any(band.steps for each in found.values() for band in each):
        return message("No curve with a step that all seeds of a choice logged.", look, axes)
    found = {name: each for name, each in found.items() if any(band.steps for band in each)}
    if axes is not None:
        name = next(iter(found))
        _panel(axes, ablation, name, found[name], look)
        return root(axes)
    across = 1 if look.narrow or len(found) == 1 else 2
    down = math.ceil(len(found) / across)
    entries = _legend_entries(found)
    figure = new_figure(3.1 * down + legend_height(list(entries), look.width), look)
    panels = figure.subplots(down, across, squeeze=False).flatten()
    for panel, (name, each) in zip(panels, found.items(), strict=False):
        _panel(panel, ablation, name, each, look)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    legend(figure, list(entries), [_style(band, look) for band in entries.values()], look)
    return figure


def _legend_entries(found: dict[str, list[Band]]) -> dict[str, Band]:
    """Each choice that has a style of its own once; the others together."""
    entries: dict[str, Band] = {}
    for band in (band for each in found.values() for band in each):
        if band.best is not None and band.best < COLOURED:
            entries.setdefault(f"{band.best + 1}. {words.shortened(band.name, 40)}", band)
    rest = [band for each in found.values() for band in each]
    others = [b for b in rest if b.best is not None and b.best >= COLOURED]
    lacking = [b for b in rest if b.best is None]
    entries = dict(sorted(entries.items(), key=lambda entry: entry[1].best or 0))
    if others:
        entries[f"the other {len({b.best for b in others})}"] = others[0]
    if lacking:
        entries[f"incomplete: {len({b.name for b in lacking})}"] = lacking[0]
    return entries


def _style(band: Band, look: Look) -> dict[str, Any]:
    colours = look.colours
    if band.best is None:
        return {"color": colours.quiet, "lw": 1.2, "ls": (0, (4, 3))}
    if band.best >= COLOURED:
        return {"color": colours.faint, "lw": 0.9}
    return {
        "color": colours.series[band.best], "marker": MARKERS[band.best], "ms": 5, "lw": 1.7,
        "mew": 0,
    }  # fmt: skip


def _panel(axes: "Axes", ablation: "Ablation", name: str, found: list[Band], look: Look) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = [v for band in found for v in (*band.low, *band.high)]
    scale, log = scale_of(numbers)
    plain(axes, look, across=False, up=True)
    set_scale(axes.yaxis, log)
    axes.xaxis.set_major_locator(
        MaxNLocator(6, integer=all(s == round(s) for b in found for s in b.steps))
    )
    axes.set_ylim(*limits([scale.scaled(v) for v in numbers], log=log))
    axes.set_xlim(*limits([s for band in found for s in band.steps], room=0.02))
    for band in reversed(found):
        _draw(axes, band, scale.scaled, look)
    for text in (axes.xaxis.get_offset_text(), axes.yaxis.get_offset_text()):
        text.set_color(look.colours.quiet)
    axes.set_xlabel("step", size=9, color=look.colours.quiet)
    unit = scale.power.replace("·", ", in ")
    title(axes, words.shortened(name, 40) + unit, band_words(len(ablation.plan.seeds)), look)
    if not all(band.steps for band in found):
        left = sum(not band.steps for band in found)
        note = f"{left} without a step that all seeds logged"
        write(axes, 0.99, 0.02, note, colour=look.colours.quiet, size=9, ha="right",
              transform=axes.transAxes, look=look)  # fmt: skip


def _draw(axes: "Axes", band: Band, scaled: Any, look: Look) -> None:
    style = _style(band, look)
    if len(band.steps) == 1:
        style["marker"] = style.get("marker", "o")
    every = max(1, len(band.steps) // 8)
    front = 3 if band.best is not None and band.best < COLOURED else 2
    mean = [scaled(v) for v in band.mean]
    axes.plot(band.steps, mean, markevery=every, zorder=front, **style)
    if front == 3 and len(band.steps) > 1 and band.low != band.high:
        low, high = [scaled(v) for v in band.low], [scaled(v) for v in band.high]
        axes.fill_between(band.steps, low, high, color=style["color"], alpha=0.16, lw=0, zorder=1)
