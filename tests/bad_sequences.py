"""Bad calls of: recurrent, convolutional and spectral operators."""

from collections.abc import Callable

import torch
from bad import Bad, D, T, V, common, dense, packed, x
from torch import nn

import tokennet as tn


def recurrent(make: Callable[..., tn.Mixer], state: str) -> list[Bad]:
    """What the recurrent networks say of sizes, of the next token and of the state."""
    started = lambda: make(D).start(packed(6, 4))  # noqa: E731
    return [
        *common(lambda: make(D)),
        Bad(lambda: make(0), V, r"dim is 0, expected at least 1"),
        Bad(lambda: make(D, 0), V, r"hidden_dim is 0, expected at least 1"),
        Bad(lambda: make(D, num_layers=0), V, r"num_layers is 0, expected at least 1"),
        Bad(lambda: make(D, num_layers=2.0), T, r"num_layers is 2.0, expected a whole number"),
        Bad(lambda: make(D).start(6), T, r"structure is int, expected a Structure"),
        Bad(lambda: make(D).step(x(2, D), None), T, rf"state is NoneType, .*{state}; state = mixe"),
        Bad(
            lambda: make(D).step(x(3, D), started()),
            V,
            r"x is \(3, 8\), expected one token for each sample, \[2, 8\]",
        ),
        Bad(lambda: make(D).step(x(2, 1, D), started()), V, r"x is \(2, 1, 8\), expected one"),
        Bad(lambda: make(D).step([1.0], started()), V, r"x is list, expected one token"),
    ]


def wrong_state() -> tn.Mixer:
    return tn.LatentState(D, 5, transition=nn.Linear(5 + D, 4))


def look_back() -> tn.Mixer:
    return tn.Convolution(D, tn.Causal() & tn.Window(1))


def gating() -> tn.Mixer:
    return tn.TokenGating(D, 4, 4, tn.Causal())


def long(make: Callable[[], tn.Mixer]) -> Bad:
    """A sample of more tokens than the mixer, for 4, has positions."""
    words = r"tokens in a sample is 5, expected at most max_tokens \(4\) of .*; shorten"
    return Bad(lambda: make()(x(7, D), packed(2, 5)), V, words)


