"""Which mixers need a position code? Three mixers x four codes on handwritten digits.

Sixteen patches of 2 x 2 pixels, two blocks, equal numbers of parameters. The question is the
interaction: does the code matter to one mixer and not to another?

Seen with 10 seeds: a code brings attention from 0.61 to 0.92 (sinusoidal: +0.310 [0.290, 0.342])
and the 1x1 net, whose mean readout adds up what stands where, from 0.58 to 0.88. The token MLP
knows its places anyway: 0.973 without, 0.977 with, not distinguishable. The interaction is real
(p = 0.02 after Holm); which of the three codes it is makes no difference that 10 seeds can show.
The comparisons of one mixer's codes at the end are corrected among themselves.

120 runs, 4 minutes on two cores (458 s of CPU time).

python examples/ablation_positions.py
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

import tokennet as tn
from tokennet.tasks import Recipe

MIXERS: dict[str, Callable[..., tn.Mixer]] = {
    "attention": lambda dim: tn.Attention(dim, 4),
    "1x1": lambda dim: tn.Pointwise(dim),
    "token MLP": lambda num_tokens: tn.TokenMLP(num_tokens),
}
POSITIONS: dict[str, Callable[..., tn.Mixer] | None] = {
    "none": None,
    "learned": tn.LearnedPosition,
    "sinusoidal": tn.SinusoidalPosition,
    "grid": tn.GridSinusoidalPosition,
}
COLOURS = {"none": "#969696", "learned": "#d95f02", "sinusoidal": "#1b9e77", "grid": "#7570b3"}


def only(result: tn.Ablation, mixer: str) -> tn.Ablation:
    """The runs of one mixer as an ablation of its own: every code against none."""
    plan = replace(
        result.plan,
        axes={**result.plan.axes, "mixer": (mixer,)},
        cells=tuple(cell for cell in result.plan.cells if cell["mixer"] == mixer),
        baseline={"mixer": mixer, "position": "none"},
    )
    runs = tuple(run for run in result.runs if run.labels["mixer"] == mixer)
    return replace(result, plan=plan, runs=runs)


def draw(result: tn.Ablation) -> Figure:
    """Left the accuracy of every seed and the mean, right what each code gains over none."""
    figure = Figure(figsize=(7, 3.1), dpi=200, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    for i, mixer in enumerate(MIXERS):
        one = only(result, mixer).analysis
        for j, cell in enumerate(one.cells):
            place, colour = i + 0.19 * (j - 1.5), COLOURS[cell.labels["position"]]
            left.plot([place] * len(cell.values), cell.values, ".", color=colour, alpha=0.35)
            left.plot(place + 0.08, cell.mean, "_", color=colour, markersize=9, markeredgewidth=2)
        for j, gain in enumerate(one.comparisons):
            place, colour = i + 0.19 * (j - 1), COLOURS[gain.first.split(", ")[1]]
            right.plot([place] * 2, gain.interval, color=colour, linewidth=3)
            right.plot(place, gain.difference, "o", color="white", markeredgecolor=colour)
    for label, colour in COLOURS.items():
        left.plot([], [], "o", color=colour, label=label)
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    right.axhline(0, color="black", linewidth=0.8)
    left.set_ylabel("test accuracy (dots: seeds, bar: mean)")
    right.set_ylabel("gain over no code (mean, 95 % interval)")
    for axis in (left, right):
        axis.set_xticks(range(len(MIXERS)), list(MIXERS))
        axis.grid(axis="y", alpha=0.3)
    return figure


def main(quick: bool = False, figure: str | None = None, **options: Any) -> tn.Ablation:
    """`options` go to `tn.ablate`: a store, an executor, workers."""
    recipe = Recipe(epochs=6, lr=1e-2) if quick else Recipe(epochs=15, lr=5e-3)
    names = ["none", "learned"] if quick else list(POSITIONS)
    result = tn.ablate(
        tn.tasks.Digits(recipe),
        {"mixer": MIXERS, "position": {name: POSITIONS[name] for name in names}},
        seeds=1 if quick else 10,
        match="parameters",
        **options,
    )
    print(result)
    for mixer in MIXERS:
        for gain in only(result, mixer).analysis.comparisons:
            print(gain)
    if figure:
        with rc_context({"font.size": 8}):
            draw(result).savefig(figure)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, two codes, six epochs")
    parser.add_argument("--figure", help="the file that the picture goes to")
    parser.add_argument("--store", type=Path, help="a folder that keeps the runs")
    given = parser.parse_args()
    main(given.quick, given.figure, store=given.store and given.store / "ablation_positions.sqlite")
