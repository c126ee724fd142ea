"""The norm of Llama and T5: torch's in float32; in float64 off by the rounding of float32."""

import pytest
import torch
from torch import nn

from tokennet.mixers.rounded_norm import RoundedRMSNorm


@pytest.mark.parametrize("statistics_only", [False, True])
@pytest.mark.parametrize("dim", [1, 7, 64])
def test_it_is_the_norm_of_torch_but_for_rounding(dim: int, statistics_only: bool) -> None:
    norm = RoundedRMSNorm(dim, eps=1e-3, statistics_only=statistics_only)
    exact = nn.RMSNorm(dim, eps=1e-3)
    with torch.no_grad():
        exact.weight.copy_(norm.weight.normal_())
    x, scale = torch.randn(5, 3, dim), 2.0
    assert torch.allclose(norm(x), exact(x), atol=1e-6)
    error = (norm.double()(x.double() * scale) - exact.double()(x.double() * scale)).abs().max()
    assert 1e-12 < error < 1e-5
    assert norm(x.double()).dtype == torch.float64
    assert norm.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_what_stays_in_float64() -> None:
    """Llama rounds the tokens too, T5 only their size."""
    x = torch.tensor([[1.0, 1.0 + 1e-12]], dtype=torch.float64)
    both, size = (RoundedRMSNorm(2, statistics_only=s).double()(x)[0] for s in (False, True))
    assert both[0] == both[1]
    assert size[0] < size[1]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"^eps is -1, expected a number from 0"):
        RoundedRMSNorm(4, eps=-1)
    with pytest.raises(TypeError, match=r"^eps is True, expected a number from 0"):
        RoundedRMSNorm(4, eps=True)
    with pytest.raises(ValueError, match=r"^dim is 0"):
        RoundedRMSNorm(0)
