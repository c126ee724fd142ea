"""Recurrent, convolutional and spectral operators, one line each."""

from operator_case import ALL, CAUSAL, DIM, GRID, PERM, SHIFT, Operator
from torch import nn

import tokennet as tn


def _own_maps() -> tn.Mixer:
    step = nn.Sequential(nn.Linear(5 + DIM, 5), nn.Tanh())
    return tn.LatentState(DIM, 5, transition=step, output=nn.Linear(5, 3))


def _gmlp() -> tn.Mixer:
    return tn.PreNorm(DIM, tn.TokenGating(DIM, 2 * DIM, 12))


LOOK_BACK = tn.Causal() & tn.Window(2)
RING = tn.Window(2, wrap=True)
TORUS = tn.Neighborhood(1, wrap=True)
BACK = (PERM, SHIFT)

OPERATORS: list[Operator] = [
    Operator("RNN", lambda: tn.RNN(DIM), BACK),
    Operator("GRU", lambda: tn.GRU(DIM), BACK),
    Operator("GRU, two layers", lambda: tn.GRU(DIM, 5, num_layers=2), BACK),
    Operator("LSTM", lambda: tn.LSTM(DIM), BACK),
    Operator("latent state", lambda: tn.LatentState(DIM, 5), BACK),
    Operator("latent state, own maps", _own_maps, BACK),
    Operator("convolution, causal", lambda: tn.Convolution(DIM, LOOK_BACK), BACK),
    Operator(
        "convolution, causal and depthwise",
        lambda: tn.Convolution(DIM, tn.Window(1) & tn.Causal(), groups=DIM, bias=False),
        BACK,
    ),
    Operator(
        "convolution, groups on a ring",
        lambda: tn.Convolution(DIM, RING, groups=2, out_dim=6),
        (PERM, CAUSAL),
    ),
    Operator("depthwise, line", lambda: tn.Convolution(DIM, tn.Window(1), groups=DIM), ALL),
    Operator(
        "depthwise, grid",
        lambda: tn.Convolution(DIM, tn.Neighborhood(1), groups=DIM),
        (*ALL, GRID),
    ),
    Operator("depthwise, torus", lambda: tn.Convolution(DIM, TORUS, groups=DIM), ALL),
    Operator("Fourier mixing", tn.FourierMixing, ALL),
    Operator("token gating", lambda: tn.TokenGating(DIM, 12, 12), ALL),
    Operator("token gating, causal", lambda: tn.TokenGating(DIM, 12, 12, tn.Causal()), BACK),
    Operator("gMLP layer", _gmlp, ALL),
    Operator("low-rank attention", lambda: tn.LowRankAttention(DIM, 2, 12, 3), ALL),
]
