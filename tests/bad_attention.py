"""Bad calls of attention with other scores, biases and normalisers."""

from collections.abc import Callable

from bad import Bad, D, T, V, common, dense, x
from torch import nn

import tokennet as tn


def scored(score: tn.Score, topology: tn.Topology | None = None, **more: object) -> tn.Mixer:
    return tn.Attention(D, 2, topology, score=score, **more)


def run(score: tn.Score, topology: tn.Topology | None = None) -> object:
    return scored(score, topology)(x(), dense())


def _heads(make: Callable[[int, int], tn.Score]) -> list[Bad]:
    """Scores for other heads than the two of four channels; one of each would spread over all."""
    found = []
    for topology in (tn.Full(), tn.EdgeList()):
        for heads, dim, name in ((1, 4, "num_heads"), (3, 4, "num_heads"), (2, 1, "head_dim")):
            own, other = (heads, 2) if name == "num_heads" else (dim, 4)
            found.append(
                Bad(
                    lambda h=heads, d=dim, t=topology: scored(make(h, d), t),
                    V,
                    rf"{name} of .*Score is {own}, expected {other}, as of the attention",
                )
            )
    return found


def _biased(make: Callable[[int], tn.Bias]) -> list[Bad]:
    return [
        Bad(
            lambda h=heads: scored(tn.CosineScore() + make(h)),
            V,
            rf"num_heads of .*Bias is {heads}, expected 2, as of the attention",
        )
        for heads in (1, 3)
    ]


