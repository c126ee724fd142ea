"""tokennet: tokens are graph nodes, mixers are swappable, and what they promise is checked."""

from tokennet.laws import (
    BatchIndependence,
    Causality,
    CyclicShift,
    GridShift,
    Law,
    LayoutAgreement,
    Locality,
    MemoryPermutation,
    PaddingBlindness,
    Permutation,
)
from tokennet.mixers import (
    Attention,
    Convolution,
    GraphAttention,
    GraphAttentionV2,
    GraphConvolution,
    LinearAttention,
    MaxPooling,
    MessagePassing,
    Mixer,
    Parallel,
    Pointwise,
    Pooling,
    Sequential,
    TokenMLP,
    TokenWise,
)
from tokennet.net import (
    Block,
    ClassReadout,
    ClassToken,
    EmbeddingTokenizer,
    FeatureTokenizer,
    LaplacianPosition,
    LearnedPosition,
    MeanReadout,
    PatchTokenizer,
    PostNorm,
    PreNorm,
    RandomWalkPosition,
    ResPostNorm,
    SinusoidalPosition,
    Tokenizer,
    TokenNet,
    TokenReadout,
)
from tokennet.ops import backend
from tokennet.structure import Edges, Packed, Padded, Structure, Tokens
from tokennet.topology import (
    Causal,
    EdgeList,
    Full,
    Memory,
    Neighborhood,
    Topology,
    Window,
)
from tokennet.verify import Domain, LawBrokenError, Report, Verdict, verify

__version__ = "0.1.0"
