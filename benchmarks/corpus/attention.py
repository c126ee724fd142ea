"""Attention: flags that are ignored, axes that are confused, heads folded into the wrong place.

Axes: B samples, H heads, N tokens, D channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.demonstrations import alone, content, future, neighbours, permuted, prefix
from corpus.entry import planted
from corpus.parts import Projections, Readout, causal, clear, merge, softmax, split
from corpus.tasks import CAUSAL, DIM, MASKED_SET, SET, features, right_padded

LEAKS = ("Causality", "Prefix", "GradientOf(Causality)")
X, MASK = features(), right_padded()


class Attention(nn.Module):
    """Two heads, whose weights a subclass may spoil."""

    heads = 2

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.project, self.out = Projections(DIM), nn.Linear(DIM, DIM)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (split(t, self.heads) for t in self.project(x))
        return q / q.shape[-1] ** 0.5, k, v  # [B, H, N, D / H]


@planted(
    "causal-flag-ignored",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="https://github.com/pytorch/pytorch/issues/99282",
    shows=future(),
)
class FlagIgnored(Attention):
    """The path that also returns the weights takes the flag and builds no mask from it."""

    def attend(self, x: Tensor, is_causal: bool, need_weights: bool) -> tuple[Tensor, Tensor]:
        q, k, v = self.parts(x)
        scores = q @ k.mT
        if is_causal and not (need_weights and self.bug):
            scores = scores.masked_fill(~causal(x.shape[1], x.device), -torch.inf)
        weights = scores.softmax(-1)
        return merge(weights @ v), weights

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.attend(x, is_causal=True, need_weights=True)
        return self.out(out)


@planted(
    "causal-mask-flipped",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="a triangle of the wrong side: triu where tril was meant",
    shows=future(),
)
class Flipped(Attention):
    """Each token reads itself and what follows."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        mask = causal(x.shape[1], x.device)
        mask = mask.mT if self.bug else mask
        return self.out(merge(F.scaled_dot_product_attention(q, k, v, mask)))


@planted(
    "softmax-over-the-queries",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="https://github.com/PetrochukM/PyTorch-NLP/issues/2",
    shows=future(),
)
class WrongAxis(Attention):
    """Square scores hide it: weights add up to one over the queries, so later ones count."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        scores = q @ k.mT
        scores = scores.masked_fill(~causal(x.shape[1], x.device), -torch.inf)
        return self.out(merge(scores.softmax(-2 if self.bug else -1) @ v))


@planted(
    "keys-normalised-over-the-sequence",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="normalising along the token axis before a causal operator",
    shows=future(),
)
class KeyNorm(Attention):
    """The norm of the keys is taken over all tokens instead of over the channels."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        k = k / k.norm(dim=2 if self.bug else 3, keepdim=True).clamp(min=1e-6)
        return self.out(merge(F.scaled_dot_product_attention(q, k, v, is_causal=True)))


