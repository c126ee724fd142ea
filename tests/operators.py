"""Every operator of tokennet, one line each: the laws, layouts, dtypes and gradients run on all."""

from collections.abc import Callable

import operators_attention
import operators_blocks
import operators_graphs
import operators_latents
import operators_positions
import operators_readouts
import operators_sequences
import torch
from operator_case import ALL, CAUSAL, DIM, GRID, PERM, SHIFT, Operator
from torch import nn

import tokennet as tn


def _pyg(name: str) -> Callable[[], tn.Mixer]:
    def make() -> tn.Mixer:
        import torch_geometric.nn as pyg

        conv = {
            "sage": lambda: pyg.SAGEConv(DIM, DIM),
            "gin": lambda: pyg.GINConv(nn.Sequential(nn.Linear(DIM, DIM), nn.Tanh())),
            "transformer": lambda: pyg.TransformerConv(DIM, DIM // 2, heads=2, edge_dim=3),
        }[name]()
        return tn.MessagePassing(conv)

    return make


def _gps() -> tn.Mixer:
    return tn.Block(DIM, tn.Parallel(tn.GraphConvolution(DIM), tn.Attention(DIM, 2)))


def _decoder() -> tn.Mixer:
    return tn.Block(DIM, tn.Attention(DIM, 2, tn.Causal()), tn.Attention(DIM, 2, tn.Memory()))


CORE = [
    Operator("attention", lambda: tn.Attention(DIM, 2), (CAUSAL,)),
    Operator("attention, odd heads", lambda: tn.Attention(DIM, tn.Heads(3, head_dim=5)), (CAUSAL,)),
    Operator(
        "attention, no output", lambda: tn.Attention(DIM, tn.Heads(2, output=False)), (CAUSAL,)
    ),
    Operator("attention, causal", lambda: tn.Attention(DIM, 2, tn.Causal()), (PERM, SHIFT)),
    Operator("attention, window", lambda: tn.Attention(DIM, 2, tn.Window(1)), ALL),
    Operator(
        "attention, ring window",
        lambda: tn.Attention(DIM, 2, tn.Window(1, wrap=True)),
        (PERM, CAUSAL),
    ),
    Operator(
        "attention, causal window",
        lambda: tn.Attention(DIM, 2, tn.Causal() & tn.Window(2)),
        (PERM, SHIFT),
    ),
    Operator("attention, grid", lambda: tn.Attention(DIM, 2, tn.Neighborhood(1)), (*ALL, GRID)),
    Operator("attention, torus", lambda: tn.Attention(DIM, 2, tn.Neighborhood(1, wrap=True)), ALL),
    Operator("attention, edges", lambda: tn.Attention(DIM, 2, tn.EdgeList()), (CAUSAL,)),
    Operator(
        "attention, edges and loops", lambda: tn.Attention(DIM, 2, tn.EdgeList(True)), (CAUSAL,)
    ),
    Operator(
        "attention, causal edges",
        lambda: tn.Attention(DIM, 2, tn.Causal() & tn.EdgeList(True)),
        (PERM, SHIFT),
    ),
    Operator(
        "attention, memory", lambda: tn.Attention(DIM, 2, tn.Memory(), memory_dim=5), mixes=False
    ),
    Operator("graph attention", lambda: tn.GraphAttention(DIM, 2), (CAUSAL,)),
    Operator(
        "graph attention, mean", lambda: tn.GraphAttention(DIM, 2, mean_heads=True), (CAUSAL,)
    ),
    Operator(
        "graph attention, no loops", lambda: tn.GraphAttention(DIM, 2, self_loops=False), (CAUSAL,)
    ),
    Operator("graph attention v2", lambda: tn.GraphAttentionV2(DIM, 2), (CAUSAL,)),
    Operator("graph convolution", lambda: tn.GraphConvolution(DIM), (CAUSAL,)),
    Operator("graph convolution, wider", lambda: tn.GraphConvolution(DIM, out_dim=5), (CAUSAL,)),
    Operator("token MLP", lambda: tn.TokenMLP(12, 7), ALL),
    Operator("pointwise", lambda: tn.Pointwise(DIM), mixes=False),
    Operator("pointwise MLP", lambda: tn.Pointwise(DIM, 11, out_dim=5), mixes=False),
    Operator("token-wise norm", lambda: tn.TokenWise(nn.LayerNorm(DIM)), mixes=False),
    Operator("linear attention", lambda: tn.LinearAttention(DIM, 2), (CAUSAL,)),
    Operator(
        "linear attention, causal", lambda: tn.LinearAttention(DIM, 2, tn.Causal()), (PERM, SHIFT)
    ),
    Operator("convolution, line", lambda: tn.Convolution(DIM, tn.Window(1)), ALL),
    Operator(
        "convolution, ring", lambda: tn.Convolution(DIM, tn.Window(2, wrap=True)), (PERM, CAUSAL)
    ),
    Operator("convolution, grid", lambda: tn.Convolution(DIM, tn.Neighborhood(1)), (*ALL, GRID)),
    Operator("convolution, torus", lambda: tn.Convolution(DIM, tn.Neighborhood(1, wrap=True)), ALL),
    Operator(
        "convolution, ring of cells",
        lambda: tn.Convolution(DIM, tn.Neighborhood(1, wrap=True), grid_axes=1, out_dim=5),
        (PERM, CAUSAL),
    ),
    Operator("pooling", lambda: tn.Pooling(), (CAUSAL,)),
    Operator("pooling, window", lambda: tn.Pooling(tn.Window(1)), ALL),
    Operator("pooling, edges", lambda: tn.Pooling(tn.EdgeList(True)), (CAUSAL,)),
    Operator("max pooling", lambda: tn.MaxPooling(), (CAUSAL,)),
    Operator("max pooling, torus", lambda: tn.MaxPooling(tn.Neighborhood(1, wrap=True)), ALL),
    Operator("max pooling, edges", lambda: tn.MaxPooling(tn.EdgeList(True)), (CAUSAL,)),
    Operator("PyG SAGE", _pyg("sage"), (CAUSAL,)),
    Operator("PyG GIN", _pyg("gin"), (CAUSAL,)),
    Operator("PyG transformer with edge features", _pyg("transformer"), (CAUSAL,)),
    Operator(
        "sequential",
        lambda: tn.Sequential(tn.Attention(DIM, 2, tn.EdgeList(True)), tn.Pooling()),
        (CAUSAL,),
    ),
    Operator("GPS block", _gps, (CAUSAL,)),
    Operator("decoder block", _decoder, (PERM, SHIFT)),
    Operator("mixer block", lambda: tn.Block(DIM, tn.TokenMLP(9)), ALL),
    Operator(
        "post-norm block",
        lambda: tn.Block(DIM, tn.Attention(DIM, 2), residual=tn.PostNorm, dropout=0.1),
        (CAUSAL,),
    ),
    Operator(
        "res-post-norm block",
        lambda: tn.Block(DIM, tn.Attention(DIM, 2), residual=tn.ResPostNorm),
        (CAUSAL,),
    ),
    Operator("learned position", lambda: tn.LearnedPosition(12, DIM), (PERM, SHIFT), mixes=False),
    Operator("sinusoidal position", lambda: tn.SinusoidalPosition(DIM), (PERM, SHIFT), mixes=False),
    Operator("random-walk position", lambda: tn.RandomWalkPosition(DIM, steps=3), mixes=False),
    Operator("Laplacian position", lambda: tn.LaplacianPosition(DIM), mixes=False),
    Operator("mean readout", lambda: tn.MeanReadout(DIM, 3)),
    Operator("class readout", lambda: tn.ClassReadout(DIM, 3), (PERM, SHIFT), mixes=False),
    Operator("token readout", lambda: tn.TokenReadout(DIM, 3), mixes=False),
]
OPERATORS = [
    *CORE,
    *operators_attention.OPERATORS,
    *operators_graphs.OPERATORS,
    *operators_sequences.OPERATORS,
    *operators_latents.OPERATORS,
    *operators_blocks.OPERATORS,
    *operators_positions.OPERATORS,
    *operators_readouts.OPERATORS,
]


def edge_dim(mixer: tn.Mixer) -> int | None:
    """Channels of edges that an operator needs."""
    found = [p.edge_dim for p in mixer.modules() if isinstance(getattr(p, "edge_dim", None), int)]
    return found[0] if found else None


def memory_dim(mixer: tn.Mixer) -> int | None:
    """Channels of the memory tokens that an operator reads from its structure."""
    readers = [
        p.memory_dim
        for p in mixer.modules()
        if "memory" in getattr(getattr(p, "topology", None), "reads", ())
    ]
    return readers[0] if readers and "memory" in mixer.reads else None


def ragged_tokens(mixer: tn.Mixer, dtype: torch.dtype, *, packed: bool = True) -> tn.Tokens:
    """A ragged batch: isolated tokens, a repeated edge, a self-loop, an empty sample."""
    lengths = [7, 0, 1, 5] if "grid" not in mixer.reads else [6, 6]
    total = sum(lengths)
    index = torch.tensor([[0, 1, 2, 3, 3, 4, 2, 8, 9, 10], [1, 0, 1, 4, 4, 3, 2, 9, 8, 9]])
    attr = torch.randn(10, edge_dim(mixer) or 1, dtype=dtype)
    weight = torch.rand(10, dtype=dtype) + 0.1
    memory = tn.Tokens.from_list(
        [torch.randn(n, 5, dtype=dtype) for n in (2, 0, 3, 1)][: len(lengths)]
    )
    width = memory_dim(mixer)
    if width is not None:
        memory = tn.Tokens(torch.randn(len(memory.x), width, dtype=dtype), memory.structure)
    if "grid" in mixer.reads:
        index = index.clamp(max=5)
    axes = getattr(mixer, "axes", 2)
    structure = tn.Structure.packed(
        lengths,
        edges=tn.Edges(index, weight, attr),
        grid=((2, 3) if axes == 2 else (6,)) if "grid" in mixer.reads else None,
        memory=memory.padded() if "memory" in mixer.reads else None,
    )
    tokens = tn.Tokens(torch.randn(total, DIM, dtype=dtype), structure)
    return tokens if packed else tokens.padded()
