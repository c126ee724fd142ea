"""The rows of the family pages: what one types, formula, paper, cost. Claims come from the code.

In costs: N tokens, D channels, E edges, H heads, M memory tokens, L latents, F features of a head,
K taps, landmarks, seeds or experts, S steps or channels of a state, O outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import tokennet as tn

DIM = 8


@dataclass(frozen=True)
class Entry:
    """`title` names the panel of the picture; without one there is none.

    The panel is measured in eval mode unless `train`, on what `given` makes of the structure.
    """

    code: str
    make: Callable[[], tn.Mixer]
    formula: str
    paper: str
    cost: str
    title: str = ""
    train: bool = False
    given: Callable[[tn.Structure], tn.Structure] | None = None


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


def _sage_of_pyg() -> tn.Mixer:
    from torch_geometric.nn import SAGEConv

    return tn.MessagePassing(SAGEConv(DIM, DIM))


def _gps() -> tn.Mixer:
    return tn.Parallel(tn.GraphConvolution(DIM), tn.Attention(DIM, 2))


def _wider(structure: tn.Structure) -> tn.Structure:
    return tn.expander_edges(structure, degree=2, seed=0)


DEGREES = torch.tensor([1, 2, 2, 3])
PNA = "V U [x, s p_j(M [x_i, x_j])]: 4 poolings p with 3 scales s"

GRAPHS = Family(
    "graphs",
    [
        Entry("GraphConvolution(dim)", lambda: tn.GraphConvolution(DIM), "Σ w_ji / √(d_i d_j) W x_j", "Kipf and Welling 2017, GCN", "N D² + E D", "GraphConvolution"),
        Entry("GraphAttention(dim, 8)", lambda: tn.GraphAttention(DIM, 2), "softmax(leaky(a·W x_j + b·W x_i)) W x_j", "Velickovic et al. 2018, GAT", "N D² + 2 N D + E D", "GraphAttention"),
        Entry("GraphAttentionV2(dim, 8)", lambda: tn.GraphAttentionV2(DIM, 2), "softmax(a·leaky(W x_j + U x_i)) W x_j", "Brody et al. 2022, GATv2", "2 N D² + 2 E D"),
        Entry("Attention(dim, 8, EdgeList(True))", lambda: _at(EDGES), "softmax(q·k / √D) v", "Shi et al. 2021", SPARSE),
        Entry("SAGEConvolution(dim)", lambda: tn.SAGEConvolution(DIM), "W x_i + U pool_j x_j", "Hamilton et al. 2017, GraphSAGE", "2 N D²", "SAGEConvolution"),
        Entry("GINConvolution(dim)", lambda: tn.GINConvolution(DIM), "mlp((1 + ε) x_i + Σ x_j)", "Xu et al. 2019, GIN", "2 N D²", "GINConvolution"),
        Entry("GINEConvolution(dim, k)", lambda: tn.GINEConvolution(DIM, 3), "mlp((1 + ε) x_i + Σ relu(x_j + W e_ij))", "Hu et al. 2020, GINE", "2 N D² + E D k"),
        Entry("PNAConvolution(dim, degrees)", lambda: tn.PNAConvolution(DIM, DEGREES), PNA, "Corso et al. 2020, PNA", "16 N D² + E D", "PNAConvolution"),
        Entry("GatedGraphConvolution(dim, 3)", lambda: tn.GatedGraphConvolution(DIM, 3), "S times h = GRU(Σ W h_j, h_i)", "Li et al. 2016, GGNN", "S (7 N D² + E D)", "GatedGraphConvolution, 3 steps"),
        Entry("MessagePassing(SAGEConv(dim, dim))", _sage_of_pyg, "any convolution of PyG", "Fey and Lenssen 2019", "PyG's"),
        Entry("Parallel(GraphConvolution(dim), Attention(dim, 8))", _gps, "edges and everybody, added", "Rampasek et al. 2022, GPS", "5 N D² + 2 N² D + E D", "Parallel, GPS"),
        Entry("Attention(dim, 8, EdgeList(True))", lambda: _at(EDGES), "on `expander_edges(structure, …)`", "Shirzad et al. 2023, Exphormer", SPARSE, "EdgeList(True), expander", given=_wider),
    ],
)  # fmt: skip


def _linear(topology: tn.Topology | None = None, features: tn.FeatureMap | None = None) -> tn.Mixer:
    return tn.LinearAttention(DIM, 2, topology, features=features)


def _memory() -> tn.Mixer:
    return tn.Attention(DIM, 2, tn.Memory())


def _mab() -> tn.Mixer:
    mlp = tn.TokenWise(nn.Linear(DIM, DIM), nn.ReLU())
    return tn.Block(DIM, _memory(), mlp=mlp, residual=tn.PostNorm)


def _perceiver() -> tn.Mixer:
    inner = tn.Block(DIM, tn.Attention(DIM, 2))
    return tn.Latents(DIM, 3, inner, read=_memory(), write=_memory())


KATHAROPOULOS = "Katharopoulos et al. 2020"

LINEAR = Family(
    "linear",
    [
        Entry("LinearAttention(dim, 8)", _linear, "φ(q)·Σ φ(k) vᵀ / φ(q)·Σ φ(k)", KATHAROPOULOS, "4 N D² + 2 N F D", "LinearAttention"),
        Entry("LinearAttention(dim, 8, Causal())", lambda: _linear(tn.Causal()), "the sums over j ≤ i", KATHAROPOULOS, "4 N D² + 2 N F D + 64 N (H F + D)", "LinearAttention, Causal()"),
        Entry("features=PositiveRandomFeatures(64, 256)", lambda: _linear(features=tn.PositiveRandomFeatures(4, 16)), "φ(x) = exp(w·x - \\|x\\|² / 2) / √F", "Choromanski et al. 2021, Performer", "4 N D² + 4 N F D", "PositiveRandomFeatures"),
        Entry("features=ReluFeatures(64, 256)", lambda: _linear(features=tn.ReluFeatures(4, 16)), "φ(x) = relu(w·x) + ε", "the same, section 2.2", "4 N D² + 4 N F D"),
        Entry("LowRankAttention(dim, 8, n, 256)", lambda: tn.LowRankAttention(DIM, 2, 12, 3), "softmax(q (E k)ᵀ / √D) (F v)", "Wang et al. 2020, Linformer", "4 N D² + 4 N K D", "LowRankAttention"),
        Entry("Latents(dim, 32, read=mab, write=mab)", lambda: tn.Latents(DIM, 3, read=_mab(), write=_mab()), "L learned tokens read x, x reads them", "Lee et al. 2019, ISAB", "5 (N + L) D² + 4 N L D", "Latents, ISAB"),
        Entry("Latents(dim, 32, block, read=a, write=a)", _perceiver, "the same, with blocks among the L", "Jaegle et al. 2021, Perceiver", "4 (N + L) D² + 4 N L D, and the blocks on L tokens", "Latents, Perceiver"),
        Entry("Attention(dim, 8)", lambda: tn.Attention(DIM, 2), "softmax(q·k / √D) v, to compare", VASWANI, DENSE, "Attention"),
    ],
)  # fmt: skip


def _convolved(topology: tn.Topology, groups: int = 1) -> tn.Mixer:
    return tn.Convolution(DIM, topology, groups=groups)


def _gmlp() -> tn.Mixer:
    return tn.PreNorm(DIM, tn.TokenGating(DIM, 2 * DIM, 12))


BACK, CELLS, LECUN = tn.Causal() & tn.Window(2), tn.Neighborhood(1), "LeCun et al. 1989"

SEQUENCES = Family(
    "sequences",
    [
        Entry("RNN(dim)", lambda: tn.RNN(DIM), "h_i = tanh(W x_i + U h_(i-1) + b)", "Elman 1990", "2 N D²", "RNN"),
        Entry("GRU(dim)", lambda: tn.GRU(DIM), "h_i = (1 - z) n + z h_(i-1)", "Cho et al. 2014", "6 N D²"),
        Entry("LSTM(dim)", lambda: tn.LSTM(DIM), "h_i = o tanh(c_i), c_i = f c_(i-1) + i tanh(g)", "Hochreiter and Schmidhuber 1997", "8 N D²"),
        Entry("LatentState(dim, s)", lambda: tn.LatentState(DIM, 5), "h_i = f([h_(i-1), x_i]), y_i = g(h_i)", "Elman 1990", "N (6 S² + 4 S D)", "LatentState"),
        Entry("Convolution(dim, Window(2))", lambda: _convolved(tn.Window(2)), "Σ W_o x_(i+o) on a line", LECUN, "K N D²", "Convolution, Window(2)"),
        Entry("Convolution(dim, Window(2, wrap=True))", lambda: _convolved(tn.Window(2, wrap=True)), "the same on a ring", LECUN, "K N D²", "Convolution, ring"),
        Entry("Convolution(dim, Causal() & Window(2))", lambda: _convolved(BACK), "offsets -2 to 0", "van den Oord et al. 2016, WaveNet", "K N D²", "Convolution, Causal()"),
        Entry("Convolution(dim, Neighborhood(1))", lambda: _convolved(CELLS), "3x3 on a grid, zeros around", LECUN, "K N D²", "Convolution, grid 3x4"),
        Entry("Convolution(dim, Neighborhood(1, wrap=True))", lambda: _convolved(tn.Neighborhood(1, wrap=True)), "3x3 on a torus", LECUN, "K N D²"),
        Entry("Convolution(dim, …, groups=dim)", lambda: _convolved(CELLS, DIM), "each channel by itself: depthwise", "Howard et al. 2017, MobileNet", "K N D"),
        Entry("Pooling()", tn.Pooling, "mean of the sample", "Zaheer et al. 2017, Deep Sets", "N D sums", "Pooling()"),
        Entry("Pooling(Neighborhood(1))", lambda: tn.Pooling(CELLS), "mean of the 3x3 cells around", "Yu et al. 2022, PoolFormer", "N² D"),
        Entry("MaxPooling()", tn.MaxPooling, "maximum of the sample, by channel", "Qi et al. 2017, PointNet", "N D comparisons", "MaxPooling()"),
        Entry("TokenMLP(n)", lambda: tn.TokenMLP(12), "W₂ act(W₁ x) along the tokens", "Tolstikhin et al. 2021, MLP-Mixer", "4 N² D", "TokenMLP"),
        Entry("PreNorm(dim, TokenGating(dim, 2 * dim, n))", _gmlp, "V (z₁ (W norm(z₂) + b)), (z₁, z₂) = act(U x)", "Liu et al. 2021, gMLP", "3 N D² + N² D", "TokenGating, gMLP"),
        Entry("TokenGating(dim, 2 * dim, n, Causal())", lambda: tn.TokenGating(DIM, 2 * DIM, 12, tn.Causal()), "W lower triangular", "Liu et al. 2021", "3 N D² + N² D"),
        Entry("FourierMixing()", tn.FourierMixing, "Re(F_N x F_D)", "Lee-Thorp et al. 2022, FNet", "O(N D log N D); with padding 2 N D² + 2 N² D", "FourierMixing()"),
    ],
)  # fmt: skip


def _block(**more: object) -> tn.Mixer:
    return tn.Block(DIM, tn.Attention(DIM, 2, EDGES), **more)


def _decoder() -> tn.Mixer:
    return tn.Block(DIM, tn.Attention(DIM, 2, tn.Causal()), _memory())


def _step(**more: object) -> tn.Mixer:
    return tn.PreNorm(DIM, tn.Attention(DIM, 2), **more)


BLOCK = "12 N D² + 2 E D"

BLOCKS = Family(
    "blocks",
    [
        Entry("Block(dim, Attention(dim, 8, EdgeList(True)))", _block, "each mixer, then the MLP, each in a `PreNorm`", "Vaswani et al. 2017", BLOCK, "Block, EdgeList(True)"),
        Entry("Block(dim, TokenMLP(n))", lambda: tn.Block(DIM, tn.TokenMLP(12)), "MLP-Mixer's layer", "Tolstikhin et al. 2021", "8 N D² + 4 N² D", "Block, TokenMLP"),
        Entry("Block(dim, Parallel(GraphConvolution(dim), Attention(dim, 8)))", lambda: tn.Block(DIM, _gps()), "a GPS layer", "Rampasek et al. 2022", "13 N D² + 2 N² D + E D"),
        Entry("Block(dim, Attention(dim, 8, Causal()), Attention(dim, 8, Memory()))", _decoder, "a decoder's layer", "Vaswani et al. 2017", "14 N D² + 2 M D² + 2 N² D + 2 N M D", "Block, decoder"),
        Entry("residual=PreNorm", _block, "x + f(norm(x))", "Xiong et al. 2020; ViT, GPT-2", BLOCK),
        Entry("residual=PostNorm", lambda: _block(residual=tn.PostNorm), "norm(x + f(x))", "Vaswani et al. 2017; BERT", BLOCK),
        Entry("residual=ResPostNorm", lambda: _block(residual=tn.ResPostNorm), "x + norm(f(x))", "Liu et al. 2022, Swin v2", BLOCK),
        Entry("residual=SandwichNorm", lambda: _block(residual=tn.SandwichNorm), "x + norm(f(norm(x)))", "Ding et al. 2021, CogView", BLOCK),
        Entry("residual=NoResidual", lambda: _block(residual=tn.NoResidual), "f(norm(x))", "to see what the residual is good for", BLOCK, "residual=NoResidual"),
        Entry("PreNorm(dim, mixer, layer_scale=0.1)", lambda: _step(layer_scale=0.1), "x + s f(norm(x)), s learned", "Touvron et al. 2021, CaiT", "N D", "layer_scale=0.1"),
        Entry("PreNorm(dim, mixer, drop_path=0.1)", lambda: _step(drop_path=0.1), "x + f(norm(x)), or x alone in training", "Huang et al. 2016", "0"),
        Entry("PreNorm(dim, mixer, norm=nn.RMSNorm)", lambda: _step(norm=nn.RMSNorm), "any token-wise module as norm", "Zhang and Sennrich 2019", "O(N D)"),
        Entry("BatchNorm(dim)", lambda: tn.BatchNorm(DIM), "w (x - m) / √(v + ε) + b over the batch", "Ioffe and Szegedy 2015", "O(N D)", "BatchNorm, train mode", train=True),
        Entry("TokenWise(nn.LayerNorm(dim))", lambda: tn.TokenWise(nn.LayerNorm(DIM)), "any module, at each token", "Ba et al. 2016", "O(N D)"),
        Entry("Pointwise(dim)", lambda: tn.Pointwise(DIM), "W x + b", "Lin et al. 2014", "N D²", "Pointwise"),
        Entry("Pointwise(dim, 4 * dim)", lambda: tn.Pointwise(DIM, 4 * DIM), "W₂ act(W₁ x)", "Vaswani et al. 2017, eq. 2", "8 N D²"),
        Entry("GatedMLP(dim, 8 * dim // 3)", lambda: tn.GatedMLP(DIM, 8 * DIM // 3), "W₂ (act(W₁ x) W₃ x)", "Shazeer 2020, SwiGLU", "8 N D²"),
        Entry("MixtureOfExperts(dim, h, 8, top_k=2)", lambda: tn.MixtureOfExperts(DIM, 2 * DIM, 8), "Σ p_e f_e(x) over the top 2", "Shazeer et al. 2017; Jiang et al. 2024", "N K D + 3 h N D for each of the 2"),
        Entry("Sequential(f, g)", lambda: tn.Sequential(tn.Attention(DIM, 2, EDGES), tn.Pooling()), "g(f(x))", "-", "both"),
        Entry("Parallel(f, g)", _gps, "f(x) + g(x)", "-", "both"),
    ],
)  # fmt: skip


def _asked() -> tn.Mixer:
    return tn.AttentionReadout(DIM, 3, _mab())


def _found() -> tn.Mixer:
    return tn.SetReadout(DIM, 3, 4, tn.Block(DIM, tn.Attention(DIM, 2), _memory()))


READOUTS = Family(
    "readouts",
    [
        Entry("MeanReadout(dim, o)", lambda: tn.MeanReadout(DIM, 3), "W mean norm(x) + b", "Lin et al. 2014", "D O", "MeanReadout"),
        Entry("SumReadout(dim, o)", lambda: tn.SumReadout(DIM, 3), "W Σ norm(x) + b", "Zaheer et al. 2017, Deep Sets", "D O"),
        Entry("MaxReadout(dim, o)", lambda: tn.MaxReadout(DIM, 3), "W max norm(x) + b", "Qi et al. 2017, PointNet", "D O", "MaxReadout"),
        Entry("GatedReadout(dim, o)", lambda: tn.GatedReadout(DIM, 3), "W Σ softmax(g(x)) norm(x) + b", "Li et al. 2019", "2 N D + D O", "GatedReadout"),
        Entry("ClassReadout(dim, o)", lambda: tn.ClassReadout(DIM, 3), "W norm(x₀) + b, x₀ of `ClassToken`", "Devlin et al. 2019, BERT", "D O", "ClassReadout"),
        Entry("TokenReadout(dim, o)", lambda: tn.TokenReadout(DIM, 3), "W norm(x_i) + b, for each token", "-", "N D O"),
        Entry("AttentionReadout(dim, o, mab)", _asked, "W s + b, learned seeds s read the tokens", "Lee et al. 2019, PMA", "2 N D² + 3 K D² + 2 N K D + K D O", "AttentionReadout"),
        Entry("SetReadout(dim, o, 100, block)", _found, "W o_q + b, learned queries o", "Carion et al. 2020, DETR", "a decoder's on 100 tokens", "SetReadout"),
    ],
)  # fmt: skip

FAMILIES = [ATTENTION, GRAPHS, LINEAR, SEQUENCES, BLOCKS, READOUTS]
