"""With the same weights, operators on sequences are torch's, or a few lines written by hand.

Axes: B samples, N tokens, H W cells of a grid, D channels, K hidden.
"""

import pytest
import torch
import torch.nn.functional as F
from exactness import DTYPES, TOLERANCE, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=8, deadline=None)
seeds, sizes = st.integers(0, 10_000), st.integers(1, 6)
some_lengths = st.lists(st.integers(1, 7), min_size=1, max_size=4)
SAME = {"weight": "weight", "bias": "bias"}


def per_sample(f, x: Tensor, lengths: list[int]) -> Tensor:
    """f `[1, n, D] -> [1, n, O]` of each sample by itself."""
    return torch.cat([f(sample[None])[0] for sample in x.split(lengths)])


def with_holes(mixer: tn.Mixer, x: Tensor, lengths: list[int]) -> Tensor:
    """The mixer's rows on a padded batch with NaN anywhere between the tokens."""
    spare = torch.rand(len(lengths), max(lengths) + 2).argsort(1)
    valid = spare < torch.tensor(lengths)[:, None]
    filled = torch.full((*valid.shape, x.shape[1]), torch.nan, dtype=x.dtype)
    return mixer(filled.index_put(tuple(valid.nonzero().T), x), tn.Structure.padded(valid))[valid]


def assert_both_layouts(ours, theirs, names, run_theirs, x: Tensor, lengths: list[int]) -> None:
    packed = tn.Structure.packed(lengths)
    for run in (lambda x: ours(x, packed), lambda x: with_holes(ours, x, lengths)):
        assert_exact(ours, theirs, names, run, lambda x: per_sample(run_theirs, x, lengths), [x])


