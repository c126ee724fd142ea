"""Encoders and decoders of x-transformers as nets: outputs, hidden states, gradients; and back."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity, randomise
from parity_laws import assert_audits_agree, assert_claims_hold
from parity_x import CASES, make_layers
from torch import nn

import tokennet as tn

x_transformers = pytest.importorskip("x_transformers", reason="x_transformers is not installed")

bring = tn.interop.from_x_transformers
draws = settings(max_examples=3, deadline=None)
each = pytest.mark.parametrize("name", CASES)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@each
@draws
@given(seed=st.integers(0, 10_000))
def test_parity(name: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[name], seed, dtype, train=train)


@each
def test_claims(name: str) -> None:
    found = assert_claims_hold(CASES[name])
    assert ("Causality" in found) == ("Decoder" in name)
    free = name == "Encoder, padded"
    assert ("Permutation" in found) == free


@pytest.mark.parametrize(
    "name",
    ["Encoder, padded", "Decoder, rotary, grouped queries", "TransformerWrapper(Decoder), tied"],
)
def test_audits(name: str) -> None:
    assert_audits_agree(CASES[name])


@each
def test_a_moved_weight_is_seen(name: str) -> None:
    assert_misread_is_seen(CASES[name])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "attn_qk_norm": ({"attn_qk_norm": True}, r"layers\.0\.1\.qk_norm is True, expected False"),
    "attn_head_scale": ({"attn_head_scale": True}, r"layers\.0\.1\.head_scale is True"),
    "attn_num_mem_kv": ({"attn_num_mem_kv": 2}, r"layers\.0\.1\.num_mem_kv is 2, expected 0"),
    "attn_sparse_topk": ({"attn_sparse_topk": 2}, r"layers\.0\.1\.sparse_topk is 2"),
    "attn_sigmoid": ({"attn_sigmoid": True}, r"layers\.0\.1\.attend\.attn_fn is sigmoid"),
    "attn_gate_values": ({"attn_gate_values": True}, r"layers\.0\.1\.to_v_gate is "),
    "ff_relu_squared": ({"ff_relu_squared": True}, r"layers\.1\.1\.ff\.0\.1 is ReluSquared"),
    "ff_post_act_ln": ({"ff_post_act_ln": True}, r"layers\.1\.1\.ff\.1 is LayerNorm"),
    "ff_glu_mult_bias": ({"ff_glu": True, "ff_glu_mult_bias": True}, r"ff\.0\.mult_bias is "),
    "layer_dropout": ({"layer_dropout": 0.1}, r"layer_dropouts is \(0\.1, 0\.1\)"),
    "macaron": ({"macaron": True}, r"layers of the model"),
    "sandwich_coef": ({"sandwich_coef": 1, "depth": 2}, r"has_custom_layer_types is True"),
    "weight_tie_layers": ({"weight_tie_layers": True, "depth": 2}, r"layers_execute_order is "),
    "scale_residual": ({"scale_residual": True}, r"layers\.0\.2\.residual_scale is \[6\]"),
    "gate_residual": ({"gate_residual": True}, r"layers\.0\.2 is GRUGating, expected Residual"),
    "shift_tokens": ({"shift_tokens": 1}, r"layers of the model"),
    "residual_attn": ({"residual_attn": True}, r"residual_attn is True, expected False"),
    "use_scalenorm": ({"use_scalenorm": True}, r"layers\.0\.0\.0 is ScaleNorm, expected LayerNorm"),
    "rotary_xpos": ({"rotary_xpos": True}, r"rotary_pos_emb\.scale_base is 512, expected missing"),
    "rotary_base_rescale_factor": (
        {"rotary_pos_emb": True, "rotary_base_rescale_factor": 2.0}, r"rotary_pos_emb\.inv_freq",
    ),
    "rotary_emb_dim": ({"rotary_pos_emb": True, "rotary_emb_dim": 5}, r"rotary_emb_dim is 5"),
    "alibi_num_heads": ({"alibi_pos_bias": True, "alibi_num_heads": 1}, r"rel_pos\.heads is 1"),
    "alibi_pos_bias": (
        {"alibi_pos_bias": True, "heads": 4, "attn_kv_heads": 2}, r"alibi_pos_bias is True",
    ),
    "num_residual_streams": ({"num_residual_streams": 2}, r"num_residual_streams is 2"),
    "attn_dim_head": ({"heads": 1, "attn_dim_head": 4}, r"attn_dim_head is 4, expected 6"),
}  # fmt: skip


@pytest.mark.parametrize("option", REFUSED)
def test_other_options_are_refused(option: str) -> None:
    """Where the live module shows them."""
    more, message = REFUSED[option]
    model = x_transformers.Decoder(
        **{"dim": 6, "depth": 1, "heads": 2, "attn_dim_head": 8, "verbose": False, **more}
    )
    with pytest.raises(ValueError, match=message):
        bring(model)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"num_memory_tokens": 2}, r"num_memory_tokens is 2, expected 0"),
        ({"use_cls_token": True}, r"cls_token is \[1, 6\], expected None"),
        ({"l2norm_embed": True}, r"l2norm_embed is True, expected False"),
        ({"scaled_sinu_pos_emb": True}, r"pos_emb is ScaledSinusoidalEmbedding"),
        ({"emb_frac_gradient": 0.5}, r"emb_frac_gradient is 0\.5, expected 1\.0"),
        ({"num_output_heads": 2}, r"has_multiple_heads is True"),
        ({"to_logits": nn.Linear(6, 11)}, r"to_logits\.bias is \[11\], expected None"),
        ({"embed_num_tokens": {"type": 2}}, r"embeds is ModuleDict"),
        ({"recycling": True}, r"recycling is True, expected False"),
    ],
)
def test_other_options_of_the_wrapper_are_refused(more: dict[str, Any], message: str) -> None:
    layers = make_layers("Encoder", 0, {})
    model = x_transformers.TransformerWrapper(
        num_tokens=11, max_seq_len=9, attn_layers=layers, **more
    )
    with pytest.raises(ValueError, match=message):
        bring(model)


def test_from_a_state_dict() -> None:
    """With the options as they are written for x-transformers."""
    options = {"dim": 6, "depth": 2, "heads": 2, "attn_dim_head": 8, "rotary_pos_emb": True}
    model = x_transformers.TransformerWrapper(
        num_tokens=11, max_seq_len=9, attn_layers=x_transformers.Decoder(**options, verbose=False)
    )
    randomise(model).eval()
    config = {
        "kind": "TransformerWrapper", "num_tokens": 11, "max_seq_len": 9,
        "attn_layers": {"kind": "Decoder", **options},
    }  # fmt: skip
    net = bring(model.state_dict(), config)
    ids = torch.randint(0, 11, (2, 7))
    torch.testing.assert_close(net(ids), model(ids), rtol=1e-5, atol=1e-5)
    assert torch.equal(net(ids), bring(model)(ids))
    model.load_state_dict(tn.interop.export_state(net), strict=True)
    with pytest.raises(ValueError, match=r"^TransformerWrapper\.colour is 'red', expected an opt"):
        bring(model.state_dict(), {**config, "colour": "red"})
    config["attn_layers"] = {**config["attn_layers"], "attn_laser": True}
    with pytest.raises(ValueError, match=r"^Decoder\.attn_laser is True, expected an option that"):
        bring(model.state_dict(), config)
    config["attn_layers"] = {"kind": "PrefixDecoder"}
    with pytest.raises(ValueError, match=r"attn_layers\.kind is 'PrefixDecoder', expected 'Enc"):
        bring(model.state_dict(), config)


def test_their_softmax_is_rounded_to_float32() -> None:
    """In float64 too, unless the kernel is fused: there ours differs on purpose."""
    torch.manual_seed(0)
    plain = x_transformers.Encoder(dim=8, depth=2, heads=2, attn_dim_head=8)
    model = randomise(plain).double().eval()
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    error = (bring(model)(x) - model(x)).abs().max()
    assert 1e-10 < error < 1e-6


def test_dropouts_are_taken_over() -> None:
    model = make_layers("Encoder", 0, {"attn_dropout": 0.1, "ff_dropout": 0.2})
    block = bring(model).mixers[0]
    assert isinstance(block, tn.Block)
    attention, mlp = (part.mixer for part in block.parts)
    assert attention.dropout == 0.1
    assert mlp.map[2].p == 0.2
