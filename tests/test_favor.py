"""Random features of softmax attention: what they estimate, how well, and what they never see.

Axes: B samples, N tokens, H heads, D channels of a head, F features.
"""

import warnings

import numpy as np
import pytest
import torch
from exactness import assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.functional import jacobian

import tokennet as tn

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script at import
    from torch_geometric.nn.attention import PerformerAttention

D = 16
COUNTS = [16, 32, 64, 128, 256, 512, 1024]


def performer(topology: tn.Topology | None = None, count: int = 32) -> tn.LinearAttention:
    return tn.LinearAttention(8, 2, topology, features=tn.PositiveRandomFeatures(4, count))


def _drawn(seed: int, size: float) -> tuple[Tensor, Tensor, Tensor, torch.Generator]:
    """q, k, v `[32, D]` of normal entries, q and k times `size`."""
    rng = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 32, D, generator=rng, dtype=torch.float64)
    return q * size, k * size, v, rng


def _errors(count: int, size: float, *, orthogonal: bool = True, seeds: int = 20) -> np.ndarray:
    """Mean square errors `[seeds, 2]` of the attention's output, and of the kernel itself."""
    found = []
    for seed in range(seeds):
        q, k, v, rng = _drawn(seed, size)
        phi = tn.PositiveRandomFeatures(D, count, orthogonal=orthogonal, generator=rng).double()
        exact = (q @ k.T / D**0.5).exp()
        weights = phi.queries(q) @ phi(k).T
        y = weights / weights.sum(-1, keepdim=True) @ v
        error = y - exact / exact.sum(-1, keepdim=True) @ v
        kernel = phi(q) @ phi(k).T - exact
        found.append([float(error.square().mean()), float(kernel.square().mean())])
    return np.array(found)


def _slopes(size: float) -> np.ndarray:
    """Of log error over log number of features: of the output, and of the kernel."""
    errors = np.array([_errors(m, size).mean(0) for m in COUNTS])
    return np.polyfit(np.log(COUNTS), np.log(errors), 1)[0]


def test_the_error_falls_as_one_over_the_number_of_features() -> None:
    """Choromanski et al. 2021, theorem 4; as long as |q|^2 / sqrt(D) is small.

    The variance grows as exp(|q + k|^2 / sqrt(D)): of unit normal entries, |q|^2 / sqrt(D) = 4
    here, a thousand features are not enough to see the slope.
    """
    assert np.abs(_slopes(0.3) + 1).max() < 0.25
    assert _slopes(1.0)[0] > -0.5


@pytest.mark.parametrize("count", [16, 32, 64])
def test_orthogonal_features_are_better(count: int) -> None:
    """Output and kernel, paired over seeds: more than 4 standard errors; theorem 2 of the paper."""
    one, two = (_errors(count, 0.3, orthogonal=o, seeds=300) for o in (False, True))
    gain = one - two
    assert (gain.mean(0) / (gain.std(0) / len(gain) ** 0.5)).min() > 4
    assert (two.mean(0) / one.mean(0)).max() < 0.9


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_kernel_is_unbiased(orthogonal: bool) -> None:
    """The mean over draws is exp(q.k / sqrt(D)), within 4 standard errors; lemma 1."""
    q, k, _, rng = _drawn(0, 0.5)
    draws = []
    for _ in range(1000):
        phi = tn.PositiveRandomFeatures(D, 8, orthogonal=orthogonal, generator=rng).double()
        draws.append((phi(q[:8]) * phi(k[:8])).sum(-1))
    estimate, exact = torch.stack(draws), (q[:8] * k[:8]).sum(-1).div(D**0.5).exp()
    error = (estimate.mean(0) - exact).abs()
    assert (error < 4 * estimate.std(0) / len(draws) ** 0.5).all()
    assert (error < 0.2 * exact).all()


def test_directions() -> None:
    """Blocks of D orthogonal rows, of the lengths of normal vectors; drawn again on demand."""
    phi = tn.PositiveRandomFeatures(D, 3 * D + 5, generator=torch.Generator().manual_seed(0))
    for block in phi.weight.double().split(D):
        gram = block @ block.T
        assert (gram - gram.diag().diag()).abs().max() < 1e-5
    long = tn.PositiveRandomFeatures(D, 200 * D).weight
    assert abs(float(long.square().sum(1).mean()) - D) < 0.5
    assert abs(float(long.square().sum(1).var()) - 2 * D) < 4
    assert long.mean(0).abs().max() < 0.1
    before = phi.weight.clone()
    phi.redraw(torch.Generator().manual_seed(0))
    assert torch.equal(phi.weight, before)
    phi.redraw()
    assert not torch.equal(phi.weight, before)
    assert "weight" in phi.state_dict()
    assert not list(phi.parameters())


def test_causal_sees_earlier_tokens_and_no_later_ones() -> None:
    mixer, structure = performer(tn.Causal()).double(), tn.Structure.dense(1, 6)
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    influence = jacobian(lambda x: mixer(x, structure), x)[0, :, :, 0].abs().amax((1, 3))  # [N, N]
    assert influence.triu(1).max() == 0
    assert influence[torch.ones(6, 6).tril().bool()].min() > 1e-4


