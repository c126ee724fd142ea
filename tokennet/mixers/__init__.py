"""Operators that mix tokens, one family a file."""

from tokennet.mixers.activations import QuickGELU
from tokennet.mixers.attention import Attention
from tokennet.mixers.base import Mixer
from tokennet.mixers.basic_attention import (
    BasicAttention,
)
from tokennet.mixers.bias import (
    AlibiBias,
    EdgeBias,
    RelativeBias,
    ShortestPathBias,
)
from tokennet.mixers.combine import Parallel, Sequential
from tokennet.mixers.convolution import Convolution
from tokennet.mixers.experts import (
    MixtureOfExperts,
)
from tokennet.mixers.features import (
    EluFeatures,
    FeatureMap,
    PositiveRandomFeatures,
    ReluFeatures,
)
from tokennet.mixers.fourier import (
    FourierMixing,
)
from tokennet.mixers.gated import (
    GatedMLP,
)
from tokennet.mixers.gated_graph import (
    GatedGraphConvolution,
)
from tokennet.mixers.gin import (
    GINConvolution,
    GINEConvolution,
)
from tokennet.mixers.graph_attention import GraphAttention, GraphAttentionV2
from tokennet.mixers.graph_convolution import GraphConvolution
from tokennet.mixers.heads import (
    Heads,
)
from tokennet.mixers.jumping import JumpingKnowledge
from tokennet.mixers.latent_state import (
    LatentState,
)
from tokennet.mixers.latents import (
    Latents,
)
from tokennet.mixers.linear_attention import LinearAttention
from tokennet.mixers.low_rank_attention import (
    LowRankAttention,
)
from tokennet.mixers.message_passing import MessagePassing
from tokennet.mixers.normaliser import (
    HardMax,
    Normaliser,
    Sigmoid,
    Softmax,
    TopK,
    ZeroedSoftmax,
)
from tokennet.mixers.pna import (
    PNAConvolution,
)
from tokennet.mixers.pointwise import Pointwise, TokenWise
from tokennet.mixers.pooling import MaxPooling, Pooling
from tokennet.mixers.recurrent import (
    GRU,
    LSTM,
    RNN,
)
from tokennet.mixers.rotary import (
    QueryKeyNorm,
    Rotary,
)
from tokennet.mixers.rounded_norm import RoundedRMSNorm
from tokennet.mixers.sage import (
    SAGEConvolution,
)
from tokennet.mixers.score import (
    AdditiveScore,
    Bias,
    BilinearScore,
    CosineScore,
    DotScore,
    LocationScore,
    Place,
    QueryKeyMap,
    Score,
)
from tokennet.mixers.token_gating import (
    TokenGating,
)
from tokennet.mixers.token_mlp import TokenMLP

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveScore",
    "AlibiBias",
    "Attention",
    "BasicAttention",
    "Bias",
    "BilinearScore",
    "Convolution",
    "CosineScore",
    "DotScore",
    "EdgeBias",
    "EluFeatures",
    "FeatureMap",
    "FourierMixing",
    "GINConvolution",
    "GINEConvolution",
    "GatedGraphConvolution",
    "GatedMLP",
    "GraphAttention",
    "GraphAttentionV2",
    "GraphConvolution",
    "HardMax",
    "Heads",
    "JumpingKnowledge",
    "LatentState",
    "Latents",
    "LinearAttention",
    "LocationScore",
    "LowRankAttention",
    "MaxPooling",
    "MessagePassing",
    "Mixer",
    "MixtureOfExperts",
    "Normaliser",
    "PNAConvolution",
    "Parallel",
    "Place",
    "Pointwise",
    "Pooling",
    "PositiveRandomFeatures",
    "QueryKeyMap",
    "QueryKeyNorm",
    "QuickGELU",
    "RelativeBias",
    "ReluFeatures",
    "Rotary",
    "RoundedRMSNorm",
    "SAGEConvolution",
    "Score",
    "Sequential",
    "ShortestPathBias",
    "Sigmoid",
    "Softmax",
    "TokenGating",
    "TokenMLP",
    "TokenWise",
    "TopK",
    "ZeroedSoftmax",
]
