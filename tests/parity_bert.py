"""Encoders of text of transformers, BERT and its kin, beside their imports."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from parity import Audited, Case
from torch import Tensor, nn

import tokennet as tn

SIZES: dict[str, Callable[[int], dict[str, Any]]] = {
    "Bert": lambda seed: {
        "vocab_size": 11 + seed % 5,
        "hidden_size": (8, 12)[seed % 2],
        "num_hidden_layers": 1 + seed % 3,
        "num_attention_heads": (2, 4)[seed // 2 % 2],
        "intermediate_size": 10 + seed % 4,
        "hidden_act": ("gelu", "relu", "silu", "gelu_new")[seed % 4],
        "max_position_embeddings": 9 + seed % 3,
        "type_vocab_size": 1 + seed % 3,
        "layer_norm_eps": (1e-12, 1e-5)[seed // 3 % 2],
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    "DistilBert": lambda seed: {
        "vocab_size": 11 + seed % 5,
        "dim": (8, 12)[seed % 2],
        "n_layers": 1 + seed % 3,
        "n_heads": (2, 4)[seed // 2 % 2],
        "hidden_dim": 10 + seed % 4,
        "activation": ("gelu", "relu")[seed % 2],
        "max_position_embeddings": 9 + seed % 3,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "seq_classif_dropout": 0.0,
    },
}
SIZES["Roberta"] = lambda seed: {
    **SIZES["Bert"](seed),
    "pad_token_id": seed % 3,
    "max_position_embeddings": 12 + seed % 3,
}


def config_of(kind: str, seed: int, **more: Any) -> Any:
    """A random small configuration for a class."""
    import transformers

    family = kind.split("Model")[0].split("For")[0]
    return getattr(transformers, f"{family}Config")(
        **{**SIZES[family](seed), "num_labels": 2 + seed % 3, **more}
    )


def make(kind: str, attention: str = "eager", **more: Any) -> Callable[[int], nn.Module]:
    import transformers

    def build(seed: int) -> nn.Module:
        config = config_of(kind, seed, **more)
        config._attn_implementation = attention
        return getattr(transformers, kind)(config)

    return build


def inputs(seed: int, model: Any) -> dict[str, Tensor]:
    """Ids behind that of padding, ragged lengths, padding on the right."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (4,), generator=g)
    valid = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.randint(3, model.config.vocab_size, valid.shape, generator=g)
    pad = model.config.pad_token_id or 0
    return {"input_ids": ids.masked_fill(~valid, pad), "attention_mask": valid.long()}


def typed_inputs(seed: int, model: Any) -> dict[str, Tensor]:
    """With segments."""
    found = inputs(seed, model)
    g = torch.Generator().manual_seed(seed + 1)
    count = model.config.type_vocab_size
    types = torch.randint(0, count, found["input_ids"].shape, generator=g)
    return {**found, "token_type_ids": types}


def theirs(model: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = model(**given, output_hidden_states=True)
    valid = given["attention_mask"].bool()
    y = found["logits"] if "logits" in found else found["last_hidden_state"]
    results = {"output": y[valid] if y.ndim == 3 else y}
    for i, x in enumerate(found["hidden_states"]):
        results[f"hidden {i}"] = x[valid]
    return results


def ours(net: "tn.TokenNet", given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    valid = given["attention_mask"].bool()
    structure = tn.Structure.padded(valid)
    ids, types = given["input_ids"], given.get("token_type_ids")
    x = ids if types is None else (ids, types)
    y = net(x, structure)
    results = {"output": y[valid] if y.ndim == 3 else y}
    # theirs begin behind the norm of the embeddings
    for i, h in enumerate(tn.inspect.hidden_states(net, x, structure)[2:]):
        results[f"hidden {i}"] = h[valid]
    return results


def ours_packed(net: "tn.TokenNet", given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same real tokens one after the other, without any padding."""
    valid = given["attention_mask"].bool()
    ids, structure = given["input_ids"][valid], tn.Structure.packed(valid.sum(1))
    hidden = tn.inspect.hidden_states(net, ids, structure)[2:]
    return {"output": net(ids, structure), **{f"hidden {i}": h for i, h in enumerate(hidden)}}


class _Theirs(nn.Module):
    """The first output alone."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.module(input_ids=input_ids, attention_mask=attention_mask)[0]


class _Ours(_Theirs):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.module(input_ids, tn.Structure.padded(attention_mask.bool()))


def audited(one: nn.Module, two: nn.Module) -> Audited:
    given = inputs(5, one)
    example = (given["input_ids"], given["attention_mask"])
    return Audited(_Theirs(one), _Ours(two), example, {"tokens": 0, "mask": 1})


LEFT = "the original counts the columns of padding in front of a sample as places"
FIRST = "the original classifies by column 0, also where that is padding"
IDS = "the original counts as places what has another id than that of padding, also padding"


def _differs(kind: str) -> dict[str, str]:
    found = {"LeftPadding": LEFT, "GradientOf(LeftPadding)": LEFT}
    if kind.startswith("Roberta"):
        return {**found, "Padding": IDS}
    return {**found, "Padding": FIRST} if kind.endswith("SequenceClassification") else found


def _case(kind: str, words: str = "", read: Any = inputs, **options: Any) -> Case:
    name, bring = f"{kind}, padded{words}", tn.interop.from_transformers
    build, differs = make(kind, **options), _differs(kind)
    return Case(name, "transformers", build, bring, read, theirs, ours, audited, differs)


KINDS = (
    "BertModel", "BertForMaskedLM", "BertForSequenceClassification", "BertForTokenClassification",
    "DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification",
    "RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification",
)  # fmt: skip
CASES = {kind: _case(kind) for kind in KINDS}
CASES["BertModel with segments"] = _case("BertModel", ", segments", typed_inputs)
CASES["BertModel by sdpa"] = _case("BertModel", ", sdpa", attention="sdpa")
CASES["BertForMaskedLM untied"] = _case("BertForMaskedLM", ", untied", tie_word_embeddings=False)
CASES["BertForTokenClassification, ragged"] = replace(
    CASES["BertForTokenClassification"],
    name="BertForTokenClassification, ragged",
    ours=ours_packed,
)
