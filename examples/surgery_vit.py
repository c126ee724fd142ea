"""A trained ViT whose lower half no longer looks everywhere: a window, then a sparse random graph.

A patch of a digit hears nine at most: those around it, or itself and eight along the edges of an
expander. Accuracy (3 seeds) right after the surgery, and after an epoch: full 81.6 ± 0.9 %, 84.7 ±
1.1 %; window 44.7 ± 2.5 %, 83.6 ± 0.0 %; expander 52.7 ± 2.6 %, 82.9 ± 0.9 %. One attention took
22.3, 21.4, 3.4 ms (250 images, the fastest of 60 calls): edges save time, the window's mask none.

python examples/surgery_vit.py
"""

import argparse
import timeit
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

import tokennet as tn
from tokennet.surgery import over, swap
from tokennet.tasks import MNIST, Recipe
from tokennet.tasks.training import evaluate, fit

SIDE, DIM = 7, 32
TOKENS = SIDE * SIDE
LOWER = "mixers.[12].mixers.0.mixer"  # mixers.0 is the position code, 3 and 4 are the upper half
TOPOLOGIES = {"full": tn.Full(), "window": tn.Neighborhood(1), "expander": tn.EdgeList(True)}
COLOURS = {"full": "#636363", "window": "#2458d3", "expander": "#d95f02"}


@cache
def facts(batch: int) -> tn.Structure:
    """The grid of the patches and their edges, the same in each of so many images."""
    return tn.expander_edges(tn.Structure.dense(batch, TOKENS, grid=(SIDE, SIDE)), degree=8, seed=0)


class JoinedPatches(tn.Tokenizer):
    """Patches of 4 x 4 pixels on their grid, joined by the edges of an expander."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self.patches = tn.PatchTokenizer(1, 4, dim)

    def forward(self, inputs: Tensor, structure: tn.Structure | None = None) -> Any:
        return self.patches(inputs, facts(len(inputs)) if structure is None else structure)


@torch.no_grad()
def milliseconds(part: tn.Mixer) -> float:
    """Of one attention over 250 images, the fastest of 20 calls."""
    x = torch.randn(250, TOKENS, DIM)
    return 1000 * min(timeit.repeat(lambda: part(x, facts(250)), number=1, repeat=20))


def one_seed(seed: int, quick: bool) -> dict[str, tuple[float, float, float]]:
    """For each topology: accuracy after the surgery and after the epoch, milliseconds."""
    torch.manual_seed(seed)
    limit = 1280 if quick else None
    task = MNIST(Recipe(epochs=3, lr=3e-3), limit=limit)
    more = MNIST(Recipe(epochs=1, lr=1e-3), limit=limit)
    net = task.net(
        tokenizer=JoinedPatches, position=lambda n, d: tn.LearnedPosition(n, d), depth=4, mlp_dim=64
    )
    fit(task, net, seed)
    test, found = task.data(seed).test, {}
    for name, topology in TOPOLOGIES.items():
        report = swap(net, LOWER, over(topology), example=test.inputs[:64])
        part = report.net.get_submodule(report.paths[0])
        if seed == 0 and name != "full":
            print(report, end="\n\n")
            if not quick:  # locality too: nobody hears others than the topology says
                tn.verify(part, examples=3).raise_if_broken()
        if seed == 0 and name == "expander":
            assert tn.audit(report.net, quick=True, budget=1 if quick else 5).ok
        before = evaluate(task, report.net, test, "cpu")["accuracy"]
        found[name] = (before, fit(more, report.net, seed)["accuracy"], milliseconds(part))
    return found


def draw(found: dict[str, Tensor]) -> Figure:
    """Whom the patch in the middle hears; accuracy before and after the epoch; the cost."""
    figure = Figure(figsize=(7.2, 2.5), dpi=200, layout="constrained")
    *maps, axis, cost = figure.subplots(1, 5, width_ratios=(1, 1, 1, 2.4, 1.3))
    for place, (name, values) in enumerate(found.items()):
        heard = TOPOLOGIES[name].matrix(facts(1))[TOKENS // 2].view(SIDE, SIDE).int()
        maps[place].pcolormesh(heard, cmap="Greys", vmin=0, vmax=2, edgecolors="white")
        maps[place].plot(SIDE / 2, SIDE / 2, "o", color=COLOURS[name], markersize=4)
        maps[place].set(aspect="equal", xticks=[], yticks=[])
        maps[place].set_title(name, color=COLOURS[name])
        for line in values[:, :2]:
            axis.plot((0, 1), line, ".-", color=COLOURS[name], alpha=0.3)
        axis.plot((0, 1), values.mean(0)[:2], color=COLOURS[name], linewidth=2.5)
        cost.bar(place, float(values[:, 2].amin()), color=COLOURS[name])
    axis.set(ylabel="test accuracy", xlim=(-0.25, 1.25), xticks=(0, 1))
    axis.set_xticklabels(["after surgery", "an epoch later"])
    cost.set_xticks(range(len(found)), list(found), rotation=45)
    cost.set_ylabel("ms, one attention")
    return figure


def main(quick: bool = False, figure: str | None = None) -> dict[str, Any]:
    runs = [one_seed(seed, quick) for seed in range(1 if quick else 3)]
    found = {name: torch.tensor([run[name] for run in runs]) for name in TOPOLOGIES}
    for name, values in found.items():
        (before, after, _), spread = values.mean(0), values.std(0, correction=0)
        print(f"{name}: {before:.1%} ± {spread[0]:.1%} after the surgery,", end=" ")
        print(f"{after:.1%} ± {spread[1]:.1%} an epoch later, {values[:, 2].amin():.1f} ms")
    if figure:
        draw(found).savefig(figure)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few digits")
    parser.add_argument("--figure", help="the file that the picture goes to")
    given = parser.parse_args()
    main(given.quick, given.figure)
