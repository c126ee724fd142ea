"""How deep may a net be? Five placements of norm and residual x five depths on digits.

Attention of 16 channels over four patches of 4 x 4 pixels. Besides the accuracy every run measures,
before training, how much of the gradient comes through: that of the loss at the first block's
input, divided by that at the last block's output.

NUMBERS

python examples/ablation_depth.py
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

import tokennet as tn
from tokennet.tasks import Recipe
from tokennet.tasks.training import fit

PLACEMENTS = {  # and a colour for the picture
    "x + f(norm(x))": (tn.PreNorm, "#1b9e77"),
    "norm(x + f(x))": (tn.PostNorm, "#7570b3"),
    "x + norm(f(x))": (tn.ResPostNorm, "#66a61e"),
    "x + f(x)": (partial(tn.PreNorm, norm=nn.Identity), "#d95f02"),
    "f(norm(x))": (tn.NoResidual, "#e7298a"),
}


def came_through(net: tn.TokenNet, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The gradient's norm at the first block's input / that at the last block's output."""
    x, structure = net.tokenizer(images)
    first = x = net.mixers[0](x, structure).detach().requires_grad_()
    for block in net.mixers[1:]:
        x = block(x, structure)
    loss = F.cross_entropy(net.readout(x, structure), labels)
    at_input, at_output = torch.autograd.grad(loss, [first, x])
    return float(at_input.norm() / at_output.norm())


def experiment(task: tn.tasks.Digits, norm: Any, depth: int, seed: int, run: tn.Run) -> dict:
    """One net, trained; the gradient is measured before."""
    net = task.net(residual=norm, depth=depth, dim=16, position=tn.LearnedPosition)
    batch = task.data(seed).fit.first(64)
    gradient = came_through(net, batch.inputs, batch.targets)
    return {**fit(task, net, seed, run), "gradient": gradient}


def draw(result: tn.Ablation) -> Figure:
    """Accuracy and gradient against depth: median, and a band from the worst to the best seed."""
    figure = Figure(figsize=(7, 3.2), dpi=200, layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, (_, colour) in PLACEMENTS.items():
        depths = result.plan.axes["depth"]
        for axis, metric in ((left, "accuracy"), (right, "gradient")):
            rows = []
            for depth in depths:
                labels = {"norm": label, "depth": depth}
                found = [run.metrics[metric] for run in result.runs if run.labels == labels]
                rows.append(torch.tensor(found).quantile(torch.tensor([0, 0.5, 1.0])).tolist())
            low, middle, high = zip(*rows, strict=True)
            places = [int(depth) for depth in depths]
            axis.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(places, middle, "o-", color=colour, markersize=3, label=label)
    left.axhline(0.1, color="black", linewidth=0.8, linestyle=":")
    left.set_ylabel("test accuracy (median, band: all seeds)")
    right.set_yscale("log")
    right.set_ylabel("gradient at the input / at the output, untrained")
    for axis in (left, right):
        axis.set_xlabel("blocks")
        axis.set_xticks(places, depths)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=5, frameon=False, fontsize=8)
    return figure


def main(quick: bool = False, figure: str | None = None, **options: Any) -> tn.Ablation:
    """`options` go to `tn.ablate`: a store, an executor, workers."""
    recipe = Recipe(epochs=4 if quick else 7, lr=3e-3)
    norms = {label: norm for label, (norm, _) in PLACEMENTS.items()}
    result = tn.ablate(
        partial(experiment, tn.tasks.Digits(recipe, patch=4)),
        {"norm": norms, "depth": [2, 24] if quick else [2, 4, 8, 16, 24]},
        seeds=1 if quick else 10,
        maximise="accuracy",
        name="norm and depth",
        **options,
    )
    print(result)
    if figure:
        draw(result).savefig(figure)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, two depths")
    parser.add_argument("--figure", help="the file that the picture goes to")
    parser.add_argument("--store", type=Path, help="a folder that keeps the runs")
    given = parser.parse_args()
    place = None if given.store is None else given.store / "ablation_depth.sqlite"
    main(given.quick, given.figure, store=place)
