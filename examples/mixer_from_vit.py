"""A trained ViT becomes an MLP-Mixer: every attention a token MLP that is fitted to it.

Each new part is a map of the channels and a token MLP, by least squares the best such pair for what
the attention does on 250 digits; then the net learns two epochs from the ViT, and one from the
labels. Beside it: the same with fresh weights in the new parts, and a net of the same form that is
trained from nothing, as many steps on the labels.

Accuracy on MNIST, 16 patches (3 seeds): the ViT has 94.2 ± 0.4 %. The fitted net begins at 70.4 ±
4.0 % without a step of training, has 91.3 ± 0.9 % when it is distilled, 93.0 ± 0.6 % at the end.
Fresh parts begin at 14.0 ± 2.5 % and are level then: 91.9 ± 0.5 %, 93.7 ± 0.1 %. From nothing it is
95.4 ± 0.4 %: a fit saves the start, and where labels are at hand, this teacher has nothing to add.

python examples/mixer_from_vit.py
"""

import argparse
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

import tokennet as tn
from tokennet.surgery import distill, swap
from tokennet.tasks import MNIST, Recipe
from tokennet.tasks.training import evaluate, fit

COLOURS = {"fitted": "#2458d3", "fresh parts": "#d95f02", "from nothing": "#636363"}


def token_map(dim: int, num_tokens: int) -> tn.Mixer:
    """y = M x C, with M realised by the two layers of a token MLP: gelu(z) - gelu(-z) = z."""
    return tn.Sequential(tn.Pointwise(dim), tn.TokenMLP(num_tokens))


def one_seed(seed: int, quick: bool) -> dict[str, list[float]]:
    """Accuracies of the nets at the stages, and of the ViT; the errors of the fits."""
    torch.manual_seed(seed)
    limit = 1280 if quick else None
    first, same, last = (
        MNIST(Recipe(epochs=epochs, lr=lr), patch=7, limit=limit)
        for epochs, lr in ((6, 3e-3), (3, 3e-3), (1, 1e-3))
    )
    form: Any = {"position": lambda n, d: tn.LearnedPosition(n, d), "depth": 4, "mlp_dim": 64}
    vit, data = first.net(**form), first.data(seed)
    found = {"ViT": [fit(first, vit, seed)["accuracy"]]}

    def accuracy(net: Any) -> float:
        return evaluate(first, net, data.test, "cpu")["accuracy"]

    images = data.fit.first(len(data.fit)).inputs
    batches = images.split(64)
    for name, keep in (("fitted", True), ("fresh parts", False)):
        report = swap(vit, "Attention", token_map, example=images[:250], keep=keep)
        if keep and seed == 0:
            print(report, end="\n\n")
        if keep:
            found["errors"] = [place.fit.error for place in report.places if place.fit]
        begin = accuracy(report.net)
        distill(report.net, vit, batches, steps=2 * len(batches), lr=2e-3)
        middle = accuracy(report.net)
        found[name] = [begin, middle, fit(last, report.net, seed)["accuracy"]]
    net = first.net(mixer=token_map, **form)
    begin = accuracy(net)
    found["from nothing"] = [begin, fit(same, net, seed)["accuracy"]]  # as many steps
    return found


def draw(found: dict[str, Tensor]) -> Figure:
    """Left the accuracies by epochs after the surgery, right the errors of the fits by depth."""
    figure = Figure(figsize=(7, 2.9), dpi=200, layout="constrained")
    axis, errors = figure.subplots(1, 2, width_ratios=(1.7, 1))
    for name, colour in COLOURS.items():
        epochs, line = ((0, 2, 3), "-") if found[name].shape[1] == 3 else ((0, 3), ":")
        for values in found[name]:
            axis.plot(epochs, values, ".", color=colour, alpha=0.4)
        axis.plot(epochs, found[name].mean(0), line, color=colour, linewidth=2, label=name)
    axis.axhline(float(found["ViT"].mean()), color="black", linewidth=1, label="ViT")
    axis.set(xlabel="epochs after the surgery", ylabel="test accuracy", xticks=(0, 1, 2, 3))
    axis.axvspan(0, 2, color="#f0f0f0", zorder=0)
    axis.text(1, 0.02, "distilled", ha="center", transform=axis.get_xaxis_transform())
    axis.text(2.5, 0.02, "labels", ha="center", transform=axis.get_xaxis_transform())
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    depths = range(1, found["errors"].shape[1] + 1)
    errors.bar(depths, found["errors"].mean(0).tolist(), color=COLOURS["fitted"])
    for values in found["errors"]:
        errors.plot(depths, values, "k.", markersize=3)
    errors.set(xlabel="block", ylabel="error of the fit", xticks=depths)
    return figure


def main(quick: bool = False, figure: str | None = None) -> dict[str, Tensor]:
    runs = [one_seed(seed, quick) for seed in range(1 if quick else 3)]
    found = {name: torch.tensor([run[name] for run in runs]) for name in runs[0]}
    for name, values in found.items():
        both = zip(values.mean(0), values.std(0, correction=0), strict=True)
        print(f"{name}:", ", ".join(f"{mean:.1%} ± {spread:.1%}" for mean, spread in both))
    if figure:
        draw(found).savefig(figure)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few digits")
    parser.add_argument("--figure", help="the file that the picture goes to")
    given = parser.parse_args()
    main(given.quick, given.figure)
