"""Stages on shrinking grids, a norm of the sample, readouts that know the first tokens.

Axes: B samples, N tokens, D channels, H W cells.
"""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.mixers.combine import MinusInput
from tokennet.net.prefix_readouts import PrefixReadout, RestReadout
from tokennet.net.sample_norms import SampleNorm
from tokennet.net.stages import StageTokenizer

D = 6
each_layout = pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])


def ragged(lengths: list[int], packed: bool) -> tuple[Tensor, tn.Structure, list[Tensor]]:
    """Tokens, with NaN as padding in front where padded; and the samples one by one."""
    samples = [torch.randn(n, D, dtype=torch.float64) for n in lengths]
    if packed:
        return torch.cat(samples), tn.Structure.packed(lengths), samples
    longest = max(lengths)
    x = torch.full((len(lengths), longest, D), torch.nan, dtype=torch.float64)
    valid = torch.zeros(len(lengths), longest, dtype=torch.bool)
    for i, rows in enumerate(samples):
        x[i, longest - len(rows) :] = rows
        valid[i, longest - len(rows) :] = True
    return x, tn.Structure.padded(valid), samples


def same(one: Tensor, two: Tensor) -> None:
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def randomised(module: nn.Module) -> nn.Module:
    for p in module.parameters():
        nn.init.normal_(p)
    return module.double()


@each_layout
def test_sample_norm_is_group_norm_on_the_real_rows(packed: bool) -> None:
    norm, theirs = randomised(SampleNorm(D, eps=1e-4)), nn.GroupNorm(1, D, eps=1e-4).double()
    theirs.load_state_dict(norm.state_dict())
    x, structure, samples = ragged([3, 1, 5], packed)
    y = norm(x, structure)[structure.layout.valid]
    same(y, torch.cat([theirs(s.t()[None])[0].t() for s in samples]))
    x = torch.randn(2, 4, D, dtype=torch.float64)
    same(norm(x, tn.Structure.dense(2, 4)), theirs(x.transpose(1, 2)).transpose(1, 2))


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (2, 1, 0)], ids=str)
def test_sample_norm_has_the_gradients_of_packed_samples(axes: tuple[int, ...]) -> None:
    """However the gradient that arrives lies in memory."""
    norm = randomised(SampleNorm(D))
    x = torch.randn(3, 4, D, dtype=torch.float64, requires_grad=True)
    back = torch.randn([(3, 4, D)[a] for a in axes], dtype=torch.float64)
    back = back.permute([axes.index(a) for a in range(3)])
    found = []
    for structure in (tn.Structure.dense(3, 4), tn.Structure.padded(torch.ones(3, 4).bool())):
        y = norm(x, structure)
        found.append((y, *torch.autograd.grad(y, (x, norm.weight, norm.bias), back)))
    for one, two in zip(*found, strict=True):
        same(one, two)


@pytest.mark.parametrize(
    "mixer",
    [
        SampleNorm(D),
        MinusInput(tn.Attention(D, 2)),
        MinusInput(tn.Attention(D, 2, tn.Causal())),
        tn.Pooling(tn.Neighborhood(1)),
        tn.PreNorm(D, MinusInput(tn.Pooling(tn.Neighborhood(1))), norm=SampleNorm),
    ],
    ids=["norm", "minus", "minus causal", "pooling", "poolformer"],
)
def test_laws(mixer: tn.Mixer) -> None:
    tn.verify(mixer, dim=D, examples=10).raise_if_broken()


def test_claims() -> None:
    assert tn.Permutation() in SampleNorm(D).claims
    assert tn.Causality() not in SampleNorm(D).claims
    assert MinusInput(tn.Attention(D, 2)).claims == tn.Attention(D, 2).claims
    assert not PrefixReadout(D, 2, [nn.Identity()]).claims
    assert not RestReadout(D, 2, 1).claims


def test_minus_input_is_a_difference() -> None:
    inner = tn.Attention(D, 2)
    x, structure = torch.randn(2, 3, D), tn.Structure.dense(2, 3)
    torch.testing.assert_close(MinusInput(inner)(x, structure), inner(x, structure) - x)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_pooling_by_windows_is_pooling_by_pairs(radius: int) -> None:
    mixer = tn.Pooling(tn.Neighborhood(radius))
    x = torch.randn(2, 15, D, dtype=torch.float64, requires_grad=True)
    found = []
    for name in ("reference", "auto"):
        with tn.backend(name):
            y = mixer(x, tn.Structure.dense(2, 15, grid=(3, 5)))
        found.append((y, *torch.autograd.grad(y.cos().sum(), x)))
    for one, two in zip(*found, strict=True):
        same(one, two)


