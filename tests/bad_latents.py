"""Bad calls of: attention at a cost linear in the tokens."""

from functools import partial
from typing import Any

import torch
from bad import Bad, D, T, V, common, dense, x
from torch import nn

import tokennet as tn


def memory() -> tn.Mixer:
    return tn.Attention(D, 2, tn.Memory())


def latents(*mixers: Any, **more: Any) -> tn.Mixer:
    return tn.Latents(D, 3, *mixers, **{"read": memory(), "write": memory(), **more})


def random_features(kind: type) -> list[Bad]:
    return [
        Bad(lambda: kind(0, 3), V, r"head_dim is 0, expected at least 1"),
        Bad(lambda: kind(3, 0), V, r"num_features is 0, expected at least 1"),
        Bad(lambda: kind(3, 2.0), T, r"num_features is 2.0, expected a whole number"),
        Bad(lambda: kind(3, 4, generator=0), T, r"generator is int, expected a torch.Generator or"),
    ]


linear = partial(tn.LinearAttention, D, 2)
LATENTS: dict[str, list[Bad]] = {
    "FeatureMap": [Bad(tn.FeatureMap, T, r"abstract")],
    "EluFeatures": [
        Bad(lambda: linear(features=tn.EluFeatures), T, r"features is the class EluFeatures, .*e.g")
    ],
    "PositiveRandomFeatures": random_features(tn.PositiveRandomFeatures),
    "ReluFeatures": [
        *random_features(tn.ReluFeatures),
        Bad(lambda: tn.ReluFeatures(3, 4, offset="1"), T, r"offset is '1', expected a number"),
        Bad(lambda: tn.ReluFeatures(3, 4, offset=-1), V, r"offset is -1, .*at least 0"),
    ],
    "LinearAttention": [
        *common(linear),
        *common(lambda: linear(features=tn.PositiveRandomFeatures(4, 6))),
        Bad(
            lambda: tn.LinearAttention(10, 4),
            V,
            r"dim is 10, expected a multiple of num_heads \(4\)",
        ),
        Bad(lambda: tn.LinearAttention(0, 1), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.LinearAttention(D, 0), V, r"num_heads is 0, expected at least 1"),
        Bad(
            lambda: linear(tn.Window(1)),
            V,
            r"topology is Window\(1\), .*Full\(\) or",
        ),
        Bad(lambda: linear("full"), V, r"topology is full, expected Full\(\) or"),
        Bad(lambda: linear(features=nn.ReLU()), T, r"features is ReLU, expected a FeatureMap; e.g"),
        Bad(
            lambda: linear(features=tn.PositiveRandomFeatures(8, 6)),
            V,
            r"features.head_dim is 8, expected 4, the channels of a head of LinearAttention",
        ),
        Bad(
            lambda: linear(tn.Causal()).step(torch.ones(1, D), None),
            T,
            r"state is NoneType, expected what start\(structure\) gave, \[B, G, F, D \+ 1\]",
        ),
        Bad(
            lambda: linear(tn.Causal()).step(torch.ones(2, D), linear(tn.Causal()).start(dense())),
            V,
            r"x is \(2, 8\), expected one token for each sample, \[1, 8\]",
        ),
    ],
    "Latents": [
        *common(latents),
        Bad(lambda: tn.Latents(0, 3, read=memory(), write=memory()), V, r"dim is 0"),
        Bad(lambda: tn.Latents(D, 0, read=memory(), write=memory()), V, r"num_latents is 0"),
        Bad(lambda: latents(read=nn.Linear(D, D)), T, r"read is Linear, expected a Mixer"),
        Bad(lambda: latents(write=None), T, r"write is NoneType, expected a Mixer"),
        Bad(lambda: latents(nn.GELU()), T, r"mixers\[0\] is GELU, .*TokenWise"),
        Bad(
            lambda: latents(memory(), read=tn.Attention(D, 2)),
            V,
            r"read is Attention, expected a mixer that reads memory; e.g. over tn.Memory\(\)",
        ),
        Bad(lambda: latents(write=tn.Pooling()), V, r"write is Pooling, expected .*reads memory"),
        Bad(
            lambda: latents(tn.GraphConvolution(D)),
            V,
            r"reads of mixers\[0\] is \['edges'\], expected position and memory; learned tokens",
        ),
        Bad(lambda: latents(tn.TokenMLP(2)), V, r"max_tokens of mixers\[0\] is 2, .*at least 3"),
        Bad(
            lambda: latents(tn.MeanReadout(D, D)), V, r"mixers\[0\] is MeanReadout, .*row for each"
        ),
        Bad(
            lambda: latents(tn.Pointwise(D, out_dim=5), memory()),
            V,
            r"mixers\[1\].dim is 8, expected 5, the channels that reach it",
        ),
        Bad(
            lambda: latents(write=tn.Attention(5, 1, tn.Memory(), memory_dim=D)),
            V,
            r"write.dim is 5, expected 8, the channels that reach it",
        ),
        Bad(
            lambda: latents(tn.Pointwise(D, out_dim=5))(x(), dense()),
            V,
            r"structure.memory.x.shape\[-1\] is 5, expected 8, the memory_dim of Attention",
        ),
    ],
}
