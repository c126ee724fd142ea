"""One-hot ids, neurons, pixels, blurred patches, windows of a series: exact laws and costs."""

import pytest
import torch
import torch.nn.functional as F
from exactness import DTYPES, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor, nn

import tokennet as tn

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=8, deadline=None)
seeds, sizes = st.integers(0, 10_000), st.integers(1, 7)
MAP = {"map.weight": "weight", "map.bias": "bias"}


@each_dtype
@draws
@given(seeds, sizes, sizes, sizes, sizes)
def test_one_hot_then_linear_is_an_embedding(dtype, seed, batch, tokens, size, dim):
    torch.manual_seed(seed)
    ids = torch.randint(size, (batch, tokens))
    one_hot = tn.OneHotTokenizer(size).to(dtype)
    embedding, theirs = tn.EmbeddingTokenizer(size, dim), nn.Module()
    theirs.matrix = nn.Parameter(torch.empty(size, dim))
    scale = torch.randn(batch, tokens, 1, dtype=dtype)  # ids have no gradient; this has one
    x, structure = one_hot(ids)
    assert x.dtype == dtype
    assert torch.equal(x, F.one_hot(ids, size).to(dtype))
    assert structure.layout.shape == (batch, tokens)
    run = lambda s: F.linear(one_hot(ids)[0], theirs.matrix.T) * s  # noqa: E731
    names = {"embedding.weight": "matrix"}
    assert_exact(embedding, theirs, names, lambda s: embedding(ids)[0] * s, run, [scale])
    # the same through the library's own linear map of features
    feature = tn.FeatureTokenizer(size, dim, bias=False).to(dtype)
    feature.map.load_state_dict({"weight": embedding.embedding.weight.detach().T})
    torch.testing.assert_close(feature(x)[0], embedding(ids)[0])


def test_one_hot_reads_packed_ids_and_none():
    packed = tn.Structure.packed([2, 0, 1])
    x, structure = tn.OneHotTokenizer(3)(torch.tensor([2, 0, 1], dtype=torch.int32), packed)
    assert x.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert structure is packed
    assert tn.OneHotTokenizer(3)(torch.zeros(0, 4, dtype=torch.int64))[0].shape == (0, 4, 3)
    assert tn.OneHotTokenizer(3)(torch.zeros(2, 0, dtype=torch.int64))[0].shape == (2, 0, 3)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bfloat16], ids=str)
def test_neurons_are_tokens_of_one_channel(dtype):
    vectors = torch.randn(3, 5, dtype=dtype, requires_grad=True)
    x, structure = tn.NeuronTokenizer(5)(vectors)
    assert torch.equal(x.squeeze(-1), vectors)
    assert structure.grid == (5,)
    assert x.dtype == dtype
    y = tn.BasicAttention()(x, structure)
    (gradient,) = torch.autograd.grad(y[0, 0].sum(), vectors)
    assert (gradient[0] != 0).all(), "every neuron hears every neuron"
    assert (gradient[1:] == 0).all()
    assert tn.NeuronTokenizer(5)(vectors[:0])[0].shape == (0, 5, 1)


@each_dtype
@draws
@given(seeds, st.integers(1, 3), sizes, sizes, st.integers(1, 4), sizes, st.data())
def test_series_is_a_strided_conv1d(dtype, seed, batch, channels, dim, window, tokens, data):
    torch.manual_seed(seed)
    stride = data.draw(st.integers(1, window), "stride")
    ours = tn.SeriesTokenizer(channels, dim, window=window, stride=stride)
    series = torch.randn(batch, window + (tokens - 1) * stride, channels, dtype=dtype)
    theirs = nn.Conv1d(channels, dim, window, stride)

    def run(s: Tensor) -> Tensor:
        x, structure = ours(s)
        assert structure.grid == (tokens,)
        assert x.shape == (batch, tokens, dim)
        return x

    run_theirs = lambda s: theirs(s.transpose(1, 2)).transpose(1, 2)  # noqa: E731
    assert_exact(ours, theirs, MAP, run, run_theirs, [series])


def test_a_token_of_a_series_reads_its_own_window_only():
    tokenizer = tn.SeriesTokenizer(2, 4, window=4, stride=2)
    series = torch.randn(1, 10, 2, requires_grad=True)
    x, _ = tokenizer(series)
    for n in range(4):
        (gradient,) = torch.autograd.grad(x[0, n].sum(), series, retain_graph=True)
        read = gradient[0].abs().sum(-1).nonzero().flatten().tolist()
        assert read == list(range(2 * n, 2 * n + 4))


def test_a_sound_wave_step_by_step():
    """`window=1`, the default: each step is mapped by itself."""
    wave = torch.sin(torch.arange(50) * 0.3).view(1, 50, 1)
    tokenizer = tn.SeriesTokenizer(1, 4)
    x, structure = tokenizer(wave)
    assert structure.grid == (50,)
    weight, bias = tokenizer.map.weight, tokenizer.map.bias
    torch.testing.assert_close(x, F.linear(wave, weight[:, :, 0], bias))
    assert tokenizer(wave[:0])[0].shape == (0, 50, 4)


def test_a_patch_of_one_pixel_is_a_linear_map_of_pixels():
    images = torch.randn(2, 3, 4, 5)
    tokenizer = tn.PatchTokenizer(3, 1, 6)
    x, structure = tokenizer(images)
    assert structure.grid == (4, 5)
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    by_hand = F.linear(pixels, tokenizer.map.weight[:, :, 0, 0], tokenizer.map.bias)
    torch.testing.assert_close(x, by_hand)