@each_layout
def test_readouts_of_the_first_tokens_and_of_the_rest(packed: bool) -> None:
    x, structure, samples = ragged([3, 2, 5], packed)
    heads = randomised(PrefixReadout(D, 4, [nn.Linear(D, 4), nn.Linear(D, 4)]))
    first, second = heads.maps
    expected = [(first(heads.norm(s[0])) + second(heads.norm(s[1]))) / 2 for s in samples]
    same(heads(x, structure), torch.stack(expected))
    rest = randomised(RestReadout(D, 4, 2, norm=partial(nn.LayerNorm, eps=1e-3)))
    expected = [rest.map(rest.norm(s[2:]).sum(0) / max(len(s) - 2, 1)) for s in samples]
    same(rest(x, structure), torch.stack(expected))


def test_stages_are_strided_convolutions() -> None:
    torch.manual_seed(0)
    first = tn.PatchTokenizer(3, 7, 4, stride=4, padding=2, bias=False)
    middle = tn.Pointwise(4)
    patches = tn.PatchTokenizer(4, 3, 8, stride=2, padding=1)
    net = tn.TokenNet(StageTokenizer(first, [middle], patches), [], tn.TokenWise(nn.Identity()))
    assert net.dim == 8
    images = torch.randn(2, 3, 32, 20)
    x, structure = net.tokens(images)
    assert structure.grid == (4, 3)
    y = first.map(images)
    assert first.map.bias is None
    y = torch.einsum("bchw,dc->bdhw", y, middle.map.weight) + middle.map.bias[:, None, None]
    torch.testing.assert_close(x, patches.map(y).flatten(2).transpose(1, 2))
    with pytest.raises(ValueError, match=r"^structure is given, expected None, as StageTokenizer"):
        net(images, structure)


def test_a_class_token_without_a_position() -> None:
    stage = StageTokenizer(tn.PatchTokenizer(3, 4, D), [tn.LearnedPosition(4, D)])
    tokenizer = tn.ClassToken(stage)
    x, structure = tokenizer(torch.randn(2, 3, 8, 8))
    assert structure.layout.shape == (2, 5)
    assert torch.equal(x[:, 0], tokenizer.token.expand(2, -1))


def test_padding_may_be_left_over_and_pixels_may_not() -> None:
    assert tn.PatchTokenizer(3, 7, 4, stride=4, padding=2).grid(224, 32) == (56, 8)
    with pytest.raises(ValueError, match=r"^image height is 33, expected patch \+ a multiple"):
        tn.PatchTokenizer(3, 4, 4).grid(33, 32)
    with pytest.raises(ValueError, match=r"^image width is 32, expected patch \+ a multiple"):
        tn.PatchTokenizer(3, 7, 4, stride=4, padding=1).grid(33, 32)
    with pytest.raises(ValueError, match=r"^padding is 4, expected less than patch"):
        tn.PatchTokenizer(3, 4, 4, padding=4)


def test_bad_stages_are_refused() -> None:
    first = tn.PatchTokenizer(3, 4, D)
    with pytest.raises(ValueError, match=r"^patches\.channels is 5, expected 6"):
        StageTokenizer(first, [], tn.PatchTokenizer(5, 2, 8))
    with pytest.raises(ValueError, match=r"^mixers\[0\]\.dim is 5, expected 6"):
        StageTokenizer(first, [tn.Pointwise(5)])
    with pytest.raises(ValueError, match=r"^mixers\[0\] is MeanReadout, expected a mixer with a"):
        StageTokenizer(first, [tn.MeanReadout(D, D)])
    with pytest.raises(TypeError, match=r"^patches is .*, expected a PatchTokenizer or None"):
        StageTokenizer(first, [], tn.Pointwise(D))
    with pytest.raises(ValueError, match=r"^maps is .*, expected a module for each token"):
        PrefixReadout(D, 2, [])
    flat = tn.FeatureTokenizer(D)
    net = StageTokenizer(flat, [], tn.PatchTokenizer(D, 2, 8))
    with pytest.raises(ValueError, match=r"^grid of the tokens is None, expected rows and"):
        net(torch.randn(2, 4, D))
