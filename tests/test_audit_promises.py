"""Presets promise what the settings of a module allow, and an audit needs nothing else."""

from collections.abc import Iterator

import pytest
import torch
from preset_cases import answer, check, known, quiet, rows, transformer
from torch import Tensor, nn

import tokennet as tn
from tokennet.audit.presets import recognise
from tokennet.audit.presets.huggingface import is_causal, vocabulary


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Warnings of other libraries are not ours to fix."""
    with quiet():
        yield


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "llama", "mamba", "bloom", "bart"])
def test_causal_models_are_told_from_the_others(kind: str) -> None:
    """What the settings say, held against what the last token does to the first."""
    module = transformer(kind).double()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    preset = known(module)
    arguments = rows(preset, 2, 6)
    key, (low, high) = preset.adapter.tokens, preset.adapter.vocabulary
    changed = dict(arguments)
    changed[key] = arguments[key].clone()
    changed[key][:, -1] = low + (arguments[key][:, -1] - low + 1) % (high - low + 1)
    a, b = answer(module, preset, arguments), answer(module, preset, changed)
    moved = float((a - b)[:, :-1].abs().max() / a.abs().max())
    assert float((a - b)[:, -1].abs().max()) > 1e-3  # the change is heard
    assert ("Causality" in preset.promises) == (moved < 1e-9), moved
    assert moved < 1e-9 or moved > 1e-3
    if kind in ("bert", "llama"):
        assert is_causal(module) == (kind == "llama")


def test_ids_with_a_meaning_are_never_drawn() -> None:
    class Config:
        vocab_size = 20

        def __init__(self) -> None:
            self.pad_token_id, self.bos_token_id, self.eos_token_id = 0, 1, [7, 9]
            self.image_token_index = 19

    assert vocabulary(Config()) == (10, 18)
    config = Config()
    config.eos_token_id = []
    assert vocabulary(config) == (2, 18)


def test_promises_follow_the_settings() -> None:
    promises = lambda module: set(known(module).promises)  # noqa: E731
    assert "Causality" in promises(nn.GRU(3, 4))
    assert "Causality" not in promises(nn.GRU(3, 4, bidirectional=True))
    ring = nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular")
    assert "CyclicShift" in promises(ring)
    assert "CyclicShift" not in promises(nn.Conv1d(3, 4, 3, padding=1))
    assert recognise(nn.Conv1d(3, 4, 3, stride=2)) is None
    assert "TrainEval" in promises(nn.LSTM(3, 4))
    assert "TrainEval" not in promises(nn.LSTM(3, 4, 2, dropout=0.1))
    assert known(nn.BatchNorm1d(4)).domain["train"] is False
    assert recognise(nn.Embedding(5, 4, max_norm=1.0)) is None


def test_promises_of_graph_operators_follow_the_settings() -> None:
    from torch_geometric.nn import GAT, GCN, GCNConv, TAGConv

    promises = lambda module: set(known(module).promises)  # noqa: E731
    assert recognise(GCNConv(3, 4, cached=True)) is None
    assert "Locality(hops=1)" in promises(GCNConv(3, 4))
    assert not any("Locality" in p for p in promises(GCNConv(3, 4, flow="target_to_source")))
    assert "Locality(hops=2)" in promises(TAGConv(3, 4, K=2))
    assert "Locality(hops=3)" in promises(GCN(3, 4, 3))
    assert not any("Locality" in p for p in promises(GAT(3, 4, 3, norm="GraphNorm")))


def test_own_message_passing_is_recognised() -> None:
    from torch_geometric.nn import MessagePassing

    class Mine(MessagePassing):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(5, 5)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.propagate(edge_index, x=self.map(x))

    module = Mine()
    assert {"Permutation", "EdgeOrder"} <= set(known(module).promises)
    check(module)


def test_an_audit_needs_no_example() -> None:
    """Of a known kind: what is sound stays so, and a known leak of a release is found."""
    from torch_geometric.nn.aggr import LSTMAggregation

    encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    assert tn.audit(encoder, quick=True).ok
    report = tn.audit(LSTMAggregation(4, 6), quick=True, budget=30.0)
    leak = report.verdicts["BatchIndependence"]
    assert leak.status == "broken"
    assert leak.error > 1e-3