@each_dtype
@pytest.mark.parametrize("kind", ["line", "ring", "causal"])
@draws
@given(seeds, st.integers(0, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.data())
def test_groups_are_those_of_conv1d(dtype, kind, seed, radius, groups, inner, outer, data):
    """Depthwise where a group has one channel. A causal one is torch's, padded on the left."""
    torch.manual_seed(seed)
    shortest = max(radius, 1) if kind == "ring" else 1  # torch wraps at most once
    lengths = data.draw(st.lists(st.integers(shortest, 6), min_size=1, max_size=3), "lengths")
    topology = tn.Window(radius, wrap=kind == "ring")
    causal = kind == "causal"
    dims = {"groups": groups, "out_dim": groups * outer}
    ours = tn.Convolution(groups * inner, tn.Causal() & topology if causal else topology, **dims)
    theirs = nn.Conv1d(
        groups * inner, groups * outer, radius + 1 if causal else 2 * radius + 1, groups=groups,
        padding=0 if causal else radius, padding_mode="circular" if kind == "ring" else "zeros",
    )  # fmt: skip

    def run(x: Tensor) -> Tensor:
        return theirs(F.pad(x.mT, (radius, 0)) if causal else x.mT).mT

    x = torch.randn(sum(lengths), groups * inner, dtype=dtype)
    assert_both_layouts(ours, theirs, SAME, run, x, lengths)


@each_dtype
@pytest.mark.parametrize("wrap", [False, True], ids=["grid", "torus"])
@draws
@given(seeds, st.integers(0, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.data())
def test_groups_are_those_of_conv2d(dtype, wrap, seed, radius, groups, inner, outer, data):
    torch.manual_seed(seed)
    side = st.integers(max(radius, 1) if wrap else 1, 4)
    grid = (data.draw(side, "height"), data.draw(side, "width"))
    dim, out_dim = groups * inner, groups * outer
    topology = tn.Neighborhood(radius, wrap=wrap)
    ours = tn.Convolution(dim, topology, groups=groups, out_dim=out_dim)
    theirs = nn.Conv2d(
        dim, out_dim, 2 * radius + 1, groups=groups,
        padding=radius, padding_mode="circular" if wrap else "zeros",
    )  # fmt: skip
    structure = tn.Structure.dense(2, grid[0] * grid[1], grid=grid)
    x = torch.randn(2, grid[0] * grid[1], dim, dtype=dtype)
    image = lambda x: x.mT.unflatten(2, grid)  # noqa: E731
    assert_exact(
        ours, theirs, SAME, lambda x: ours(x, structure),
        lambda x: theirs(image(x)).flatten(2).mT, [x],
    )  # fmt: skip


@each_dtype
@draws
@given(seeds, st.integers(0, 2), sizes, sizes, sizes)
def test_pooling_is_the_average_of_poolformer(dtype, seed, radius, height, width, dim):
    """Over the cells that exist: `count_include_pad=False`."""
    torch.manual_seed(seed)
    pool = nn.AvgPool2d(2 * radius + 1, 1, radius, count_include_pad=False)
    ours = tn.Pooling(tn.Neighborhood(radius))
    structure = tn.Structure.dense(2, height * width, grid=(height, width))
    x = torch.randn(2, height * width, dim, dtype=dtype)
    run = lambda x: pool(x.mT.unflatten(2, (height, width))).flatten(2).mT  # noqa: E731
    assert_exact(ours, pool, {}, lambda x: ours(x, structure), run, [x])


@each_dtype
@draws
@given(seeds, sizes, some_lengths)
def test_fourier_mixing_is_fnet(dtype, seed, dim, lengths):
    """As FNet writes it, of each sample at its own length: first the channels, then the tokens."""
    torch.manual_seed(seed)
    x = torch.randn(sum(lengths), dim, dtype=dtype)
    fnet = lambda x: torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real  # noqa: E731
    assert_both_layouts(tn.FourierMixing(), nn.Identity(), {}, fnet, x, lengths)
    equal = tn.Structure.dense(3, len(x))
    both = x.expand(3, -1, -1)
    ours = tn.FourierMixing()
    assert_exact(ours, nn.Identity(), {}, lambda x: ours(x, equal), fnet, [both])


def test_fourier_mixing_of_long_samples_keeps_its_digits() -> None:
    """The angles are exact: of 900 tokens the float32 matrices are as good as the transform."""
    lengths = [900, 899]
    x = torch.randn(sum(lengths), 6)
    y = tn.FourierMixing()(x, tn.Structure.packed(lengths))
    exact = per_sample(lambda x: torch.fft.fft2(x.double()).real, x, lengths)
    assert (y - exact).abs().max() < 1e-5 * exact.abs().max()


class GatedMLP(nn.Module):
    """The block of gMLP as its paper's figure 1 writes it, norm and residual included."""

    def __init__(self, dim: int, hidden_dim: int, num_tokens: int):
        super().__init__()
        self.norm, self.u = nn.LayerNorm(dim), nn.Linear(dim, hidden_dim)
        self.gate_norm = nn.LayerNorm(hidden_dim // 2)
        self.spatial = nn.Linear(num_tokens, num_tokens)
        self.v = nn.Linear(hidden_dim // 2, dim)

    def forward(self, x: Tensor) -> Tensor:
        u, v = F.gelu(self.u(self.norm(x))).chunk(2, dim=-1)
        v = self.spatial(self.gate_norm(v).mT).mT
        return x + self.v(u * v)


GMLP = {
    "norm.weight": "norm.weight", "norm.bias": "norm.bias",
    "mixer.expand.weight": "u.weight", "mixer.expand.bias": "u.bias",
    "mixer.norm.weight": "gate_norm.weight", "mixer.norm.bias": "gate_norm.bias",
    "mixer.weight": "spatial.weight", "mixer.bias": "spatial.bias",
    "mixer.contract.weight": "v.weight", "mixer.contract.bias": "v.bias",
}  # fmt: skip


@each_dtype
@draws
@given(seeds, sizes, sizes, sizes)
def test_token_gating_is_gmlp(dtype, seed, dim, half, tokens):
    torch.manual_seed(seed)
    ours = tn.PreNorm(dim, tn.TokenGating(dim, 2 * half, tokens))
    theirs = GatedMLP(dim, 2 * half, tokens)
    structure = tn.Structure.dense(2, tokens)
    x = torch.randn(2, tokens, dim, dtype=dtype)
    # two channels of about the same size have a norm that no digits survive
    x[..., 0] += 3 * x.shape[-1]
    assert_exact(ours, theirs, GMLP, lambda x: ours(x, structure), theirs, [x])


def test_token_gating_starts_open() -> None:
    """Weights near 0 and bias 1, as the paper asks: at first a channel MLP."""
    mixer = tn.TokenGating(8, 12, 9)
    assert 0 < mixer.weight.abs().max() <= 1e-3
    assert torch.equal(mixer.bias, torch.ones(9))
    x, structure = torch.randn(2, 9, 8), tn.Structure.dense(2, 9)
    channels = mixer.contract(mixer.activation(mixer.expand(x))[..., :6])
    assert (mixer(x, structure) - channels).abs().max() < 1e-2


def test_causal_token_gating_drops_the_upper_triangle() -> None:
    """The weights of later positions are there, and count for nothing."""
    full, causal = tn.TokenGating(8, 12, 5), tn.TokenGating(8, 12, 5, tn.Causal())
    nn.init.normal_(causal.weight)
    full.load_state_dict(causal.state_dict())
    x, structure = torch.randn(2, 5, 8), tn.Structure.dense(2, 5)
    assert (full(x, structure) - causal(x, structure)).abs().max() > 1e-2
    with torch.no_grad():
        full.weight.tril_()
    torch.testing.assert_close(full(x, structure), causal(x, structure))


class Linformer(nn.Module):
    """Attention to projected keys and values, one head after the other."""

    def __init__(self, dim: int, num_heads: int, num_tokens: int, num_landmarks: int):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.e = nn.Linear(num_tokens, num_landmarks, bias=False)
        self.f = nn.Linear(num_tokens, num_landmarks, bias=False)
        self.num_heads, self.num_tokens = num_heads, num_tokens

    def forward(self, x: Tensor) -> Tensor:
        missing = self.num_tokens - x.shape[1]
        k, v = (F.pad(t(x), (0, 0, 0, missing)) for t in (self.k, self.v))
        q, k, v = self.q(x), self.e(k.mT).mT, self.f(v.mT).mT
        heads = []
        for a, b, c in zip(*(t.chunk(self.num_heads, -1) for t in (q, k, v)), strict=True):
            heads.append((a @ b.mT / a.shape[-1] ** 0.5).softmax(-1) @ c)
        return self.o(torch.cat(heads, -1))


LINFORMER = {
    **{f"{ours}.{p}": f"{ours[0]}.{p}" for ours in ("query", "key", "value", "output")
       for p in ("weight", "bias")},
    "key_landmarks": "e.weight", "value_landmarks": "f.weight",
}  # fmt: skip


@each_dtype
@draws
@given(seeds, st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), some_lengths)
def test_low_rank_attention_is_linformer(dtype, seed, heads, head_dim, landmarks, lengths):
    """A shorter sample is read as if zero keys and values followed."""
    torch.manual_seed(seed)
    shape = (heads * head_dim, heads, 7, landmarks)
    x = torch.randn(sum(lengths), heads * head_dim, dtype=dtype)
    ours, theirs = tn.LowRankAttention(*shape), Linformer(*shape)
    assert_both_layouts(ours, theirs, LINFORMER, theirs, x, lengths)


@each_dtype
def test_low_rank_attention_with_a_landmark_for_each_token_is_attention(dtype):
    """With E = F = 1, the identity."""
    ours, theirs = tn.LowRankAttention(8, 2, 6, 6).to(dtype), tn.Attention(8, 2).to(dtype)
    with torch.no_grad():
        for p in (ours.key_landmarks, ours.value_landmarks):
            p.copy_(torch.eye(6))
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if "landmarks" not in k})
    x, structure = torch.randn(2, 6, 8, dtype=dtype), tn.Structure.dense(2, 6)
    assert (ours(x, structure) - theirs(x, structure)).abs().max() < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_fourier_mixing_in_half_precision_is_rounded_once(dtype) -> None:
    """torch has no such transform: it is done in float32, alike for one length and for several."""
    x = torch.randn(2, 9, 6).to(dtype)
    equal = tn.FourierMixing()(x, tn.Structure.dense(2, 9))
    ragged = tn.FourierMixing()(torch.cat([*x, x[0, :1]]), tn.Structure.packed([9, 9, 1]))
    exact = torch.fft.fft2(x.double()).real
    assert equal.dtype == ragged.dtype == dtype
    for y in (equal, ragged[:18].view_as(equal)):
        assert ((y.double() - exact).abs() <= torch.finfo(dtype).eps * exact.abs() + 1e-4).all()
