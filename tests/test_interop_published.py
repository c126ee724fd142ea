"""Configurations as they are published: what their files spell out, and codes of long texts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_parity, randomise
from parity_decoders import CASES, pick
from safetensors.torch import load_file
from torch import nn

import tokennet as tn
from tokennet.mixers.stretched_rotary import StretchedRotary

pytest.importorskip("transformers")
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}  # fmt: skip
"""The file of Llama 3.1, but for texts of 8 tokens first: so all three kinds of waves are there."""
SPELLED_OUT = {
    "LlamaForCausalLM": {"is_llama_config": True, "rope_interleaved": False, "pretraining_tp": 1},
    "Qwen2ForCausalLM": {"use_mrope": False},
}


def _model(kind: str, seed: int = 0, **more: Any) -> nn.Module:
    import transformers

    heads = pick(seed, 0, 2, 1, 4)
    config = getattr(transformers, kind.removesuffix("ForCausalLM") + "Config")(
        vocab_size=11, hidden_size=16, intermediate_size=6, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=1, bos_token_id=2, eos_token_id=1,
        head_dim=8, tie_word_embeddings=pick(seed, 1, False, True), **more,
    )  # fmt: skip
    return randomise(getattr(transformers, kind)(config)).eval()


def _stretched(seed: int) -> nn.Module:
    stretch = {**LLAMA3, "factor": pick(seed, 0, 8.0, 32.0), "rope_theta": pick(seed, 1, 5e5, 50.0)}
    stretch["original_max_position_embeddings"] = pick(seed, 2, 8, 100, 8192)
    return _model("LlamaForCausalLM", seed, rope_parameters=stretch)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_parity_of_codes_for_long_texts(dtype: torch.dtype, seed: int) -> None:
    import dataclasses

    case = dataclasses.replace(CASES["LlamaForCausalLM"], make=_stretched)
    assert_parity(case, seed, dtype, train=False)


@pytest.mark.parametrize("tokens", [8, 64, 8192])
def test_frequencies_have_the_same_bits(tokens: int) -> None:
    stretch = {**LLAMA3, "original_max_position_embeddings": tokens, "rope_theta": 500_000.0}
    model: Any = _model("LlamaForCausalLM", rope_parameters=stretch)
    code = tn.interop.from_transformers(model).mixers[0].mixers[0].mixer.score.maps[0]
    assert type(code) is StretchedRotary
    assert torch.equal(code.frequencies(), model.model.rotary_emb.inv_freq)
    plain = tn.Rotary(8, base=500_000.0, angles=torch.float32).frequencies()
    assert (plain / code.frequencies()).max() == 8


def test_far_tokens_show_the_stretch() -> None:
    """The test can fail: without the stretch the outputs are others."""
    model: Any = _model("LlamaForCausalLM", rope_parameters={**LLAMA3, "rope_theta": 5e5})
    ids = torch.randint(0, 11, (1, 40))
    net = tn.interop.from_transformers(model)
    assert (net(ids) - model(ids).logits).abs().max() <= 1e-5
    config = {**model.config.to_dict(), "architectures": ["LlamaForCausalLM"]}
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 5e5}
    plain = tn.interop.from_transformers(model.state_dict(), config)
    assert (plain(ids) - model(ids).logits).abs().max() > 1e-2


def test_older_files_and_a_stored_net(tmp_path: Path) -> None:
    """`rope_scaling` and `rope_theta` beside it, as Llama 3.1 and 3.2 are published."""
    model: Any = _model("LlamaForCausalLM", rope_parameters={**LLAMA3, "rope_theta": 5e5})
    config = {k: v for k, v in model.config.to_dict().items() if k != "rope_parameters"}
    config |= {"rope_theta": 5e5, "rope_scaling": LLAMA3, "architectures": ["LlamaForCausalLM"]}
    net, ids = (
        tn.interop.from_transformers(model.state_dict(), config),
        torch.randint(0, 11, (2, 9)),
    )
    assert (net(ids) - model(ids).logits).abs().max() <= 1e-5
    model.save_pretrained(tmp_path / "theirs")
    again = tn.interop.from_transformers(tmp_path / "theirs")
    tn.interop.save_pretrained(again, tmp_path / "ours")
    stored = tn.interop.from_pretrained(tmp_path / "ours")
    assert torch.equal(stored(ids), again(ids))
    assert torch.equal(again(ids), net(ids))
    for name, t in tn.interop.export_state(stored).items():
        assert torch.equal(t, model.state_dict()[name])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"factor": "8"}, r"factor is '8', expected a number of at least 1"),
        ({"factor": 0.5}, r"factor is 0\.5, expected a number of at least 1"),
        ({"high_freq_factor": 1.0}, r"high_freq_factor is 1\.0, expected above low_freq_factor"),
        ({"original_max_position_embeddings": None}, r"original_max_position_embeddings is None, "),
        ({"mscale": 1.0}, r"mscale is 1\.0, expected an option that tokennet knows"),
        ({"rope_type": "yarn"}, r"rope_type is 'yarn', expected one of 'default', 'llama3'"),
    ],
)
def test_other_stretches_are_refused(change: dict[str, Any], said: str) -> None:
    model = _model("LlamaForCausalLM")
    config: dict[str, Any] = {**model.config.to_dict(), "architectures": ["LlamaForCausalLM"]}
    config["rope_parameters"] = {**LLAMA3, **change}
    with pytest.raises(ValueError, match=rf"^LlamaForCausalLM\.rope_parameters\.{said}"):
        tn.interop.from_transformers(model.state_dict(), config)


@pytest.mark.parametrize("kind", SPELLED_OUT)
def test_what_published_files_spell_out(kind: str) -> None:
    model: Any = _model(kind)
    config = {**model.config.to_dict(), **SPELLED_OUT[kind], "architectures": [kind]}
    config["transformers.js_config"] = {"dtype": "q4"}
    ids = torch.randint(0, 11, (2, 5))
    net = tn.interop.from_transformers(model.state_dict(), config)
    assert (net(ids) - model(ids).logits).abs().max() <= 1e-5
    switch = {"LlamaForCausalLM": "rope_interleaved", "Qwen2ForCausalLM": "use_mrope"}[kind]
    with pytest.raises(ValueError, match=rf"^{kind}\.{switch} is True, expected False"):
        tn.interop.from_transformers(model.state_dict(), {**config, switch: True})


def test_stretched_codes_refuse_other_arguments() -> None:
    good: dict[str, Any] = {"factor": 8.0, "original_tokens": 8192}
    code = StretchedRotary(8, **good, base=5e5)
    assert code.frequencies().dtype == torch.float64
    for change, said in (
        ({"factor": 0.5}, "factor is 0.5, expected at least 1"),
        ({"factor": "8"}, "factor is '8', expected a number"),
        ({"original_tokens": 0}, "original_tokens is 0, expected at least 1"),
        ({"high": 1.0}, r"high is 1.0, expected more than low \(1.0\)"),
        ({"low": float("nan")}, "low is nan, expected at least 0"),
    ):
        with pytest.raises((ValueError, TypeError), match=said):
            StretchedRotary(8, **{**good, **change})


@pytest.mark.parametrize("what", ["Model", "ModelWithProjection"])
@pytest.mark.parametrize("side", ["Text", "Vision"])
def test_one_tower_of_a_file_with_two(side: str, what: str, tmp_path: Path) -> None:
    """As openai's files are: `CLIPModel`, with the options of both towers inside."""
    import transformers

    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "projection_dim": 5}
    config = transformers.CLIPConfig(
        text_config={**sizes, "vocab_size": 11, "eos_token_id": 10, "max_position_embeddings": 9},
        vision_config={**sizes, "image_size": 8, "patch_size": 4},
        projection_dim=5,
    )
    whole = randomise(transformers.CLIPModel(config)).eval()
    whole.save_pretrained(tmp_path)
    kind = f"CLIP{side}{what}"
    net = tn.interop.from_transformers(tmp_path, kind=kind)
    original = getattr(transformers, kind).from_pretrained(tmp_path).eval()
    inputs = torch.randint(0, 10, (2, 6)) if side == "Text" else torch.randn(2, 3, 8, 8)
    if side == "Text":
        inputs[:, -1] = 10
    expected = original(inputs)
    if what == "Model":
        assert (net(inputs) - expected.last_hidden_state).abs().max() <= 1e-5
    else:
        embeds = expected.text_embeds if side == "Text" else expected.image_embeds
        assert (net(inputs) - embeds).abs().max() <= 1e-5
    state = {**load_file(tmp_path / "model.safetensors")}
    count = 9 if side == "Text" else 5
    state[f"{side.lower()}_model.embeddings.position_ids"] = torch.arange(count)[None]
    older = tn.interop.from_transformers(state, tmp_path, kind=kind)
    assert torch.equal(older(inputs), net(inputs))
    original.load_state_dict(tn.interop.export_state(tn.interop.from_transformers(original)))
    for wrong, said in (
        (
            {"kind": "BertModel"},
            r"_config of BertModel is .*, expected an object of options; kind=",
        ),
        (
            {"kind": "CLIPModel"},
            r"^the model's class in transformers is CLIPModel, expected one of",
        ),
        ({}, r"^the model's class in transformers is CLIPModel, expected one of"),
    ):
        with pytest.raises(ValueError, match=said):
            tn.interop.from_transformers(tmp_path, **wrong)
    with pytest.raises(ValueError, match=r"^kind is .*, expected None for a live module"):
        tn.interop.from_transformers(original, kind=kind)
