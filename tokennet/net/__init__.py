"""Nets: blocks, position codes, tokenizers, readouts."""

from tokennet.net.block import Block
from tokennet.net.norms import (
    BatchNorm,
)
from tokennet.net.positions import (
    LaplacianPosition,
    LearnedPosition,
    RandomWalkPosition,
    SinusoidalPosition,
)
from tokennet.net.readouts import ClassReadout, MeanReadout, TokenReadout
from tokennet.net.residual import (
    NoResidual,
    PostNorm,
    PreNorm,
    ResPostNorm,
    SandwichNorm,
)
from tokennet.net.tokenizers import (
    ClassToken,
    EmbeddingTokenizer,
    FeatureTokenizer,
    PatchTokenizer,
    Tokenizer,
)
from tokennet.net.tokennet import TokenNet

__all__ = [
    "BatchNorm",
    "Block",
    "ClassReadout",
    "ClassToken",
    "EmbeddingTokenizer",
    "FeatureTokenizer",
    "LaplacianPosition",
    "LearnedPosition",
    "MeanReadout",
    "NoResidual",
    "PatchTokenizer",
    "PostNorm",
    "PreNorm",
    "RandomWalkPosition",
    "ResPostNorm",
    "SandwichNorm",
    "SinusoidalPosition",
    "TokenNet",
    "TokenReadout",
    "Tokenizer",
]
