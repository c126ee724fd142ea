"""Bad input to `audit`: which argument, its value, what is allowed."""

import pytest
import torch
from torch import nn

import tokennet as tn

D = 6


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"properties": ["Causal"]}, ValueError, "did you mean 'Causality'"),
        ({"properties": [3]}, TypeError, "properties is 3, expected names of properties"),
        ({"budget": 0}, ValueError, "budget is 0, expected seconds, more than 0"),
        ({"tokns": "x"}, TypeError, "did you mean 'tokens'"),
        ({"mask": "y"}, ValueError, r"mask is 'y', expected an argument of forward: input"),
        ({"output": "logits"}, ValueError, "refused by the module"),
    ],
)
def test_bad_input(arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        tn.audit(nn.Linear(D, D), torch.randn(2, 5, D), **arguments)


def test_bad_modules_and_examples() -> None:
    with pytest.raises(TypeError, match="module is the class Linear"):
        tn.audit(nn.Linear, torch.randn(2, D))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="arguments of a call of Sequential"):
        tn.audit(nn.Sequential(nn.Linear(D, D)))
    with pytest.raises(ValueError, match=r"refused by the module, .*mat1 and mat2"):
        tn.audit(nn.Linear(D, D), torch.randn(2, 5, D + 1))
    with pytest.raises(TypeError, match="example is int"):
        tn.audit(nn.Linear(D, D), 3)