SEQUENCES: dict[str, list[Bad]] = {
    "RNN": recurrent(tn.RNN, r"\[B, L, H\]"),
    "GRU": recurrent(tn.GRU, r"\[B, L, H\]"),
    "LSTM": [
        *recurrent(tn.LSTM, r"the pair \(h, c\)"),
        Bad(lambda: tn.LSTM(D).step(x(2, D), torch.zeros(1, 2, D)), T, r"state is Tensor, .*pair"),
    ],
    "LatentState": [
        *common(lambda: tn.LatentState(D, 5)),
        Bad(lambda: tn.LatentState(0, 5), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.LatentState(D, 0), V, r"state_dim is 0, expected at least 1"),
        Bad(
            lambda: tn.LatentState(D, 5, transition=nn.Tanh),
            T,
            r"transition is the class Tanh, expected a module or None",
        ),
        Bad(lambda: tn.LatentState(D, 5, output="mlp"), T, r"output is str, expected a module or"),
        Bad(
            lambda: wrong_state()(x(), dense()),
            V,
            r"output of transition is \[1, 4\], expected \[1, 5\], a state",
        ),
        Bad(lambda: tn.LatentState(D, 5).step(x(1, D), 0), T, r"state is int, .*\[B, S\]; state"),
        Bad(
            lambda: tn.LatentState(D, 5).step(x(1, D), torch.zeros(2, 5)),
            V,
            r"x is \(1, 8\), expected one token for each sample, \[2, 8\]",
        ),
    ],
    "FourierMixing": [
        *common(tn.FourierMixing, any_dim=True, weights=False),
        Bad(
            lambda: tn.FourierMixing().start(dense()),
            V,
            r"claims of FourierMixing is \[\], expected Causality",
        ),
    ],
    "TokenGating": [
        *common(lambda: tn.TokenGating(D, 4, 6)),
        Bad(lambda: tn.TokenGating(0, 4, 6), V, r"dim is 0, expected at least 1"),
        Bad(
            lambda: tn.TokenGating(D, 5, 6),
            V,
            r"hidden_dim is 5, expected an even number; one half",
        ),
        Bad(lambda: tn.TokenGating(D, 0, 6), V, r"hidden_dim is 0, expected at least 1"),
        Bad(lambda: tn.TokenGating(D, 4, 0), V, r"num_tokens is 0, expected at least 1"),
        Bad(
            lambda: tn.TokenGating(D, 4, 6, tn.Window(1)),
            V,
            r"topology is Window\(1\), expected Full\(\) or Causal\(\)",
        ),
        Bad(
            lambda: tn.TokenGating(D, 4, 6, activation="gelu"),
            T,
            r"activation is 'gelu', .*e.g. nn.GELU",
        ),
        long(lambda: tn.TokenGating(D, 4, 4)),
        Bad(
            lambda: gating().step(x(2, D), torch.zeros(2, 4, 2)),
            V,
            r"tokens of TokenGating is 5, expected at most max_tokens \(4\)",
        ),
        Bad(lambda: gating().step(x(2, D), None), T, r"state is NoneType, .*\[B, t, K / 2\]"),
        Bad(lambda: gating().step(x(3, D), torch.zeros(2, 1, 2)), V, r"x is \(3, 8\), .*\[2, 8\]"),
    ],
    "LowRankAttention": [
        *common(lambda: tn.LowRankAttention(D, 2, 6, 3)),
        Bad(
            lambda: tn.LowRankAttention(10, 4, 6, 3),
            V,
            r"dim is 10, expected a multiple of num_heads \(4\)",
        ),
        Bad(lambda: tn.LowRankAttention(D, 2, 0, 3), V, r"num_tokens is 0, expected at least 1"),
        Bad(lambda: tn.LowRankAttention(D, 2, 6, 0), V, r"num_landmarks is 0, expected at least"),
        long(lambda: tn.LowRankAttention(D, 2, 4, 3)),
    ],
    "Convolution": [
        *common(lambda: tn.Convolution(D, tn.Neighborhood(1))),
        Bad(
            lambda: tn.Convolution(D, tn.Full()),
            V,
            r"topology is Full, .*Window\(r\), Neighborhood",
        ),
        Bad(lambda: tn.Convolution(D, 3), V, r"topology is 3, expected Window"),
        Bad(
            lambda: tn.Convolution(D, tn.Neighborhood(1), grid_axes=3),
            V,
            r"grid_axes is 3, .*1 or 2",
        ),
        Bad(
            lambda: tn.Convolution(D, tn.Neighborhood(1), grid_axes=1)(x(), dense()),
            V,
            r"structure.grid is \(2, 3\), expected 1 axes; see grid_axes of Convolution",
        ),
        Bad(
            lambda: tn.Convolution(D, tn.Causal() & tn.Window(1, wrap=True)),
            V,
            r"topology is Causal & Window\(1, wrap\), expected Window\(r\), .* Causal\(\) & Wi",
        ),
        Bad(
            lambda: tn.Convolution(D, tn.Window(1) & tn.Window(2)),
            V,
            r"topology is Window\(1\) & Win",
        ),
        Bad(
            lambda: tn.Convolution(D, tn.Window(1), groups=3),
            V,
            r"groups is 3, expected a divisor of dim \(8\) and out_dim \(8\)",
        ),
        Bad(
            lambda: tn.Convolution(D, tn.Window(1), out_dim=6, groups=4), V, r"groups is 4, .*\(6\)"
        ),
        Bad(
            lambda: tn.Convolution(D, tn.Window(1), groups=0),
            V,
            r"groups is 0, expected at least 1",
        ),
        Bad(lambda: look_back().step(x(1, D), None), T, r"state is NoneType, .*\[B, r, D\]"),
        Bad(
            lambda: look_back().step(x(2, D), look_back().start(dense())),
            V,
            r"x is \(2, 8\), expected one token for each sample, \[1, 8\]",
        ),
        Bad(
            lambda: tn.Convolution(D, tn.Window(1)).start(dense()),
            V,
            r"claims of Convolution is \[\], expected Causality",
        ),
    ],
}
