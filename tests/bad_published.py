"""Bad calls of: parts that published models brought."""

from typing import Any

import torch
from bad import Bad, D, T, V, common, dense, x
from bad_nets import readout
from torch import nn

import tokennet as tn

IDS = torch.tensor([[0, 1, 2]])


def words() -> tn.Tokenizer:
    return tn.EmbeddingTokenizer(5, D)


def encoder(end: tn.Mixer | None = None) -> tn.TokenNet:
    return tn.TokenNet(words(), [tn.Attention(D, 2)], end or tn.TokenReadout(D, D))


def image_stage(*mixers: Any, patches: Any = None) -> tn.Tokenizer:
    return tn.StageTokenizer(tn.PatchTokenizer(3, 2, D), mixers, patches)


def no_tokenizer(make: Any) -> Bad:
    return Bad(lambda: make(nn.Linear(2, 2)), T, r"tokenizer is Linear, expected a Tokenizer")


PUBLISHED: dict[str, list[Bad]] = {
    "EncodedMemory": [
        no_tokenizer(lambda t: tn.EncodedMemory(encoder(), t)),
        Bad(
            lambda: tn.EncodedMemory(nn.Linear(2, 2), words()),  # type: ignore[arg-type]
            T,
            r"encoder is Linear, expected a TokenNet",
        ),
        Bad(
            lambda: tn.EncodedMemory(encoder(tn.MeanReadout(D, D)), words()),
            V,
            r"encoder.readout is MeanReadout, expected a readout with a row for each token",
        ),
        Bad(
            lambda: tn.EncodedMemory(encoder(), words())(IDS),
            T,
            r"inputs is Tensor, expected \(source, target\) or \(source, target, source_structure",
        ),
    ],
    "QuickGELU": [
        Bad(lambda: tn.Pointwise(D, D, activation=tn.QuickGELU()), T, r"activation is QuickGELU"),
    ],
    "TypedTokenizer": [
        no_tokenizer(lambda t: tn.TypedTokenizer(t, 2)),
        Bad(lambda: tn.TypedTokenizer(words(), 0), V, r"num_types is 0, expected at least 1"),
        Bad(
            lambda: tn.TypedTokenizer(words(), 2)((IDS, IDS, IDS)),
            V,
            r"inputs is 3 in a tuple, expected \(inputs, types\), or inputs",
        ),
        Bad(
            lambda: tn.TypedTokenizer(words(), 2)((IDS, IDS)),
            V,
            r"types is 2, expected ids from 0 to 1",
        ),
        Bad(
            lambda: tn.TypedTokenizer(words(), 2)((IDS, IDS[:, :2])),
            V,
            r"types.shape is \[1, 2\], expected \[1, 3\], one for each token",
        ),
    ],
    "EndedTokenizer": [
        no_tokenizer(lambda t: tn.EndedTokenizer(t, 2)),
        Bad(lambda: tn.EndedTokenizer(words(), -1), V, r"end is -1, expected at least 0"),
        Bad(
            lambda: tn.EndedTokenizer(tn.ClassToken(words()), 2)(IDS),
            V,
            r"tokenizer is ClassToken, expected one that makes a token of each id",
        ),
    ],
    "StageTokenizer": [
        no_tokenizer(lambda t: tn.StageTokenizer(t, [])),
        Bad(lambda: image_stage(nn.GELU()), T, r"mixers\[0\] is GELU, expected a Mixer"),
        Bad(
            lambda: tn.StageTokenizer(words(), tn.Pooling()),  # type: ignore[arg-type]
            T,
            r"mixers is Pooling, expected a list of mixers",
        ),
        Bad(
            lambda: image_stage(tn.MeanReadout(D, 3)),
            V,
            r"mixers\[0\] is MeanReadout, expected a mixer with a row for each token",
        ),
        Bad(
            lambda: image_stage(patches=tn.PatchTokenizer(3, 2, D)),
            V,
            r"patches.channels is 3, expected 8, the channels that reach it",
        ),
        Bad(
            lambda: image_stage(patches=tn.PatchTokenizer(D, 2, D))(
                torch.ones(1, 3, 8, 8), tn.Structure.dense(1, 16)
            ),
            V,
            r"structure is given, expected None, as StageTokenizer makes its own",
        ),
        Bad(
            lambda: tn.StageTokenizer(words(), [], tn.PatchTokenizer(D, 1, D))(IDS),
            V,
            r"grid of the tokens is None, expected rows and columns, a token in every cell",
        ),
    ],
    "LastReadout": readout(tn.LastReadout),
    "RestReadout": [
        *common(lambda: tn.RestReadout(D, 3, 1)),
        Bad(lambda: tn.RestReadout(D, 3, -1), V, r"skip is -1, expected at least 0"),
        Bad(
            lambda: tn.RestReadout(D, 3, 1, map=nn.Linear),  # type: ignore[arg-type]
            T,
            r"map is the class Linear, expected a module or None; e.g. nn.Linear\(dim, 10\)",
        ),
    ],
    "PrefixReadout": [
        *common(lambda: tn.PrefixReadout(D, 3, [nn.Linear(D, 3)])),
        Bad(
            lambda: tn.PrefixReadout(D, 3, []), V, r"maps is list, expected a module for each token"
        ),
        Bad(
            lambda: tn.PrefixReadout(D, 3, [len]), T, r"maps\[0\] is builtin_.*, expected a module"
        ),  # type: ignore[list-item]
    ],
    "SampleNorm": [
        *common(lambda: tn.SampleNorm(D)),
        Bad(lambda: tn.SampleNorm(D, eps=0), V, r"eps is 0, expected a number above 0"),
    ],
    "GraphNorm": [
        *common(lambda: tn.GraphNorm(D)),
        Bad(lambda: tn.GraphNorm(0), V, r"dim is 0, expected at least 1"),
    ],
    "RoundedRMSNorm": [
        Bad(lambda: tn.RoundedRMSNorm(0), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.RoundedRMSNorm(D, eps=-1), V, r"eps is -1, expected a number from 0"),
    ],
    "JumpingKnowledge": [
        Bad(lambda: tn.JumpingKnowledge(), V, r"mixers is \(\), expected at least one mixer"),
        Bad(
            lambda: tn.JumpingKnowledge(tn.Pointwise(D), tn.Pointwise(D, out_dim=3), maximum=True),
            V,
            r"channels of the mixers is \[3, 8\], expected one number, for a maximum",
        ),
        Bad(
            lambda: tn.JumpingKnowledge(tn.Pointwise(D, out_dim=3), tn.Pointwise(D)),
            V,
            r"mixers\[1\].dim is 8, expected 3, the channels that reach it",
        ),
        Bad(
            lambda: tn.JumpingKnowledge(tn.Pointwise(D), maximum=1)(x(), dense()),  # type: ignore[arg-type]
            T,
            r"maximum is 1, expected True or False",
        ),
    ],
}
