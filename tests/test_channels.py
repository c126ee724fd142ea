"""Tokens that carry a code beside their content."""

import pytest
import torch
from torch import nn

import tokennet as tn
from tokennet.mixers.channels import AddedCode, FirstChannels, OnFirst, ThenZeros


def test_what_each_does() -> None:
    x = torch.tensor([[1.0, 2.0, 10.0, 20.0]])
    assert FirstChannels(3)(x).tolist() == [[1, 2, 10]]
    assert AddedCode(2)(x).tolist() == [[11, 22]]
    assert ThenZeros(2)(x).tolist() == [[1, 2, 10, 20, 0, 0]]
    assert OnFirst(nn.ReLU(), 2)(-x).tolist() == [[0, 0, -10, -20]]
    assert repr(AddedCode(2)) == "AddedCode(2)"


def test_errors() -> None:
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"^channels of \[x, c\] is 3, expected twice 2"):
        AddedCode(2)(x)
    with pytest.raises(ValueError, match=r"^channels of x is 3, expected at least 4"):
        FirstChannels(4)(x)
    with pytest.raises(TypeError, match=r"^module is .*, expected a module"):
        OnFirst(2, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^count is 0"):
        ThenZeros(0)


def test_a_code_for_queries_and_keys_alone() -> None:
    """softmax((W_q (x + c)).(W_k (x + c))) W_v x, and the code is handed on as it was."""
    dim = 4
    attention = tn.Attention(2 * dim, tn.Heads(2, head_dim=2)).with_maps(
        query=nn.Sequential(AddedCode(dim), nn.Linear(dim, dim)),
        key=nn.Sequential(AddedCode(dim), nn.Linear(dim, dim)),
        value=nn.Sequential(FirstChannels(dim), nn.Linear(dim, dim)),
        output=nn.Sequential(nn.Linear(dim, dim), ThenZeros(dim)),
    )
    plain = nn.MultiheadAttention(dim, 2, batch_first=True)
    with torch.no_grad():
        maps = [attention.query[1], attention.key[1], attention.value[1]]
        plain.in_proj_weight.copy_(torch.cat([m.weight for m in maps]))
        plain.in_proj_bias.copy_(torch.cat([m.bias for m in maps]))
        plain.out_proj.load_state_dict(attention.output[0].state_dict())
    x, c = torch.randn(2, 5, dim), torch.randn(2, 5, dim)
    y = attention(torch.cat([x, c], -1), tn.Structure.dense(2, 5))
    torch.testing.assert_close(y[..., :dim], plain(x + c, x + c, x)[0])
    assert not y[..., dim:].any()
    layer = tn.PostNorm(2 * dim, attention, norm=lambda d: OnFirst(nn.LayerNorm(d // 2), d // 2))
    z = layer(torch.cat([x, c], -1), tn.Structure.dense(2, 5))
    assert torch.equal(z[..., dim:], c)
    tn.verify(layer, examples=8).raise_if_broken()
