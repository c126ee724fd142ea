"""Nets: blocks, position codes, tokenizers, readouts."""

from tokennet.net.block import Block, PostNorm, PreNorm, ResPostNorm
from tokennet.net.positions import (
    LaplacianPosition,
    LearnedPosition,
    RandomWalkPosition,
    SinusoidalPosition,
)
from tokennet.net.readouts import ClassReadout, MeanReadout, TokenReadout
from tokennet.net.tokenizers import (
    ClassToken,
    EmbeddingTokenizer,
    FeatureTokenizer,
    PatchTokenizer,
    Tokenizer,
)
from tokennet.net.tokennet import TokenNet

__all__ = [
    "Block",
    "ClassReadout",
    "ClassToken",
    "EmbeddingTokenizer",
    "FeatureTokenizer",
    "LaplacianPosition",
    "LearnedPosition",
    "MeanReadout",
    "PatchTokenizer",
    "PostNorm",
    "PreNorm",
    "RandomWalkPosition",
    "ResPostNorm",
    "SinusoidalPosition",
    "TokenNet",
    "TokenReadout",
    "Tokenizer",
]
