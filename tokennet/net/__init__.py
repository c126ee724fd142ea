"""Nets: blocks, position codes, tokenizers, readouts."""

from tokennet.net.attention_readout import (
    AttentionReadout,
    SetReadout,
)
from tokennet.net.block import Block
from tokennet.net.decode import (
    Decoded,
    beam_decode,
    greedy_decode,
    sample_decode,
)
from tokennet.net.encoded import EncodedMemory
from tokennet.net.ending import EndedTokenizer, LastReadout
from tokennet.net.graph_positions import (
    DegreePosition,
    EigenvectorPosition,
    LaplacianPosition,
    RandomWalkPosition,
    ShortestPathPosition,
)
from tokennet.net.grid_positions import (
    CoordinatePosition,
    GridSinusoidalPosition,
)
from tokennet.net.images import (
    BlurredPatchTokenizer,
    PatchTokenizer,
    shift_error,
)
from tokennet.net.molecules import (
    MoleculeTokenizer,
)
from tokennet.net.norms import (
    BatchNorm,
)
from tokennet.net.position import (
    ConcatenatedPosition,
    OrderPosition,
    Position,
)
from tokennet.net.positions import (
    IntegerPosition,
    LearnedPosition,
    SigmoidPosition,
    SinePosition,
    SinusoidalPosition,
)
from tokennet.net.prefix_readouts import PrefixReadout, RestReadout
from tokennet.net.readouts import (
    ClassReadout,
    GatedReadout,
    MaxReadout,
    MeanReadout,
    SumReadout,
    TokenReadout,
)
from tokennet.net.regions import (
    RegionTokenizer,
)
from tokennet.net.residual import (
    NoResidual,
    PostNorm,
    PreNorm,
    ResPostNorm,
    SandwichNorm,
)
from tokennet.net.sample_norms import GraphNorm, SampleNorm
from tokennet.net.series import (
    SeriesTokenizer,
)
from tokennet.net.set_loss import (
    set_loss,
    set_matching,
)
from tokennet.net.stages import StageTokenizer
from tokennet.net.text import (
    TextTokenizer,
)
from tokennet.net.token_types import TypedTokenizer
from tokennet.net.tokenizers import (
    ClassToken,
    EmbeddingTokenizer,
    FeatureTokenizer,
    NeuronTokenizer,
    OneHotTokenizer,
    Tokenizer,
)
from tokennet.net.tokennet import TokenNet
from tokennet.net.virtual_token import (
    VirtualToken,
)
from tokennet.net.vocabularies import (
    BPEVocabulary,
    ByteVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)

__all__ = [
    "AttentionReadout",
    "BPEVocabulary",
    "BatchNorm",
    "Block",
    "BlurredPatchTokenizer",
    "ByteVocabulary",
    "CharacterVocabulary",
    "ClassReadout",
    "ClassToken",
    "ConcatenatedPosition",
    "CoordinatePosition",
    "Decoded",
    "DegreePosition",
    "EigenvectorPosition",
    "EmbeddingTokenizer",
    "EncodedMemory",
    "EndedTokenizer",
    "FeatureTokenizer",
    "GatedReadout",
    "GraphNorm",
    "GridSinusoidalPosition",
    "IntegerPosition",
    "LaplacianPosition",
    "LastReadout",
    "LearnedPosition",
    "MaxReadout",
    "MeanReadout",
    "MoleculeTokenizer",
    "NeuronTokenizer",
    "NoResidual",
    "OneHotTokenizer",
    "OrderPosition",
    "PatchTokenizer",
    "Position",
    "PostNorm",
    "PreNorm",
    "PrefixReadout",
    "RandomWalkPosition",
    "RegionTokenizer",
    "ResPostNorm",
    "RestReadout",
    "SampleNorm",
    "SandwichNorm",
    "SeriesTokenizer",
    "SetReadout",
    "ShortestPathPosition",
    "SigmoidPosition",
    "SinePosition",
    "SinusoidalPosition",
    "StageTokenizer",
    "SumReadout",
    "TextTokenizer",
    "TokenNet",
    "TokenReadout",
    "Tokenizer",
    "TypedTokenizer",
    "VirtualToken",
    "Vocabulary",
    "WordVocabulary",
    "beam_decode",
    "greedy_decode",
    "sample_decode",
    "set_loss",
    "set_matching",
    "shift_error",
]
