"""Norms over whole samples, and layers that are all kept: formulas, laws, steps."""

import pytest
import torch
from torch import nn

import tokennet as tn
from tokennet.mixers.jumping import JumpingKnowledge
from tokennet.net.sample_norms import GraphNorm, SampleNorm

VALID = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]).bool()


def _random(module: nn.Module) -> nn.Module:
    for p in module.parameters():
        nn.init.normal_(p, 0.5)
    return module.double()


def _by_hand(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """One sample `[N, D]`."""
    if isinstance(norm, GraphNorm):
        z = x - norm.mean_scale * x.mean(0)
        return norm.weight * z / (z.square().mean(0) + norm.eps).sqrt() + norm.bias
    z = (x - x.mean()) / (x.var(correction=0) + norm.eps).sqrt()
    return norm.weight * z + norm.bias


@pytest.mark.parametrize("kind", [SampleNorm, GraphNorm])
def test_sample_norms(kind: type[nn.Module]) -> None:
    norm = _random(kind(3, eps=0.01))
    x = torch.randn(4, 4, 3, dtype=torch.float64)
    y = norm(x, tn.Structure.padded(VALID))
    for sample in (0, 2, 3):
        real = VALID[sample]
        difference = y[sample][real] - _by_hand(norm, x[sample][real])
        assert difference.abs().max() < 1e-12
    packed = norm(x[VALID], tn.Structure.packed([3, 0, 1, 4]))
    assert (packed - y[VALID]).abs().max() < 1e-12


@pytest.mark.parametrize("kind", [SampleNorm, GraphNorm])
def test_laws_of_sample_norms(kind: type[tn.Mixer]) -> None:
    tn.verify(kind(3), examples=8).raise_if_broken()
    assert tn.Causality() not in kind(3).claims
    with pytest.raises(ValueError, match=r"^eps is 0, expected a number above 0"):
        kind(3, eps=0)


@pytest.mark.parametrize("maximum", [False, True], ids=["joined", "maximum"])
def test_jumping_knowledge(maximum: bool) -> None:
    parts = [tn.Pointwise(3, out_dim=4), tn.Attention(4, 2, tn.Causal()), tn.Pointwise(4)]
    mixer = JumpingKnowledge(*parts, maximum=maximum)
    assert mixer.width(3) == (4 if maximum else 12)
    x, structure = torch.randn(2, 5, 3), tn.Structure.dense(2, 5)
    found, states = x, []
    for part in parts:
        found = part(found, structure)
        states.append(found)
    expected = torch.stack(states).amax(0) if maximum else torch.cat(states, -1)
    assert torch.equal(mixer(x, structure), expected)
    state = mixer.start(structure)
    for i in range(5):
        y, state = mixer.step(x[:, i], state)
        assert (y - expected[:, i]).abs().max() < 1e-5
    tn.verify(mixer, examples=8).raise_if_broken()


def test_a_maximum_needs_equal_channels() -> None:
    parts = tn.Pointwise(3, out_dim=4), tn.Pointwise(4, out_dim=5)
    assert JumpingKnowledge(*parts).width(3) == 9
    with pytest.raises(ValueError, match=r"^channels of the mixers is \[4, 5\], expected one numb"):
        JumpingKnowledge(*parts, maximum=True)
