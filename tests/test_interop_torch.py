"""torch's transformers and attention as nets: outputs, layers, weights, gradients; and back."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity, randomise
from parity_laws import assert_audits_agree, assert_claims_hold
from parity_torch import CASES
from torch import nn

import tokennet as tn

draws = settings(max_examples=4, deadline=None)
each = pytest.mark.parametrize("name", CASES)
AUDITED = (
    "nn.TransformerEncoder, post-norm, padded",
    "nn.TransformerEncoder, causal, padded",
    "nn.TransformerDecoderLayer, causal, padded",
    "nn.Transformer, causal, padded",
    "nn.MultiheadAttention, padded",
    "nn.MultiheadAttention, causal, padded",
    "nn.MultiheadAttention, kdim and vdim, padded",
)
NESTED = "enable_nested_tensor"


def _layer(**options: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, **options)


def _encoder(**options: Any) -> nn.TransformerEncoder:
    return nn.TransformerEncoder(_layer(**options), 2, enable_nested_tensor=False)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@each
@draws
@given(seed=st.integers(0, 10_000))
def test_parity(name: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[name], seed, dtype, train=train)


@each
def test_claims(name: str) -> None:
    claims = assert_claims_hold(CASES[name], examples=4)
    assert ("Causality" in claims) == ("causal" in name or "kdim" in name or "memory" in name)
    assert ("Permutation" in claims) == ("causal" not in name)


@pytest.mark.parametrize("name", AUDITED)
def test_audits(name: str) -> None:
    assert_audits_agree(CASES[name])


@each
def test_a_moved_weight_is_seen(name: str) -> None:
    assert_misread_is_seen(CASES[name])


def test_the_activation_matters() -> None:
    """Each of those that are known is told from the others."""
    kinds = (nn.functional.gelu, nn.functional.silu, torch.tanh, nn.functional.relu, nn.ReLU())
    x, outputs = torch.randn(2, 4, 8), []
    for kind in kinds:
        torch.manual_seed(0)
        model = randomise(_layer(activation=kind))
        outputs.append(tn.interop.from_torch(model)(x))
        assert (outputs[-1] - model(x)).abs().max() < 1e-5
    assert all((y - outputs[0]).abs().max() > 1e-3 for y in outputs[1:])
    assert torch.equal(outputs[3], outputs[4])


def test_dropout_is_taken_over() -> None:
    net = tn.interop.from_torch(nn.TransformerEncoderLayer(8, 2, 16, 0.25, batch_first=True))
    found = [m.p for m in net.modules() if isinstance(m, nn.Dropout)]
    assert found == [0.25] * 3
    assert net.mixers[0].mixers[0].mixer.dropout == 0.25
    attention = tn.interop.from_torch(nn.MultiheadAttention(8, 2, dropout=0.5))
    assert attention.mixers[0].dropout == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"add_bias_kv": True}, r"^MultiheadAttention\.add_bias_kv is True, expected False"),
        ({"add_zero_attn": True}, r"^MultiheadAttention\.add_zero_attn is True, expected False"),
        ({"vdim": 5}, r"^MultiheadAttention\.vdim is 5, expected 8, the kdim"),
    ],
)
def test_options_of_attention_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tn.interop.from_torch(nn.MultiheadAttention(8, 2, **options))


def test_memory_of_attention() -> None:
    """A `kdim` of its own means memory; without it the caller says."""
    model = nn.MultiheadAttention(8, 2)
    assert tn.interop.from_torch(model).reads == frozenset()
    assert tn.interop.from_torch(model, memory=True).reads == {"memory"}
    assert tn.interop.from_torch(nn.MultiheadAttention(8, 2, kdim=5, vdim=5)).reads == {"memory"}
    with pytest.raises(
        ValueError, match=r"^MultiheadAttention\.causal is True, expected False with memory"
    ):
        tn.interop.from_torch(model, memory=True, causal=True)
    with pytest.raises(
        ValueError, match=r"^LSTM\.memory is True, expected an option that tokennet knows"
    ):
        tn.interop.from_torch(nn.LSTM(3, 4), memory=True)


def _changed(change: str) -> nn.Module:
    """An encoder of which somebody changed the second layer, or a part of it."""
    model = _encoder()
    layer: Any = model.layers[1]
    if change == "eps":
        layer.norm2.eps = 1e-3
    elif change == "dropout":
        layer.dropout1.p = 0.5
    elif change == "width":
        model.layers[1] = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)
    elif change == "order":
        layer.norm_first = True
    elif change == "norm":
        layer.norm1 = nn.RMSNorm(8)
    elif change == "subclass":
        model.layers[1] = type("Mine", (nn.TransformerEncoderLayer,), {})(8, 2, 16, 0.0)
    elif change == "tied":
        model.layers[1] = model.layers[0]
    elif change == "activation":
        layer.activation = torch.exp
    elif change == "last":
        model.norm = nn.LayerNorm(8, elementwise_affine=False)
    elif change == "linear":
        layer.linear1 = nn.Sequential(layer.linear1)
    return model


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ("eps", ValueError, r"layers\.1\.norm2\.eps is 0\.001, expected 1e-05 as of norm1"),
        ("dropout", ValueError, r"layers\.1\.dropout1\.p is 0\.5, expected 0\.0"),
        ("width", ValueError, r"layers\.1\.dim_feedforward is 12, expected 16 as of layers\.0"),
        ("order", ValueError, r"layers\.1\.norm_first is True, expected False as of layers\.0"),
        ("norm", TypeError, r"layers\.1\.norm1 is RMSNorm, expected a LayerNorm, and no subclass"),
        ("subclass", TypeError, r"layers\.1 is Mine, expected a TransformerEncoderLayer, and no"),
        ("tied", ValueError, r"layers\.1\.\S+ is tied to layers\.0\.\S+, expected weights of"),
        ("activation", TypeError, r"layers\.1\.activation is exp, expected one of relu, gelu"),
        ("last", ValueError, r"norm\.elementwise_affine is False, expected True"),
        ("linear", TypeError, r"layers\.1\.linear1 is Sequential, expected a Linear"),
    ],
)
def test_changed_layers_are_refused(change: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        tn.interop.from_torch(_changed(change))


def test_other_options_are_refused() -> None:
    state = _encoder().state_dict()
    config = tn.interop.from_torch(_encoder()).origin.config
    for more, message in (
        ({"activation": "mish"}, r"TransformerEncoder\.activation is 'mish', expected one of"),
        ({"rotary": True}, r"TransformerEncoder\.rotary is True, expected an option that"),
        ({"num_layers": 3}, r"without 'layers\.2\.\S+', expected a tensor for every weight"),
        ({"num_layers": 1}, r"with 'layers\.1\.\S+', expected only weights that its options"),
        ({"bias": False}, r"with 'layers\.0\.\S+bias', expected only weights"),
        ({"dim_feedforward": 12}, r"shape of layers\.0\.linear1\.weight is \[16, 8\], expected"),
    ):
        with pytest.raises(ValueError, match=message):
            tn.interop.from_torch(state, {"kind": "TransformerEncoder", **config, **more})


def test_a_transformer_of_own_parts() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", NESTED, UserWarning)
        plain = nn.Transformer(8, 2, 1, 1, 16, 0.0, batch_first=True)
        other = nn.Transformer(8, 2, 1, 1, 16, 0.0, batch_first=True, custom_encoder=_encoder())
    tn.interop.from_torch(plain)
    with pytest.raises(
        ValueError, match=r"^Transformer\.encoder\.norm is None, expected a LayerNorm"
    ):
        tn.interop.from_torch(other)
    plain.decoder = nn.Identity()
    with pytest.raises(
        TypeError, match=r"^Transformer\.decoder is Identity, expected a TransformerDecoder"
    ):
        tn.interop.from_torch(plain)


def test_an_activation_that_decoders_of_torch_forget() -> None:
    """Copies of a decoder layer have ReLU where the activation was a module; so has the import."""
    layer = nn.TransformerDecoderLayer(8, 2, 16, 0.0, activation=nn.GELU(), batch_first=True)
    torch.manual_seed(0)
    model = randomise(nn.TransformerDecoder(layer, 1))
    net = tn.interop.from_torch(model)
    assert net.origin.config["activation"] == "relu"
    x, memory = torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    y = net(x, tn.Structure.dense(2, 3, memory=tn.Tokens.dense(memory)))
    assert (y - model(x, memory)).abs().max() < 1e-5
    assert tn.interop.from_torch(layer).origin.config["activation"] == "gelu"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", NESTED, UserWarning)
        both = nn.Transformer(8, 2, 1, 1, 16, 0.0, nn.GELU(), batch_first=True)
    both = randomise(both)
    net = tn.interop.from_torch(both)
    config = net.origin.config
    assert (config["activation"], config["decoder_activation"]) == ("gelu", "relu")
    assert (net((memory, x)) - both(memory, x)).abs().max() < 1e-5


VALID = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]).bool()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_the_fast_path_of_encoders(nested: bool) -> None:
    """torch's eval mode without gradients: the same rows, but NaN or 0 for an empty sample."""
    torch.manual_seed(0)
    model = nn.TransformerEncoder(_layer(), 2, enable_nested_tensor=nested).eval()
    randomise(model)
    net, x = tn.interop.from_torch(model), torch.randn(3, 4, 8)
    with torch.no_grad():
        theirs = model(x, src_key_padding_mask=~VALID)
        ours = net(x, tn.Structure.padded(VALID))
    assert (theirs - ours)[VALID].abs().max() < 1e-5
    assert ours.isfinite().all()
    assert theirs[2].isnan().all() if not nested else not theirs[~VALID].any()


