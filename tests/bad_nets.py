"""Bad calls of blocks, position codes, tokenizers, readouts and nets, and what is said of them."""

from functools import partial
from typing import Any

import torch
from bad import Bad, D, T, V, common, dense, packed, x
from torch import Tensor, nn

import tokennet as tn


class Narrow(tn.Mixer):
    """A user's operator that changes the width without telling."""

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        return x[..., :1]


def net(
    tokenizer: tn.Tokenizer | None = None, mixers: Any = (), readout: Any = None
) -> tn.TokenNet:
    tokenizer = tn.EmbeddingTokenizer(5, D) if tokenizer is None else tokenizer
    return tn.TokenNet(tokenizer, mixers, tn.MeanReadout(D, 2) if readout is None else readout)


def residual(kind: type[tn.Mixer]) -> list[Bad]:
    name = kind.__name__
    inner = partial(kind, D)
    return [
        *common(lambda: inner(tn.Attention(D, 2)))[:2],
        Bad(lambda: inner(nn.Linear(D, D)), T, r"mixer is Linear, expected a Mixer; wrap"),
        Bad(
            lambda: inner(tn.Pointwise(4)),
            V,
            rf"dim of Pointwise is 4, expected 8, the dim of {name}",
        ),
        Bad(
            lambda: inner(tn.Pointwise(D, out_dim=1)),
            V,
            rf"out_dim of Pointwise is 1, expected 8, the dim of {name}; a residual adds",
        ),
        Bad(
            lambda: inner(Narrow(), norm=lambda _: nn.Identity())(x(), dense()),
            V,
            r"output of Narrow is \[1, 6, 1\], expected \[1, 6, 8\], which it is added to",
        ),
        Bad(lambda: inner(tn.MeanReadout(D, D)), V, r"mixer is MeanReadout, .*row for each token"),
        Bad(
            lambda: inner(tn.Pooling(), norm=nn.LayerNorm(D)), T, r"norm is LayerNorm, .*a class or"
        ),
        Bad(lambda: inner(tn.Pooling(), norm="layer"), T, r"norm is 'layer', .*e.g. nn.LayerNorm"),
        Bad(lambda: inner(tn.Pooling(), dropout=1.5), V, r"dropout is 1.5, expected a probability"),
    ]


def signed() -> tn.Structure:
    return packed(2, edges=tn.Edges(torch.tensor([[0], [1]]), torch.tensor([-1.0])))


def readout(kind: type[tn.Mixer]) -> list[Bad]:
    return [
        *common(lambda: kind(D, 3)),
        Bad(lambda: kind(D, 0), V, r"out_dim is 0, expected at least 1"),
        Bad(lambda: kind(D, 3, norm=nn.LayerNorm(D)), T, r"norm is LayerNorm, expected a class"),
    ]


def embed(inputs: Any, structure: Any = None) -> Any:
    return tn.EmbeddingTokenizer(5, D)(inputs, structure)


def features(inputs: Any, structure: Any = None) -> Any:
    return tn.FeatureTokenizer(3, D)(inputs, structure)


def patches(*shape: int, dtype: torch.dtype = torch.float32, stride: int | None = None) -> Any:
    return tn.PatchTokenizer(3, 4, D, stride=stride)(torch.ones(shape, dtype=dtype))


IDS = torch.tensor([[0, 1, 4]])

