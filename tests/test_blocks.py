"""Where the norm stands, what becomes of the branch, and what residual and mixer are good for.

Axes: B samples, N tokens, D channels.
"""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.verify.prepare import prepared

D = 6
PLACEMENTS = [tn.PreNorm, tn.PostNorm, tn.ResPostNorm, tn.SandwichNorm, tn.NoResidual]


def _setting(kind: Any, **options: Any) -> tuple[Any, Tensor, tn.Structure]:
    """A residual with random weights around attention, and tokens."""
    residual = prepared(kind(D, tn.Attention(D, 2), **options), 0, torch.float64)
    return residual, torch.randn(2, 5, D, dtype=torch.float64), tn.Structure.dense(2, 5)


def _formula(kind: Any, r: Any, x: Tensor, structure: tn.Structure) -> Tensor:
    f = partial(r.mixer, structure=structure)
    return {
        tn.PreNorm: lambda: x + f(r.norm(x)),
        tn.PostNorm: lambda: r.norm(x + f(x)),
        tn.ResPostNorm: lambda: x + r.norm(f(x)),
        tn.SandwichNorm: lambda: x + r.second_norm(f(r.norm(x))),
        tn.NoResidual: lambda: f(r.norm(x)),
    }[kind]()


each = pytest.mark.parametrize("kind", PLACEMENTS)


@each
@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm, nn.Identity])
def test_placement_is_its_formula(kind: Any, norm: Any) -> None:
    """Post-norm is norm(x + f(x)), pre-norm x + f(norm(x)), and so on, with any norm or none."""
    r, x, structure = _setting(kind, norm=norm)
    assert type(r.norm) is norm
    assert (r(x, structure) - _formula(kind, r, x, structure)).abs().max() < 1e-12


def test_placements_differ() -> None:
    """With the same weights: res-post-norm is not post-norm, and none is another."""
    r, x, structure = _setting(tn.SandwichNorm)
    outputs = [_formula(kind, r, x, structure) for kind in PLACEMENTS]
    for i, one in enumerate(outputs):
        for two in outputs[:i]:
            assert (one - two).abs().max() > 0.1


@each
def test_layer_scale(kind: Any) -> None:
    """s * f(.) for each channel; at s = 0 a pre-norm residual is the identity."""
    r, x, structure = _setting(kind, layer_scale=0.1, norm=nn.Identity)
    f = r.mixer(x, structure)
    if kind is tn.NoResidual:
        assert torch.equal(r(x, structure), r.scale * f)
    else:
        assert (r(x, structure) - (x + r.scale * f)).abs().max() < 1e-12
    fresh = kind(D, tn.Pooling(), layer_scale=1e-4)
    assert torch.equal(fresh.scale, torch.full((D,), 1e-4))
    assert kind(D, tn.Pooling()).scale is None
    if kind is tn.PreNorm:
        off = kind(D, tn.Pooling(), layer_scale=0.0).double()
        assert torch.equal(off(x, structure), x)


@pytest.mark.parametrize("kind", PLACEMENTS[:-1])
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_drop_path_drops_whole_samples(kind: Any, packed: bool) -> None:
    """All tokens of a sample or none; the kept ones are scaled so that the mean stays."""
    p, lengths = 0.4, [3, 0, 1, 5] * 100
    r = kind(D, tn.Pooling(), drop_path=p, norm=nn.Identity).double()
    tokens = tn.Tokens(torch.randn(sum(lengths), D).double(), tn.Structure.packed(lengths))
    x, structure = tokens if packed else tokens.padded()
    valid, sample = structure.layout.valid, structure.layout.sample
    branch = (r.eval()(x, structure) - x)[valid]
    dropped = (r.train()(x, structure) - x)[valid]
    factor = dropped / branch
    assert ((factor.abs() < 1e-9) | ((factor - 1 / (1 - p)).abs() < 1e-9)).all()
    real = structure.layout.flat(valid).reshape(-1) if not packed else valid
    first = torch.zeros(len(lengths), dtype=torch.float64)
    first[sample[real]] = factor[:, 0]
    assert (factor - first[sample[real], None]).abs().max() < 1e-9, "a sample hangs together"
    filled = structure.lengths > 0
    assert abs(float((first[filled] == 0).double().mean()) - p) < 0.1
    assert not torch.equal(dropped, (r(x, structure) - x)[valid]), "drawn anew each time"


