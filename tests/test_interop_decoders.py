"""GPT-2, Llama, Mistral and Qwen 2 as nets: the same numbers, texts and laws; and back."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity, randomise
from parity_decoders import CASES, IDS, KINDS, padded_ids
from parity_laws import assert_audits_agree, assert_claims_hold
from torch import Tensor, nn

import tokennet as tn

pytest.importorskip("transformers")
each = pytest.mark.parametrize("kind", KINDS)
HEADS = [k for k in KINDS if "LM" in k]
each_head = pytest.mark.parametrize("kind", HEADS)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@each
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_parity(kind: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[kind], seed, dtype, train=train)


@each_head
def test_packed_rows(kind: str) -> None:
    """Samples one after the other, without padding: what the original says of each by itself."""
    model = randomise(CASES[kind].make(0)).double().eval()
    samples = [torch.randint(0, IDS, (n,)) for n in (3, 7, 1)]
    structure = tn.Structure.packed([3, 7, 1])
    found = tn.interop.from_transformers(model)(torch.cat(samples), structure)
    expected = torch.cat([model(ids[None]).logits[0] for ids in samples])
    assert (found - expected).abs().max() <= 1e-10


@each_head
def test_claims(kind: str) -> None:
    assert assert_claims_hold(CASES[kind], examples=2) == {"Causality"}


@pytest.mark.parametrize(
    "kind", [k if k[0] in "GM" else pytest.param(k, marks=pytest.mark.slow) for k in HEADS]
)
def test_audits(kind: str) -> None:
    assert_audits_agree(CASES[kind])


@each
def test_a_moved_weight_is_seen(kind: str) -> None:
    assert_misread_is_seen(CASES[kind])


@each_head
@pytest.mark.parametrize("seed", [0, 1, 5])
def test_the_same_text_is_generated(kind: str, seed: int) -> None:
    model = randomise(CASES[kind].make(seed)).double().eval()
    prompts = padded_ids(seed, batch=1)[0]
    options = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": 0, "eos_token_id": 1}
    expected = model.generate(inputs=prompts, attention_mask=torch.ones_like(prompts), **options)
    found = tn.greedy_decode(tn.interop.from_transformers(model), prompts, max_tokens=6, stop=1)
    new = expected[0, prompts.shape[1] :].tolist()
    assert found[0].tokens == (new[: new.index(1)] if 1 in new else new)
    assert len(new) > 1 or new == [1]


def _model(kind: str, **options: Any) -> nn.Module:
    import transformers

    family = kind.removesuffix("Model").removesuffix("ForCausalLM").removesuffix("LMHead")
    sizes: dict[str, Any] = {"vocab_size": 11, "bos_token_id": 0, "eos_token_id": 1}
    sizes |= (
        {"n_embd": 8, "n_head": 2, "n_layer": 2, "n_positions": 8}
        if family == "GPT2"
        else {
            "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2,
            "num_key_value_heads": 1, "intermediate_size": 6,
        }
    )  # fmt: skip
    config = getattr(transformers, f"{family}Config")(**sizes, **options)
    return randomise(getattr(transformers, kind)(config)).eval()


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("GPT2Model", {"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn is True"),
    ("GPT2Model", {"add_cross_attention": True}, "add_cross_attention is True"),
    ("GPT2Model", {"activation_function": "laplace"}, "activation_function is 'laplace'"),
    ("LlamaModel", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 9.0}},
     "rope_parameters.rope_type is 'linear'"),
    ("LlamaModel", {"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
    ("LlamaModel", {"colour": "red"}, "colour is 'red'"),
    ("MistralModel", {"layer_types": ["full_attention"] * 2}, "layer_types is "),
    ("Qwen2Model", {"layer_types": ["full_attention", "chunked_attention"]}, "layer_types is "),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "said"), REFUSED)
def test_other_options_are_refused(kind: str, options: dict[str, Any], said: str) -> None:
    config = {**_model(kind).config.to_dict(), **options, "architectures": [kind]}
    with pytest.raises(ValueError, match=rf"^{kind}\.{said}.*, expected "):
        tn.interop.from_transformers(_model(kind).state_dict(), config)


def test_scaled_codes_of_older_files_are_refused() -> None:
    config = {"architectures": ["LlamaModel"], "rope_scaling": {"type": "dynamic", "factor": 2.0}}
    with pytest.raises(ValueError, match=r"^LlamaModel\.rope_scaling\.type is 'dynamic', exp"):
        tn.interop.from_transformers(_model("LlamaModel").state_dict(), config)


@each_head
def test_from_files_and_back(kind: str, tmp_path: Path) -> None:
    model = _model(kind)
    model.save_pretrained(tmp_path)
    net = tn.interop.from_transformers(tmp_path)
    ids = torch.randint(0, 11, (2, 5))
    assert torch.allclose(net(ids), model(ids).logits, atol=1e-5)
    other = type(model)(model.config).eval()
    other.load_state_dict(tn.interop.export_state(tn.interop.from_transformers(model)))
    assert torch.equal(other(ids).logits, model(ids).logits)


def test_files_of_the_first_gpt2() -> None:
    """Names without the beginning, masks as buffers, the options of 2019."""
    model = _model("GPT2LMHeadModel")
    state: dict[str, Tensor] = dict(model.transformer.state_dict())
    for i in range(2):
        state[f"h.{i}.attn.bias"] = torch.ones(8, 8).tril().view(1, 1, 8, 8)
        state[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    names = ("vocab_size", "n_embd", "n_head", "n_layer", "n_positions", "layer_norm_epsilon")
    config = {name: getattr(model.config, name) for name in names}
    config |= {"n_ctx": 8, "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}
    net = tn.interop.from_transformers(state, json.loads(json.dumps(config)))
    ids = torch.randint(0, 11, (2, 5))
    assert torch.allclose(net(ids), model(ids).logits, atol=1e-5)
    assert net.readout.map.weight is net.tokenizer.embedding.weight
    state["h.1.attn.bias"] = torch.ones(1, 1, 8, 8)
    with pytest.raises(ValueError, match=r"numbers of transformer.h.1.attn.bias .*options say"):
        tn.interop.from_transformers(state, config)


def test_options_of_older_llamas() -> None:
    model = _model("LlamaForCausalLM", rope_parameters={"rope_type": "default", "rope_theta": 50.0})
    config = {k: v for k, v in model.config.to_dict().items() if k != "rope_parameters"}
    config |= {"rope_theta": 50.0, "rope_scaling": None, "architectures": ["LlamaForCausalLM"]}
    state = dict(model.state_dict())
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.rand(2)
    net = tn.interop.from_transformers(state, config)
    ids = torch.randint(0, 11, (2, 5))
    assert torch.allclose(net(ids), model(ids).logits, atol=1e-5)
    assert set(net.origin.kept) == {"model.layers.0.self_attn.rotary_emb.inv_freq"}


@each_head
def test_two_tables_are_not_tied(kind: str) -> None:
    """Whatever the options say: the live model counts."""
    model = _model(kind, tie_word_embeddings=True)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    model.lm_head.weight = nn.Parameter(torch.randn(11, 8))
    net = tn.interop.from_transformers(model)
    ids = torch.randint(0, 11, (2, 5))
    assert torch.allclose(net(ids), model(ids).logits, atol=1e-5)
    config = {**model.config.to_dict(), "architectures": [kind]}
    with pytest.raises(ValueError, match=r"numbers of lm_head.weight .*tied to"):
        tn.interop.from_transformers(model.state_dict(), config)


def test_the_gradient_of_the_id_of_padding() -> None:
    """The original leaves it out, also where that id is a real token; here it is like any other."""
    model = _model("LlamaForCausalLM", pad_token_id=0)
    net = tn.interop.from_transformers(model)
    ids = torch.tensor([[3, 0, 5]])
    expected, found = model(ids).logits, net(ids)
    assert torch.allclose(found, expected, atol=1e-5)
    expected.square().sum().backward()
    found.square().sum().backward()
    theirs, ours = model.model.embed_tokens.weight.grad, net.tokenizer.embedding.weight.grad
    assert torch.allclose(ours[1:], theirs[1:], atol=1e-4)
    assert theirs[0].abs().max() == 0
    assert ours[0].abs().max() > 1e-3


def test_dropout_is_taken_over() -> None:
    model = _model("GPT2Model", embd_pdrop=0.1, attn_pdrop=0.2, resid_pdrop=0.3)
    net = tn.interop.from_transformers(model)
    block = net.mixers[2]
    assert isinstance(net.mixers[1].map, nn.Dropout)
    assert net.mixers[1].map.p == 0.1
    assert block.mixers[0].mixer.dropout == 0.2
    assert [m.dropout.p for m in block.mixers] == [0.3, 0.3]
    assert block.mixers[1].mixer.map[2].p == 0.0