@planted(
    "heads-viewed-without-transpose",
    SET,
    broken=("Permutation",),
    difficulty="always",
    echo="https://github.com/reczoo/FuxiCTR/issues/30",
    shows=permuted(X),
)
class HeadsViewed(Attention):
    """Two halves of the sequence become the heads."""

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.project(x)
        if self.bug:
            q, k, v = (t.reshape(b, 2, n, d // 2) for t in (q, k, v))
        else:
            q, k, v = (split(t, 2) for t in (q, k, v))
        return self.out(merge(F.scaled_dot_product_attention(q, k, v)))


@planted(
    "heads-merged-without-permute",
    SET,
    broken=("Permutation",),
    difficulty="always",
    echo="https://github.com/jsbaan/transformer-from-scratch/pull/6",
    shows=permuted(X),
)
class HeadsMerged(Attention):
    """Parts of several tokens end up in the output of one."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.reshape(x.shape) if self.bug else merge(y))


@planted(
    "mask-repeated-in-the-wrong-order",
    MASKED_SET,
    broken=("Padding", "BatchIndependence", "GradientOf(Padding)"),
    difficulty="always",
    echo="https://github.com/lsdefine/attention-is-all-you-need-keras/issues/36",
    shows=alone(X, MASK, sample=2),
)
class MaskOrder(Attention):
    """Samples and heads share an axis, heads outside; the mask is repeated heads inside."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (t.transpose(0, 1).flatten(0, 1) for t in self.parts(clear(x, mask)))
        rows = mask.repeat_interleave(2, 0) if self.bug else mask.repeat(2, 1)  # [H * B, N]
        y = softmax(q @ k.mT, rows[:, None]) @ v
        y = y.unflatten(0, (2, len(x))).transpose(0, 1)
        return clear(self.out(merge(y)), mask)


@planted(
    "batch-first-forgotten",
    SET,
    broken=("BatchIndependence", "GradientOf(BatchIndependence)"),
    difficulty="always",
    echo="https://github.com/rish-16/tokenlearner-pytorch/issues/1",
    shows=neighbours(X),
)
class BatchFirst(nn.Module):
    """torch's attention expects tokens first; samples attend to each other instead."""

    def __init__(self, bug: bool):
        super().__init__()
        self.attention = nn.MultiheadAttention(DIM, 2, batch_first=not bug)
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.attention(x, x, x, need_weights=False)
        return x + self.readout(y)


@planted(
    "linear-attention-stabilised-over-the-batch",
    SET,
    broken=("BatchIndependence",),
    difficulty="always",
    echo="random features stabilised by one maximum, with a small constant added after it",
    shows=neighbours(X),
)
class SharedMaximum(Attention):
    """The constant that keeps the features positive makes the common maximum matter."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        peak = k.amax(None if self.bug else (1, 2, 3), keepdim=True)
        left, right = F.elu(q) + 1, (k - peak).exp() + 1e-2
        weights = left @ right.mT
        return self.out(merge(weights @ v / (weights.sum(-1, keepdim=True) + 1e-6)))


@planted(
    "linear-attention-stabilised-over-the-future",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="a prefix sum over keys that were shifted by the maximum of all of them",
    shows=future(by=4.0),
)
class LaterMaximum(Attention):
    """Sums run over the past; the maximum that is taken off the keys runs over everything."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        shift = k.amax(2, keepdim=True) if self.bug else 3.0
        left, right = F.elu(q) + 1, torch.sigmoid(k - shift)
        weights = (left @ right.mT) * causal(x.shape[1], x.device)
        return self.out(merge(weights @ v / (weights.sum(-1, keepdim=True) + 1e-6)))


@planted(
    "distance-from-the-end",
    CAUSAL.without("Prefix"),
    broken=("Prefix",),
    difficulty="always",
    echo="positions counted from the last token, or divided by the length",
    shows=prefix(X),
)
class FromTheEnd(Attention):
    """No token reads a later one; but how many follow is known from the position."""

    def forward(self, x: Tensor) -> Tensor:
        place = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)[:, None]
        place = place / x.shape[1] if self.bug else place / 64
        q, k, v = self.parts(x + torch.sin(7 * place))
        return self.out(merge(F.scaled_dot_product_attention(q, k, v, is_causal=True)))


@planted(
    "batch-as-long-as-the-sequence",
    MASKED_SET.without("NaNPadding"),
    broken=("Padding", "LeftPadding", "GradientOf(Padding)", "BatchIndependence"),
    difficulty="size",
    echo="a padding mask [B, N] taken for an attention mask [N, N] where B = N",
    shows=content(features(7), right_padded((7, 6, 5, 4, 3, 2, 1))),
)
class SquareMask(Attention):
    """The mask's meaning is guessed from its shape."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        square = self.bug and mask.shape[0] == mask.shape[1]
        allowed = mask[None, None] if square else mask[:, None, None]
        return clear(self.out(merge(softmax(q @ k.mT, allowed) @ v)), mask)
