"""Blocks, norms and channel MLPs, one line each."""

from functools import partial

from operator_case import CAUSAL, DIM, PERM, SHIFT, Operator
from torch import nn

import tokennet as tn

OPERATORS: list[Operator] = [
    Operator("batch norm", lambda: tn.BatchNorm(DIM), (CAUSAL,), mixes=False),
    Operator(
        "sandwich-norm block, layer scale, drop path",
        lambda: tn.Block(
            DIM,
            tn.Attention(DIM, 2),
            residual=partial(tn.SandwichNorm, norm=nn.RMSNorm, layer_scale=0.1, drop_path=0.3),
        ),
        (CAUSAL,),
    ),
    Operator(
        "batch-norm residual",
        lambda: tn.PreNorm(DIM, tn.Attention(DIM, 2, tn.Causal()), norm=tn.BatchNorm),
        (PERM, SHIFT, CAUSAL),
    ),
    Operator(
        "no residual",
        lambda: tn.NoResidual(DIM, tn.Attention(DIM, 2), norm=nn.Identity, layer_scale=0.5),
        (CAUSAL,),
    ),
    Operator("sample norm", lambda: tn.SampleNorm(DIM), (CAUSAL,)),
    Operator("graph norm", lambda: tn.GraphNorm(DIM), (CAUSAL,)),
    Operator(
        "jumping knowledge",
        lambda: tn.JumpingKnowledge(
            tn.Attention(DIM, 2, tn.Causal()), tn.Pointwise(DIM, out_dim=3)
        ),
        (PERM, SHIFT),
    ),
    Operator(
        "jumping knowledge, maximum",
        lambda: tn.JumpingKnowledge(tn.GraphConvolution(DIM), tn.Attention(DIM, 2), maximum=True),
        (CAUSAL,),
    ),
    Operator("gated MLP", lambda: tn.GatedMLP(DIM, 11), mixes=False),
    Operator(
        "gated MLP, wider",
        lambda: tn.GatedMLP(DIM, 3, activation=nn.Sigmoid, out_dim=5, bias=True),
        mixes=False,
    ),
    Operator("mixture of experts", lambda: tn.MixtureOfExperts(DIM, 5, 3), mixes=False),
    Operator(
        "mixture of MLPs, one of them each",
        lambda: tn.MixtureOfExperts(DIM, 5, 2, top_k=1, expert=tn.Pointwise),
        mixes=False,
    ),
]
