"""`nn.RNN`, `nn.LSTM`, `nn.GRU` as nets: outputs and every gradient, padded, packed; and back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity
from parity_laws import assert_audits_agree, assert_claims_hold
from parity_recurrent import CASES, KINDS

import tokennet as tn

draws = settings(max_examples=5, deadline=None)


each = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@each
@draws
@given(seed=st.integers(0, 10_000))
def test_parity(kind: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[kind], seed, dtype, train=train)


@each
def test_laws(kind: str) -> None:
    assert "Causality" in assert_claims_hold(CASES[kind])
    assert_audits_agree(CASES[kind])


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
