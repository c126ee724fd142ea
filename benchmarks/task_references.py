"""What simple, well-known models reach on the tasks with images, graphs, molecules and series.

    python -m benchmarks.task_references

Linear models on what is easily counted, from scikit-learn or by least squares, on the tasks' own
splits: of tasks whose split depends on the seed the mean over seeds 0 to 9, with the sample
deviation. Reads `$TOKENNET_DATA`; Digits come with scikit-learn.

Axes: S samples, F features.
"""

import statistics
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from tokennet.tasks.base import Task
from tokennet.tasks.graphs import MUTAG, PROTEINS, GraphClasses
from tokennet.tasks.images import CIFAR, MNIST, Digits, ImageTask
from tokennet.tasks.molecules import ESOL, Molecules
from tokennet.tasks.samples import Batch, Samples
from tokennet.tasks.series import ETTh1

FOLDS = 10


def pixels(task: ImageTask, strength: float = 1.0) -> list[float]:
    """Accuracy of logistic regression (C = 1) on the pixels."""
    whole = task.images()
    parts = [_all(part) for part in (whole.fit, whole.test)]
    return [logistic([(b.inputs.flatten(1), b.targets) for b in parts], strength)]


def calm_pixels(task: ImageTask) -> list[float]:
    """Accuracy of logistic regression (C = 0.01) on the pixels."""
    return pixels(task, 0.01)


def counts(task: GraphClasses) -> list[float]:
    """Accuracy of logistic regression (C = 1) on how many tokens of each label a graph has."""
    found = []
    for seed in range(FOLDS):
        whole = task.data(seed)
        parts = [(_sums(_all(part)), part.targets) for part in (whole.fit, whole.test)]
        found.append(logistic(parts, 1.0))
    return found


def majority(task: GraphClasses) -> list[float]:
    """Accuracy of always naming the most frequent class."""
    found = []
    for seed in range(FOLDS):
        whole = task.data(seed)
        most = whole.fit.targets.mode().values
        found.append(float((whole.test.targets == most).double().mean()))
    return found


def solubility(task: ESOL) -> list[float]:
    """Root mean square error of least squares on counts of atoms, hydrogens, bonds and rings."""
    found = []
    for seed in range(FOLDS):
        whole = task.data(seed)
        fit, test = ((_counted(part), part.targets) for part in (whole.fit, whole.test))
        error = linear(fit, test)
        found.append(float(error.square().mean().sqrt()))
    return found


def steps(task: ETTh1) -> list[float]:
    """Mean square error of one linear map of the window for all channels, by least squares."""
    whole = task.data(0)
    fit, test = ((b.inputs.squeeze(2), b.targets) for b in map(_all, (whole.fit, whole.test)))
    return [float(linear(fit, test).square().mean())]


def linear(fit: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Tensor:
    """What is left of the test targets after least squares (with a constant) on the others."""
    x, unseen = (torch.cat([p[0].double(), torch.ones(len(p[0]), 1)], 1) for p in (fit, test))
    solved = torch.linalg.lstsq(x, fit[1].double(), driver="gelsd").solution
    return test[1].double() - unseen @ solved


def logistic(parts: list[tuple[Tensor, Tensor]], strength: float) -> float:
    """Share of the second part's samples that logistic regression on the first gets right."""
    from sklearn.linear_model import LogisticRegression

    (x, y), (unseen, wanted) = ((x.numpy(), y.numpy()) for x, y in parts)
    model = LogisticRegression(C=strength, max_iter=2000).fit(x, y)
    return float(model.score(unseen, wanted))


def _all(samples: Samples) -> Batch:
    return samples.batch(torch.arange(len(samples)))


def _sums(batch: Batch) -> Tensor:
    """The sum of the features over each graph, `[S, F]`."""
    layout = batch.structure.layout
    zeros = batch.inputs.new_zeros(layout.batch, batch.inputs.shape[1])
    return zeros.index_add(0, layout.sample, batch.inputs)


ELEMENTS = (6, 7, 8, 9, 16, 17, 35, 53)  # C, N, O, F, S, Cl, Br, I


def _counted(part: Molecules) -> Tensor:
    rows = []
    for atoms, bonds in part.molecules:
        kinds = [number for number, _, _, _ in atoms]
        row = [kinds.count(element) for element in ELEMENTS]
        row += [len(atoms), sum(h for _, _, h, _ in atoms), sum(a for _, _, _, a in atoms)]
        row += [sum(kind == k for _, _, kind in bonds) for k in range(4)]
        rows.append([*row, len(bonds) - len(atoms)])  # rings, less the number of pieces
    return torch.tensor(rows, dtype=torch.float64)


MODELS: list[tuple[Task, Callable[..., list[float]]]] = [
    (Digits(), pixels), (MNIST(), calm_pixels), (CIFAR(), calm_pixels),
    (MUTAG(), majority), (MUTAG(), counts), (PROTEINS(), majority), (PROTEINS(), counts),
    (ESOL(), solubility), (ETTh1(), steps), (ETTh1(window=336, horizon=96), steps),
]  # fmt: skip


def main() -> None:
    warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)  # PyG's
    print("| task | metric | model | value |\n|---|---|---|---|")
    for task, model in MODELS:
        found = model(task)
        spread = f" ± {statistics.stdev(found):.3f}" if len(found) > 1 else ""
        what = (model.__doc__ or "").split(" of ", 1)[1].rstrip(".")
        size = f" {task.window} to {task.horizon}" if isinstance(task, ETTh1) else ""
        value = f"{statistics.mean(found):.3f}{spread}"
        print(f"| {task.name}{size} | {task.metric} | {what} | {value} |", flush=True)


if __name__ == "__main__":
    main()
