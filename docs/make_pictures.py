"""Draws the pictures of the family pages that show no influence; every number is measured here."""

from io import BytesIO
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage
from sklearn.datasets import load_digits

import tokennet as tn
from tokennet.files import write_atomically

PICTURES = Path(__file__).parent / "pictures"
DARK, LIGHT = "#08306b", "#6baed6"
COUNTS = [16, 32, 64, 128, 256, 512, 1024]


def favor_error(count: int, size: float, *, orthogonal: bool, seeds: int = 20) -> float:
    """Relative error of the output of attention, root mean square over draws.

    Heads of 16 channels, 32 tokens, normal entries, those of q and k times `size`: then the scores
    q.k / 4 have the standard deviation size^2.
    """
    wrong = total = 0.0
    for seed in range(seeds):
        rng = torch.Generator().manual_seed(seed)
        q, k, v = torch.randn(3, 32, 16, generator=rng, dtype=torch.float64)
        q, k = q * size, k * size
        phi = tn.PositiveRandomFeatures(16, count, orthogonal=orthogonal, generator=rng).double()
        weights = phi.queries(q) @ phi(k).T
        exact = (q @ k.T / 4).softmax(-1) @ v
        found = weights / weights.sum(-1, keepdim=True) @ v
        wrong += float((found - exact).square().sum())
        total += float(exact.square().sum())
    return (wrong / total) ** 0.5


def random_features() -> Figure:
    """Error against the number of features, for small and large scores."""
    figure = _figure(4.6, 3.0)
    axis = figure.subplots()
    for size, colour in ((0.3, "#9ecae1"), (0.6, "#4292c6"), (1.0, DARK)):
        for orthogonal, line in ((True, "o-"), (False, "o:")):
            errors = [favor_error(n, size, orthogonal=orthogonal) for n in COUNTS]
            label = f"scores ± {size**2:.2g}" if orthogonal else None
            axis.loglog(COUNTS, errors, line, color=colour, markersize=3, label=label)
    axis.plot([], [], "k-", label="orthogonal")
    axis.plot([], [], "k:", label="independent")
    axis.set_xticks(COUNTS, [str(n) for n in COUNTS])
    axis.minorticks_off()
    ticks = (0.01, 0.03, 0.1, 0.3, 1)
    axis.set_yticks(ticks, [str(t) for t in ticks])
    axis.set_xlabel("features")
    axis.set_ylabel("relative error of the output")
    axis.legend(fontsize=7, frameon=False)
    return figure


def digits() -> torch.Tensor:
    """Fifty digits with edges: 8 x 8 pixels, each three wide, on an empty border."""
    images = torch.tensor(load_digits().images[:50], dtype=torch.float32)[:, None] / 16
    return F.pad(images.repeat_interleave(3, 2).repeat_interleave(3, 3), (8,) * 4)


def shift_errors() -> dict[str, float]:
    """Of four tokenizers with the same weights."""
    torch.manual_seed(0)
    plain = tn.PatchTokenizer(1, 4, 32)
    others = {
        "stride=2": tn.PatchTokenizer(1, 4, 32, stride=2),
        "blur=5": (five := tn.BlurredPatchTokenizer(1, 4, 32, blur=5)).patches,
        "blur=9": (nine := tn.BlurredPatchTokenizer(1, 4, 32, blur=9)).patches,
        "stride=1": tn.PatchTokenizer(1, 4, 32, stride=1),
    }
    for other in others.values():
        other.load_state_dict(plain.state_dict())
    made = {"patch=4": plain, **others, "blur=5": five, "blur=9": nine}
    return {name: tn.shift_error(tokenizer, digits()) for name, tokenizer in made.items()}


