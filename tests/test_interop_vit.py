"""ViT as a net: outputs, hidden states, every gradient; and back."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity, compare, randomise
from parity_laws import assert_audits_agree, assert_claims_hold
from parity_vit import CASES, EAGER, inputs, make, ours, theirs

import tokennet as tn

transformers = pytest.importorskip("transformers")
draws = settings(max_examples=4, deadline=None)
each = pytest.mark.parametrize("kind", ["ViTModel", "ViTForImageClassification"])


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", CASES)
@draws
@given(seed=st.integers(0, 10_000))
def test_parity(name: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[name], seed, dtype, train=train)


@draws
@given(seed=st.integers(0, 10_000))
def test_eager_attention_of_the_original_rounds_to_float32(seed: int) -> None:
    """Ours stays in float64, so there the two differ, by float32's rounding and no more."""
    assert_parity(EAGER, seed, torch.float32)
    assert 1e-9 < compare(EAGER, seed, torch.float64).worst < 1e-4


@each
def test_laws(kind: str) -> None:
    """The class token and learned places leave no symmetry to claim."""
    assert assert_claims_hold(CASES[kind]) == frozenset()
    assert_audits_agree(CASES[kind])


@each
def test_a_moved_weight_is_seen(kind: str) -> None:
    assert_misread_is_seen(CASES[kind])


@each
def test_the_exported_state_is_that_of_the_original(kind: str) -> None:
    model = randomise(make(kind)(3)).eval()
    net = tn.interop.from_transformers(model)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1)  # as if it had been trained
    fresh = make(kind)(3).eval()
    fresh.load_state_dict(tn.interop.export_state(net), strict=True)
    x = inputs(3, model)
    torch.testing.assert_close(theirs(fresh, x)["output"], ours(net, x)["output"])
    assert not torch.allclose(theirs(model, x)["output"], ours(net, x)["output"])


@each
@pytest.mark.parametrize("name", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_dropout_is_where_it_was(kind: str, name: str) -> None:
    """Of the same random numbers the same entries are dropped."""
    config = make(kind)(1).config
    setattr(config, name, 0.4)
    config._attn_implementation = "sdpa"
    model = randomise(getattr(transformers, kind)(config)).train()
    net, x = tn.interop.from_transformers(model), inputs(1, model)
    torch.manual_seed(0)
    expected = model(x)[0]
    torch.manual_seed(0)
    torch.testing.assert_close(net(x), expected)
    assert not torch.allclose(net.eval()(x), expected, atol=1e-3)


@each
def test_names_of_older_files(kind: str) -> None:
    """Those of before transformers 5, in the state dict; today's on the way back."""
    model = randomise(make(kind)(2)).eval()
    today = model.state_dict()
    older = {_older(name): t for name, t in today.items()}
    assert len(older) == len(today)
    assert not any("layers." in name or "_proj" in name or "fc1" in name for name in older)
    config = {**model.config.to_dict(), "architectures": [kind]}
    net = tn.interop.from_transformers(older, config)
    x = inputs(2, model)
    torch.testing.assert_close(ours(net, x)["output"], theirs(model, x)["output"])
    assert list(tn.interop.export_state(net)) == list(today)
    twice = {**older, **{n: t for n, t in today.items() if "q_proj.weight" in n}}
    with pytest.raises(ValueError, match=rf"^the state dict of {kind} is twice with '.*q_proj"):
        tn.interop.from_transformers(twice, config)


def _older(name: str) -> str:
    if "layers." not in name or "layernorm" in name:
        return name.replace("layers.", "encoder.layer.")
    for new, old in (
        ("layers.", "encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ):
        name = name.replace(new, old)
    return name


@each
def test_options_are_refused_by_name(kind: str) -> None:
    model = make(kind)(0)
    config, state = model.config.to_dict(), model.state_dict()
    refused: dict[str, tuple[Any, str]] = {
        "head_dim": (2, r"2, expected an option that tokennet knows"),
        "hidden_act": ("xielu", r"'xielu', expected one of 'gelu'"),
        "image_size": (9, r"9, expected whole patches of patch_size 2; tokennet has no"),
        "patch_size": ([2, 4], r"\[2, 4\], expected a square"),
        "qkv_bias": ("no", r"'no', expected one of True, False"),
    }
    for name, (value, words) in refused.items():
        other = {**config, "architectures": [kind], name: value}
        with pytest.raises(ValueError, match=rf"^{kind}\.{name} is {words}"):
            tn.interop.from_transformers(state, other)


def test_other_sizes_of_images_are_refused() -> None:
    """The original refuses them too; places of one grid mean nothing on another."""
    model = make("ViTModel")(1)
    net = tn.interop.from_transformers(model)
    assert model.config.image_size == [8, 12] or model.config.image_size == (8, 12)
    with pytest.raises(ValueError, match=r"^height and width of the images is \(12, 8\), expected"):
        net(torch.randn(1, model.config.num_channels, 12, 8))


def test_size_of_a_patch_tokenizer() -> None:
    tokenizer = tn.PatchTokenizer(1, 2, 4, size=(4, 6))
    x, structure = tokenizer(torch.randn(1, 1, 4, 6))
    assert (x.shape, structure.grid) == ((1, 6, 4), (2, 3))
    with pytest.raises(ValueError, match=r"is \(6, 4\), expected \(4, 6\), the size of PatchTok"):
        tokenizer(torch.randn(1, 1, 6, 4))
    with pytest.raises(ValueError, match=r"^image width is 5"):
        tn.PatchTokenizer(1, 2, 4, size=(4, 5))
    with pytest.raises(TypeError, match=r"^size is 4, expected a pair"):
        tn.PatchTokenizer(1, 2, 4, size=4)  # type: ignore[arg-type]


def test_pooler_and_mask_token_are_carried_along() -> None:
    config = make("ViTModel")(0).config
    model = transformers.ViTModel(config, use_mask_token=True)
    net = tn.interop.from_transformers(model)
    kept = {"embeddings.mask_token", "pooler.dense.weight", "pooler.dense.bias"}
    assert set(net.origin.kept) == kept
    bare = transformers.ViTModel(config, add_pooling_layer=False)
    assert not tn.interop.from_transformers(bare).origin.kept