@pytest.mark.parametrize("num_tokens", [1, 63, 130])
@pytest.mark.parametrize("topology", [tn.Full(), tn.Causal()], ids=str)
def test_equals_the_whole_matrix(topology: tn.Topology, num_tokens: int) -> None:
    """Output and every gradient, against the matrix of weights times the values."""
    mixer = performer(topology).double()
    valid = torch.rand(2, num_tokens) < 0.8
    valid[:, -1] = True
    structure = tn.Structure.padded(valid)
    x = torch.randn(2, num_tokens, 8, dtype=torch.float64, requires_grad=True)
    v = mixer.value(x).unflatten(-1, (2, 4))
    whole = torch.einsum("bhnm,bmhd->bnhd", mixer.weights(x, structure), v)
    results = []
    for y in (mixer(x, structure), mixer.output(whole.flatten(2))):
        loss = (y * torch.cos(torch.arange(y.numel()).view(y.shape)))[valid].sum()
        results.append([y[valid], *torch.autograd.grad(loss, [x, *mixer.parameters()])])
    for one, two in zip(*results, strict=True):
        one, two = one.detach(), two.detach()
        assert (one - two).abs().max() <= 1e-10 * max(1.0, float(two.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [1e1, 1e3, 1e6, 1e15])
def test_huge_tokens(dtype: torch.dtype, size: float) -> None:
    """They change nothing of earlier tokens, of other samples, or of what is finite."""
    mixer, structure = performer(tn.Causal()).to(dtype), tn.Structure.dense(2, 70)
    x = torch.randn(2, 70, 8, dtype=dtype)
    y = mixer(x, structure)
    later, other = x.clone(), x.clone()
    later[:, 40:] *= size
    other[1] *= size
    assert torch.equal(mixer(later, structure)[:, :40], y[:, :40])
    assert torch.equal(mixer(other, structure)[0], y[0])
    leaf = later.requires_grad_()
    whole = mixer(leaf, structure)
    assert whole.isfinite().all()
    grads = torch.autograd.grad(whole.square().mean().sqrt(), [leaf, *mixer.parameters()])
    assert all(g.isfinite().all() for g in grads)


def test_a_key_beyond_all_directions_is_not_heard() -> None:
    """Underflow is exact: weight 0, the others sum to one; where all are 0 so is the sum."""
    mixer, structure = performer(), tn.Structure.dense(1, 5)
    x = torch.randn(1, 5, 8)
    x[:, 2] *= 1e3
    weights = mixer.weights(x, structure)
    assert weights[..., 2].max() == 0
    assert (weights.sum(-1) - 1).abs().max() < 1e-5
    y = mixer(x * 1e4, structure)
    assert torch.equal(y, mixer.output.bias.expand_as(y))


class _MaximumOfKeys(tn.FeatureMap):
    """What libraries do: subtract the maximum over all keys, then add a little."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(6, 4))

    def forward(self, k: Tensor) -> Tensor:
        z = k @ self.weight.to(k.dtype).T
        z = z - k.square().sum(-1, keepdim=True) / 2
        return (z - z.amax()).exp() + 1e-4


def test_a_maximum_over_keys_leaks() -> None:
    """Through it later tokens and other samples come in; through ours not a bit of them does."""
    x, structure = torch.randn(2, 5, 8), tn.Structure.dense(2, 5)
    for features in (_MaximumOfKeys(), tn.PositiveRandomFeatures(4, 6)):
        mixer = tn.LinearAttention(8, 2, tn.Causal(), features=features)
        y, future, batch = mixer(x, structure), 0.0, 0.0
        for _ in range(20):
            later, other = x.clone(), x.clone()
            later[:, -1], other[1] = torch.randn(2, 8), torch.randn(5, 8)
            change = (mixer(later, structure) - y).detach().abs()[:, :-1].max()
            future = max(future, float(change))
            batch = max(batch, float((mixer(other, structure) - y).detach().abs()[0].max()))
        if isinstance(features, _MaximumOfKeys):
            assert min(future, batch) > 1e-5
        else:
            assert future == batch == 0


def test_half_precision() -> None:
    mixer, structure = performer(tn.Causal()), tn.Structure.dense(2, 100)
    x = torch.randn(2, 100, 8)
    y = mixer(x, structure)
    z = mixer.bfloat16()(x.bfloat16(), structure)
    assert z.dtype == torch.bfloat16
    assert (z.float() - y).abs().max() < 0.05


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 3))
def test_relu_features_are_pyg_performer(seed, tokens, num_heads) -> None:
    """And with padding not: PyG sets values to zero, and leaves the keys in the denominator.

    In float64: where no feature is active the denominator is 1e-6, and float32 is lost.
    """
    torch.manual_seed(seed)
    dtype = torch.float64
    dim, head_dim = 4 * num_heads, 4
    theirs = PerformerAttention(dim, num_heads, head_dim, qkv_bias=True)
    features = tn.ReluFeatures(head_dim, theirs.fast_attn.num_rows)
    features.weight.copy_(theirs.fast_attn.projection_matrix)
    ours = tn.LinearAttention(dim, num_heads, features=features)
    pairs = {"query": "q", "key": "k", "value": "v", "output": "attn_out"}
    names = {f"{a}.{n}": f"{b}.{n}" for a, b in pairs.items() for n in ("weight", "bias")}
    x = torch.randn(3, tokens, dim, dtype=dtype)
    dense = tn.Structure.dense(3, tokens)
    assert_exact(ours, theirs, names, lambda x: ours(x, dense), lambda x: theirs(x), [x])

    with torch.no_grad():
        valid = torch.ones(3, tokens + 1, dtype=torch.bool)
        valid[:, -1] = False
        longer = torch.cat([x, torch.randn(3, 1, dim, dtype=dtype)], 1)
        alone = ours(x, dense)
        assert (ours(longer, tn.Structure.padded(valid))[:, :-1] - alone).abs().max() < 1e-10
        assert (theirs(longer, valid)[:, :-1] - alone).abs().max() > 1e-3
