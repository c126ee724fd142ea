"""Stored nets with own classes, and what is refused because data can't tell it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_interop_pretrained import bits, ids, load, net_of, save
from torch import Tensor, nn

import tokennet as tn


class Shift(tn.Mixer):
    """A user's mixer, with a table that is a buffer and a part that is given."""

    def __init__(self, by: int, inner: nn.Module, *, activation: type[nn.Module] = nn.Tanh):
        super().__init__()
        self.by, self.inner, self.activation = by, inner, activation
        self.register_buffer("table", torch.arange(8.0))

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        return self.activation()(x.roll(self.by, -1) + self.inner(x) + self.table)


class Forgetful(tn.Mixer):
    def __init__(self, by: int):
        super().__init__()
        self.amount = by

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        return x * self.amount


class Plain(tn.Mixer):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.randn(8)

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        return x + self.table


def test_own_classes(tmp_path: Path) -> None:
    net = net_of(Shift(3, nn.Linear(8, 8), activation=nn.Sigmoid))
    bits(net, tmp_path, (ids(),), (Shift,))
    with pytest.raises(ValueError, match=r"Shift.*pass it: .*classes=\[Shift\]"):
        load(tmp_path)
    with pytest.raises(TypeError, match="classes is Shift"):
        load(tmp_path, classes=[net.mixers[0]])


def _hooked() -> tn.TokenNet:
    net = net_of(tn.Attention(8, 2))
    net.mixers[0].query.register_forward_hook(lambda *_: None)
    return net


def _patched() -> tn.TokenNet:
    net = net_of(tn.Attention(8, 2))
    net.mixers[0].forward = lambda x, structure: x
    return net


def _altered() -> tn.TokenNet:
    net = net_of(tn.GraphAttention(8, 2))
    net.mixers[0].head_dim = 3
    return net


def _view() -> tn.TokenNet:
    net = net_of(tn.Attention(8, 2))
    net.mixers[0].query.weight.data = net.mixers[0].key.weight.data
    return net


def _parametrised() -> tn.TokenNet:
    net = net_of(tn.Attention(8, 2))
    nn.utils.parametrizations.weight_norm(net.mixers[0].query)
    return net


def _named_alike() -> tn.TokenNet:
    other = type("Shift", (Shift,), {})
    return net_of(Shift(1, nn.Linear(8, 8)), other(1, nn.Linear(8, 8)))


REFUSED: dict[str, tuple[Callable[[], tn.TokenNet], str]] = {
    "an argument that was not kept": (lambda: net_of(Forgetful(3)), "write self.by = by"),
    "a plain tensor": (lambda: net_of(Plain()), r"mixers\[0\].table is a plain tensor"),
    "a hook": (_hooked, "hooks of mixers.0.query"),
    "another forward": (_patched, r"forward of mixers\.0 is replaced"),
    "an attribute that was changed": (_altered, r"mixers\[0\].head_dim is 3, expected 4"),
    "two parameters in one memory": (_view, "in the memory of mixers.0"),
    "a parametrisation": (_parametrised, "parametrizations of mixers.0.query"),
    "classes of one name": (_named_alike, "one of two classes Shift"),
    "a function": (
        lambda: net_of(tn.SAGEConvolution(8, pool=lambda v, s, n: v[:n])),
        r"mixers\[0\].pool is .*lambda",
    ),
    "a class of torch": (
        lambda: net_of(tn.TokenWise(nn.TransformerEncoderLayer(8, 2))),
        "torch.nn.modules.transformer.TransformerEncoderLayer",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        save(make(), tmp_path / "net")
    assert not (tmp_path / "net").exists(), "nothing is left behind"
