"""Readouts, one line each."""

from operator_case import DIM, PERM, SHIFT, Operator
from operators_latents import mab
from torch import nn

import tokennet as tn


def _detr() -> tn.Mixer:
    block = tn.Block(DIM, tn.Attention(DIM, 2), tn.Attention(DIM, 2, tn.Memory()))
    return tn.SetReadout(DIM, 3, 4, block)


OPERATORS: list[Operator] = [
    Operator("sum readout", lambda: tn.SumReadout(DIM, 3)),
    Operator("max readout", lambda: tn.MaxReadout(DIM, 3)),
    Operator("gated readout", lambda: tn.GatedReadout(DIM, 3)),
    Operator(
        "gated readout, by channel", lambda: tn.GatedReadout(DIM, 3, gate=nn.Linear(DIM, DIM))
    ),
    Operator("attention readout", lambda: tn.AttentionReadout(DIM, 3, mab())),
    Operator(
        "attention readout, decoder",
        lambda: tn.AttentionReadout(
            DIM, 3, mab(), tn.Block(DIM, tn.Attention(DIM, 2)), num_seeds=2
        ),
    ),
    Operator("set readout", _detr),
    Operator("last readout", lambda: tn.LastReadout(DIM, 3), (PERM, SHIFT)),
    Operator(
        "prefix readout",
        lambda: tn.PrefixReadout(DIM, 3, [nn.Linear(DIM, 3), nn.Linear(DIM, 3)]),
        (PERM, SHIFT),
    ),
    Operator("rest readout", lambda: tn.RestReadout(DIM, 3, 1), (PERM, SHIFT)),
]
