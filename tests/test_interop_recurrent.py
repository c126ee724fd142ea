"""`nn.RNN`, `nn.LSTM`, `nn.GRU` as nets: outputs and every gradient, padded, packed; and back."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, Case, assert_misread_is_seen, assert_parity
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tokennet as tn

draws = settings(max_examples=5, deadline=None)
KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


def _make(kind: str) -> Any:
    def make(seed: int) -> nn.Module:
        return KINDS[kind](3 + seed % 4, 5 + seed % 3, num_layers=1 + seed % 2, batch_first=True)

    return make


def _inputs(seed: int, model: Any) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 8, (4,), generator=g)
    return torch.randn(4, int(lengths.max()), model.input_size, generator=g), lengths


def _valid(x: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(x.shape[1]) < lengths[:, None]


def _theirs(model: nn.Module, inputs: Any) -> dict[str, Tensor]:
    x, lengths = inputs
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, _ = pad_packed_sequence(model(packed)[0], batch_first=True)
    return {"output": y[_valid(x, lengths)]}


def _ours(net: "tn.TokenNet", inputs: Any) -> dict[str, Tensor]:
    x, lengths = inputs
    valid = _valid(x, lengths)
    return {"output": net(x, tn.Structure.padded(valid))[valid]}


CASES = {
    kind: Case(f"nn.{kind}", "torch", _make(kind), tn.interop.from_torch, _inputs, _theirs, _ours)
    for kind in KINDS
}
each = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@each
@draws
@given(seed=st.integers(0, 10_000))
def test_parity(kind: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[kind], seed, dtype, train=train)


@each
def test_a_moved_weight_is_seen(kind: str) -> None:
    assert_misread_is_seen(CASES[kind])


@each
def test_other_options_are_refused(kind: str) -> None:
    for other, name in (
        ({"bidirectional": True}, "bidirectional"),
        ({"bias": False}, "bias"),
        ({"num_layers": 2, "dropout": 0.5}, "dropout"),
    ):
        with pytest.raises(ValueError, match=rf"^{kind}\.{name} is .*, expected .*; tokennet has"):
            tn.interop.from_torch(KINDS[kind](3, 4, **other))
    config = {"kind": kind, "input_size": 3, "hidden_size": 4, "colour": "red"}
    with pytest.raises(ValueError, match=rf"^{kind}\.colour is 'red', expected an option that"):
        tn.interop.from_torch(KINDS[kind](3, 4).state_dict(), config)


@each
def test_from_a_state_dict(kind: str) -> None:
    module = KINDS[kind](3, 4)
    net = tn.interop.from_torch(
        module.state_dict(), {"kind": kind, "input_size": 3, "hidden_size": 4}
    )
    assert not net.training
    assert net.claims == tn.interop.from_torch(module).claims == frozenset({tn.Causality()})
    x = torch.randn(2, 5, 3)
    assert torch.equal(net(x), tn.interop.from_torch(module)(x))
