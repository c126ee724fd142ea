"""Operators that mix tokens, one family a file."""

from tokennet.mixers.attention import Attention
from tokennet.mixers.base import Mixer
from tokennet.mixers.combine import Parallel, Sequential
from tokennet.mixers.convolution import Convolution
from tokennet.mixers.graph_attention import GraphAttention, GraphAttentionV2
from tokennet.mixers.graph_convolution import GraphConvolution
from tokennet.mixers.linear_attention import LinearAttention
from tokennet.mixers.message_passing import MessagePassing
from tokennet.mixers.pointwise import Pointwise, TokenWise
from tokennet.mixers.pooling import MaxPooling, Pooling
from tokennet.mixers.token_mlp import TokenMLP

__all__ = [
    "Attention",
    "Convolution",
    "GraphAttention",
    "GraphAttentionV2",
    "GraphConvolution",
    "LinearAttention",
    "MaxPooling",
    "MessagePassing",
    "Mixer",
    "Parallel",
    "Pointwise",
    "Pooling",
    "Sequential",
    "TokenMLP",
    "TokenWise",
]
