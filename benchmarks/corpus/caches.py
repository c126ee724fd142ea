"""Decoding one token at a time: it must give what the whole sequence gives.

`step(x_t [B, 1, D], state) -> (y_t, state)`, the first state is None.

Axes: B samples, N tokens, D channels.
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

    def place(self, past: int) -> int:
        return past

    def kept(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return k, v

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, k, v = self.project(x)
        past = 0 if state is None else state[0].shape[1]
        place = torch.tensor([self.place(past)], device=x.device)
        q, k = rotate(q, place), rotate(k, place)
        if state is not None:
            k, v = torch.cat([state[0], k], 1), torch.cat([state[1], v], 1)
        return x + self.out(self.attend(q, k, v)), self.kept(k, v)


@planted(
    "cache-position-off-by-one",
    CACHED,
    broken=("Cache",),
    difficulty="always",
    echo="https://github.com/pytorch/executorch/pull/2010",
    shows=steps(),
)
class OffByOne(Decoder):
    """The second token gets the position of the first."""

    def place(self, past: int) -> int:
        return max(past - 1, 0) if self.bug else past


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
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.bug)


@planted(
    "cache-cut-too-short",
    CACHED,
    broken=("Cache",),
    difficulty="size",
    echo="a ring buffer of W keys where the window reads W + 1",
    shows=steps(features(2, 14)),
)
class CutShort(Decoder):
    """The window of nine tokens is served from a cache of eight."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x)
        place = torch.arange(x.shape[1], device=x.device)
        gap = place[:, None] - place
        mask = (gap >= 0) & (gap < 9)
        return x + self.out(F.scaled_dot_product_attention(q, k, v, mask))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, k, v = self.project(x)
        if state is not None:
            k, v = torch.cat([state[0], k], 1), torch.cat([state[1], v], 1)
        last = 8 if self.bug else 9
        k, v = k[:, -last:], v[:, -last:]
        return x + self.out(F.scaled_dot_product_attention(q, k, v)), (k, v)


@planted(
    "table-key-without-the-offset",
    CACHED,
    broken=("Cache",),
    difficulty="state",
    echo="https://github.com/lucidrains/rotary-embedding-torch/issues/11",
    shows=steps(),
)
class KeyWithoutOffset(Decoder):
    """Angles are kept under the number of tokens, which is always one when decoding."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.places: dict[object, int] = {}

    def place(self, past: int) -> int:
        key = 1 if self.bug else (1, past)
        return self.places.setdefault(key, past)


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
        if self.bug:
            window = window * torch.tensor([0, 1, 1, 1], device=x.device)[:, None]
        return self.out(self.convolution(window.mT).mT), (window[:, 1:],)


@planted(
    "decay-applied-after-the-update",
    CACHED,
    broken=("Cache",),
    difficulty="always",
    echo="the recurrent form of a retention layer decays the newest key too",
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
        new = k.mT @ v
        old = torch.zeros_like(new) if state is None else state[0]
        memory = self.rate * (old + new) if self.bug else self.rate * old + new
        return self.out(q @ memory / math.sqrt(DIM)), (memory,)
