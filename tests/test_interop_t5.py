"""T5 as a net: the same numbers, texts and laws, padding on both sides; and back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity, randomise
from parity_decoders import padded_ids
from parity_laws import assert_audits_agree, assert_claims_hold
from parity_t5 import CASES, KINDS
from torch import nn

import tokennet as tn

pytest.importorskip("transformers")
each = pytest.mark.parametrize("name", CASES)
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@each
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_parity(name: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[name], seed, dtype, train=train)


def test_packed_rows() -> None:
    """Samples one after the other, without padding: what the original says of each by itself."""
    model = _model("T5ForConditionalGeneration", dropout_rate=0.0).double()
    sources = [torch.randint(0, 11, (n,)) for n in (3, 7, 1)]
    targets = [torch.randint(0, 11, (n,)) for n in (2, 1, 5)]
    facts, structure = tn.Structure.packed([3, 7, 1]), tn.Structure.packed([2, 1, 5])
    net = tn.interop.from_transformers(model)
    found = net((torch.cat(sources), torch.cat(targets), facts), structure)
    pairs = zip(sources, targets, strict=True)
    expected = [model(input_ids=s[None], decoder_input_ids=t[None]).logits[0] for s, t in pairs]
    assert (found - torch.cat(expected)).abs().max() <= 1e-10


@each_kind
def test_claims(kind: str) -> None:
    expected = set() if kind == "T5EncoderModel" else {"Causality", "MemoryPermutation"}
    assert assert_claims_hold(CASES[kind], examples=2) == expected


@pytest.mark.parametrize(
    "kind", [KINDS[0], *(pytest.param(k, marks=pytest.mark.slow) for k in KINDS[1:])]
)
def test_audits(kind: str) -> None:
    assert_audits_agree(CASES[kind])


@each
def test_a_moved_weight_is_seen(name: str) -> None:
    assert_misread_is_seen(CASES[name])


def _model(kind: str, **options: Any) -> nn.Module:
    import transformers

    config = transformers.T5Config(
        vocab_size=11, d_model=8, d_kv=3, d_ff=12, num_layers=2, num_heads=2,
        decoder_start_token_id=0, **options,
    )  # fmt: skip
    return randomise(getattr(transformers, kind)(config)).eval()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_text_is_generated(seed: int) -> None:
    torch.manual_seed(seed)
    model = _model("T5ForConditionalGeneration").double()
    source, real = padded_ids(seed)
    options = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": 0, "eos_token_id": 1}
    texts = model.generate(inputs=source, attention_mask=real.long(), **options)
    expected = [t[1:].tolist() for t in texts]
    net = tn.interop.from_transformers(model)
    facts = tn.Structure.padded(real)
    read = net.tokenizer.encoder
    decoder = tn.TokenNet(net.tokenizer.tokenizer, list(net.mixers), net.readout)
    memory = tn.Tokens(read(source, facts), facts)
    found = tn.greedy_decode(
        decoder, torch.zeros(len(source), 1).long(), max_tokens=6, stop=1, memory=memory
    )
    assert [t.tokens for t in found] == [t[: t.index(1)] if 1 in t else t for t in expected]


def test_layers_share_one_table() -> None:
    net = tn.interop.from_transformers(_model("T5Model"))
    first, second = (block.mixers[0].mixer.score.biases[0] for block in net.mixers[1:])
    assert first is second
    assert isinstance(first, tn.RelativeBias)
    assert net.tokenizer.encoder.tokenizer is net.tokenizer.tokenizer


@each_kind
def test_dropout_is_taken_over(kind: str) -> None:
    net = tn.interop.from_transformers(_model(kind, dropout_rate=0.3))
    rates = {m.p for m in net.modules() if isinstance(m, nn.Dropout)}
    rates |= {m.dropout for m in net.modules() if isinstance(m, tn.Attention)}
    assert rates == {0.3}
    stacks = 1 if kind == "T5EncoderModel" else 2
    # each stack: at its begin and end; a layer: after each part, and inside its MLP
    count = sum(isinstance(m, nn.Dropout) for m in net.modules())
    assert count == 2 * stacks + 2 * 3 + (2 * 4 if stacks == 2 else 0)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"feed_forward_proj": "gated-laplace", "dense_act_fn": "laplace"}, "feed_forward_proj is "),
    ({"dense_act_fn": "laplace"}, "dense_act_fn is 'laplace'"),
    ({"is_decoder": True}, "is_decoder is True"),
    ({"colour": "red"}, "colour is 'red'"),
    ({"is_encoder_decoder": False}, "is_encoder_decoder is False"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_other_options_are_refused(options: dict[str, Any], said: str) -> None:
    model = _model("T5Model")
    config = {**model.config.to_dict(), **options, "architectures": ["T5Model"]}
    with pytest.raises(ValueError, match=rf"^T5Model\.{said}.*, expected "):
        tn.interop.from_transformers(model.state_dict(), config)


@each_kind
@pytest.mark.parametrize("gated", ["relu", "gated-gelu"])
def test_from_files_and_back(kind: str, gated: str, tmp_path: Path) -> None:
    model = _model(kind, feed_forward_proj=gated)
    model.save_pretrained(tmp_path)
    net = tn.interop.from_transformers(tmp_path)
    ids = torch.randint(0, 11, (2, 5))
    given = {"input_ids": ids, **({} if "Encoder" in kind else {"decoder_input_ids": ids})}
    expected = model(**given)[0]
    assert torch.allclose(net(ids if "Encoder" in kind else (ids, ids)), expected, atol=1e-5)
    other = type(model)(model.config).eval()
    other.load_state_dict(tn.interop.export_state(tn.interop.from_transformers(model)))
    assert torch.equal(other(**given)[0], expected)


def test_the_encoder_of_a_whole_file() -> None:
    whole = _model("T5ForConditionalGeneration")
    config = {**whole.config.to_dict(), "architectures": ["T5EncoderModel"]}
    net = tn.interop.from_transformers(whole.state_dict(), config)
    ids = torch.randint(0, 11, (2, 5))
    assert torch.allclose(net(ids), whole.encoder(ids)[0], atol=1e-5)
    assert all(n.startswith("decoder.") or n == "lm_head.weight" for n in net.origin.kept)
    assert list(tn.interop.export_state(net)) == list(whole.state_dict())


def test_a_head_of_its_own() -> None:
    """T5 1.1: a file with two tables, whose options say that they are not tied."""
    model = _model("T5ForConditionalGeneration", tie_word_embeddings=False)
    assert not model.config.scale_decoder_outputs
    model.lm_head.weight = nn.Parameter(torch.randn(11, 8))
    ids = torch.randint(0, 11, (2, 5))
    expected = model(input_ids=ids, decoder_input_ids=ids).logits
    config = {**model.config.to_dict(), "architectures": ["T5ForConditionalGeneration"]}
    old = {k: v for k, v in config.items() if k != "scale_decoder_outputs"}
    old["tie_word_embeddings"] = False
    extra = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    state = {**model.state_dict(), extra: torch.zeros(32, 2)}
    for net in (
        tn.interop.from_transformers(model),
        tn.interop.from_transformers(state, old),
    ):
        assert torch.allclose(net((ids, ids)), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"numbers of lm_head.weight .*tied to"):
        tn.interop.from_transformers(model.state_dict(), config)
