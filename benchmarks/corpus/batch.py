"""Samples that see each other: shared statistics, shared capacity, folded and squeezed axes.

Axes: B samples, N tokens, T tokens of all samples, D channels.
"""

import torch
from torch import Tensor, nn

from corpus.demonstrations import alone, difference, neighbours
from corpus.entry import planted
from corpus.parts import Readout, scatter_mean, scatter_sum
from corpus.tasks import DIM, MASKED_SET, PACKED, SET, features, right_padded

APART = ("BatchIndependence",)
X = features()


class Net(nn.Module):
    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.readout = Readout(DIM)


@planted(
    "normalised-over-the-batch",
    SET,
    broken=(*APART, "GradientOf(BatchIndependence)"),
    difficulty="always",
    echo="x.mean() and x.std() without an axis",
    shows=neighbours(X),
)
class OverTheBatch(Net):
    """Mean and deviation of the whole tensor."""

    def forward(self, x: Tensor) -> Tensor:
        axes = (0, 1, 2) if self.bug else (1, 2)
        centre = x.mean(axes, keepdim=True)
        spread = (x - centre).square().mean(axes, keepdim=True)
        return self.readout((x - centre) / (spread + 1e-3).sqrt())


@planted(
    "batch-statistics-at-evaluation",
    SET.without("TrainEval", "NoState", "Purity"),
    broken=APART,
    difficulty="always",
    echo="BatchNorm with track_running_stats=False keeps using the batch at evaluation",
    shows=neighbours(X),
    domain={"num_tokens": (2, 48)},
)
class NotTracked(Net):
    """Without running statistics the batch decides, in evaluation too."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.norm = nn.BatchNorm1d(DIM, track_running_stats=not bug)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.norm(x.mT).mT)


@planted(
    "squeezed-for-one-sample",
    SET,
    broken=APART,
    difficulty="size",
    echo="https://github.com/NVIDIA/tacotron2/pull/303",
    shows=alone(X),
)
class Squeezed(Net):
    """squeeze() without an axis removes the batch as well when it holds one sample."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.readout(x).mean(1, keepdim=True)
        return pooled.squeeze() if self.bug else pooled.squeeze(1)


@planted(
    "gate-normalised-over-the-batch",
    SET,
    broken=APART,
    difficulty="always",
    echo="https://github.com/jadore801120/attention-is-all-you-need-pytorch/issues/52",
    shows=neighbours(X),
)
class Gate(Net):
    """softmax(0) on scores of shape [B, N]."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.score = nn.Linear(DIM, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.score(x)[..., 0].softmax(0 if self.bug else 1)
        return self.readout((weights[..., None] * x).sum(1))


@planted(
    "experts-with-shared-capacity",
    SET.without("Permutation"),
    broken=APART,
    difficulty="size",
    echo="https://github.com/laekov/fastmoe/issues/34",
    shows=alone(features(6), sample=5),
)
class Experts(Net):
    """An expert takes 8 tokens: of the sample in the twin, of the whole batch in the bug."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.route, self.experts = nn.Linear(DIM, 2), nn.Linear(DIM, 2 * DIM)

    def forward(self, x: Tensor) -> Tensor:
        chosen = nn.functional.one_hot(self.route(x).argmax(-1), 2)  # [B, N, 2]
        queue = chosen.flatten(0, 1).cumsum(0).view_as(chosen) if self.bug else chosen.cumsum(1)
        taken = (chosen * (queue <= 8)).to(x.dtype)
        y = self.experts(x).unflatten(-1, (2, DIM))
        return x + self.readout((taken[..., None] * y).sum(-2))


@planted(
    "state-carried-between-samples",
    SET.without("Permutation"),
    broken=APART,
    difficulty="always",
    echo="x.view(1, -1, D) in front of a recurrence: the batch becomes one sequence",
    shows=alone(X, sample=1),
)
class Carried(Net):
    """Each sample begins in the state where the one before ended."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.reader = nn.GRU(DIM, DIM, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.reader(x.flatten(0, 1)[None] if self.bug else x)
        return self.readout(y.reshape(x.shape))


@planted(
    "large-batches-in-chunks",
    SET,
    broken=APART,
    difficulty="size",
    echo="batches above a limit go through in chunks, which are normalised as chunks",
    shows=alone(features(20), sample=18),
)
class LargeBatch(Net):
    """Above 16 samples the scale is that of the chunk."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) <= 16:
            return self.scaled(x, 1)
        return torch.cat([self.scaled(c, 0 if self.bug else 1) for c in x.split(16)])

    def scaled(self, x: Tensor, first: int) -> Tensor:
        scale = x.abs().mean((0, 1, 2) if first == 0 else (1, 2), keepdim=True)
        return self.readout(x / (scale + 1e-2))


@planted(
    "trailing-empty-sample-lost",
    MASKED_SET,
    broken=APART,
    difficulty="value",
    echo="https://github.com/pyg-team/pytorch_geometric/issues/2895",
    shows=alone(X, right_padded((7, 4, 0)), sample=2),
)
class TrailingEmpty(Net):
    """The number of samples is the largest index plus one: an empty last sample has none."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        index = torch.arange(len(x), device=x.device)[:, None].expand_as(mask)[mask]
        size = int(index.max()) + 1 if self.bug and len(index) else len(x)
        return self.readout(scatter_sum(x[mask], index, size).tanh())


@planted(
    "empty-sample-in-the-middle-skipped",
    PACKED,
    broken=(*APART, "Interleaving"),
    difficulty="value",
    echo="https://github.com/pyg-team/pytorch_geometric/issues/6737",
    shows=lambda make: gap(make),
)
class Renumbered(Net):
    """Samples are renumbered without the empty ones, means are looked up by the old number."""

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        size = int(batch.max()) + 1 if len(batch) else 0
        index = batch
        if self.bug:
            _, index = batch.unique_consecutive(return_inverse=True)
        return self.readout(x - scatter_mean(x, index, size)[batch])


def gap(make) -> float:
    """Sample 2, beside an empty sample 1 and without it."""
    module, x = make().eval(), X.flatten(0, 1)[:9]
    batch = torch.tensor([0] * 5 + [2] * 4)
    closed = torch.tensor([0] * 5 + [1] * 4)
    return difference(module(x, closed), module(x, batch))
