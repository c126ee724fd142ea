"""Bad calls of mixers and topologies, and what is said about them."""

from typing import Any

import torch
from bad import Bad, D, T, V, common, dense, packed, x
from torch import Tensor, nn

import tokennet as tn


def memory_attention(memory: Tensor) -> Tensor:
    return tn.Attention(D, 2, tn.Memory())(x(), dense(memory=memory))


def sage(**more: Any) -> tn.Mixer:
    from torch_geometric.nn import TransformerConv

    return tn.MessagePassing(TransformerConv(D, D, **more))


MIXERS: dict[str, list[Bad]] = {
    "Attention": [
        *common(lambda: tn.Attention(D, 2)),
        *common(lambda: tn.Attention(D, 2, tn.EdgeList())),
        Bad(
            lambda: tn.Attention(10, 4),
            V,
            r"dim is 10, expected a multiple of num_heads \(4\); .*head",
        ),
        Bad(lambda: tn.Attention(0, 1), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.Attention(8.0, 2), T, r"dim is 8.0, expected a whole number"),
        Bad(lambda: tn.Attention("8", 2), T, r"dim is '8'"),
        Bad(lambda: tn.Attention(D, 0), V, r"num_heads is 0, expected at least 1"),
        Bad(lambda: tn.Attention(D, True), T, r"num_heads is True"),
        Bad(
            lambda: tn.Attention(D, tn.Heads(2, head_dim=0)),
            V,
            r"head_dim is 0, expected at least 1",
        ),
        Bad(
            lambda: tn.Attention(D, 2, dropout=1.5), V, r"dropout is 1.5, expected a probability, 0"
        ),
        Bad(lambda: tn.Attention(D, 2, dropout=-0.1), V, r"dropout is -0.1"),
        Bad(lambda: tn.Attention(D, 2, dropout=float("nan")), V, r"dropout is nan"),
        Bad(
            lambda: tn.Attention(D, 2, dropout="0.1"),
            T,
            r"dropout is '0.1', expected a probability",
        ),
        Bad(
            lambda: tn.Attention(D, 2, "causal"),
            T,
            r"topology is str, expected a Topology; e.g. tn",
        ),
        Bad(
            lambda: tn.Attention(D, 2, tn.Causal), T, r"topology is the class Causal, .*a Topology"
        ),
        Bad(
            lambda: tn.Attention(D, 2, memory_dim=5),
            V,
            r"memory_dim is 5, expected None; .*Memory\(\)",
        ),
        Bad(
            lambda: tn.Attention(D, 2, tn.Memory(), memory_dim=0),
            V,
            r"memory_dim is 0, .*at least 1",
        ),
        Bad(
            lambda: tn.Attention(D, 2, tn.Memory())(x(), tn.Structure.dense(1, 6)),
            V,
            r"structure.memory is None, expected memory, which Attention reads; build",
        ),
        Bad(
            lambda: memory_attention(torch.randn(1, 2, 5)),
            V,
            r"structure.memory.x.shape\[-1\] is 5, expected 8, the memory_dim of Attention",
        ),
        Bad(
            lambda: memory_attention(torch.randn(1, 2, D).double()),
            T,
            r"structure.memory.x.dtype is torch.float64, expected torch.float32",
        ),
    ],
    "LinearAttention": [
        *common(lambda: tn.LinearAttention(D, 2)),
        Bad(
            lambda: tn.LinearAttention(10, 4),
            V,
            r"dim is 10, expected a multiple of num_heads \(4\)",
        ),
        Bad(lambda: tn.LinearAttention(D, 2, head_dim=0), V, r"head_dim is 0"),
        Bad(
            lambda: tn.LinearAttention(D, 2, tn.Window(1)),
            V,
            r"topology is Window\(1\), .*Full\(\) or",
        ),
        Bad(lambda: tn.LinearAttention(D, 2, "full"), V, r"topology is full, expected Full\(\) or"),
    ],
    "GraphAttention": [
        *common(lambda: tn.GraphAttention(D, 2)),
        Bad(
            lambda: tn.GraphAttention(D, 3), V, r"dim is 8, expected a multiple of num_heads \(3\)"
        ),
        Bad(
            lambda: tn.GraphAttention(D, 2, out_dim=7),
            V,
            r"out_dim is 7, expected a multiple of num",
        ),
        Bad(lambda: tn.GraphAttention(D, 2, dropout=1.5), V, r"dropout is 1.5"),
        Bad(lambda: tn.GraphAttention(D, 0, mean_heads=True), V, r"num_heads is 0"),
    ],
    "GraphAttentionV2": [
        *common(lambda: tn.GraphAttentionV2(D, 2)),
        Bad(
            lambda: tn.GraphAttentionV2(D, 3),
            V,
            r"dim is 8, expected a multiple of num_heads \(3\)",
        ),
    ],
    "GraphConvolution": [
        *common(lambda: tn.GraphConvolution(D)),
        Bad(lambda: tn.GraphConvolution(-1), V, r"dim is -1, expected at least 1"),
        Bad(lambda: tn.GraphConvolution(D, out_dim=0), V, r"out_dim is 0, expected at least 1"),
    ],
    "MessagePassing": [
        *common(sage),
        Bad(
            lambda: tn.MessagePassing(nn.Linear(D, D)),
            V,
            r"conv is Linear, .*edge_index.*TokenWise",
        ),
        Bad(
            lambda: tn.MessagePassing("GCN"), T, r"conv is str, expected a convolution of torch_geo"
        ),
        Bad(lambda: tn.MessagePassing(nn.Linear), T, r"conv is the class Linear"),
        Bad(
            lambda: sage(edge_dim=3)(x(), dense()),
            V,
            r"channels of edges.attr is None, expected 3, the edge_dim of TransformerConv",
        ),
    ],
    "TokenMLP": [
        *common(lambda: tn.TokenMLP(6), any_dim=True),
        Bad(lambda: tn.TokenMLP(0), V, r"num_tokens is 0"),
        Bad(lambda: tn.TokenMLP(6, 0), V, r"hidden_tokens is 0"),
        Bad(
            lambda: tn.TokenMLP(6, activation=nn.GELU()), T, r"activation is GELU, expected a class"
        ),
        Bad(
            lambda: tn.TokenMLP(4)(x(7, D), packed(2, 5)),
            V,
            r"tokens in a sample is 5, expected at most max_tokens \(4\) of TokenMLP; shorten",
        ),
    ],
    "Pointwise": [
        *common(lambda: tn.Pointwise(D)),
        Bad(lambda: tn.Pointwise(D, 0), V, r"hidden_dim is 0"),
        Bad(lambda: tn.Pointwise(D, 9, dropout=2), V, r"dropout is 2"),
        Bad(
            lambda: tn.Pointwise(D, 9, activation="gelu"),
            T,
            r"activation is 'gelu', .*e.g. nn.GELU",
        ),
    ],
    "TokenWise": [
        *common(lambda: tn.TokenWise(nn.LayerNorm(D)), any_dim=True),
        Bad(lambda: tn.TokenWise(), V, r"modules is \(\), expected at least one"),
        Bad(lambda: tn.TokenWise(nn.GELU), T, r"modules\[0\] is the class GELU, expected a module"),
        Bad(lambda: tn.TokenWise(nn.GELU(), 3), T, r"modules\[1\] is int"),
    ],
    "Pooling": [
        *common(tn.Pooling, any_dim=True, weights=False),
        Bad(lambda: tn.Pooling(3), T, r"topology is int, expected a Topology"),
        Bad(lambda: tn.Pooling(tn.Memory()), V, r"topology is Memory\(\), .*tokens themselves"),
    ],
    "MaxPooling": [
        *common(tn.MaxPooling, any_dim=True, weights=False),
        *common(lambda: tn.MaxPooling(tn.EdgeList()), any_dim=True, weights=False),
        Bad(lambda: tn.MaxPooling(tn.Window), T, r"topology is the class Window"),
    ],
}