NETS: dict[str, list[Bad]] = {
    "PreNorm": residual(tn.PreNorm),
    "PostNorm": residual(tn.PostNorm),
    "ResPostNorm": residual(tn.ResPostNorm),
    "Block": [
        Bad(
            lambda: tn.Block(D),
            V,
            r"mixers is \(\), expected at least one mixer; e.g. tn.Attention",
        ),
        Bad(lambda: tn.Block(0, tn.Pooling()), V, r"dim is 0"),
        Bad(lambda: tn.Block(tn.Pooling()), T, r"dim is Pooling\(\), expected a whole number"),
        Bad(lambda: tn.Block(D, tn.Attention(16, 2)), V, r"dim of Attention is 16, expected 8"),
        Bad(lambda: tn.Block(D, nn.Linear(D, D)), T, r"mixers\[0\] is Linear, expected a Mixer"),
        Bad(lambda: tn.Block(D, tn.Pooling(), mlp=nn.Linear(D, D)), T, r"mlp is Linear, .*a Mixer"),
        Bad(lambda: tn.Block(D, tn.Pooling(), residual="pre"), T, r"residual is 'pre', .*PreNorm"),
        Bad(lambda: tn.Block(D, tn.Pooling(), dropout=1.5), V, r"dropout is 1.5"),
    ],
    "LearnedPosition": [
        *common(lambda: tn.LearnedPosition(6, D)),
        Bad(lambda: tn.LearnedPosition(0, D), V, r"num_tokens is 0"),
        Bad(
            lambda: tn.LearnedPosition(5, D)(x(), dense()),
            V,
            r"tokens in a sample is 6, expected at most max_tokens \(5\) of LearnedPosition",
        ),
    ],
    "SinusoidalPosition": [
        *common(lambda: tn.SinusoidalPosition(D), weights=False),
        Bad(lambda: tn.SinusoidalPosition(7), V, r"dim is 7, expected an even number; sines"),
        Bad(lambda: tn.SinusoidalPosition(D, base=1), V, r"base is 1, expected a number greater"),
    ],
    "RandomWalkPosition": [
        *common(lambda: tn.RandomWalkPosition(D)),
        Bad(lambda: tn.RandomWalkPosition(D, steps=0), V, r"steps is 0, expected at least 1"),
        Bad(
            lambda: tn.RandomWalkPosition(D)(x(2, D), signed()),
            V,
            r"edges.weight is -1 somewhere, expected none below 0, as they are read as chances",
        ),
    ],
    "LaplacianPosition": [
        *common(lambda: tn.LaplacianPosition(D)),
        Bad(lambda: tn.LaplacianPosition(D, num_frequencies=0), V, r"num_frequencies is 0"),
        Bad(lambda: tn.LaplacianPosition(D, hidden_dim=1.5), T, r"hidden_dim is 1.5"),
    ],
    "MeanReadout": readout(tn.MeanReadout),
    "ClassReadout": readout(tn.ClassReadout),
    "TokenReadout": readout(tn.TokenReadout),
    "Tokenizer": [Bad(tn.Tokenizer, T, r"abstract")],
    "EmbeddingTokenizer": [
        Bad(lambda: tn.EmbeddingTokenizer(0, D), V, r"num_embeddings is 0"),
        Bad(lambda: embed(torch.tensor([[5]])), V, r"inputs is 5, expected ids from 0 to 4"),
        Bad(lambda: embed(torch.tensor([[-1]])), V, r"inputs is -1, expected ids from 0 to 4"),
        Bad(lambda: embed(IDS.float()), T, r"inputs is torch.float32, expected whole numbers"),
        Bad(lambda: embed([[1]]), T, r"inputs is list, expected whole numbers"),
        Bad(
            lambda: embed(IDS[None]), V, r"inputs.shape is \(1, 1, 3\), expected \[B, N\] or \[T\]"
        ),
        Bad(lambda: embed(IDS[0]), V, r"structure is None, expected a structure for packed tokens"),
        Bad(
            lambda: embed(IDS, IDS > 0),
            T,
            r"structure is Tensor, .*Structure.padded\(mask.bool\(\)",
        ),
        Bad(
            lambda: embed(IDS, packed(3)),
            V,
            r"structure is for tokens \[3\], expected one for \[1, 3",
        ),
        Bad(lambda: embed(IDS.to("meta")), V, r"inputs.device is meta, expected cpu as the param"),
    ],
    "FeatureTokenizer": [
        Bad(lambda: tn.FeatureTokenizer(0), V, r"in_dim is 0"),
        Bad(
            lambda: features(torch.ones(1, 2, 4)), V, r"inputs.shape is \(1, 2, 4\), .*\[B, N, 3\]"
        ),
        Bad(lambda: features(torch.ones(3)), V, r"inputs.shape is \(3,\)"),
        Bad(lambda: features(torch.ones(1, 2, 3).long()), T, r"inputs is torch.int64, .*floating"),
        Bad(lambda: features(torch.ones(1, 2, 3).cfloat()), T, r"inputs is torch.complex64"),
        Bad(
            lambda: features(torch.ones(1, 2, 3).double()),
            T,
            r"inputs.dtype is torch.float64, .*32",
        ),
        Bad(
            lambda: features(torch.ones(2, 3)), V, r"structure is None, expected a structure for pa"
        ),
        Bad(
            lambda: features(torch.ones(2, 3), packed(3)), V, r"for tokens \[3\], expected one for"
        ),
    ],
    "PatchTokenizer": [
        Bad(
            lambda: tn.PatchTokenizer(3, 4, D, stride=5), V, r"stride is 5, expected at most patch"
        ),
        Bad(lambda: tn.PatchTokenizer(3, 0, D), V, r"patch is 0"),
        Bad(
            lambda: patches(1, 3, 9, 8),
            V,
            r"image height is 9, expected patch \+ a multiple of str",
        ),
        Bad(lambda: patches(1, 3, 8, 7), V, r"image width is 7, .*pad or resize the images"),
        Bad(lambda: patches(1, 3, 2, 8), V, r"image height is 2"),
        Bad(lambda: patches(1, 3, 8, 9, stride=2), V, r"width is 9, .*\(4 \+ k \* 2\)"),
        Bad(
            lambda: patches(1, 8, 8, 3),
            V,
            r"inputs.shape is \(1, 8, 8, 3\), expected \[B, 3, H, W\]",
        ),
        Bad(lambda: patches(3, 8, 8), V, r"inputs.shape is \(3, 8, 8\), expected \[B, 3, H, W\]"),
        Bad(
            lambda: patches(1, 3, 8, 8, dtype=torch.uint8),
            T,
            r"inputs is torch.uint8, .*x.float\(\)",
        ),
        Bad(lambda: patches(1, 3, 8, 8, dtype=torch.float64), T, r"inputs.dtype is torch.float64"),
    ],
    "ClassToken": [
        Bad(
            lambda: tn.ClassToken(nn.Linear(3, D)), T, r"tokenizer is Linear, expected a Tokenizer"
        ),
        Bad(lambda: tn.ClassToken(tn.PatchTokenizer), T, r"tokenizer is the class PatchTokenizer"),
    ],
    "TokenNet": [
        Bad(lambda: net(nn.Linear(3, D)), T, r"tokenizer is Linear, expected a Tokenizer"),
        Bad(lambda: net(mixers=tn.Pooling()), T, r"mixers is Pooling, expected a list of mixers"),
        Bad(lambda: net(mixers=[nn.Linear(D, D)]), T, r"mixers\[0\] is Linear, expected a Mixer"),
        Bad(lambda: net(readout=nn.Linear(D, D)), T, r"readout is Linear, expected a Mixer"),
        Bad(
            lambda: net(readout=tn.MeanReadout(9, 2)), V, r"readout.dim is 9, expected 8, the chann"
        ),
        Bad(
            lambda: net(mixers=[tn.Pooling(), tn.Attention(16, 2)]),
            V,
            r"mixers\[1\].dim is 16, expected 8, the channels that reach it",
        ),
        Bad(
            lambda: net(mixers=[tn.MeanReadout(D, D)]),
            V,
            r"mixers\[0\] is MeanReadout, .*come last",
        ),
        Bad(lambda: net()(IDS, torch.ones(1, 3)), T, r"structure is Tensor, .*mask.bool\(\)"),
        Bad(lambda: net()(IDS + 1), V, r"inputs is 5, expected ids from 0 to 4"),
        Bad(
            lambda: net(mixers=[tn.GraphConvolution(D)])(IDS),
            V,
            r"structure.edges is None, expected edges, which TokenNet reads; build the structure",
        ),
        Bad(lambda: net(mixers=[tn.TokenMLP(2)])(IDS), V, r"tokens in a sample is 3, .*max_tokens"),
    ],
    "backend": [Bad(lambda: tn.backend("fast").__enter__(), V, r"backend is 'fast', expected one")],
    "Domain": [
        Bad(lambda: tn.Domain(0), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.Domain(D, num_tokens=(5, 2)), V, r"domain.num_tokens is \(5, 2\)"),
    ],
    "verify": [
        Bad(lambda: tn.verify(nn.Linear(D, D)), T, r"module is Linear, .*derive it from tn.Mixer"),
        Bad(lambda: tn.verify(tn.Pooling()), V, r"dim is None, expected the number of channels"),
        Bad(lambda: tn.verify(tn.Pointwise(D), dim=3), V, r"dim is 3, expected 8, the dim of Poin"),
        Bad(lambda: tn.verify(tn.Pointwise(D), examples=0), V, r"examples is 0"),
    ],
}
