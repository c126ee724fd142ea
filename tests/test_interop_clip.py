"""CLIP's towers as nets: outputs, hidden states and every gradient; the end token; and back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity, compare, randomise
from parity_clip import CASES, EAGER, END, make, text_config, vision_config
from parity_laws import assert_audits_agree, assert_claims_hold

import tokennet as tn

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

bring = tn.interop.from_transformers
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
    assert ("Causality" in assert_claims_hold(CASES[name])) == (name == "CLIPTextModel")


@pytest.mark.parametrize("name", ["CLIPTextModel", "CLIPTextModelWithProjection"])
def test_audits(name: str) -> None:
    assert_audits_agree(CASES[name])


@each
def test_a_moved_weight_is_seen(name: str) -> None:
    assert_misread_is_seen(CASES[name])


def test_eager_attention_is_rounded_to_float32() -> None:
    assert_parity(EAGER, 3, torch.float32)
    assert 1e-10 < compare(EAGER, 3, torch.float64).worst < 1e-6


def test_a_text_without_an_end_is_read_at_its_last_token() -> None:
    """The original reads its first token, which has heard nothing: ours differs on purpose."""
    model: Any = randomise(make("CLIPTextModelWithProjection")(0)).eval()
    ids = torch.tensor([[5, 6, 7, 8], [9, 6, END, 8]])
    y, expected = bring(model)(ids), model(ids).text_embeds
    torch.testing.assert_close(y[1], expected[1])
    assert (y[0] - expected[0]).abs().max() > 0.01
    torch.testing.assert_close(expected[:1], model(ids[:1, :1]).text_embeds)
    state = model(ids[:1]).last_hidden_state[:, -1]
    torch.testing.assert_close(y[:1], model.text_projection(state))


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("CLIPTextModel", "hidden_act", "laplace"),
        ("CLIPTextModel", "colour", "red"),
        ("CLIPTextModelWithProjection", "eos_token_id", [2, 3]),
        ("CLIPTextModelWithProjection", "projection_dim", None),
        ("CLIPVisionModel", "image_size", [6, 8]),
        ("CLIPVisionModel", "image_size", 7),
        ("CLIPVisionModelWithProjection", "patch_size", [2, 2]),
    ],
)
def test_other_options_are_refused(kind: str, key: str, value: Any) -> None:
    config = (text_config if "Text" in kind else vision_config)(0).to_dict()
    config = {**config, "architectures": [kind], key: value}
    with pytest.raises(ValueError, match=rf"^{kind}\.{key} is .*, expected .*"):
        bring(make(kind)(0).state_dict(), config)


@pytest.mark.parametrize("kind", [name for name in CASES if "," not in name])
def test_from_files(kind: str, tmp_path: Path) -> None:
    """Also of names with the tower in front, as in files from before transformers 5."""
    model: Any = make(kind)(1).eval()
    model.save_pretrained(tmp_path)
    net, live = bring(tmp_path), bring(model)
    given = {"ids": torch.tensor([[4, 5, END, 6]])}
    if "Vision" in kind:
        config = model.config
        given = {"x": torch.randn(2, config.num_channels, config.image_size, config.image_size)}
    (x,) = given.values()
    assert torch.equal(net(x), live(x))
    model.load_state_dict(tn.interop.export_state(net), strict=True)
    prefix = "" if "Projection" in kind else f"{kind[4:-5].lower()}_model."
    state = {f"{prefix}{name}": t for name, t in model.state_dict().items()}
    config = {**model.config.to_dict(), "architectures": [kind]}
    assert torch.equal(bring(state, config)(x), live(x))


def test_options_that_published_files_spell_out() -> None:
    more = {"add_cross_attention": False, "is_decoder": False, "tie_encoder_decoder": False}
    for kind in ("CLIPTextModelWithProjection", "CLIPVisionModel"):
        config = (text_config if "Text" in kind else vision_config)(0).to_dict()
        config |= {**more, "tie_word_embeddings": True, "architectures": [kind]}
        state = make(kind)(0).state_dict()
        bring(state, config)
        for key in more:
            with pytest.raises(ValueError, match=rf"^{kind}\.{key} is True, expected False"):
                bring(state, {**config, key: True})


def test_dropout_is_taken_over() -> None:
    net = bring(make("CLIPVisionModel", attention_dropout=0.25)(0))
    blocks = [mixer for mixer in net.mixers if isinstance(mixer, tn.Block)]
    assert blocks
    assert all(block.parts[0].mixer.dropout == 0.25 for block in blocks)


def test_a_model_that_was_asked_for_its_hidden_states() -> None:
    """transformers leaves hooks on it, which change nothing; any other hook is refused."""
    model: Any = make("CLIPTextModel")(0).eval()
    ids = torch.tensor([[4, 5, END]])
    y = model(ids, output_hidden_states=True).last_hidden_state
    assert any(part._forward_hooks for part in model.modules())
    torch.testing.assert_close(bring(model)(ids), y)
    handle = model.encoder.layers[0].register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"^hooks of encoder\.layers\.0 is there, expected none"):
        bring(model)
    handle.remove()
    bring(model)
