"""Causal operators and recurrences that look ahead, forget, or change with the length.

Axes: B samples, N tokens, D channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.attention import LEAKS, Attention
from corpus.demonstrations import amount, future
from corpus.entry import planted
from corpus.parts import Readout, causal, clear, merge
from corpus.tasks import CAUSAL, DIM, MASKED, features, right_padded

X, MASK = features(), right_padded()


@planted(
    "convolution-padded-on-both-sides",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="https://github.com/maxim5/time-series-machine-learning/issues/12",
    shows=future(),
)
class SamePadding(nn.Module):
    """padding="same" where causal padding was meant."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.convolution, self.readout = nn.Conv1d(DIM, DIM, 3), Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        sides = (1, 1) if self.bug else (2, 0)
        return self.readout(self.convolution(F.pad(x.mT, sides)).mT)


@planted(
    "dilation-left-out-of-the-padding",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="https://github.com/locuslab/TCN/issues/12",
    shows=future(),
)
class Dilation(nn.Module):
    """Right in the first layer, whose dilation is one; the second cuts off too little."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.layers = nn.ModuleList(
            nn.Conv1d(DIM, DIM, 3, padding=2 * d, dilation=d) for d in (1, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        h = x.mT
        for layer in self.layers:
            y = layer(h)
            (extra,) = layer.padding
            first = extra - 2 if self.bug else 0
            h = h + y[..., first : first + h.shape[-1]].tanh()
        return h.mT


@planted(
    "shifted-by-rolling",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="token shift by torch.roll: the first token reads the last",
    shows=future(),
)
class Rolled(nn.Module):
    """Half of the channels come from the token before, around the corner for the first."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        before = x.roll(1, 1) if self.bug else F.pad(x, (0, 0, 1, 0))[:, :-1]
        half = DIM // 2
        return self.readout(torch.cat([x[..., :half], before[..., half:]], -1))


@planted(
    "two-directions-in-a-decoder",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="a bidirectional recurrence copied from the encoder",
    shows=future(),
)
class TwoDirections(nn.Module):
    """One of two recurrent layers also runs backwards."""

    def __init__(self, bug: bool):
        super().__init__()
        self.first = nn.GRU(DIM, DIM, batch_first=True)
        self.second = nn.GRU(DIM, DIM, batch_first=True, bidirectional=bug)
        self.out = nn.Linear(DIM * (1 + bug), DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.second(self.first(x)[0])[0])


@planted(
    "causal-norm-over-all-tokens",
    CAUSAL,
    broken=LEAKS,
    difficulty="always",
    echo="GroupNorm on [B, D, N] inside a causal convolutional net",
    shows=future(),
)
class GroupNorm(nn.Module):
    """Group norm on channels-first sequences takes its statistics over time."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.norm = nn.GroupNorm(1, DIM) if bug else nn.LayerNorm(DIM)
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.norm(x.mT).mT if self.bug else self.norm(x))


@planted(
    "chunks-read-whole-chunks",
    CAUSAL,
    broken=LEAKS,
    difficulty="size",
    echo="https://github.com/lucidrains/local-attention/issues/11",
    shows=future(features(2, 20), at=18),
)
class Chunks(Attention):
    """From 17 tokens on, chunks of eight; the mask inside the last chunk is forgotten."""

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        place = torch.arange(n, device=x.device)
        near = place[:, None] // 8 - place[None] // 8
        mask = causal(n, x.device) & (near <= 1)
        if self.bug and n > 16:
            mask = mask | ((near == 0) & (place[:, None] // 8 == (n - 1) // 8))
        q, k, v = self.parts(x)
        return self.out(merge(F.scaled_dot_product_attention(q, k, v, mask)))


@planted(
    "one-length-off-by-one",
    CAUSAL,
    broken=LEAKS,
    difficulty="size",
    echo="a table of masks for blocks of 16, reused for the block that has one token more",
    shows=future(features(2, 17)),
)
class SeventeenTokens(Attention):
    """With 17 tokens the last one is squeezed out of its block and reaches all others."""

    def forward(self, x: Tensor) -> Tensor:
        blocks = x.split(16, 1)
        total, outs = torch.zeros_like(x[:, 0]), []
        for block in blocks:
            sums = total[:, None] + block.cumsum(1)
            total = sums[:, -1]
            outs.append(sums)
        if self.bug and x.shape[1] == 17:
            outs[0] = outs[0] + 0.1 * blocks[1]  # broadcast from one token to sixteen
        return self.out(torch.cat(outs, 1).tanh())


@planted(
    "backwards-through-the-padding",
    MASKED,
    broken=("Padding",),
    difficulty="always",
    echo="https://github.com/pytorch/pytorch/issues/517",
    shows=amount(X, MASK),
)
class Backwards(nn.Module):
    """The backward direction starts in the padding, where its biases already move the state."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.reader = nn.GRU(DIM, DIM, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = clear(x, mask)
        if self.bug:
            return clear(self.reader(x.flip(1))[0].flip(1), mask)
        place = torch.arange(x.shape[1], device=x.device)
        order = torch.where(mask, -place, x.shape[1]).argsort(1)  # the last token first
        there = order[..., None].expand_as(x)
        y = torch.zeros_like(x).scatter(1, there, self.reader(x.gather(1, there))[0])
        return clear(y, mask)
