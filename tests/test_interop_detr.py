"""DETR's encoder and decoder as nets: outputs, hidden states and every gradient; and back."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity, randomise
from parity_detr import CASES, config_of, inputs, make, ours, theirs
from parity_laws import assert_audits_agree, assert_claims_hold

import tokennet as tn

pytest.importorskip("transformers", reason="transformers is not installed")

bring = tn.interop.from_transformers
draws = settings(max_examples=4, deadline=None)
each = pytest.mark.parametrize("kind", CASES)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@each
@draws
@given(seed=st.integers(0, 10_000))
def test_parity(kind: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[kind], seed, dtype, train=train)


def test_laws() -> None:
    """Tokens are a set: their places are in the codes that they carry."""
    assert "Permutation" in assert_claims_hold(CASES["DetrEncoder"])
    found = assert_claims_hold(CASES["DetrDecoder"])
    assert {"Permutation", "MemoryPermutation"} <= found
    assert_audits_agree(CASES["DetrEncoder"])


@each
def test_a_moved_weight_is_seen(kind: str) -> None:
    assert_misread_is_seen(CASES[kind])


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("DetrEncoder", "activation_function", "laplace"),
        ("DetrEncoder", "encoder_layerdrop", 0.1),
        ("DetrEncoder", "encoder_attention_heads", 3),
        ("DetrDecoder", "auxiliary_loss", True),
        ("DetrDecoder", "colour", "red"),
    ],
)
def test_other_options_are_refused(kind: str, key: str, value: Any) -> None:
    config = {**config_of(0).to_dict(), "architectures": [kind], key: value}
    with pytest.raises(ValueError, match=rf"^{kind}\.{key} is .*, expected .*"):
        bring(make(kind)(0).state_dict(), config)


def test_auxiliary_losses_change_their_outputs() -> None:
    """They norm what the next layer reads, which DETR does not: a reason to refuse the option."""
    plain: Any = randomise(make("DetrDecoder", decoder_layers=2)(0)).eval()
    other: Any = make("DetrDecoder", decoder_layers=2, auxiliary_loss=True)(0).eval()
    other.load_state_dict(plain.state_dict())
    given, net = inputs(0, plain), bring(plain)
    y, z = theirs(plain, given)["output"], theirs(other, given)["output"]
    torch.testing.assert_close(ours(net, given)["output"], y, rtol=1e-5, atol=1e-5)
    assert (y - z).abs().max() > 0.01


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_sample_without_memory(attention: str) -> None:
    """Reads nothing; theirs with eager attention reads the mean of the padding instead."""
    model: Any = randomise(make("DetrDecoder", attention)(0)).eval()
    net, given = bring(model), inputs(0, model)
    given["memory"]["valid"][0] = False
    first, y = ours(net, given)["output"], theirs(model, given)["output"]
    given["memory"]["x"][0] += 1
    torch.testing.assert_close(ours(net, given)["output"], first, rtol=0, atol=0)
    moved = (theirs(model, given)["output"] - y).abs().max()
    if attention == "sdpa":
        torch.testing.assert_close(first, y, rtol=1e-5, atol=1e-5)
        assert moved == 0
    else:
        assert moved > 0.01


@each
def test_from_a_state_dict(kind: str) -> None:
    model: Any = randomise(make(kind, dropout=0.1)(1)).eval()
    config = {**model.config.to_dict(), "architectures": [kind]}
    net, given = bring(model.state_dict(), config), inputs(1, model)
    assert torch.equal(ours(net, given)["output"], ours(bring(model), given)["output"])
    model.load_state_dict(tn.interop.export_state(net), strict=True)
    blocks = [mixer for mixer in net.mixers if isinstance(mixer, tn.Block)]
    assert all(part.dropout.p == 0.1 for block in blocks for part in block.parts)
