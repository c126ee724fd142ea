"""Padding that is counted, normalised with, read from the wrong end, or multiplied by zero.

Axes: B samples, N tokens, D channels.
"""

import torch
from torch import Tensor, nn

from corpus.demonstrations import alone, amount, content, infinite, left, permuted
from corpus.entry import planted
from corpus.parts import Readout, clear, mean
from corpus.tasks import CAUSALITY, DIM, MASKED, MASKED_SET, features, right_padded

SEEN = ("Padding", "LeftPadding", "GradientOf(Padding)")
X, MASK = features(), right_padded()
FULL = torch.ones(3, 7, dtype=torch.bool)
ZEROS = X * (torch.arange(7) != 1)[:, None]  # the second token of each sample


class Pooled(nn.Module):
    """A map of every token, a summary of the sample, a map of the summary."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.before, self.after = Readout(DIM), nn.Linear(DIM, 4)

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.after(self.pool(self.before(clear(x, mask)), mask))


@planted(
    "mean-over-all-positions",
    MASKED_SET,
    broken=("Padding",),
    difficulty="always",
    echo="https://github.com/huggingface/sentence-transformers/issues/230",
    shows=amount(X, MASK),
)
class MeanOverAll(Pooled):
    """Divided by the length of the batch, not of the sample."""

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        return clear(h, mask).mean(1) if self.bug else mean(h, mask)


@planted(
    "divided-by-the-longest-sample",
    MASKED_SET,
    broken=("BatchIndependence",),
    difficulty="always",
    echo="https://github.com/huggingface/transformers/issues/17463",
    shows=alone(X, MASK, sample=2),
)
class LongestSample(Pooled):
    """The count is that of the longest sample in the batch."""

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        count = mask.sum(1, keepdim=True)
        count = count.amax(0, keepdim=True) if self.bug else count
        return clear(h, mask).sum(1) / count.clamp(min=1)


@planted(
    "maximum-with-zeros",
    MASKED_SET,
    broken=("Padding",),
    difficulty="value",
    echo="https://github.com/allenai/allennlp/issues/3378",
    shows=amount(X, FULL),
)
class MaximumWithZeros(Pooled):
    """Channels that are negative in all tokens become zero as soon as there is padding."""

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        if self.bug:
            return clear(h, mask).amax(1)
        low = h.masked_fill(~mask[..., None], -torch.inf).amax(1)
        return low.masked_fill(~mask.any(1, keepdim=True), 0)


@planted(
    "last-position-instead-of-last-token",
    MASKED.without("LeftPadding"),
    broken=("Padding", "GradientOf(Padding)"),
    difficulty="always",
    echo="https://github.com/huggingface/sentence-transformers/issues/3208",
    shows=amount(X, MASK),
)
class LastPosition(Pooled):
    """Reads the end of the batch."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.reader = nn.GRU(DIM, DIM, batch_first=True)

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        h, _ = self.reader(clear(h, mask))
        place = torch.arange(h.shape[1], device=h.device)
        last = h.shape[1] - 1 if self.bug else (place * mask).amax(1)
        return h[torch.arange(len(h)), last]


@planted(
    "last-token-by-count",
    MASKED.without("GradientOf(Padding)"),
    broken=("LeftPadding",),
    difficulty="value",
    echo="https://github.com/huggingface/peft/issues/3620",
    shows=left(X, MASK),
)
class LastByCount(Pooled):
    """The number of tokens minus one is the last one's place only where padding is on the right."""

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        place = torch.arange(h.shape[1], device=h.device)
        last = (mask.sum(1) - 1).clamp(min=0) if self.bug else (place * mask).amax(1)
        return clear(h, mask)[torch.arange(len(h)), last]


@planted(
    "positions-ignore-padding-on-the-left",
    MASKED,
    broken=("LeftPadding",),
    difficulty="value",
    echo="https://github.com/unslothai/unsloth/issues/3699",
    shows=left(X, MASK),
)
class Positions(Pooled):
    """Positions count the columns of the batch instead of the tokens of the sample."""

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        columns = torch.arange(h.shape[1], device=h.device).expand_as(mask)
        place = columns if self.bug else mask.cumsum(1) - 1
        return mean(h * torch.cos(place[..., None].to(h.dtype)), mask)


