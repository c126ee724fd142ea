"""Decoding token by token, or in pieces: it must give what the whole sequence gives.

`step(x [B, N, D], state) -> (y, state)` takes the next tokens, one or more; state is None at first.

Axes: B samples, N tokens, M tokens so far, D channels.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.demonstrations import steps
from corpus.entry import planted
from corpus.parts import Projections, Readout
from corpus.tasks import CACHED, DIM, features

State = tuple[Tensor, ...] | None


def rotate(x: Tensor, place: Tensor) -> Tensor:
    """Pairs of channels turned by angles that grow with the place of the token."""
    rates = torch.tensor([1.0, 0.3, 0.1], dtype=x.dtype, device=x.device)
    angle = place[:, None].to(x.dtype) * rates
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


class Decoder(nn.Module):
    """Causal attention with rotary positions; keys and values are kept between steps."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.project, self.out = Projections(DIM), Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x)
        place = torch.arange(x.shape[1], device=x.device)
        q, k = rotate(q, place), rotate(k, place)
        return x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def places(self, past: int, count: int) -> Tensor:
        return torch.arange(past, past + count)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, recent(q, k))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, k, v = self.project(x)
        past = 0 if state is None else state[0].shape[1]
        place = self.places(past, x.shape[1]).to(x.device)
        q, k = rotate(q, place), rotate(k, place)
        if state is not None:
            k, v = torch.cat([state[0], k], 1), torch.cat([state[1], v], 1)
        return x + self.out(self.attend(q, k, v)), (k, v)


def recent(q: Tensor, k: Tensor, window: int = 1 << 30) -> Tensor:
    """`[N, M]`, True where a query, of the last ones, may read a key."""
    place = torch.arange(k.shape[1], device=k.device)
    gap = place[k.shape[1] - q.shape[1] :, None] - place
    return (gap >= 0) & (gap < window)


@planted(
    "cache-position-off-by-one",
    CACHED,
    broken=("Cache",),
    difficulty="always",
    echo="https://github.com/pytorch/executorch/pull/2010",
    shows=steps(),
)
class OffByOne(Decoder):
    """The second piece begins at the position where the first one ended."""

    def places(self, past: int, count: int) -> Tensor:
        return super().places(max(past - 1, 0) if self.bug else past, count)


@planted(
    "causal-mask-aligned-top-left",
    CACHED,
    broken=("Cache",),
    difficulty="always",
    echo="https://github.com/pytorch/pytorch/issues/144858",
    shows=steps(),
)
class TopLeft(Decoder):
    """One query and many keys: the flag lets it see the first key only."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.bug:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return super().attend(q, k, v)


@planted(
    "cache-cut-too-short",
    CACHED,
    broken=("Cache",),
    difficulty="size",
    echo="https://github.com/ml-explore/mlx-lm/pull/390",
    shows=steps(features(2, 14)),
)
class CutShort(Decoder):
    """The window of nine tokens is served from a cache with too few of them."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x)
        return x + self.out(F.scaled_dot_product_attention(q, k, v, recent(q, k, 9)))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, k, v = self.project(x)
        if state is not None:
            k, v = torch.cat([state[0], k], 1), torch.cat([state[1], v], 1)
        y = F.scaled_dot_product_attention(q, k, v, recent(q, k, 9))
        last = 7 if self.bug else 8  # what the next token still reads
        return x + self.out(y), (k[:, -last:], v[:, -last:])


@planted(
    "table-key-without-the-offset",
    CACHED,
    broken=("Cache",),
    difficulty="state",
    echo="https://github.com/lucidrains/rotary-embedding-torch/issues/11",
    shows=steps(),
)
class KeyWithoutOffset(Decoder):
    """Positions are kept under the number of tokens, which is always one when decoding."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.kept: dict[object, Tensor] = {}

    def places(self, past: int, count: int) -> Tensor:
        key = count if self.bug else (past, count)
        return self.kept.setdefault(key, super().places(past, count))


@planted(
    "convolution-keeps-one-input-too-few",
    CACHED,
    broken=("Cache",),
    difficulty="always",
    echo="the state of a causal convolution of width K needs K - 1 inputs",
    shows=steps(),
)
class ShortMemory(nn.Module):
    """A convolution of width four remembers two inputs instead of three."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.convolution, self.out = nn.Conv1d(DIM, DIM, 4), Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.convolution(F.pad(x.mT, (3, 0))).mT)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        past = x.new_zeros(len(x), 3, DIM) if state is None else state[0]
        window = torch.cat([past, x], 1)
        kept = window[:, -3:]
        if self.bug:
            kept = kept * torch.tensor([0, 1, 1], device=x.device)[:, None]
        return self.out(self.convolution(window.mT).mT), (kept,)


@planted(
    "decay-applied-after-the-update",
    CACHED,
    broken=("Cache",),
    difficulty="always",
    echo="https://github.com/microsoft/torchscale/issues/40",
    shows=steps(),
)
class Decay(nn.Module):
    """The sum so far is decayed together with what was just added."""

    rate = 0.8

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.project, self.out = Projections(DIM), Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x)
        place = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)
        gap = place[:, None] - place
        weights = torch.where(gap >= 0, self.rate ** gap.clamp(min=0), 0)
        return self.out((q @ k.mT / math.sqrt(DIM) * weights) @ v)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, k, v = self.project(x)
        memory = x.new_zeros(len(x), DIM, DIM) if state is None else state[0]
        outs = []
        for t in range(x.shape[1]):
            one = slice(t, t + 1)
            new = k[:, one].mT @ v[:, one]
            memory = self.rate * (memory + new) if self.bug else self.rate * memory + new
            outs.append(q[:, one] @ memory / math.sqrt(DIM))
        return self.out(torch.cat(outs, 1)), (memory,)
