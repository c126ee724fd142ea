"""The rows of the family pages: what one types, formula, paper, cost. Claims come from the code.

In costs: N tokens, D channels, E edges, H heads, M memory tokens, L latents, F features, K taps or
experts, r a radius.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tokennet as tn

DIM = 8


@dataclass(frozen=True)
class Entry:
    """`title` names the panel of the picture; without one there is none."""

    code: str
    make: Callable[[], tn.Mixer]
    formula: str
    paper: str
    cost: str
    title: str = ""


@dataclass(frozen=True)
class Family:
    name: str
    entries: list[Entry]


def _scored(score: tn.Score, topology: tn.Topology | None = None) -> tn.Mixer:
    return tn.Attention(DIM, 2, topology, score=score)


def _by(normaliser: tn.Normaliser, topology: tn.Topology | None = None) -> tn.Mixer:
    return tn.Attention(DIM, 2, topology, normaliser=normaliser)


def _at(topology: tn.Topology) -> tn.Mixer:
    return tn.Attention(DIM, 2, topology)


EDGES = tn.EdgeList(True)
DENSE = "4 N D² + 2 N² D"
SPARSE = "4 N D² + 2 E D"
VASWANI, LUONG = "Vaswani et al. 2017", "Luong et al. 2015"

ATTENTION = Family(
    "attention",
    [
        Entry("Attention(dim, 8)", lambda: tn.Attention(DIM, 2), "softmax(q·k / √D) v", VASWANI, DENSE, "Full()"),
        Entry("Attention(dim, 8, Causal())", lambda: _at(tn.Causal()), "the same over j ≤ i", VASWANI, DENSE, "Causal()"),
        Entry("Attention(dim, 8, Window(2))", lambda: _at(tn.Window(2)), "over \\|i - j\\| ≤ 2", "Beltagy et al. 2020, Longformer", DENSE, "Window(2)"),
        Entry("Attention(dim, 8, Neighborhood(1))", lambda: _at(tn.Neighborhood(1)), "over the 3x3 cells around", "Hassani et al. 2023, NAT", DENSE, "Neighborhood(1), 3x4"),
        Entry("Attention(dim, 8, EdgeList(True))", lambda: _at(EDGES), "over edges and oneself", "Shi et al. 2021", SPARSE, "EdgeList(True)"),
        Entry("Attention(dim, 8, Memory())", lambda: _at(tn.Memory()), "k, v from the memory", VASWANI, "2 (N + M) D² + 2 N M D"),
        Entry("BasicAttention()", lambda: tn.BasicAttention(), "softmax(x·x) x", "Bloem 2019", "2 N² D", "BasicAttention()"),
        Entry("Heads(8, kv_heads=2)", lambda: tn.Attention(DIM, tn.Heads(4, kv_heads=2)), "keys and values shared by groups of heads", "Ainslie et al. 2023, GQA", "less for k, v"),
        Entry("score=DotScore(power=0)", lambda: _scored(tn.DotScore(power=0)), "q·k; power 0.5: / √D, 1: / D", f"{LUONG}; Yang et al. 2022", DENSE),
        Entry("score=CosineScore()", lambda: _scored(tn.CosineScore()), "exp(s) cos(q, k)", "Henry et al. 2020", DENSE),
        Entry("score=BilinearScore(8, 64)", lambda: _scored(tn.BilinearScore(2, 4)), "qᵀ W k, “general”", f"{LUONG}, eq. 8", DENSE),
        Entry("score=AdditiveScore(8, 64)", lambda: _scored(tn.AdditiveScore(2, 4)), "v·tanh(q + k)", "Bahdanau et al. 2015", DENSE + ", N² tanh"),
        Entry("score=LocationScore(8, 64, n)", lambda: _scored(tn.LocationScore(2, 4, 12)), "(W q) at the source's position", f"{LUONG}, eq. 8", DENSE, "LocationScore"),
        Entry("score=DotScore(Rotary(64))", lambda: _scored(tn.DotScore(tn.Rotary(4)), tn.Causal()), "q, k turned by their positions", "Su et al. 2021, RoPE", DENSE),
        Entry("score=DotScore(QueryKeyNorm(64))", lambda: _scored(tn.DotScore(tn.QueryKeyNorm(4))), "norm(q)·norm(k) / √D", "Dehghani et al. 2023", DENSE),
        Entry("score=DotScore() + RelativeBias(8)", lambda: _scored(tn.DotScore() + tn.RelativeBias(2), tn.Causal()), "+ b[bucket(j - i)]", "Raffel et al. 2020, T5", DENSE),
        Entry("score=DotScore() + AlibiBias(8)", lambda: _scored(tn.DotScore() + tn.AlibiBias(2), tn.Causal()), "- m \\|i - j\\|", "Press et al. 2022, ALiBi", DENSE),
        Entry("score=DotScore() + EdgeBias(k, 8)", lambda: _scored(tn.DotScore() + tn.EdgeBias(3, 2)), "+ W e_ij", "Ying et al. 2021, Graphormer", DENSE),
        Entry("score=DotScore() + ShortestPathBias(8)", lambda: _scored(tn.DotScore() + tn.ShortestPathBias(2)), "+ b[hops from j to i]", "Ying et al. 2021, eq. 6", DENSE + "; hops once"),
        Entry("Attention(dim, 8, EdgeList(), edge_dim=k)", lambda: tn.Attention(DIM, 2, tn.EdgeList(), edge_dim=3), "q·(k + W e), v + W e", "Shi et al. 2021", SPARSE + " + 2 E H k"),
        Entry("normaliser=HardMax()", lambda: _by(tn.HardMax()), "1 at the highest score, gradients of the softmax", "Xu et al. 2015", DENSE, "HardMax() backward"),
        Entry("normaliser=TopK(4)", lambda: _by(tn.TopK(3)), "softmax over the 4 highest", "Gupta et al. 2021", DENSE, "TopK(3)"),
        Entry("normaliser=Sigmoid()", lambda: _by(tn.Sigmoid()), "σ(s - log n)", "Ramapuram et al. 2025", DENSE),
        Entry("normaliser=ZeroedSoftmax(Causal())", lambda: _by(tn.ZeroedSoftmax(tn.Causal())), "softmax, then 0 at later tokens: no mask", "to show why not", DENSE, "ZeroedSoftmax(Causal())"),
    ],
)  # fmt: skip

FAMILIES = [ATTENTION]
