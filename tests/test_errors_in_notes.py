"""Statements that are often read about token nets and are wrong: each refuted by a measurement.

Axes: B samples, N tokens, D channels.
"""

import math

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn

B, N, D = 2, 5, 8


@pytest.fixture
def x() -> Tensor:
    return torch.randn(B, N, D, dtype=torch.float64)


def dense(**facts: object) -> tn.Structure:
    return tn.Structure.dense(B, N, **facts)


def test_blocks_are_equivariant_and_only_pooled_outputs_invariant(x: Tensor) -> None:
    """ "Transformer blocks are permutation invariant": they go along, they don't stay."""
    block = tn.Block(D, tn.Attention(D, 2)).double()
    order = torch.randperm(N)
    y, turned = block(x, dense()), block(x[:, order], dense())
    torch.testing.assert_close(turned, y[:, order])
    assert (turned - y).abs().max() > 0.1, "not invariant"
    readout = tn.MeanReadout(D, 3).double()
    torch.testing.assert_close(readout(turned, dense()), readout(y, dense()))


def test_a_token_mlp_is_no_convolution_over_tokens() -> None:
    """ "MLP-Mixer is a one-by-one convolution over tokens", "all the same thing": three groups.

    The 1x1 map and attention commute with every permutation, a ring convolution with the turns,
    the token MLP with nothing, and it takes no other number of tokens.
    """
    commutes = {}
    for name, mixer in (
        ("1x1", tn.Pointwise(D)),
        ("attention", tn.Attention(D, 2)),
        ("ring", tn.Convolution(D, tn.Window(1, wrap=True))),
        ("token MLP", tn.TokenMLP(N)),
    ):
        report = tn.verify(mixer, dim=D, examples=12)
        commutes[name] = [report[law].status == "held" for law in ("Permutation", "CyclicShift")]
    assert commutes == {
        "1x1": [True, True],
        "attention": [True, True],
        "ring": [False, True],
        "token MLP": [False, False],
    }
    with pytest.raises(ValueError, match=r"tokens in a sample is 6, expected at most max_tokens"):
        tn.TokenMLP(N)(torch.randn(1, N + 1, D), tn.Structure.dense(1, N + 1))


def test_values_are_those_of_the_source(x: Tensor) -> None:
    """ "y_i = sum_j w_ij v_i" moves nothing: the weights sum to one, so it is v_i again."""
    weights = (x @ x.mT).softmax(-1)
    printed = torch.einsum("bij,bid->bid", weights, x)
    torch.testing.assert_close(printed, x)
    right = torch.einsum("bij,bjd->bid", weights, x)
    torch.testing.assert_close(tn.BasicAttention()(x, dense()), right)
    assert (right - x).abs().max() > 0.01


def test_the_softmax_has_exponentials_above_and_below(x: Tensor) -> None:
    """A raw score over a sum of exponentials is no weight: rows don't sum to one."""
    scores = x @ x.mT
    printed = scores / scores.exp().sum(-1, keepdim=True)
    right = scores.exp() / scores.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(tn.BasicAttention().weights(x, dense())[:, 0], right)
    assert (printed.sum(-1) - 1).abs().min() > 0.01
    assert (printed < 0).any()


class NormOverTokens(tn.Mixer):
    """A layer norm "across channels and spatial dimensions"."""

    claims = frozenset({tn.Permutation()})

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        padded = structure.layout.pad(x)
        y = nn.functional.layer_norm(padded, padded.shape[1:])
        return structure.layout.unpad(y)


def test_layer_norm_is_over_the_channels_of_one_token() -> None:
    """Over tokens too it reads padding and lets the future through; over channels neither."""
    report = tn.verify(NormOverTokens(), dim=D)
    assert "PaddingBlindness" in report.broken
    assert report["Causality"].status == "broken"
    good = tn.verify(tn.TokenWise(nn.LayerNorm(D)), dim=D)
    assert good.ok
    assert good["Causality"].status == "held"


def test_cross_attention_reads_the_output_of_the_encoder(x: Tensor) -> None:
    """ "The attention matrix of the encoder is passed": its tokens are, of any number."""
    cross = tn.Attention(D, 2, tn.Memory()).double()
    memory = torch.randn(B, 9, D, dtype=torch.float64)
    weights = cross.weights(x, dense(memory=memory))
    assert weights.shape == (B, 2, N, 9), "made here, from the decoder's queries"
    q = cross.query(x).view(B, N, 2, 4).transpose(1, 2)
    k = cross.key(memory).view(B, 9, 2, 4).transpose(1, 2)
    torch.testing.assert_close(weights, (q @ k.mT / 2).softmax(-1))


def test_a_bias_is_added_after_the_scaling(x: Tensor) -> None:
    """Divided by sqrt(d) together with the scores, minus infinity stays, a finite bias shrinks."""
    bias = tn.AlibiBias(2)
    attention = tn.Attention(D, 2, score=tn.DotScore() + bias).double()
    place = tn.mixers.Place(dense(), tn.Full().pairs(dense()))
    q = attention.query(x).view(B, N, 2, 4).transpose(1, 2)
    k = attention.key(x).view(B, N, 2, 4).transpose(1, 2)
    right = (q @ k.mT / math.sqrt(4) + bias(place)).softmax(-1)
    printed = ((q @ k.mT + bias(place)) / math.sqrt(4)).softmax(-1)
    torch.testing.assert_close(attention.weights(x, dense()), right)
    assert (printed - right).abs().max() > 1e-3
    mask = torch.zeros(N, N).masked_fill(~torch.ones(N, N).tril().bool(), -math.inf)
    one, two = q @ k.mT / math.sqrt(4) + mask, (q @ k.mT + mask) / math.sqrt(4)
    torch.testing.assert_close(one.softmax(-1), two.softmax(-1))


def test_batch_norm_lets_samples_see_each_other() -> None:
    """ "Usually we use batch normalization": as it comes it breaks the contract of every mixer."""
    report = tn.verify(tn.TokenWise(_Batch(D)), dim=D)
    assert "BatchIndependence" in report.broken
    assert "PaddingBlindness" in report.broken


class _Batch(nn.Module):
    """`nn.BatchNorm1d` over all rows that it gets, padding included."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        if len(rows) < 2:
            return x
        return self.norm(rows).view(x.shape)
