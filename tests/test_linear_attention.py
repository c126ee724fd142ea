"""Causal linear attention over more than one chunk, and token by token."""

import pytest
import torch
from torch import nn

import tokennet as tn

FEATURES = [tn.EluFeatures, lambda: tn.PositiveRandomFeatures(4, 16), lambda: tn.ReluFeatures(4, 6)]
each = pytest.mark.parametrize("features", FEATURES, ids=["elu", "random", "relu"])


@each
@pytest.mark.parametrize("num_tokens", [63, 64, 65, 130])
def test_no_later_token_leaks_in_as_rounding(num_tokens: int, features) -> None:
    """Huge later tokens, also of the same chunk, change no earlier output in float32."""
    mixer = tn.LinearAttention(8, 2, tn.Causal(), features=features())
    x, cut = torch.randn(2, num_tokens, 8), num_tokens - num_tokens // 3
    structure = tn.Structure.dense(2, num_tokens)
    y = mixer(x, structure)
    with tn.backend("reference"):
        torch.testing.assert_close(y, mixer(x, structure), rtol=1e-4, atol=1e-5)
    later = torch.cat([x[:, :cut], x[:, cut:] * 1e6], 1)
    torch.testing.assert_close(mixer(later, structure)[:, :cut], y[:, :cut])


@each
def test_the_state_does_not_grow(features) -> None:
    """S and z of each head of keys; 130 steps are the parallel run."""
    heads = tn.Heads(4, kv_heads=2, head_dim=4)
    mixer = tn.LinearAttention(8, heads, tn.Causal(), features=features()).double()
    x, structure = torch.randn(3, 130, 8, dtype=torch.float64), tn.Structure.dense(3, 130)
    state, rows = mixer.start(structure), []
    size = state.shape
    assert size == (3, 2, mixer.features(torch.zeros(4).double()).shape[-1], 5)
    for token in x.unbind(1):
        y, state = mixer.step(token, state)
        assert state.shape == size
        rows.append(y)
    assert (torch.stack(rows, 1) - mixer(x, structure)).abs().max() < 1e-10


def test_shared_keys_are_repeated_keys() -> None:
    """With kv_heads the same as full heads whose keys and values are copies."""
    shared = tn.LinearAttention(8, tn.Heads(4, kv_heads=2), tn.Causal())
    whole = tn.LinearAttention(8, 4, tn.Causal())
    with torch.no_grad():
        for name in ("query", "output"):
            getattr(whole, name).load_state_dict(getattr(shared, name).state_dict())
        for name in ("key", "value"):
            one, two = getattr(shared, name), getattr(whole, name)
            two.weight.copy_(one.weight.view(2, 1, 2, 8).expand(2, 2, 2, 8).reshape(8, 8))
            two.bias.copy_(one.bias.view(2, 1, 2).expand(2, 2, 2).reshape(8))
    x, structure = torch.randn(2, 9, 8), tn.Structure.dense(2, 9)
    torch.testing.assert_close(shared(x, structure), whole(x, structure))


class _Exponential(tn.FeatureMap):
    """A user's own features: one method."""

    def forward(self, k: torch.Tensor) -> torch.Tensor:
        return torch.cat([k.clamp(-4, 4).exp(), (-k.clamp(-4, 4)).exp()], -1)


def test_own_features() -> None:
    mixer = tn.LinearAttention(8, 2, tn.Causal(), features=_Exponential())
    tn.verify(mixer, examples=6).raise_if_broken()
    assert isinstance(mixer.features, nn.Module)
