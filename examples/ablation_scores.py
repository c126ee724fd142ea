"""How should a query and a key be scored, and why divided by the root of the head dimension?

Seven scores in one head of 64 channels, on digits and on recalling a value by its key. And the
gradient that the softmax lets through to a query, for random queries and keys of any dimension.

Seen (8 seeds): on recall dot / √d and dot / d reach 1.0, cosine 0.95 ± 0.14, the dot product that
is not divided 0.26 ± 0.02 (chance 0.125; distinguishable). On digits cosine 0.85 ± 0.04, dot / √d
0.80 ± 0.06, dot 0.73 ± 0.06, bilinear 0.67 ± 0.08: only the last differs distinguishably from
dot / √d. The median gradient at a query is 0.27 for dot / √d, whatever d is; for dot it falls from
0.42 (d = 4) to 0.0003 (d = 1,024), for dot / d from 0.11 to 0.007. About 4 minutes on two cores.

python examples/ablation_scores.py
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import tokennet as tn
from tokennet.mixers.score import Place
from tokennet.tasks import Recipe, Task

DIM = 64
Make = Callable[[int, int], tn.Score]  # of head dimension and tokens
SCORES: dict[str, tuple[Make, str]] = {  # and a colour for the picture
    "dot / √d": (lambda d, n: tn.DotScore(), "#1b9e77"),
    "dot": (lambda d, n: tn.DotScore(power=0), "#d95f02"),
    "dot / d": (lambda d, n: tn.DotScore(power=1), "#7570b3"),
    "cosine": (lambda d, n: tn.CosineScore(), "#e7298a"),
    "bilinear": (lambda d, n: tn.BilinearScore(1, d), "#66a61e"),
    "additive": (lambda d, n: tn.AdditiveScore(1, d), "#e6ab02"),
    "location": (lambda d, n: tn.LocationScore(1, d, n), "#666666"),
}


def gradients(make: Make, dim: int, tokens: int = 16, samples: int = 32) -> torch.Tensor:
    """At each query the gradient's norm of a random linear function of its weights: `[queries]`."""
    torch.manual_seed(0)
    q, k = torch.randn(2, samples, tokens, 1, dim)
    structure = tn.Structure.dense(samples, tokens)
    place = Place(structure, tn.Full().pairs(structure))
    weights = make(dim, tokens)(q.requires_grad_(), k, place).softmax(-1)
    answer = (weights * torch.randn(weights.shape)).sum()
    return torch.autograd.grad(answer, q)[0].norm(dim=-1).flatten()


def experiment(task: Task, score: Make, seed: int, run: tn.Run) -> dict[str, float]:
    return task(
        mixer=lambda dim, num_tokens: tn.Attention(dim, 1, score=score(dim, num_tokens)),
        position=tn.LearnedPosition if isinstance(task, tn.tasks.Digits) else None,
        dim=DIM, seed=seed, run=run,
    )  # fmt: skip


def draw_gradients(axis: Axes, dims: list[int]) -> None:
    """The median over queries; for the three dot products also where 80 % of them are."""
    for label, (make, colour) in SCORES.items():
        rows = torch.stack([gradients(make, dim) for dim in dims]).clamp_min(1e-9)
        low, middle, high = rows.quantile(torch.tensor([0.1, 0.5, 0.9]), 1).tolist()
        if label.startswith("dot"):
            axis.fill_between(dims, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.loglog(dims, middle, color=colour, marker="o", markersize=3, label=label)
    axis.set_ylim(1e-4, 10)
    axis.set_xticks(dims, dims)
    axis.minorticks_off()
    axis.set_xlabel("channels of the head, d (dotted: 64)")
    axis.set_ylabel("gradient at a query (median, 80 % band)")
    axis.axvline(DIM, color="black", linewidth=0.8, linestyle=":")
    axis.legend()


def draw(results: list[tn.Ablation], dims: list[int]) -> Figure:
    figure = Figure(figsize=(7, 3.3), dpi=200, layout="constrained")
    *panels, last = figure.subplots(1, 3, width_ratios=(1, 1, 1.7))
    draw_gradients(last, dims)
    for axis, result in zip(panels, results, strict=True):
        for cell in result.analysis.cells:
            place, colour = list(SCORES).index(cell.name), SCORES[cell.name][1]
            axis.plot(cell.values, [place] * len(cell.values), "o", color=colour, alpha=0.35)
            axis.plot(cell.mean, place, "|", color=colour, markersize=16, markeredgewidth=2)
        axis.set_yticks(range(len(SCORES)), SCORES)
        axis.tick_params(labelleft=axis is panels[0])
        axis.set_ylim(len(SCORES) - 0.5, -0.5)
        axis.set_xlabel(f"{result.plan.name}:\ntest accuracy")
        axis.grid(alpha=0.3)
    return figure


def main(quick: bool = False, figure: str | None = None, **options: Any) -> list[tn.Ablation]:
    """`options` go to `tn.ablate`: a store, an executor, workers."""
    names = ["dot / √d", "dot", "location"] if quick else list(SCORES)
    digits = tn.tasks.Digits(Recipe(epochs=2 if quick else 12, lr=5e-3))
    recall = tn.tasks.AssociativeRecall(epochs=6 if quick else 8, samples=2000 if quick else 5000)
    asked: dict[str, Any] = {"maximise": "accuracy", "baseline": {"score": "dot / √d"}, **options}
    results = []
    for task, tried in ((digits, names), (recall, names[:4])):
        axes = {"score": {name: SCORES[name][0] for name in tried}}
        function, seeds = partial(experiment, task), 1 if quick else 8
        results.append(tn.ablate(function, axes, seeds=seeds, name=task.name, **asked))
    print(*results, sep="\n\n")
    if figure:
        with rc_context({"font.size": 8}):
            draw(results, [2**i for i in range(2, 7 if quick else 11)]).savefig(figure)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, three scores")
    parser.add_argument("--figure", help="the file that the picture goes to")
    parser.add_argument("--store", type=Path, help="a folder that keeps the runs")
    given = parser.parse_args()
    main(given.quick, given.figure, store=given.store and given.store / "ablation_scores.sqlite")
