"""Padding masks in attention: too weak, too late, on the wrong side, or skipped on some path.

Axes: B samples, H heads, N tokens, D channels.
"""

import torch
from torch import Tensor, nn

from corpus.attention import Attention
from corpus.demonstrations import amount, content, difference, infinite
from corpus.entry import Build, planted
from corpus.parts import Projections, Readout, clear, merge, softmax, split
from corpus.tasks import DIM, IGNORED, MASKED_SET, features, right_padded

SEEN = ("Padding", "LeftPadding", "GradientOf(Padding)")
FINITE = MASKED_SET.without("NaNPadding")
X, MASK = features(), right_padded()


class Masked(nn.Module):
    """Attention whose scores, mask and values meet in `mix`."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.project, self.out = Projections(DIM), Readout(DIM)

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        return softmax(scores, mask) @ v

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (split(t, 2) for t in self.project(x))
        y = self.mix(q @ k.mT / 3**0.5, mask[:, None, None], v)
        return clear(self.out(merge(y)), mask)


@planted(
    "mask-after-the-softmax",
    FINITE,
    broken=SEEN,
    difficulty="always",
    echo="https://github.com/huggingface/pytorch-image-models/pull/2236",
    shows=content(X, MASK),
)
class AfterSoftmax(Masked):
    """Weights of padding are zeroed, but have already taken their share."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if self.bug:
            return (scores.softmax(-1) * mask) @ v
        return super().mix(scores, mask, v)


@planted(
    "mask-on-the-values-only",
    FINITE,
    broken=SEEN,
    difficulty="always",
    echo="linear attention that masks values but sums over all keys",
    shows=content(X, MASK),
)
class ValuesOnly(Masked):
    """The numerator forgets padding, the normaliser doesn't."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        weights = torch.sigmoid(scores)
        total = weights if self.bug else weights * mask
        return (weights * mask) @ v / total.sum(-1, keepdim=True).clamp(min=1e-6)


@planted(
    "mask-on-the-queries",
    FINITE,
    broken=SEEN,
    difficulty="always",
    echo="https://github.com/lsdefine/attention-is-all-you-need-keras/issues/16",
    shows=content(X, MASK),
)
class OnQueries(Masked):
    """Broadcast the wrong way, the mask closes rows of the scores instead of columns."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        return softmax(scores, mask.mT if self.bug else mask) @ v


@planted(
    "mask-value-almost-zero",
    FINITE,
    broken=SEEN,
    difficulty="always",
    echo="https://github.com/Shujun-He/RibonanzaNet/issues/5",
    shows=content(X, MASK),
)
class AlmostZero(Masked):
    """1e-9 where 1e9 was meant."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if self.bug:
            return scores.masked_fill(~mask, -1e-9).softmax(-1) @ v
        return super().mix(scores, mask, v)


@planted(
    "mask-value-too-small-for-large-logits",
    FINITE,
    broken=SEEN,
    difficulty="value",
    echo="https://github.com/TransformerLensOrg/TransformerLens/pull/319",
    shows=content(30 * X, MASK),
)
class TooSmall(Masked):
    """The mask adds -100; large tokens have logits beyond."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if self.bug:
            return (scores - 100.0 * ~mask).softmax(-1) * mask.any(-1, keepdim=True) @ v
        return super().mix(scores, mask, v)


@planted(
    "ten-thousand-is-not-infinite",
    FINITE,
    broken=SEEN,
    difficulty="value",
    echo="https://github.com/huggingface/transformers/pull/17306",
    shows=content(300 * X, MASK, value=900.0),
)
class TenThousand(Masked):
    """The usual -1e4, which only very large inputs exceed."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if self.bug:
            return (scores - 1e4 * ~mask).softmax(-1) * mask.any(-1, keepdim=True) @ v
        return super().mix(scores, mask, v)


@planted(
    "mask-skipped-for-one-sample",
    FINITE,
    broken=(*SEEN, "BatchIndependence"),
    difficulty="size",
    echo="a path for a batch of one, where 'there is no padding'",
    shows=content(X[1:2], MASK[1:2]),
)
class OneSample(Masked):
    """A batch of one is taken to be full."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if self.bug and len(scores) == 1:
            mask = torch.ones_like(mask)
        return super().mix(scores, mask, v)


