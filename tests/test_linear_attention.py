"""Causal linear attention over more than one chunk."""

import pytest
import torch

import tokennet as tn


@pytest.mark.parametrize("num_tokens", [63, 64, 65, 130])
def test_no_later_token_leaks_in_as_rounding(num_tokens: int) -> None:
    """Huge later tokens, also of the same chunk, change no earlier output in float32."""
    mixer = tn.LinearAttention(8, 2, tn.Causal())
    x, cut = torch.randn(2, num_tokens, 8), num_tokens - num_tokens // 3
    structure = tn.Structure.dense(2, num_tokens)
    y = mixer(x, structure)
    with tn.backend("reference"):
        torch.testing.assert_close(y, mixer(x, structure))
    later = torch.cat([x[:, :cut], x[:, cut:] * 1e6], 1)
    torch.testing.assert_close(mixer(later, structure)[:, :cut], y[:, :cut])
