"""With the same weights, token-wise maps, convolutions and tokenizers are torch's.

Axes: B samples, N tokens, H W cells of a grid, D channels.
"""

import pytest
import torch
import torch.nn.functional as F
from exactness import DTYPES, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=12, deadline=None)
seeds, sizes = st.integers(0, 10_000), st.integers(1, 7)
SAME = {"weight": "weight", "bias": "bias"}
MAP = {"map.weight": "weight", "map.bias": "bias"}


@each_dtype
@draws
@given(seeds, sizes, sizes, sizes, sizes)
def test_pointwise_is_conv1d(dtype, seed, batch, tokens, dim, out_dim):
    torch.manual_seed(seed)
    ours, theirs = tn.Pointwise(dim, out_dim=out_dim), nn.Conv1d(dim, out_dim, 1)
    structure = tn.Structure.dense(batch, tokens)
    assert_exact(
        ours, theirs, MAP,
        lambda x: ours(x, structure),
        lambda x: theirs(x.transpose(1, 2)).transpose(1, 2),
        [torch.randn(batch, tokens, dim, dtype=dtype)],
    )  # fmt: skip


def _over_samples(conv: nn.Module, x: Tensor, lengths: list[int]) -> Tensor:
    """torch's convolution of each sample by itself."""
    return torch.cat([conv(s.T[None])[0].T for s in x.split(lengths)])


@each_dtype
@pytest.mark.parametrize("wrap", [False, True], ids=["line", "ring"])
@draws
@given(seeds, st.integers(0, 3), sizes, sizes, st.data())
def test_convolution_is_conv1d(dtype, wrap, seed, radius, dim, out_dim, data):
    """Packed and padded; each ring closes at its own sample's length."""
    torch.manual_seed(seed)
    shortest = max(radius, 1) if wrap else 1  # torch wraps at most once
    lengths = data.draw(st.lists(st.integers(shortest, 7), min_size=1, max_size=4), "lengths")
    ours = tn.Convolution(dim, tn.Window(radius, wrap=wrap), out_dim=out_dim)
    theirs = nn.Conv1d(
        dim, out_dim, 2 * radius + 1, padding=radius, padding_mode="circular" if wrap else "zeros"
    )
    structure = tn.Structure.packed(lengths)
    padded = tn.Tokens(torch.zeros(sum(lengths), 1), structure).padded().structure
    valid = padded.layout.valid

    def run_padded(x: Tensor) -> Tensor:
        rows = x.new_zeros(*valid.shape, dim).index_put(tuple(valid.nonzero().T), x)
        return ours(rows, padded)[valid]

    x = torch.randn(sum(lengths), dim, dtype=dtype)
    for run in (lambda x: ours(x, structure), run_padded):
        assert_exact(ours, theirs, SAME, run, lambda x: _over_samples(theirs, x, lengths), [x])


@each_dtype
@pytest.mark.parametrize("wrap", [False, True], ids=["grid", "torus"])
@draws
@given(seeds, st.integers(0, 2), sizes, sizes, sizes, st.data())
def test_convolution_is_conv2d(dtype, wrap, seed, radius, batch, dim, out_dim, data):
    torch.manual_seed(seed)
    side = st.integers(max(radius, 1) if wrap else 1, 5)
    height, width = data.draw(side, "height"), data.draw(side, "width")
    ours = tn.Convolution(dim, tn.Neighborhood(radius, wrap=wrap), out_dim=out_dim)
    theirs = nn.Conv2d(
        dim, out_dim, 2 * radius + 1, padding=radius, padding_mode="circular" if wrap else "zeros"
    )
    grid, cells = (height, width), height * width
    dense = tn.Structure.dense(batch, cells, grid=grid)
    packed = tn.Structure.packed([cells] * batch, grid=grid)

    def run_theirs(x: Tensor) -> Tensor:
        image = x.transpose(1, 2).unflatten(2, grid)
        return theirs(image).flatten(2).transpose(1, 2)

    x = torch.randn(batch, cells, dim, dtype=dtype)
    assert_exact(ours, theirs, SAME, lambda x: ours(x, dense), run_theirs, [x])
    flat = lambda x: ours(x.flatten(0, 1), packed).unflatten(0, (batch, cells))  # noqa: E731
    assert_exact(ours, theirs, SAME, flat, run_theirs, [x])


@each_dtype
@draws
@given(seeds, st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), sizes, st.data())
def test_patch_tokenizer_is_strided_conv2d(dtype, seed, batch, channels, patch, dim, data):
    """And the linear map of each patch, cut out by `F.unfold`: rows of the grid, left to right."""
    torch.manual_seed(seed)
    stride = data.draw(st.integers(1, patch), "stride")
    rows, columns = data.draw(sizes, "rows"), data.draw(sizes, "columns")
    ours = tn.PatchTokenizer(channels, patch, dim, stride=stride)
    theirs = nn.Conv2d(channels, dim, patch, stride)
    linear = nn.Linear(channels * patch * patch, dim)
    shape = (batch, channels, patch + (rows - 1) * stride, patch + (columns - 1) * stride)
    images = torch.randn(shape, dtype=dtype)

    def run(images: Tensor) -> Tensor:
        x, structure = ours(images)
        assert structure.grid == (rows, columns)
        assert structure.layout.shape == x.shape[:2]
        return x

    def unfolded(images: Tensor) -> Tensor:
        return linear(F.unfold(images, patch, stride=stride).transpose(1, 2))

    assert_exact(ours, theirs, MAP, run, lambda i: theirs(i).flatten(2).transpose(1, 2), [images])
    assert_exact(ours, linear, MAP, run, unfolded, [images])


class _OneHot(nn.Module):
    """A one-hot vector times a matrix."""

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.matrix = nn.Parameter(torch.empty(size, dim))

    def forward(self, ids: Tensor) -> Tensor:
        return F.one_hot(ids, len(self.matrix)).to(self.matrix.dtype) @ self.matrix


@each_dtype
@draws
@given(seeds, sizes, sizes, sizes, sizes)
def test_embedding_tokenizer_is_one_hot_times_matrix(dtype, seed, batch, tokens, size, dim):
    torch.manual_seed(seed)
    ids = torch.randint(size, (batch, tokens))
    ours, theirs = tn.EmbeddingTokenizer(size, dim), _OneHot(size, dim)
    scale = torch.randn(batch, tokens, 1, dtype=dtype)  # ids have no gradient; this has one
    assert_exact(
        ours, theirs, {"embedding.weight": "matrix"},
        lambda s: ours(ids)[0] * s, lambda s: theirs(ids) * s, [scale],
    )  # fmt: skip
