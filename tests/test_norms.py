"""Norms, residuals and channel MLPs: against torch, against their formulas, and what they do.

Axes: B samples, N tokens, T rows, D channels, E experts.
"""

import math
from functools import partial

import pytest
import torch
from exactness import DTYPES, TOLERANCE, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn

D = 6
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_layout = pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
draws = settings(max_examples=8)
seeds = st.integers(0, 2**31)


def ragged(lengths: list[int], dim: int = D, dtype: torch.dtype = torch.float64) -> tn.Tokens:
    return tn.Tokens(torch.randn(sum(lengths), dim, dtype=dtype), tn.Structure.packed(lengths))


def holes(tokens: tn.Tokens) -> tn.Tokens:
    """The same padded in front, with NaN as padding."""
    padded = tokens.padded()
    valid = padded.structure.layout.valid.flip(1)
    x = torch.full_like(padded.x, math.nan)
    x[valid] = tokens.x
    return tn.Tokens(x, tn.Structure.padded(valid))


# -- batch norm -----------------------------------------------------------------------------------


@each_dtype
@each_layout
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@draws
@given(seeds, st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(1, 7))
def test_batch_norm_is_torch_on_real_rows(dtype, packed, train, seed, lengths, dim):
    """Outputs, gradients and running statistics, NaN in the padding."""
    torch.manual_seed(seed)
    tokens = ragged([*lengths, 2], dim, dtype)
    x, structure = tokens if packed else holes(tokens)
    valid = structure.layout.valid
    ours, theirs = tn.BatchNorm(dim, momentum=0.3), nn.BatchNorm1d(dim, momentum=0.3)
    for module in (ours, theirs):
        module.to(dtype).train(train)
    if not train:
        for own, other in zip(ours.buffers(), theirs.buffers(), strict=False):
            other.copy_(own.add_(torch.rand(dim, dtype=dtype)))
    assert_exact(
        ours, theirs, {"weight": "weight", "bias": "bias"},
        lambda x: ours(x, structure)[valid], lambda x: theirs(x[valid]), [x],
    )  # fmt: skip
    if len(tokens.x) > 2 and train:
        assert (ours.running_mean.abs() > 1e-6).all()
    for own, other in zip(ours.buffers(), theirs.buffers(), strict=False):
        assert (own - other).abs().max() <= TOLERANCE[dtype]


@each_layout
@pytest.mark.parametrize("lengths", [[1], [0], [], [0, 1]], ids=str)
def test_batch_norm_of_one_token_or_none(lengths, packed):
    """torch refuses one token; here it gives the bias, and no variance is learned from it."""
    norm = tn.BatchNorm(D).double()
    nn.init.normal_(norm.bias)
    tokens = ragged(lengths)
    x, structure = tokens if packed else tokens.padded()
    real = norm(x, structure)[structure.layout.valid]
    assert torch.equal(real, norm.bias.expand(sum(lengths), D))
    assert torch.equal(norm.running_var, torch.ones(D).double())
    assert torch.equal(norm.running_mean, torch.zeros(D).double())
    if lengths == [1]:
        with pytest.raises(ValueError, match="more than 1 value"):
            nn.BatchNorm1d(D).double()(x.reshape(1, D))


class Says(tn.Mixer):
    """The mean over the batch or over the token itself, and what it says of it."""

    claims = frozenset({tn.Permutation()})
    dim = 4

    def __init__(self, does: bool, says: bool, when: str = "train"):
        super().__init__()
        self.does, self.couples_samples, self.when = does, says, when

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        if not self.does or (self.when == "train" and not self.training):
            return x + x.mean(-1, keepdim=True)
        return x + structure.layout.flat(structure.layout.clear(x)).sum(0)


def test_coupling_is_part_of_the_type():
    """Used where it is said and done, idle where only said; only done breaks the contract."""
    right = tn.verify(Says(True, True), examples=30).raise_if_broken()
    assert right["other samples"].status == "used"
    assert right["other samples"].error > 0.1
    assert right["BatchIndependence"].status == "held"
    assert right["BatchIndependence"].bites >= 25

    idle = tn.verify(Says(False, True), examples=30)
    assert idle.broken == ("other samples",)
    assert idle["other samples"].status == "idle"
    assert "no sample saw another" in str(idle)

    silent = tn.verify(Says(True, False), examples=30)
    assert "BatchIndependence" in silent.broken
    assert silent["BatchIndependence"].error > 0.1
    assert "other samples" not in silent

    also_in_eval = tn.verify(Says(True, True, when="always"), examples=30)
    assert "BatchIndependence" in also_in_eval.broken


def test_coupling_composes():
    plain, coupled = tn.Pooling(), tn.PreNorm(D, tn.Pooling(), norm=tn.BatchNorm)
    assert not plain.couples_samples
    assert not tn.Block(D, plain).couples_samples
    assert coupled.couples_samples
    assert tn.Sequential(plain, coupled).couples_samples
    assert tn.Block(D, plain, residual=partial(tn.PostNorm, norm=tn.BatchNorm)).couples_samples
    for layers, couples in (([coupled], True), ([tn.Block(D, plain)], False)):
        net = tn.TokenNet(tn.FeatureTokenizer(3, D), layers, tn.MeanReadout(D, 2))
        assert net.couples_samples is couples


def _torch_norm() -> nn.Module:
    return nn.BatchNorm1d(4)


def _pyg_norm() -> nn.Module:
    return pytest.importorskip("torch_geometric.nn").BatchNorm(4)


class Rows(nn.Module):
    """A norm of rows `[T, D]` on tokens of any layout; a single row, which it refuses, stays."""

    def __init__(self, norm: nn.Module):
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        return self.norm(rows).view(x.shape) if len(rows) > 1 else x


@pytest.mark.parametrize("make", [_torch_norm, _pyg_norm])
def test_batch_norm_typed_and_wrapped(make):
    """Ours says that it couples samples; torch's and PyG's as `TokenWise` break the contract."""
    report = tn.verify(tn.TokenWise(Rows(make())), dim=4, examples=30)
    assert {"BatchIndependence", "PaddingBlindness"} <= set(report.broken)
    for law in ("BatchIndependence", "PaddingBlindness"):
        assert report[law].status == "broken"
        assert report[law].error > 0.1
    typed = tn.verify(tn.BatchNorm(4), examples=30).raise_if_broken()
    assert typed["other samples"].error > 0.1
    assert typed["PaddingBlindness"].status == "held"


def test_layer_norm_sees_one_token_only():
    """Its formula, over the channels of each token: free of batch and padding, also in training."""
    norm = nn.LayerNorm(D).double()
    for p in norm.parameters():
        nn.init.normal_(p)
    x = torch.randn(3, 5, D, dtype=torch.float64)
    m, v = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    formula = norm.weight * (x - m) / (v + norm.eps).sqrt() + norm.bias
    assert (norm(x) - formula).abs().max() < 1e-12
    report = tn.verify(tn.TokenWise(nn.LayerNorm(4)), dim=4, examples=30).raise_if_broken()
    for law in ("BatchIndependence", "PaddingBlindness"):
        assert (report[law].role, report[law].status) == ("contract", "held")
        assert report[law].error < 1e-4
    assert not report.mixes
    assert "other samples" not in report
