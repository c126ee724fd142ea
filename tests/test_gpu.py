"""On a CUDA device: every operator gives what it gives on the CPU."""

import pytest
import torch
from operators import OPERATORS, Operator, ragged_tokens
from test_operators import results

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
def test_cuda_equals_cpu(operator: Operator, packed: bool) -> None:
    """Outputs and all gradients in float64, and nothing has moved to another device."""
    mixer = operator.make().double().eval()
    tokens = ragged_tokens(mixer, torch.float64, packed=packed)
    here = results(mixer, tokens)
    there = results(mixer.cuda(), tokens.to("cuda"))
    for a, b in zip(here, there, strict=True):
        assert b.is_cuda
        torch.testing.assert_close(a, b.cpu(), rtol=1e-10, atol=1e-10)
