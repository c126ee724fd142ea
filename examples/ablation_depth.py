"""How deep may a net be? Five placements of norm and residual x four depths on digits.

Attention of 16 channels over four patches of 4 x 4 pixels. Besides the accuracy every run measures,
before training, how much of the gradient comes through (that of the loss at the first block's input
/ that at the last block's output), and how different the tokens of a picture still are at the end.

Seen with 8 seeds: without a residual the tokens are alike after 6 blocks (difference 1e-7), and 12
and 24 blocks stay at chance, 0.10. With residuals but no norm 24 blocks reach 0.39 ± 0.15, with
x + norm(f(x)) 0.49, both distinguishably less than x + f(norm(x)) with 0.69. norm(x + f(x)), 0.68,
is not distinguishable from that. But 5 epochs are short: the best mean, 0.80, is that of 2 blocks.

python examples/ablation_depth.py
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib import rc_context
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


def look(net: tn.TokenNet, images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """What arrives: of the gradient at the first block, of the differences at the last."""
    x, structure = net.tokenizer(images)
    first = x = net.mixers[0](x, structure).detach().requires_grad_()
    for block in net.mixers[1:]:
        x = block(x, structure)
    loss = F.cross_entropy(net.readout(x, structure), labels)
    at_input, at_output = torch.autograd.grad(loss, [first, x])
    alone = x - x.mean(1, keepdim=True)  # of each token: what the others don't have
    return {
        "gradient": float(at_input.norm() / at_output.norm()),
        "difference": float(alone.detach().norm() / x.detach().norm()),
    }


def experiment(task: tn.tasks.Digits, norm: Any, depth: int, seed: int, run: tn.Run) -> dict:
    """One net, looked at, then trained."""
    net = task.net(residual=norm, depth=depth, dim=16, position=tn.LearnedPosition)
    batch = task.data(seed).fit.first(64)
    before = look(net, batch.inputs, batch.targets)
    return {**fit(task, net, seed, run), **before}


def draw(results: list[tn.Ablation]) -> Figure:
    """Each metric against depth: the median, and a band from the lowest to the highest seed."""
    figure = Figure(figsize=(7, 3), dpi=200, layout="constrained")
    depths = [int(result.plan.axes["depth"][0]) for result in results]
    words = {
        "accuracy": "test accuracy (dotted: chance)",
        "gradient": "untrained: gradient,\nat the input / at the output",
        "difference": "untrained: difference of tokens\n/ their size, after the last block",
    }
    for axis, (metric, label) in zip(figure.subplots(1, 3), words.items(), strict=True):
        for norm in results[0].plan.axes["norm"]:
            rows, colour = [], PLACEMENTS[norm][1]
            for result in results:
                found = [run.metrics[metric] for run in result.runs if run.labels["norm"] == norm]
                rows.append(torch.tensor(found).quantile(torch.tensor([0, 0.5, 1.0])))
            low, middle, high = torch.stack(rows).clamp_min(1e-8).T.tolist()
            axis.fill_between(depths, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(depths, middle, "o-", color=colour, markersize=3, label=norm)
        axis.set_yscale("linear" if metric == "accuracy" else "log")
        axis.set_ylabel(label)
        axis.set_xlabel("blocks")
        axis.set_xticks(depths)
        axis.grid(alpha=0.3)
    figure.axes[0].axhline(0.1, color="black", linewidth=0.8, linestyle=":")
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=5, frameon=False)
    return figure


def main(quick: bool = False, figure: str | None = None, **options: Any) -> list[tn.Ablation]:
    """An ablation for each depth; `options` go to `tn.ablate`: a store, an executor, workers."""
    task = tn.tasks.Digits(Recipe(epochs=3 if quick else 5, lr=3e-3), patch=4)
    names = ["x + f(norm(x))", "f(norm(x))"] if quick else list(PLACEMENTS)
    results = [
        tn.ablate(
            partial(experiment, task),
            {"norm": {name: PLACEMENTS[name][0] for name in names}, "depth": [depth]},
            seeds=1 if quick else 8,
            maximise="accuracy",
            baseline={"norm": "x + f(norm(x))", "depth": depth},
            name="norm and depth",
            **options,
        )
        for depth in ([2, 16] if quick else [2, 6, 12, 24])
    ]
    print(*results, sep="\n\n")
    if figure:
        with rc_context({"font.size": 8}):
            draw(results).savefig(figure)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, two placements and depths")
    parser.add_argument("--figure", help="the file that the picture goes to")
    parser.add_argument("--store", type=Path, help="a folder that keeps the runs")
    given = parser.parse_args()
    main(given.quick, given.figure, store=given.store and given.store / "ablation_depth.sqlite")
