"""Graph operators, one line each."""

import torch
from operator_case import CAUSAL, DIM, Operator
from torch import nn

import tokennet as tn
from tokennet import ops

DEGREES = torch.tensor([0, 1, 1, 2, 3, 5])

OPERATORS: list[Operator] = [
    Operator("SAGE", lambda: tn.SAGEConvolution(DIM), (CAUSAL,)),
    Operator(
        "SAGE, max, wider",
        lambda: tn.SAGEConvolution(DIM, out_dim=5, pool=ops.segment_max, bias=False),
        (CAUSAL,),
    ),
    Operator(
        "SAGE, sum, unit length",
        lambda: tn.SAGEConvolution(DIM, pool=ops.segment_sum, normalize=True),
        (CAUSAL,),
    ),
    Operator("GIN", lambda: tn.GINConvolution(DIM), (CAUSAL,)),
    Operator(
        "GIN, own map, learned eps",
        lambda: tn.GINConvolution(
            DIM, nn.Sequential(nn.Linear(DIM, 5), nn.Tanh()), out_dim=5, eps=0.3, learn_eps=True
        ),
        (CAUSAL,),
    ),
    Operator("GINE", lambda: tn.GINEConvolution(DIM, 3), (CAUSAL,)),
    Operator("PNA", lambda: tn.PNAConvolution(DIM, DEGREES), (CAUSAL,)),
    Operator(
        "PNA with edge features",
        lambda: tn.PNAConvolution(DIM, DEGREES, out_dim=5, edge_dim=3),
        (CAUSAL,),
    ),
    Operator("gated graph", lambda: tn.GatedGraphConvolution(DIM, 2), (CAUSAL,)),
]
