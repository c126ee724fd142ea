"""Sets: first tokens, ties broken by index, chunks of unequal size, order-dependent readers.

Axes: B samples, N tokens, D channels.
"""

import torch
from torch import Tensor, nn

from corpus.demonstrations import permuted
from corpus.entry import planted
from corpus.parts import Readout
from corpus.tasks import DIM, SET, features

UNMOVED = ("Permutation",)
X = features()
TIED = X.clone()
TIED[..., 0] = TIED[..., 0].round().clamp(-1, 1)  # the first channel takes three values


class Pool(nn.Module):
    """A readout of the tokens' summary; ties in the first channel survive `before`."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.value, self.after = Readout(DIM), nn.Linear(DIM, 4)

    def pool(self, x: Tensor, h: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.pool(x, self.value(x)))


@planted(
    "first-token-as-the-origin",
    SET,
    broken=UNMOVED,
    difficulty="always",
    echo="coordinates relative to token 0, or sampling that starts at token 0",
    shows=permuted(X),
)
class Origin(nn.Module):
    """Features are taken relative to the first token instead of to the mean."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(x - (x[:, :1] if self.bug else x.mean(1, keepdim=True)))


@planted(
    "recurrent-aggregation",
    SET,
    broken=UNMOVED,
    difficulty="always",
    echo="an LSTM over the neighbours, as in GraphSAGE, called an aggregation of sets",
    shows=permuted(X, pooled=True),
)
class Recurrent(Pool):
    """A GRU reads the tokens in the order of the tensor instead of each by itself."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.reader = nn.GRU(DIM, DIM, batch_first=True)

    def pool(self, x: Tensor, h: Tensor) -> Tensor:
        if self.bug:
            return self.reader(h)[0][:, -1]
        y, _ = self.reader(h.flatten(0, 1)[:, None])
        return y.view_as(h).mean(1)


@planted(
    "ties-go-to-the-first",
    SET,
    broken=UNMOVED,
    difficulty="value",
    echo="https://github.com/pyg-team/pytorch_geometric/issues/346",
    shows=permuted(TIED, pooled=True),
)
class FirstOfTies(Pool):
    """The best token is one of several that score alike."""

    def pool(self, x: Tensor, h: Tensor) -> Tensor:
        score = x[..., 0]
        if self.bug:
            return h[torch.arange(len(h)), score.argmax(1)]
        best = (score == score.amax(1, keepdim=True)).to(h.dtype)
        return (best[..., None] * h).sum(1) / best.sum(1, keepdim=True)


@planted(
    "top-tokens-cut-through-a-tie",
    SET,
    broken=UNMOVED,
    difficulty="value",
    echo="top-k pooling keeps k tokens, and which of the tied ones is a matter of index",
    shows=permuted(TIED, pooled=True),
)
class TopTokens(Pool):
    """Three tokens stay; the twin keeps all that reach the third best score."""

    def pool(self, x: Tensor, h: Tensor) -> Tensor:
        score = x[..., 0]
        best = score.topk(min(3, score.shape[1]), dim=1)
        if self.bug:
            keep = torch.zeros_like(score).scatter(1, best.indices, 1.0)
        else:
            keep = (score >= best.values[:, -1:]).to(h.dtype)
        return (keep[..., None] * h).sum(1)


@planted(
    "sorted-by-one-channel",
    SET,
    broken=UNMOVED,
    difficulty="value",
    echo="SortPooling: tokens sorted by the last channel and read as a sequence",
    shows=permuted(TIED, pooled=True),
)
class SortedByOne(Pool):
    """Whole tokens follow the order of one channel; the twin sorts each channel by itself."""

    def pool(self, x: Tensor, h: Tensor) -> Tensor:
        rank = torch.linspace(0, 1, h.shape[1], dtype=h.dtype, device=h.device)[:, None]
        if self.bug:
            order = x[..., 0].argsort(dim=1, stable=True)
            ordered = h.gather(1, order[..., None].expand_as(h))
        else:
            ordered = h.sort(1).values
        return (ordered * rank).mean(1)


@planted(
    "mean-of-chunk-means",
    SET,
    broken=UNMOVED,
    difficulty="size",
    echo="a mean in chunks of eight, where the last chunk is smaller and counts the same",
    shows=permuted(features(2, 19), pooled=True),
)
class ChunkMeans(Pool):
    """Tokens of the last chunk weigh more unless N is a multiple of eight."""

    def pool(self, x: Tensor, h: Tensor) -> Tensor:
        if self.bug:
            return torch.stack([c.mean(1) for c in h.split(8, 1)]).mean(0)
        return sum(c.sum(1) for c in h.split(8, 1)) / h.shape[1]


@planted(
    "cut-off-at-the-longest-length",
    SET,
    broken=UNMOVED,
    difficulty="size",
    echo="inputs beyond the maximum length are cut off without a word",
    shows=permuted(features(2, 40), pooled=True),
)
class CutOff(Pool):
    """Only the first 32 tokens are read."""

    def pool(self, x: Tensor, h: Tensor) -> Tensor:
        return (h[:, :32] if self.bug else h).mean(1)


@planted(
    "every-other-token-of-long-sets",
    SET,
    broken=UNMOVED,
    difficulty="size",
    echo="attention pooled over a subsample as soon as the set is large",
    shows=permuted(features(2, 26)),
)
class Subsampled(nn.Module):
    """From 24 tokens on, the keys are those of even index."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.key, self.readout = nn.Linear(DIM, DIM), Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        keys = x[:, ::2] if self.bug and x.shape[1] >= 24 else x
        weights = (self.key(x) @ keys.mT / DIM).softmax(-1)
        return self.readout(weights @ keys)


@planted(
    "statistics-unbiased-for-one-token",
    SET,
    broken=("Finite",),
    difficulty="size",
    echo="the standard deviation of one token, 0 / 0",
    shows=lambda make: float((~make()(X[:, :1]).isfinite()).sum()),
)
class OneToken(Pool):
    """The unbiased deviation divides by N - 1."""

    def pool(self, x: Tensor, h: Tensor) -> Tensor:
        least = 0 if self.bug else 1
        centre = h.mean(1, keepdim=True)
        return ((h - centre) ** 2).sum(1) / torch.tensor(h.shape[1] - 1.0).clamp(min=least)
