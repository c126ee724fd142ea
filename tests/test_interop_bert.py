"""BERT, DistilBERT, RoBERTa as nets: outputs, hidden states, every gradient; and back."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import TOLERANCE, assert_misread_is_seen, assert_parity, randomise
from parity_bert import CASES, KINDS, config_of, inputs, make, ours, theirs
from parity_laws import assert_audits_agree, assert_claims_hold
from torch import Tensor, nn

import tokennet as tn
from tokennet.net.token_types import TypedTokenizer

transformers = pytest.importorskip("transformers")
draws = settings(max_examples=2, deadline=None)
each = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", CASES)
@draws
@given(seed=st.integers(0, 10_000))
def test_parity(name: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[name], seed, dtype, train=train)


@pytest.mark.parametrize("kind", ["BertForSequenceClassification", "RobertaForMaskedLM"])
def test_laws(kind: str) -> None:
    """Learned places leave no symmetry to claim; the contract holds all the same."""
    assert assert_claims_hold(CASES[kind]) == frozenset()
    assert_audits_agree(CASES[kind])


@pytest.mark.parametrize("kind", ["BertModel", "DistilBertForSequenceClassification"])
def test_audits_agree(kind: str) -> None:
    assert_audits_agree(CASES[kind])


@each
def test_a_moved_weight_is_seen(kind: str) -> None:
    assert_misread_is_seen(CASES[kind])


@each
def test_the_exported_state_is_that_of_the_original(kind: str) -> None:
    model = make(kind)(3).eval()
    net = tn.interop.from_transformers(model)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1)  # as if it had been trained
    fresh = make(kind)(3).eval()
    fresh.load_state_dict(tn.interop.export_state(net), strict=True)
    x = inputs(4, model)
    torch.testing.assert_close(theirs(fresh, x)["output"], ours(net, x)["output"])
    assert not torch.allclose(theirs(model, x)["output"], ours(net, x)["output"])


@each
def test_dropout_is_where_it_was(kind: str) -> None:
    """Of the same random numbers the same entries are dropped, one kind of dropout after another.

    Also of sdpa's weights, without padding.
    """
    if kind.startswith("DistilBert"):
        names = ["dropout", "attention_dropout", "seq_classif_dropout"]
    else:
        names = ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"]
    for name in names:
        model = randomise(make(kind, "sdpa", **{name: 0.4})(1))
        net = tn.interop.from_transformers(model.train())
        ids = torch.randint(3, model.config.vocab_size, (3, 6))
        torch.manual_seed(0)
        expected = model(ids)[0]
        torch.manual_seed(0)
        torch.testing.assert_close(net(ids), expected)
        heads = ("SequenceClassification", "TokenClassification")
        is_used = kind.endswith(heads) or "classif" not in name
        assert is_used is not torch.allclose(net.eval()(ids), expected, atol=1e-4)


@each
def test_options_are_refused_by_name(kind: str) -> None:
    model = make(kind)(0)
    config, state = model.config.to_dict(), model.state_dict()
    family = kind.split("Model")[0].split("For")[0]
    key = "activation" if family == "DistilBert" else "hidden_act"
    refused: dict[str, tuple[Any, str]] = {
        "colour": ("red", r"'red', expected an option that tokennet knows"),
        key: ("xielu", r"'xielu', expected one of 'gelu', .*; tokennet has no import"),
        "is_encoder_decoder": (True, r"True, expected False"),
        "quantization_config": ({"bits": 8}, r"{'bits': 8}, expected none"),
    }
    if family != "DistilBert":
        refused["is_decoder"] = True, r"True, expected False"
        refused["position_embedding_type"] = "relative_key", r"'relative_key', expected 'absolute'"
    for name, (value, words) in refused.items():
        other = {**config, "architectures": [kind], name: value}
        with pytest.raises(ValueError, match=rf"^{kind}\.{name} is {words}"):
            tn.interop.from_transformers(state, other)


def test_options_that_change_nothing_are_known() -> None:
    """As in files of other years; labels count by their names."""
    model = make("BertForSequenceClassification", num_labels=3)(0)
    config = {
        **model.config.to_dict(),
        "architectures": ["BertForSequenceClassification"],
        "gradient_checkpointing": False,
        "torch_dtype": "float32",
        "position_embedding_type": "absolute",
        "pooler_type": "first_token_transform",
        "pruned_heads": {},
        "max_length": 20,
    }
    x = inputs(0, model)
    expected = ours(tn.interop.from_transformers(model.eval()), x)["output"]
    for names in ({"id2label": {"0": "a", "1": "b", "2": "c"}}, {"num_labels": 3}):
        given_ = {k: v for k, v in config.items() if k not in ("id2label", "label2id")}
        net = tn.interop.from_transformers(model.state_dict(), {**given_, **names})
        assert torch.equal(ours(net, x)["output"], expected)


SEEN: dict[str, dict[str, Any]] = {
    "BertForMaskedLM": {
        "gradient_checkpointing": False, "model_type": "bert", "pooler_fc_size": 768,
        "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3, "pooler_size_per_head": 128,
        "position_embedding_type": "absolute", "directionality": "bidi", "use_cache": True,
    },
    "BertForTokenClassification": {
        "_num_labels": 2, "output_past": True, "num_labels": 2, "label2id": {"A": 0, "B": 1},
        "id2label": {"0": "A", "1": "B"}, "_name_or_path": "bert", "problem_type": None,
    },
    "DistilBertForSequenceClassification": {
        "finetuning_task": "sst-2", "tie_weights_": True, "sinusoidal_pos_embds": False,
        "seq_classif_dropout": 0.2, "qa_dropout": 0.1, "output_past": True,
    },
    "RobertaForSequenceClassification": {
        "torch_dtype": "float16", "classifier_dropout": None, "bos_token_id": 0, "eos_token_id": 2,
        "task_specific_params": None, "chunk_size_feed_forward": 0, "torchscript": False,
    },
}  # fmt: skip
"""Options as files of several years have them, that change nothing."""


@pytest.mark.parametrize("kind", SEEN)
def test_options_of_published_files_are_known(kind: str) -> None:
    model = make(kind, num_labels=2)(0)
    config = {**model.config.to_dict(), **SEEN[kind], "architectures": [kind]}
    net = tn.interop.from_transformers(model.state_dict(), config)
    x = inputs(0, model)
    torch.testing.assert_close(ours(net, x)["output"], theirs(model.eval(), x)["output"])


def test_tied_weights_are_one_parameter() -> None:
    net = tn.interop.from_transformers(make("BertForMaskedLM")(0))
    assert net.readout.map[3].weight is net.tokenizer.tokenizer.embedding.weight
    loose = tn.interop.from_transformers(make("BertForMaskedLM", tie_word_embeddings=False)(0))
    assert loose.readout.map[3].weight is not loose.tokenizer.tokenizer.embedding.weight
    assert "cls.predictions.bias" in loose.origin.kept


def test_frozen_weights_stay_frozen() -> None:
    model = make("BertModel")(0)
    model.embeddings.requires_grad_(False)
    net = tn.interop.from_transformers(model)
    assert not net.tokenizer.tokenizer.embedding.weight.requires_grad
    assert all(p.requires_grad for p in net.mixers[2].parameters())


def test_parts_that_were_changed_are_refused() -> None:
    """A state dict does not tell of them, and neither do the options."""

    def changed(change: Any) -> Any:
        model = make("BertForSequenceClassification")(0)
        change(model)
        return model

    layer = "bert.encoder.layer.0"
    refused: list[tuple[Any, str]] = [
        (
            lambda m: setattr(_part(m, layer).intermediate, "intermediate_act_fn", nn.Tanh()),
            rf"{layer}.intermediate.intermediate_act_fn is Tanh\(\), expected GELUActivation\(\),",
        ),
        (
            lambda m: setattr(_part(m, layer).output.LayerNorm, "eps", 0.1),
            rf"{layer}.output.LayerNorm is LayerNorm\(\(8,\), eps=0.1, .*; what was changed after",
        ),
        (
            lambda m: setattr(m.dropout, "p", 0.3),
            r"dropout is Dropout\(p=0.3, .*\), expected Dropout\(p=0.0, ",
        ),
        (
            lambda m: setattr(_part(m, layer), "forward", lambda x, *_, **__: x),
            rf"forward of {layer} is replaced, expected that of its class",
        ),
        (
            lambda m: m.classifier.register_forward_hook(lambda *_: None),
            r"hooks of classifier is there, expected none",
        ),
        (
            lambda m: setattr(m.bert, "adapter", nn.Linear(2, 2)),
            r"bert.adapter is Linear\(.*\), expected nothing, as the model's options say",
        ),
    ]
    for change, words in refused:
        with pytest.raises(ValueError, match=rf"^{words}"):
            tn.interop.from_transformers(changed(change))


def _part(model: nn.Module, name: str) -> Any:
    return model.get_submodule(name)


def test_more_ids_than_it_was_built_for() -> None:
    """transformers writes the new number into the options."""
    model = make("BertForMaskedLM")(0).eval()
    model.resize_token_embeddings(30, mean_resizing=False)
    x = {"input_ids": torch.tensor([[29, 3]]), "attention_mask": torch.ones(1, 2).long()}
    net = tn.interop.from_transformers(model)
    torch.testing.assert_close(ours(net, x)["output"], theirs(model, x)["output"])


def test_padding_is_where_roberta_differs() -> None:
    """An id of padding inside a sample: no place for the original, one for us."""
    model = make("RobertaModel", pad_token_id=1)(0).eval()
    net = tn.interop.from_transformers(model)
    ids = torch.tensor([[3, 1, 4, 5]])
    x = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert (ours(net, x)["output"] - theirs(model, x)["output"]).abs().max() > 0.01
    x["input_ids"] = torch.tensor([[3, 6, 4, 5]])
    torch.testing.assert_close(ours(net, x)["output"], theirs(model, x)["output"])


def test_types_of_tokens() -> None:
    tokenizer = TypedTokenizer(tn.EmbeddingTokenizer(5, 4), 2)
    ids = torch.tensor([[0, 1, 4]])
    x, structure = tokenizer(ids)
    assert torch.equal(x, tokenizer((ids, torch.zeros_like(ids)))[0])
    types = torch.tensor([[0, 1, 1]])
    y, _ = tokenizer((ids, types), structure)
    moved = (tokenizer.types.weight[1] - tokenizer.types.weight[0]).expand(2, 4)
    torch.testing.assert_close((y - x)[0, 1:], moved)
    packed = tn.Structure.packed([1, 2])
    assert torch.equal(tokenizer((ids[0], types[0]), packed)[0], y[0])
    wrong: list[tuple[Any, type[Exception], str]] = [
        ((ids, types, ids), ValueError, r"inputs is 3 in a tuple, expected \(inputs, types\)"),
        ((ids, types + 1), ValueError, r"types is 2, expected ids from 0 to 1"),
        ((ids, types[:, :2]), ValueError, r"types.shape is \[1, 2\], expected \[1, 3\], one for"),
        ((ids, types.float()), TypeError, r"types is torch.float32, expected whole numbers"),
    ]
    for given_, error, words in wrong:
        with pytest.raises(error, match=rf"^{words}"):
            tokenizer(given_)
    with pytest.raises(ValueError, match=r"^num_types is 0"):
        TypedTokenizer(tn.EmbeddingTokenizer(5, 4), 0)
    with pytest.raises(TypeError, match=r"^tokenizer is .*, expected a Tokenizer"):
        TypedTokenizer(nn.Embedding(5, 4), 2)  # type: ignore[arg-type]


def test_a_published_size() -> None:
    """The parameters that transformers counts, none twice and none forgotten."""
    model = transformers.BertForMaskedLM(config_of("BertForMaskedLM", 2))
    net = tn.interop.from_transformers(model)
    assert _count(net) == _count(model)


def _count(module: nn.Module) -> int:
    sizes: list[Tensor] = list(module.parameters())
    return sum(p.numel() for p in sizes)
