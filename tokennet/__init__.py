"""tokennet: tokens are graph nodes, mixers are swappable, and what they promise is checked."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokennet.api import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveScore",
    "AlibiBias",
    "Attention",
    "AttentionReadout",
    "BPEVocabulary",
    "BasicAttention",
    "BatchIndependence",
    "BatchNorm",
    "Bias",
    "BilinearScore",
    "Block",
    "BlurredPatchTokenizer",
    "ByteVocabulary",
    "Causal",
    "Causality",
    "CharacterVocabulary",
    "ClassReadout",
    "ClassToken",
    "ConcatenatedPosition",
    "Convolution",
    "CoordinatePosition",
    "CosineScore",
    "CyclicShift",
    "Decoded",
    "DegreePosition",
    "Domain",
    "DotScore",
    "EdgeBias",
    "EdgeList",
    "Edges",
    "EigenvectorPosition",
    "EluFeatures",
    "EmbeddingTokenizer",
    "FeatureMap",
    "FeatureTokenizer",
    "FourierMixing",
    "Full",
    "GINConvolution",
    "GINEConvolution",
    "GatedGraphConvolution",
    "GatedMLP",
    "GatedReadout",
    "GraphAttention",
    "GraphAttentionV2",
    "GraphConvolution",
    "GridShift",
    "GridSinusoidalPosition",
    "HardMax",
    "Heads",
    "IntegerPosition",
    "LaplacianPosition",
    "LatentState",
    "Latents",
    "Law",
    "LawBrokenError",
    "LayoutAgreement",
    "LearnedPosition",
    "LinearAttention",
    "Locality",
    "LocationScore",
    "LowRankAttention",
    "MaxPooling",
    "MaxReadout",
    "MeanReadout",
    "Memory",
    "MemoryPermutation",
    "MessagePassing",
    "Mixer",
    "MixtureOfExperts",
    "MoleculeTokenizer",
    "Neighborhood",
    "NeuronTokenizer",
    "NoResidual",
    "Normaliser",
    "OneHotTokenizer",
    "OrderPosition",
    "PNAConvolution",
    "Packed",
    "Padded",
    "PaddingBlindness",
    "Parallel",
    "PatchTokenizer",
    "Permutation",
    "Pointwise",
    "Pooling",
    "Position",
    "PositionReport",
    "PositiveRandomFeatures",
    "PostNorm",
    "PreNorm",
    "QueryKeyMap",
    "QueryKeyNorm",
    "RandomWalkPosition",
    "RegionTokenizer",
    "RelativeBias",
    "ReluFeatures",
    "Report",
    "ResPostNorm",
    "Rotary",
    "SAGEConvolution",
    "SandwichNorm",
    "Score",
    "Sequential",
    "SeriesTokenizer",
    "SetReadout",
    "ShortestPathBias",
    "ShortestPathPosition",
    "Sigmoid",
    "SigmoidPosition",
    "SinePosition",
    "SinusoidalPosition",
    "Softmax",
    "Structure",
    "SumReadout",
    "TextTokenizer",
    "TokenGating",
    "TokenMLP",
    "TokenNet",
    "TokenReadout",
    "TokenWise",
    "Tokenizer",
    "Tokens",
    "TopK",
    "Topology",
    "Verdict",
    "VirtualToken",
    "Vocabulary",
    "Window",
    "WordVocabulary",
    "ZeroedSoftmax",
    "__version__",
    "backend",
    "beam_decode",
    "draw_influence",
    "expander_edges",
    "greedy_decode",
    "influence",
    "is_transformer",
    "sample_decode",
    "set_loss",
    "set_matching",
    "shift_error",
    "verify",
    "verify_position",
]


def __getattr__(name: str) -> Any:
    """Loads the public names, and torch, on first use: `tokennet --help` needs neither."""
    if name not in __all__:
        raise AttributeError(f"module 'tokennet' has no attribute {name!r}")
    api = importlib.import_module("tokennet.api")
    for public in api.__all__:
        globals()[public] = getattr(api, public)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps `tokennet.verify` the function when Python imports the folder of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