def shift() -> Figure:
    """Bars."""
    found = shift_errors()
    figure = _figure(4.6, 1.9)
    axis = figure.subplots()
    bars = axis.barh(list(found), list(found.values()), color=LIGHT)
    axis.bar_label(bars, [f"{v:.2f}" for v in found.values()], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.1 * max(found.values()))
    axis.set_xlabel("change of the mean token, a shift of one pixel")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def regions() -> Figure:
    """A digit, its regions of similar grey, and the graph of the regions that touch."""
    image = torch.tensor(load_digits().images[0], dtype=torch.float32)
    labels = torch.zeros(8, 8, dtype=torch.int64)
    for level in range(3):
        part = torch.from_numpy(ndimage.label(((image / 6).long() == level).numpy())[0])
        labels = labels.where(part == 0, part + 100 * level)
    tokenizer = tn.RegionTokenizer(1, 4)
    tokenizer.map.load_state_dict({"weight": torch.eye(4), "bias": torch.zeros(4)})
    with torch.no_grad():
        x, structure = tokenizer((image[None, None] / 16, labels[None]))
    grey, row, column, size = x.T
    y, x = row * 8 - 0.5, column * 8 - 0.5
    figure = _figure(6.4, 2.3)
    first, second, third = figure.subplots(1, 3)
    shown = torch.unique(labels, return_inverse=True)[1]
    for axis, picture, cmap, title in (
        (first, image, "gray", "pixels"),
        (second, shown, "tab20", f"{len(grey)} regions"),
        (third, torch.full((8, 8), 0.0), "gray_r", f"{structure.edges.num_edges // 2} borders"),
    ):
        axis.imshow(picture.numpy(), cmap=cmap)
        axis.set_title(title, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    weight = structure.edges.weight
    for (a, b), w in zip(structure.edges.index.T.tolist(), weight.tolist(), strict=True):
        third.plot(x[[a, b]], y[[a, b]], color=LIGHT, linewidth=0.5 + 0.25 * w, zorder=1)
    shape = {"s": 40 + 600 * size.numpy(), "c": grey.numpy(), "cmap": "gray", "zorder": 2}
    third.scatter(x, y, edgecolors=DARK, **shape)
    return figure


def positions() -> Figure:
    """How alike the codes of 32 places are: |dot product| of each with each."""
    codes = {
        "LearnedPosition": tn.LearnedPosition(32, 64),
        "SinusoidalPosition": tn.SinusoidalPosition(64),
        "IntegerPosition": tn.IntegerPosition(64),
        "SigmoidPosition": tn.SigmoidPosition(64),
        "SinePosition, period 16": tn.SinePosition(64, period=16),
        "GridSinusoidal, 4 x 8": tn.GridSinusoidalPosition(64),
        "RandomWalk, ring": tn.RandomWalkPosition(64),
        "Laplacian, ring": tn.LaplacianPosition(64),
    }
    place = torch.arange(32)
    ring = torch.stack([place, (place + 1) % 32])
    edges = tn.Edges(torch.cat([ring, ring.flip(0), torch.tensor([[0, 8], [8, 0]])], 1))
    structure = tn.Structure.dense(1, 32, grid=(4, 8), edges=edges)
    found = {}
    for name, position in codes.items():
        torch.manual_seed(0)
        with torch.no_grad():
            code = position(torch.zeros(1, 32, 64), structure)[0]
        if "ring" in name:  # what all tokens share says nothing
            code = code - code.mean(0)
        found[name] = (code @ code.T).abs()
    return tn.draw_influence(found)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw() -> None:
    """All pictures, written to the folder."""
    for make in (random_features, shift, regions, positions):
        content = BytesIO()
        make().savefig(content, dpi=120, format="png")
        write_atomically(PICTURES / f"{make.__name__}.png", content.getvalue())


if __name__ == "__main__":
    draw()
    for size in (0.3, 0.6, 1.0):
        errors = [favor_error(n, size, orthogonal=True) for n in COUNTS]
        print(f"scores of standard deviation {size**2:.2g}:", *(f"{e:.3f}" for e in errors))
    print({name: round(error, 3) for name, error in shift_errors().items()})
