"""Numbers times channels, positions, biases: what published weights need to be read as they are."""

import pytest
import torch
from torch import nn

import tokennet as tn
from tokennet.mixers.scaling import Gain, Scale


def test_gain_is_a_weight_less_one() -> None:
    x, norm = torch.randn(2, 3, 4), nn.LayerNorm(4, bias=False)
    ours = nn.Sequential(nn.LayerNorm(4, elementwise_affine=False), Gain(4))
    torch.testing.assert_close(ours(x), norm(x))
    with torch.no_grad():
        norm.weight.normal_()
        ours[1].weight.copy_(norm.weight - 1)
    torch.testing.assert_close(ours(x), norm(x))
    assert repr(ours[1]) == "Gain(4, offset=1)"
    assert torch.equal(Gain(4, offset=0.0)(x), torch.zeros_like(x))


def test_scale_is_a_number_times() -> None:
    x = torch.randn(2, 3)
    assert torch.equal(Scale(0.25)(x), x / 4)
    assert not list(Scale(0.25).parameters())
    for value, kind in ((True, TypeError), ("1", TypeError), (float("nan"), ValueError)):
        with pytest.raises(kind, match=r"^factor is .*, expected a"):
            Scale(value)


def test_scaled_positions_and_biases() -> None:
    x = torch.zeros(1, 3, 4)
    structure = tn.Structure.dense(1, 3)
    one, two = tn.LearnedPosition(5, 4), tn.LearnedPosition(5, 4, scale=0.5)
    two.load_state_dict(one.state_dict())
    assert torch.equal(two(x, structure), one(x, structure) / 2)
    padded = tn.Structure.padded(torch.tensor([[False, True, True]]))
    assert torch.equal(two(x, padded), one(x, padded) / 2)

    plain, scaled = tn.RelativeBias(2), tn.RelativeBias(2, scale=3.0)
    scaled.load_state_dict(plain.state_dict())
    attention = [tn.Attention(4, 2, score=tn.DotScore() + bias) for bias in (plain, scaled)]
    attention[1].load_state_dict(attention[0].state_dict())
    y = torch.randn(1, 3, 4)
    assert not torch.allclose(attention[0](y, structure), attention[1](y, structure))
    with torch.no_grad():
        plain.table.mul_(3)
    torch.testing.assert_close(attention[0](y, structure), attention[1](y, structure))


def test_biases_of_a_gated_mlp() -> None:
    biased = tn.GatedMLP(4, 6, bias=True, output_bias=False)
    assert biased.gate.bias is not None
    assert biased.output.bias is None
    assert tn.GatedMLP(4, 6, bias=True).output.bias is not None


def test_angles_in_the_dtype_of_queries() -> None:
    """From frequencies in float32: near the exact ones, and not equal."""
    place = torch.arange(3000)
    x = torch.randn(3000, 1, 8, dtype=torch.float64)
    exact, rounded = tn.Rotary(8), tn.Rotary(8, angles=None)
    error = (exact.turn(x, place) - rounded.turn(x, place)).abs().max()
    assert 1e-7 < error < 1e-3
    single = rounded.turn(x.float(), place).double()
    assert (single - rounded.turn(x, place)).abs().max() < 1e-3
    old = tn.Rotary(8, angles=torch.float32).turn(x.float(), place)
    assert torch.equal(rounded.turn(x.float(), place), old)
    half = rounded.turn(x.half(), place).double()  # positions of float16 end at 2048
    assert (half - rounded.turn(x, place)).abs().max() < 0.02