@planted(
    "mask-skipped-above-a-window",
    FINITE,
    broken=SEEN,
    difficulty="size",
    echo="a path for long sequences that was written without the mask",
    shows=content(features(2, 40), right_padded((31, 40), 40)),
)
class LongPath(Masked):
    """Beyond 32 tokens, chunks of queries go one after the other, and the mask isn't passed on."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if scores.shape[-1] <= 32:
            return super().mix(scores, mask, v)
        mask = torch.ones_like(mask) if self.bug else mask
        return torch.cat([super(LongPath, self).mix(s, mask, v) for s in scores.split(16, 2)], 2)


@planted(
    "blocks-filled-up-with-zeros",
    FINITE,
    broken=("Padding",),
    difficulty="size",
    echo="https://github.com/tier4/autoware-ml/pull/93",
    shows=amount(features(3, 8), right_padded((8, 5, 3), 8)),
)
class FilledUp(Masked):
    """Keys are filled up to a multiple of eight, and what fills is not masked."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        extra = -scores.shape[-1] % 8
        scores = nn.functional.pad(scores, (0, extra))
        mask = nn.functional.pad(mask, (0, extra), value=self.bug)
        v = nn.functional.pad(v, (0, 0, 0, extra))
        return super().mix(scores, mask, v)


@planted(
    "mask-inverted",
    IGNORED.also("Permutation"),
    broken=("Padding", "LeftPadding"),
    difficulty="always",
    echo="https://github.com/pytorch/pytorch/issues/86120",
    shows=content(X, MASK, ignored=True),
)
class Inverted(nn.Module):
    """True means 'ignore' to torch's encoder layer; here it is handed what to keep."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.layer = nn.TransformerEncoderLayer(DIM, 2, 8, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor, key_padding_mask: Tensor) -> Tensor:
        ignore = ~key_padding_mask if self.bug else key_padding_mask
        ignore = ignore & ~ignore.all(1, keepdim=True)  # an empty sample attends to itself
        y = self.layer(x, src_key_padding_mask=ignore)
        return clear(y, ~key_padding_mask)


@planted(
    "mask-dropped-without-gradients",
    FINITE,
    broken=("Padding", "LeftPadding"),
    difficulty="mode",
    echo="https://github.com/pytorch/pytorch/pull/190486",
    shows=lambda make: without_gradients(make),
)
class FastPath(Masked):
    """The path for inference doesn't know the mask."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if self.bug and not torch.is_grad_enabled():
            mask = torch.ones_like(mask)
        return super().mix(scores, mask, v)


def without_gradients(make: Build) -> float:
    module = make().eval()
    with_gradients = module(X, MASK)
    with torch.no_grad():
        return difference(with_gradients, module(X, MASK))


@planted(
    "empty-sample-divides-by-zero",
    MASKED_SET,
    broken=("Finite",),
    difficulty="value",
    echo="https://github.com/pytorch/pytorch/issues/24816",
    shows=infinite(X, right_padded((7, 4, 0))),
)
class EmptySample(Attention):
    """All scores of an empty sample are minus infinity."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = clear(x, mask)
        q, k, v = self.parts(x)
        scores = (q @ k.mT).masked_fill(~mask[:, None, None], -torch.inf)
        weights = scores.softmax(-1) if self.bug else softmax(scores, mask[:, None, None])
        return (self.out(merge(weights @ v)) * mask[..., None]).sum(1)


@planted(
    "shortcut-when-nothing-is-padded",
    MASKED_SET,
    broken=("Padding", "BatchIndependence"),
    difficulty="value",
    echo="https://github.com/huggingface/transformers/pull/30311",
    shows=amount(X, torch.ones(3, 7, dtype=torch.bool)),
)
class AllValid(Attention):
    """Without padding the scores are not scaled."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = clear(x, mask)
        q, k, v = self.parts(x)
        if self.bug and bool(mask.all()):
            q = q * 3**0.5
        return clear(self.out(merge(softmax(q @ k.mT, mask[:, None, None]) @ v)), mask)


@planted(
    "weights-of-zero-times-nan",
    MASKED_SET,
    broken=("NaNPadding",),
    difficulty="value",
    echo="a padded value of NaN times an attention weight of zero",
    shows=content(X, MASK, value=float("nan")),
)
class ZeroTimesNaN(Masked):
    """Scores are masked, values are not."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x if self.bug else clear(x, mask), mask)