@planted(
    "running-mean-counts-padding",
    MASKED.also(*CAUSALITY),
    broken=("LeftPadding",),
    difficulty="value",
    echo="a causal average divided by the column, in a batch padded on the left",
    shows=left(X, MASK),
)
class RunningMean(Pooled):
    """The divisor of the average so far is the column."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = clear(self.before(clear(x, mask)), mask)
        seen = torch.ones_like(mask) if self.bug else mask
        so_far = h.cumsum(1) / seen.cumsum(1).clamp(min=1)[..., None]
        return clear(self.after(so_far), mask)


@planted(
    "normalised-over-the-sequence",
    MASKED_SET,
    broken=("Padding",),
    difficulty="always",
    echo="https://github.com/pytorch/pytorch/issues/81985",
    shows=amount(X, MASK),
)
class SequenceNorm(Pooled):
    """Mean and variance of a channel run over the padding too."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = clear(self.before(clear(x, mask)), mask)
        if self.bug:
            centre, spread = h.mean(1), h.var(1, correction=0)
        else:
            centre = mean(h, mask)
            spread = mean((h - centre[:, None]) ** 2, mask)
        h = (h - centre[:, None]) / (spread[:, None] + 1e-3).sqrt()
        return clear(self.after(h), mask)


@planted(
    "batch-norm-over-padding",
    MASKED_SET.without("BatchIndependence"),
    broken=("Padding", "GradientOf(Padding)"),
    difficulty="always",
    echo="https://github.com/pytorch/pytorch/issues/70529",
    shows=content(X, MASK),
)
class SharedStatistics(Pooled):
    """Statistics of the batch include what fills it up."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.before(x.nan_to_num(0) if self.bug else clear(x, mask))
        rows = h.flatten(0, 1) if self.bug or not mask.any() else h[mask]
        h = (h - rows.mean(0)) / (rows.var(0, correction=0) + 1e-3).sqrt()
        return clear(self.after(h), mask)


@planted(
    "bias-of-the-first-layer-leaks",
    MASKED.without("LeftPadding"),
    broken=("Padding",),
    difficulty="always",
    echo="https://github.com/thunlp/HATT-Proto/issues/12",
    shows=amount(X, FULL),
)
class BiasLeaks(nn.Module):
    """The second convolution reads what the first one wrote into the padding."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.first, self.second = (nn.Conv1d(DIM, DIM, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.first(clear(x, mask).mT).mT.relu()
        h = h if self.bug else clear(h, mask)
        return clear(self.second(h.mT).mT, mask)


@planted(
    "mask-by-multiplication",
    MASKED_SET,
    broken=("NaNPadding",),
    difficulty="value",
    echo="https://github.com/pytorch/pytorch/issues/64525",
    shows=content(X, MASK, value=float("nan")),
)
class Multiplied(Pooled):
    """Zero times NaN is NaN."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.before(x)
        h = h * mask[..., None] if self.bug else clear(h, mask)
        return self.after(h.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))


@planted(
    "length-is-the-number-of-nonzero-tokens",
    MASKED_SET,
    broken=("Permutation", "LeftPadding"),
    difficulty="value",
    echo="padding recognised as 'all channels are zero'",
    shows=permuted(ZEROS, FULL, pooled=True),
)
class ZeroToken(Pooled):
    """A real token of zeros shortens the sample, and its last token is lost."""

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        return mean(h, mask)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = clear(x, mask)
        if self.bug:
            zero = mask & (x == 0).all(-1)
            rank = mask.cumsum(1)
            mask = mask & (rank <= (mask & ~zero).sum(1, keepdim=True))
        return self.after(self.pool(self.before(x), mask))


@planted(
    "largest-tokens-chosen-among-padding",
    MASKED_SET.without("GradientOf(Padding)"),
    broken=("Padding",),
    difficulty="value",
    echo="a selection of the best tokens whose scores were not masked",
    shows=amount(-X.abs(), MASK),
)
class TopAmongPadding(Pooled):
    """Zeros of the padding beat negative scores."""

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        score = clear(h, mask)[..., 0]
        score = score if self.bug else score.masked_fill(~mask, -torch.inf)
        best = score.amax(1, keepdim=True)
        return mean(h, (score == best) & mask)


@planted(
    "mean-of-nothing",
    MASKED_SET,
    broken=("Finite",),
    difficulty="value",
    echo="a mean over an empty sample, 0 / 0",
    shows=infinite(X, right_padded((7, 4, 0))),
)
class MeanOfNothing(Pooled):
    """The count of an empty sample is not kept from zero."""

    def pool(self, h: Tensor, mask: Tensor) -> Tensor:
        count = mask.sum(1, keepdim=True)
        return clear(h, mask).sum(1) / (count if self.bug else count.clamp(min=1))