@pytest.mark.parametrize("patch", [8, 4])
def test_halving_the_patch_costs_sixteen_times_the_attention(patch: int):
    """Four times the tokens, so n^2 is 16 times as many pairs; the maps cost four times as much."""
    images = torch.randn(1, 1, 32, 32)

    def flops(patch: int, mixer: tn.Mixer) -> int:
        net = tn.TokenNet(tn.PatchTokenizer(1, patch, 8), [mixer], tn.MeanReadout(8, 3))
        return net.summary(images).rows[1].flops

    coarse, fine = (flops(p, tn.BasicAttention()) for p in (patch, patch // 2))
    assert fine == 16 * coarse
    coarse, fine = (flops(p, tn.Pointwise(8, 8)) for p in (patch, patch // 2))
    assert fine == 4 * coarse > 0


# -- blur ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Digits with edges: 8 x 8 pixels, each three wide, on an empty border."""
    digits = torch.tensor(load_digits().images[:50], dtype=torch.float32)[:, None] / 16
    return F.pad(digits.repeat_interleave(3, 2).repeat_interleave(3, 3), (8,) * 4)


def test_overlap_and_blur_make_tokens_steadier_under_shifts(pictures):
    """One pixel changes the mean token less and less: 0.8, 0.5, 0.07, 0 of its spread."""
    plain = tn.PatchTokenizer(1, 4, 32)
    overlapping = tn.PatchTokenizer(1, 4, 32, stride=2)
    every_pixel = tn.PatchTokenizer(1, 4, 32, stride=1)
    blurred = tn.BlurredPatchTokenizer(1, 4, 32, blur=9)
    for other in (overlapping, every_pixel, blurred.patches):
        other.load_state_dict(plain.state_dict())
    errors = [tn.shift_error(t, pictures) for t in (plain, overlapping, blurred, every_pixel)]
    assert 0.6 < errors[0] < 1.1
    assert 0.3 < errors[1] < 0.6
    assert 0.03 < errors[2] < 0.15
    assert errors[3] < 1e-4


@each_dtype
def test_the_blur_is_a_binomial_low_pass(dtype):
    tokenizer = tn.BlurredPatchTokenizer(1, 1, 2, blur=5).to(dtype)
    point = torch.zeros(1, 1, 9, 9, dtype=dtype)
    point[0, 0, 4, 4] = 1
    k = torch.tensor([1, 4, 6, 4, 1], dtype=dtype) / 16
    blurred = tokenizer.blur(point)
    torch.testing.assert_close(blurred[0, 0, 2:7, 2:7], torch.outer(k, k))
    assert blurred.sum() == 1
    flat = torch.full((2, 1, 3, 4), 0.7, dtype=dtype)
    torch.testing.assert_close(tokenizer.blur(flat), flat)  # also at the border
    stripes = torch.tensor([1.0, -1.0], dtype=dtype).repeat(8).expand(1, 1, 16, 16)
    assert tokenizer.blur(stripes)[..., 2:-2].abs().max() == 0, "the highest frequency is gone"


@each_dtype
@draws
@given(seeds, st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 3, 5]), st.data())
def test_blurring_before_the_stride_is_blurring_the_dense_convolution(
    dtype, seed, channels, patch, blur, data
):
    """Zhang's order, dense convolution, blur, stride, away from the border."""
    torch.manual_seed(seed)
    stride = data.draw(st.integers(1, patch), "stride")
    rim, size = blur // 2, patch + 3 * stride
    images = torch.randn(2, channels, size + 2 * rim, size + 2 * rim, dtype=dtype)
    tokenizer = tn.BlurredPatchTokenizer(channels, patch, 4, blur=blur, stride=stride).to(dtype)
    k, conv = tokenizer.kernel, tokenizer.patches.map
    dense = F.conv2d(images, conv.weight, conv.bias)  # [B, D, H, W], stride 1
    low = F.conv2d(dense.flatten(0, 1)[:, None], torch.outer(k, k)[None, None])
    theirs = low.view(2, 4, *low.shape[-2:])[:, :, ::stride, ::stride]
    inner = tokenizer.blur(images)[:, :, rim : rim + size, rim : rim + size]
    x, structure = tokenizer.patches(inner)
    assert structure.grid == tuple(theirs.shape[-2:]) == (4, 4)
    torch.testing.assert_close(x.transpose(1, 2).unflatten(2, (4, 4)), theirs)


def test_no_image_is_no_token():
    for tokenizer in (tn.PatchTokenizer(3, 4, 8), tn.BlurredPatchTokenizer(3, 4, 8, blur=3)):
        x, structure = tokenizer(torch.zeros(0, 3, 8, 8))
        assert x.shape == (0, 4, 8)
        assert structure.grid == (2, 2)
    image = torch.randn(1, 3, 4, 4)
    assert tokenizer(image)[0].shape == (1, 1, 8)
    assert torch.equal(tokenizer(image)[0], tokenizer(image)[0])


@pytest.mark.usefixtures("no_typecheck")
def test_a_shift_error_needs_two_different_pictures(pictures):
    tokenizer = tn.PatchTokenizer(1, 4, 8)
    with pytest.raises(ValueError, match=r"images is \(1, 1, 40, 40\), expected at least two im"):
        tn.shift_error(tokenizer, pictures[:1])
    with pytest.raises(ValueError, match=r"images is all alike, expected images of different"):
        tn.shift_error(tokenizer, torch.zeros(2, 1, 8, 8))
    with pytest.raises(TypeError, match=r"tokenizer is Linear, expected a Tokenizer"):
        tn.shift_error(nn.Linear(4, 4), pictures)
