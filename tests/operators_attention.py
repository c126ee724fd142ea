"""Attention with other scores, biases and normalisers, one line each."""

from operator_case import ALL, CAUSAL, DIM, PERM, SHIFT, Operator
from torch import nn

import tokennet as tn


def _with(score: tn.Score, topology: tn.Topology | None = None, **more: object) -> tn.Mixer:
    return tn.Attention(DIM, 2, topology, score=score, **more)


def _by(normaliser: tn.Normaliser, topology: tn.Topology | None = None) -> tn.Mixer:
    return tn.Attention(DIM, 2, topology, normaliser=normaliser)


def _maps() -> tn.Mixer:
    maps = {n: nn.Sequential(nn.Linear(DIM, DIM), nn.Tanh()) for n in ("query", "key", "value")}
    return tn.Attention(DIM, 2).with_maps(**maps)


LINE, EDGES = (PERM, SHIFT), tn.EdgeList(True)
OPERATORS: list[Operator] = [
    Operator("basic attention", lambda: tn.BasicAttention(), (CAUSAL,)),
    Operator("basic attention, edges", lambda: tn.BasicAttention(EDGES, power=1), (CAUSAL,)),
    Operator("attention, any maps", _maps, (CAUSAL,)),
    Operator(
        "attention, grouped queries",
        lambda: tn.Attention(DIM, tn.Heads(4, kv_heads=2, bias=False), tn.Causal()),
        LINE,
    ),
    Operator(
        "attention, one key", lambda: tn.Attention(DIM, tn.Heads(4, kv_heads=1), EDGES), (CAUSAL,)
    ),
    Operator("attention, dot", lambda: _with(tn.DotScore(power=0)), (CAUSAL,)),
    Operator("attention, 1/d", lambda: _with(tn.DotScore(power=1), EDGES), (CAUSAL,)),
    Operator("attention, cosine", lambda: _with(tn.CosineScore(scale=3.0)), (CAUSAL,)),
    Operator("attention, cosine, edges", lambda: _with(tn.CosineScore(), EDGES), (CAUSAL,)),
    Operator("attention, bilinear", lambda: _with(tn.BilinearScore(2, 4)), (CAUSAL,)),
    Operator("attention, additive", lambda: _with(tn.AdditiveScore(2, 4)), (CAUSAL,)),
    Operator("attention, additive, edges", lambda: _with(tn.AdditiveScore(2, 4), EDGES), (CAUSAL,)),
    Operator("attention, location", lambda: _with(tn.LocationScore(2, 4, 12)), ALL),
    Operator("attention, location, edges", lambda: _with(tn.LocationScore(2, 4, 12), EDGES), ALL),
    Operator(
        "attention, location, causal",
        lambda: _with(tn.LocationScore(2, 4, 12), tn.Causal()),
        LINE,
    ),
    Operator("attention, rotary", lambda: _with(tn.DotScore(tn.Rotary(4)), tn.Causal()), LINE),
    Operator(
        "attention, part rotary, edges",
        lambda: _with(tn.DotScore(tn.QueryKeyNorm(4), tn.Rotary(4, rotary_dim=2)), EDGES),
        ALL,
    ),
    Operator(
        "attention, query and key norm",
        lambda: _with(tn.DotScore(tn.QueryKeyNorm(4, norm=nn.RMSNorm))),
        (CAUSAL,),
    ),
    Operator("attention, relative bias", lambda: _with(tn.DotScore() + tn.RelativeBias(2)), ALL),
    Operator(
        "attention, relative bias, causal",
        lambda: _with(
            tn.DotScore() + tn.RelativeBias(2, num_buckets=8, max_distance=20, causal=True),
            tn.Causal(),
        ),
        LINE,
    ),
    Operator(
        "attention, relative bias, edges",
        lambda: _with(tn.AdditiveScore(2, 4) + tn.RelativeBias(2, num_buckets=8), EDGES),
        ALL,
    ),
    Operator("attention, ALiBi", lambda: _with(tn.DotScore() + tn.AlibiBias(2), tn.Causal()), LINE),
    Operator("attention, edge bias", lambda: _with(tn.DotScore() + tn.EdgeBias(3, 2)), (CAUSAL,)),
    Operator(
        "attention, edge bias, edges",
        lambda: _with(tn.DotScore() + tn.EdgeBias(3, 2), EDGES),
        (CAUSAL,),
    ),
    Operator(
        "attention, shortest paths",
        lambda: _with(tn.DotScore() + tn.ShortestPathBias(2, max_distance=2)),
        (CAUSAL,),
    ),
    Operator(
        "attention, shortest paths, edges",
        lambda: _with(tn.CosineScore() + tn.ShortestPathBias(2) + tn.EdgeBias(3, 2), EDGES),
        (CAUSAL,),
    ),
    Operator(
        "attention, edge features",
        lambda: tn.Attention(DIM, 2, tn.EdgeList(), edge_dim=3),
        (CAUSAL,),
    ),
    Operator("attention, hard", lambda: _by(tn.HardMax()), (CAUSAL,), smooth=False),
    Operator("attention, hard, window", lambda: _by(tn.HardMax(), tn.Window(2)), ALL, smooth=False),
    Operator("attention, hard, edges", lambda: _by(tn.HardMax(), EDGES), (CAUSAL,), smooth=False),
    Operator("attention, top 2", lambda: _by(tn.TopK(2)), (CAUSAL,)),
    Operator("attention, top 2, causal", lambda: _by(tn.TopK(2), tn.Causal()), LINE),
    Operator("attention, top 2, edges", lambda: _by(tn.TopK(2), EDGES), (CAUSAL,)),
    Operator("attention, sigmoid", lambda: _by(tn.Sigmoid()), (CAUSAL,)),
    Operator("attention, sigmoid, causal", lambda: _by(tn.Sigmoid(), tn.Causal()), LINE),
    Operator("attention, sigmoid, edges", lambda: _by(tn.Sigmoid(), EDGES), (CAUSAL,)),
    Operator("attention, zeroed softmax", lambda: _by(tn.ZeroedSoftmax(tn.Causal())), ALL),
    Operator(
        "attention, zeroed softmax, ring",
        lambda: _by(tn.ZeroedSoftmax(tn.Window(1, wrap=True))),
        (PERM, CAUSAL),
    ),
    Operator(
        "attention, additive memory",
        lambda: tn.Attention(DIM, 2, tn.Memory(), memory_dim=5, score=tn.AdditiveScore(2, 4)),
        mixes=False,
    ),
    Operator(
        "attention, hard memory",
        lambda: tn.Attention(
            DIM, 2, tn.Memory(), memory_dim=5, score=tn.CosineScore(), normaliser=tn.HardMax()
        ),
        mixes=False,
        smooth=False,
    ),
]
