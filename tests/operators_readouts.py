"""Readouts, one line each."""

from jaxtyping import Float
from operator_case import DIM, Operator
from operators_latents import mab
from torch import Tensor, nn

import tokennet as tn


class Rows(tn.Mixer):
    """The answers of a `SetReadout` in one row for each sample, as the tests take them."""

    pooled = True

    def __init__(self, readout: tn.Mixer):
        super().__init__()
        self.readout, self.dim = readout, readout.dim
        self.claims, self.reads = readout.claims, readout.reads

    def forward(self, x: Float[Tensor, "*tokens D"], structure: tn.Structure) -> Tensor:
        return self.readout(x, structure).flatten(1)


def _detr() -> tn.Mixer:
    block = tn.Block(DIM, tn.Attention(DIM, 2), tn.Attention(DIM, 2, tn.Memory()))
    return Rows(tn.SetReadout(DIM, 3, 4, block))


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
]