ATTENTION: dict[str, list[Bad]] = {
    "Heads": [
        Bad(lambda: tn.Heads(0), V, r"num_heads is 0, expected at least 1"),
        Bad(lambda: tn.Heads(4, kv_heads=3), V, r"kv_heads is 3, .*divisor of num_heads \(4\)"),
        Bad(lambda: tn.Heads(4, kv_heads=0), V, r"kv_heads is 0"),
        Bad(lambda: tn.Heads(4, head_dim=2.0), T, r"head_dim is 2.0, expected a whole number"),
        Bad(
            lambda: tn.Attention(D, 2, edge_dim=3),
            V,
            r"edge_dim is 3, expected None without EdgeList\(\); over other pairs use score=",
        ),
        Bad(
            lambda: tn.Attention(D, 2, tn.EdgeList(), edge_dim=3)(x(), dense()),
            V,
            r"channels of edges.attr is None, expected 3, the edge_dim of Attention",
        ),
        Bad(
            lambda: tn.Attention(D, 2).with_maps(keys=nn.Identity()),
            V,
            r"maps is keys, expected query, key, value or output",
        ),
        Bad(
            lambda: tn.Attention(D, 2).with_maps(key=nn.Linear(D, 3)),
            V,
            r"channels that key gives is 3, expected 8",
        ),
        Bad(lambda: tn.Heads(2, bias="no"), T, r"bias is 'no', expected True or False"),
        Bad(lambda: tn.Heads(2, output=0), T, r"output is 0, expected True or False"),
        Bad(
            lambda: tn.Attention(D, 2).with_maps(key=nn.Linear(3, D)),
            V,
            r"channels that key takes is 3, expected 8",
        ),
        Bad(
            lambda: tn.Attention(D, 2).with_maps(key=nn.Linear),
            T,
            r"key is the class Linear, expected a module",
        ),
    ],
    "BasicAttention": [
        *common(lambda: tn.BasicAttention(), any_dim=True, weights=False),
        Bad(lambda: tn.BasicAttention("full"), T, r"topology is str, expected a Topology of the"),
        Bad(lambda: tn.BasicAttention(tn.Memory()), T, r"topology is Memory, expected a Topology"),
        Bad(lambda: tn.BasicAttention(power="sqrt"), T, r"power is 'sqrt', expected a number"),
    ],
    "Score": [
        Bad(lambda: tn.Score(), T, "abstract"),
        Bad(
            lambda: scored("dot"),
            T,
            r"score is str, expected a Score; e.g. tn.CosineScore\(\)",
        ),
        Bad(lambda: scored(tn.DotScore), T, r"score is the class DotScore, expected a Score"),
        Bad(
            lambda: scored(tn.AdditiveScore(2, 4), tn.EdgeList(), edge_dim=3),
            V,
            r"score is AdditiveScore, expected a dot product with edge_dim; e.g. tn.DotScore",
        ),
        Bad(
            lambda: scored(tn.DotScore() + tn.AlibiBias(2), tn.Memory()),
            V,
            r"reads of score is \['position'\], expected nothing over Memory\(\); memory tokens",
        ),
    ],
    "QueryKeyMap": [Bad(lambda: tn.QueryKeyMap(), T, "abstract")],
    "DotScore": [
        Bad(lambda: tn.DotScore(nn.LayerNorm(4)), T, r"maps\[0\] is LayerNorm, .*a QueryKeyMap"),
        Bad(lambda: tn.DotScore(power=float("nan")), V, r"power is nan, expected a finite number"),
        Bad(lambda: tn.DotScore(power=True), T, r"power is True, expected a number; e.g. 0.5"),
    ],
    "CosineScore": [
        Bad(lambda: tn.CosineScore(scale=0), T, r"scale is 0, .*number above 0"),
        Bad(lambda: tn.CosineScore(scale=True), T, r"scale is True, .*number above 0"),
    ],
    "BilinearScore": [
        Bad(lambda: tn.BilinearScore(0, 4), V, r"num_heads is 0"),
        *_heads(tn.BilinearScore),
        Bad(
            lambda: run(tn.BilinearScore(2, 4).double()),
            V,
            r"dtype of score.weight is torch.float64, expected torch.float32 as of the attention's",
        ),
        Bad(
            lambda: run(tn.BilinearScore(2, 4).to("meta")),
            V,
            r"device of score.weight is meta, expected cpu as of .*; move the whole attention",
        ),
    ],
    "AdditiveScore": [
        Bad(lambda: tn.AdditiveScore(2, -4), V, r"head_dim is -4"),
        *_heads(tn.AdditiveScore),
    ],
    "LocationScore": [
        *_heads(lambda heads, dim: tn.LocationScore(heads, dim, 9)),
        Bad(lambda: tn.LocationScore(2, 4, 0), V, r"num_tokens is 0"),
        Bad(
            lambda: run(tn.LocationScore(2, 4, 3)),
            V,
            r"tokens in a sample is 6, expected at most max_tokens \(3\) of Attention",
        ),
    ],
    "Rotary": [
        Bad(lambda: tn.Rotary(5), V, r"head_dim is 5, expected an even number; channels turn"),
        Bad(lambda: tn.Rotary(4, rotary_dim=6), V, r"rotary_dim is 6, .*at most head_dim \(4\)"),
        Bad(lambda: tn.Rotary(4, rotary_dim=3), V, r"rotary_dim is 3, expected an even number"),
        Bad(lambda: tn.Rotary(4, base=1), V, r"base is 1, expected a number greater than 1"),
        Bad(lambda: tn.Rotary(4, base=float("nan")), V, r"base is nan, expected a number greater"),
        Bad(lambda: tn.Rotary(4, base="10"), T, r"base is '10', expected a number greater than 1"),
        Bad(
            lambda: run(tn.DotScore(tn.Rotary(8))),
            V,
            r"head_dim of Rotary is 8, expected 4, as of the attention",
        ),
    ],
    "QueryKeyNorm": [
        Bad(lambda: tn.QueryKeyNorm(0), V, r"head_dim is 0"),
        Bad(
            lambda: scored(tn.DotScore(tn.QueryKeyNorm(8)) + tn.AlibiBias(2)),
            V,
            r"head_dim of QueryKeyNorm is 8, expected 4, as of the attention",
        ),
        Bad(lambda: tn.QueryKeyNorm(4, norm="rms"), T, r"norm is 'rms', .*e.g. nn.LayerNorm"),
    ],
    "Bias": [
        Bad(lambda: tn.Bias(), T, "abstract"),
        Bad(lambda: tn.DotScore() + 1.0, T, r"bias is float, expected a Bias; e.g. tn.Relative"),
    ],
    "RelativeBias": [
        *_biased(tn.RelativeBias),
        Bad(lambda: tn.RelativeBias(0), V, r"num_heads is 0"),
        Bad(
            lambda: tn.RelativeBias(2, causal="yes"), T, r"causal is 'yes', expected True or False"
        ),
        Bad(lambda: tn.RelativeBias(2, num_buckets=2), V, r"num_buckets is 2, .*at least 4"),
        Bad(
            lambda: tn.RelativeBias(2, max_distance=8),
            V,
            r"max_distance is 8, expected more than 8, the offsets with a bucket of their own",
        ),
    ],
    "AlibiBias": [
        Bad(lambda: tn.AlibiBias(0), V, r"num_heads is 0"),
        *_biased(tn.AlibiBias),
        Bad(
            lambda: run(tn.DotScore() + tn.AlibiBias(2).double()),
            V,
            r"dtype of score.biases.0.slope is torch.float64, expected torch.float32 as of the",
        ),
    ],
    "EdgeBias": [
        *_biased(lambda h: tn.EdgeBias(3, h)),
        Bad(lambda: tn.EdgeBias(0, 2), V, r"edge_dim is 0"),
        Bad(
            lambda: run(tn.DotScore() + tn.EdgeBias(3, 2)),
            V,
            r"channels of edges.attr is None, expected 3, the edge_dim of EdgeBias; Edges\(index",
        ),
    ],
    "ShortestPathBias": [
        *_biased(tn.ShortestPathBias),
        Bad(lambda: tn.ShortestPathBias(2, max_distance=0), V, r"max_distance is 0"),
        Bad(
            lambda: scored(tn.DotScore() + tn.ShortestPathBias(2))(x(), tn.Structure.dense(1, 6)),
            V,
            r"structure.edges is None, expected edges, which Attention reads",
        ),
    ],
    "Normaliser": [
        Bad(lambda: tn.Normaliser(), T, "abstract"),
        Bad(
            lambda: tn.Attention(D, 2, normaliser="softmax"),
            T,
            r"normaliser is str, expected a Normaliser; e.g. tn.TopK\(4\)",
        ),
        Bad(
            lambda: tn.Attention(D, 2, normaliser=nn.Softmax(-1)),
            T,
            r"normaliser is Softmax, expected a Normaliser",
        ),
    ],
    "TopK": [
        Bad(lambda: tn.TopK(0), V, r"count is 0, expected at least 1"),
        Bad(lambda: tn.TopK(0.5), T, r"count is 0.5, expected a whole number"),
    ],
    "ZeroedSoftmax": [
        Bad(lambda: tn.ZeroedSoftmax(None), T, r"topology is NoneType, expected a Topology; e.g."),
        Bad(
            lambda: tn.ZeroedSoftmax(tn.EdgeList()),
            T,
            r"topology is EdgeList, expected a topology over positions or a grid",
        ),
        Bad(
            lambda: tn.Attention(D, 2, tn.EdgeList(), normaliser=tn.ZeroedSoftmax(tn.Window(1))),
            V,
            r"normaliser is ZeroedSoftmax, expected one without a topology of its own over edges",
        ),
    ],
}
