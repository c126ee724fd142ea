"""Attention at a cost linear in the tokens, one line each."""

from operator_case import CAUSAL, DIM, PERM, SHIFT, Operator
from torch import nn

import tokennet as tn


def _favor(topology: tn.Topology | None = None, **more: object) -> tn.Mixer:
    features = tn.PositiveRandomFeatures(4, 10, **more)
    return tn.LinearAttention(DIM, 2, topology, features=features)


def _relu(topology: tn.Topology | None = None) -> tn.Mixer:
    return tn.LinearAttention(DIM, 2, topology, features=tn.ReluFeatures(4, 6))


def _memory() -> tn.Mixer:
    return tn.Attention(DIM, 2, tn.Memory())


def mab() -> tn.Mixer:
    """The attention block of the Set Transformer."""
    mlp = tn.TokenWise(nn.Linear(DIM, DIM), nn.ReLU())
    return tn.Block(DIM, _memory(), mlp=mlp, residual=tn.PostNorm)


def _perceiver() -> tn.Mixer:
    again = tn.Block(DIM, _memory(), tn.Attention(DIM, 2))
    return tn.Latents(DIM, 3, tn.LearnedPosition(3, DIM), again, read=mab(), write=_memory())


OPERATORS: list[Operator] = [
    Operator(
        "linear attention, grouped queries",
        lambda: tn.LinearAttention(DIM, tn.Heads(4, kv_heads=2, bias=False), tn.Causal()),
        (PERM, SHIFT),
    ),
    Operator(
        "linear attention, no output",
        lambda: tn.LinearAttention(DIM, tn.Heads(3, head_dim=5, output=False)),
        (CAUSAL,),
    ),
    Operator("Performer", _favor, (CAUSAL,)),
    Operator("Performer, causal", lambda: _favor(tn.Causal()), (PERM, SHIFT)),
    Operator("Performer, independent", lambda: _favor(orthogonal=False), (CAUSAL,)),
    Operator("Performer, ReLU", _relu, (CAUSAL,)),
    Operator("Performer, ReLU, causal", lambda: _relu(tn.Causal()), (PERM, SHIFT)),
    Operator("latents", lambda: tn.Latents(DIM, 3, read=_memory(), write=_memory()), (CAUSAL,)),
    Operator("latents, ISAB", lambda: tn.Latents(DIM, 3, read=mab(), write=mab()), (CAUSAL,)),
    Operator("latents, Perceiver", _perceiver, (CAUSAL,)),
]
