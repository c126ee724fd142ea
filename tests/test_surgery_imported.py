"""Surgery on an imported model: the weights that somebody trained go on under another operator."""

import pytest
import torch

import tokennet as tn
from tokennet.surgery import distill, over, swap

transformers = pytest.importorskip("transformers")


@pytest.fixture
def bert() -> tn.TokenNet:
    config = transformers.BertConfig(
        vocab_size=31,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=12,
        initializer_range=0.5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return tn.interop.from_transformers(transformers.BertForMaskedLM(config).eval())


def example() -> tuple[torch.Tensor, tn.Structure]:
    valid = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    return torch.randint(0, 31, (2, 7)), tn.Structure.padded(valid)


def test_other_pairs(bert: tn.TokenNet) -> None:
    same = swap(bert, "Attention", over(tn.Window(7)), example=example())
    assert {place.weights for place in same.places} == {"kept"}
    assert len(same.places) == 2
    assert same.change is not None
    assert same.change.max < 1e-5
    assert bert.origin is not None
    assert same.net.origin is None
    causal = swap(bert, "Attention", over(tn.Causal()), example=example())
    assert causal.change is not None
    assert causal.change.max > 1e-3
    assert "Causality" in {law.name for law in causal.after.claims}
    assert "Causality" not in {law.name for law in causal.before.claims}


def test_linear_attention_learns_from_it(bert: tn.TokenNet) -> None:
    report = swap(bert, "Attention", tn.LinearAttention, example=example())
    assert {place.weights for place in report.places} == {"kept"}
    losses = distill(report.net, bert, [example()], steps=15, lr=3e-3, only=report)
    assert losses[-1] < 0.7 * losses[0]