def test_the_fast_path_forgets_the_kind_of_gelu() -> None:
    """With `nn.GELU("tanh")` torch gives other numbers with gradients than without; ours do not."""
    torch.manual_seed(0)
    model = randomise(_layer(activation=nn.GELU(approximate="tanh"))).double().eval()
    net, x = tn.interop.from_torch(model), torch.randn(3, 4, 8, dtype=torch.float64)
    with torch.no_grad():
        fast, ours = model(x), net(x)
    assert (fast - model(x)).abs().max() > 1e-5
    assert (ours - model(x)).abs().max() < 1e-12
    assert (ours - net(x)).abs().max() < 1e-12


def test_an_activation_that_the_fast_path_does_not_know_of() -> None:
    """Replaced later, it counts with gradients only: without, torch takes the first one."""
    model: Any = randomise(_layer(activation="relu")).double().eval()
    model.activation = nn.functional.gelu
    x = torch.randn(3, 4, 8, dtype=torch.float64)
    with torch.no_grad():
        assert (model(x) - model.train()(x)).abs().max() > 1e-3
    with pytest.raises(ValueError, match=r"\.activation is gelu, expected that of its constructor"):
        tn.interop.from_torch(model)
    model.activation_relu_or_gelu = 2
    tn.interop.from_torch(model)


def test_from_a_folder_and_back(tmp_path: Path) -> None:
    """A file of weights with its options; trained, the weights go back into the original."""
    from safetensors.torch import save_file

    model = randomise(_encoder(norm_first=True)).eval()
    config = tn.interop.from_torch(model).origin.config
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"kind": "TransformerEncoder", **config}))
    net, x = tn.interop.from_torch(tmp_path), torch.randn(2, 5, 8)
    assert not net.training
    assert torch.equal(net(x), tn.interop.from_torch(model)(x))
    net(x).square().sum().backward()
    torch.optim.SGD(net.parameters(), 1e-2).step()
    before, trained = model(x), copy.deepcopy(model)
    trained.load_state_dict(tn.interop.export_state(net), strict=True)
    assert (trained(x) - net(x)).abs().max() < 1e-5
    assert (trained(x) - before).abs().max() > 1e-3


def test_frozen_weights_stay_frozen() -> None:
    model = _encoder()
    model.layers[0].self_attn.in_proj_weight.requires_grad_(False)
    net = tn.interop.from_torch(model)
    names = [n for n, p in net.named_parameters() if not p.requires_grad]
    assert names == [f"mixers.0.mixers.0.mixer.{n}.weight" for n in ("query", "key", "value")]