def test_verify_switches_drop_path_off() -> None:
    r = tn.PreNorm(D, tn.Attention(D, 2), drop_path=0.5)
    twin = prepared(r, 0, torch.float64).train()
    x, structure = torch.randn(8, 3, D).double(), tn.Structure.dense(8, 3)
    assert torch.equal(twin(x, structure), twin.eval()(x, structure))
    r = r.double().train()
    assert not torch.equal(r(x, structure), r(x, structure)), "the module itself still drops"


def test_norm_may_be_a_mixer() -> None:
    """It gets the structure, and its promises count."""
    r, x, _ = _setting(tn.PreNorm, norm=tn.BatchNorm)
    valid = torch.tensor([[True] * 5, [False, True, True, False, False]])
    structure = tn.Structure.padded(valid)
    y = r.train()(x, structure)[valid]
    alone = torch.zeros_like(x)
    alone[valid] = nn.functional.batch_norm(
        x[valid], None, None, r.norm.weight, r.norm.bias, training=True
    )
    assert (y - (x + r.mixer(alone, structure))[valid]).abs().max() < 1e-12
    causal = tn.Attention(D, 2, tn.Causal())
    assert tn.Causality() in tn.PreNorm(D, causal).claims
    assert tn.Causality() not in tn.PreNorm(D, causal, norm=tn.BatchNorm).claims
    wise = tn.PreNorm(D, causal, norm=lambda dim: tn.TokenWise(nn.LayerNorm(dim)))
    assert wise.claims == causal.claims
    assert wise.reads == causal.reads


@each
@pytest.mark.parametrize(
    "norm", [nn.LayerNorm, lambda dim: tn.TokenWise(nn.RMSNorm(dim))], ids=["module", "mixer"]
)
def test_step_by_step(kind: Any, norm: Any) -> None:
    """A causal block goes token by token, whatever the placement."""
    options = {} if kind is tn.NoResidual else {"drop_path": 0.5}
    residual = partial(kind, norm=norm, layer_scale=0.3, **options)
    block = tn.Block(D, tn.Attention(D, 2, tn.Causal()), residual=residual)
    block = prepared(block, 0, torch.float64).eval()
    x, structure = torch.randn(2, 5, D).double(), tn.Structure.dense(2, 5)
    state = block.start(structure)
    for t, expected in enumerate(block(x, structure).unbind(1)):
        before = state
        y, state = block.step(x[:, t], state)
        assert (y - expected).abs().max() < 1e-12
        again, _ = block.step(x[:, t], before)
        assert torch.equal(y, again), "a state may be used again"


def _gradient(residual: Any, depth: int) -> float:
    """How much of the gradient reaches the first block's input."""
    torch.manual_seed(0)
    blocks = [tn.Block(16, tn.Attention(16, 2), residual=residual) for _ in range(depth)]
    x = torch.randn(4, 8, 16).double().requires_grad_()
    y = tn.Sequential(*blocks).double()(x, tn.Structure.dense(4, 8))
    (grad,) = torch.autograd.grad(y, x, torch.randn_like(y))
    return float(grad.norm())


def test_depth_needs_residuals() -> None:
    """24 blocks, weights as torch begins with: the gradient keeps its size only with residuals."""
    shallow, deep = _gradient(tn.PreNorm, 1), _gradient(tn.PreNorm, 24)
    assert 0.1 < deep / shallow < 10
    assert _gradient(tn.NoResidual, 24) < 1e-2 * deep
    assert _gradient(partial(tn.NoResidual, norm=nn.Identity), 24) < 1e-20 * deep
    assert _gradient(tn.NoResidual, 1) > 1e-2 * shallow, "one block alone does without"


def _jacobian(net: tn.Mixer, tokens: int) -> Tensor:
    """`[N, N]`: how much token i of the output moves with token j of the input."""
    structure = tn.Structure.dense(1, tokens)
    x = torch.randn(1, tokens, D, dtype=torch.float64)
    full = torch.autograd.functional.jacobian(lambda x: net(x, structure), x)
    return full[0, :, :, 0].square().sum((1, 3))


def test_only_the_mixer_moves_information() -> None:
    """Without it the Jacobian of a net is block-diagonal: norms, MLPs, residuals see one token."""
    eye = torch.eye(5, dtype=torch.bool)
    blocks = lambda make: tn.Sequential(*(tn.Block(D, make()).double() for _ in range(3)))  # noqa: E731
    for make in (lambda: tn.GatedMLP(D, 9), lambda: tn.MixtureOfExperts(D, 9, 3)):
        alone = _jacobian(blocks(make), 5)
        assert (alone[~eye] == 0).all()
        assert (alone[eye] > 1e-3).all()
    mixed = _jacobian(blocks(lambda: tn.Attention(D, 2)), 5)
    assert (mixed[~eye] > 1e-6).all()
