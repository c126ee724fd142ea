"""Modules that remember: caches under too small a key, buffers that move, inputs written into.

Axes: B samples, N tokens, D channels.
"""

import torch
from torch import Tensor, nn

from corpus.demonstrations import after, built, cast, changed, difference, repeated
from corpus.entry import planted
from corpus.masks import Masked
from corpus.parts import Readout
from corpus.tasks import (
    DIM,
    MASKED_SET,
    SET,
    TOKENS,
    features,
    right_padded,
)

X, OTHER, LONG = features(), features(seed=5), features(2, 40)
MASK, WIDER = right_padded(), right_padded((7, 7, 5))
FINITE = MASKED_SET.without("NaNPadding")


class Net(nn.Module):
    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.first, self.second = Readout(DIM), Readout(DIM)


@planted(
    "mask-kept-by-its-shape",
    FINITE,
    broken=("NoState", "Padding"),
    difficulty="state",
    echo="an attention mask cached under its shape",
    shows=after((X, WIDER), X, MASK),
)
class KeptByShape(Masked):
    """The second batch of the same shape gets the mask of the first."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.kept: dict[object, Tensor] = {}

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if self.bug:
            mask = self.kept.setdefault(mask.shape, mask)
        return super().mix(scores, mask, v)


@planted(
    "result-kept-by-the-address",
    SET,
    broken=("NoState",),
    difficulty="state",
    echo="a result cached under data_ptr(): new values in the same storage are not seen",
    shows=lambda make: overwritten(make),
)
class KeptByAddress(Net):
    """A tensor that was filled anew counts as the same."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.kept: tuple[object, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        key = (x.data_ptr(), x.shape)
        if self.kept is None or self.kept[0] != key or not self.bug:
            self.kept = key, x.mean(1, keepdim=True).detach()
        return self.second(self.first(x) + self.kept[1])


def overwritten(make) -> float:
    module, (x, other) = built(make), cast((X, OTHER))
    fresh = built(make)(other)
    module(x)
    x.copy_(other)
    return difference(fresh, module(x))


@planted(
    "positions-rescaled-for-good",
    TOKENS,
    broken=("NoState",),
    difficulty="state",
    echo="https://github.com/huggingface/transformers/issues/25306",
    shows=after((LONG,), X),
)
class Rescaled(Net):
    """One sequence of more than 16 tokens stretches the positions of all later ones."""

    longest = 16

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        longest = max(self.longest, n)
        if self.bug:
            self.longest = longest
        place = torch.arange(n, dtype=x.dtype, device=x.device)[:, None] * 16 / longest
        rates = torch.arange(1, DIM + 1, dtype=x.dtype, device=x.device) / DIM
        return self.second(x + torch.sin(place * rates))


@planted(
    "normaliser-of-the-first-batch",
    SET,
    broken=("NoState", "BatchIndependence"),
    difficulty="state",
    echo="https://github.com/rosinality/glow-pytorch/issues/6",
    shows=after((3 * OTHER,), X),
)
class FirstBatch(Net):
    """The scale is set by whatever comes first."""

    scale: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.bug:
            return self.second(self.first(x) / 2)
        if self.scale is None:
            self.scale = x.detach().abs().mean() + 0.1
        return self.second(self.first(x) / self.scale)


@planted(
    "hidden-state-not-reset",
    TOKENS.also("Causality", "Prefix"),
    broken=("NoState", "Repeatability"),
    difficulty="state",
    echo="https://github.com/HIT-SCIR/ELMoForManyLangs/issues/68",
    shows=repeated(X),
)
class NotReset(Net):
    """The state at the end is where the next call begins, if the batch is of the same size."""

    last: Tensor | None = None

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.reader = nn.GRU(DIM, DIM, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        start = self.last
        if start is not None and (start.shape[1] != len(x) or start.dtype != x.dtype):
            start = None
        y, end = self.reader(x, start)
        if self.bug:
            self.last = end.detach()
        return self.second(y)


@planted(
    "running-mean-moves-at-evaluation",
    SET.without("TrainEval"),
    broken=("Purity", "NoState", "Repeatability"),
    difficulty="state",
    echo="statistics updated without asking for the mode",
    shows=changed(X),
)
class RunningMean(Net):
    """Evaluation moves what training has learnt."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.register_buffer("centre", torch.zeros(DIM))

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(x - self.centre)
        if self.bug:
            with torch.no_grad():
                self.centre.lerp_(x.mean((0, 1)), 0.1)
        return y


@planted(
    "codebook-learns-at-evaluation",
    SET.without("TrainEval"),
    broken=("Purity", "NoState", "Repeatability"),
    difficulty="state",
    echo="https://github.com/lucidrains/vector-quantize-pytorch/issues/167",
    shows=changed(X),
)
class Codebook(Net):
    """Codes follow the data by a moving average, at evaluation too."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.register_buffer("codes", torch.randn(5, DIM))

    def forward(self, x: Tensor) -> Tensor:
        near = (-(x[..., None, :] - self.codes).square().sum(-1)).softmax(-1)  # [B, N, 5]
        y = self.second(near @ self.codes)
        if self.bug:
            with torch.no_grad():
                flat = near.flatten(0, 1)
                means = flat.mT @ x.flatten(0, 1) / flat.sum(0)[:, None].clamp(min=1e-6)
                self.codes.lerp_(means, 0.2)
        return y


@planted(
    "warm-up-counted-by-calls",
    SET,
    broken=("NoState", "Repeatability"),
    difficulty="state",
    echo="a counter of forward calls that switches a part on",
    shows=lambda make: fourth_call(make),
)
class WarmUp(Net):
    """From the fourth call on, a residual is added."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = self.second(self.first(x))
        return y + x if self.bug and self.calls > 3 else y


def fourth_call(make) -> float:
    module, (x,) = built(make), cast((X,))
    outs = [module(x) for _ in range(4)]
    return difference(outs[0], outs[3])
