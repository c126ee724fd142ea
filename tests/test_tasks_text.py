"""Tasks on texts: sizes, splits, packing, references; skipped where TOKENNET_DATA has no texts."""

import importlib
import importlib.util
import math
import os
from pathlib import Path

import pytest
import torch

import tokennet as tn
from tokennet.data import names, scan, sentiment, shakespeare
from tokennet.mixers import GRU, Attention, Convolution, Pooling
from tokennet.tasks import Names, Recipe, Scan, Sentiment, Shakespeare, Task
from tokennet.tasks.text import sentences
from tokennet.tasks.translation import Pair

FOLDERS = {
    "Names": "names", "Scan": "SCAN", "Sentiment": "uci-sentiment", "Shakespeare": "tinyshakespeare"
}  # fmt: skip
CAUSAL = (Names, Scan, Shakespeare)
KINDS = (*CAUSAL, Sentiment)


@pytest.fixture
def _data(request: pytest.FixtureRequest) -> None:
    """Skips a test of data that is not there."""
    kind = getattr(request.node, "callspec", None)
    needed = [kind.params["kind"].__name__] if kind and "kind" in kind.params else list(FOLDERS)
    root = os.environ.get("TOKENNET_DATA")
    for name in needed:
        if not root or not Path(root, FOLDERS[name]).is_dir():
            pytest.skip(f"{FOLDERS[name]} is not in TOKENNET_DATA")


needs_data = pytest.mark.usefixtures("_data")


def small(kind: type[Task], **arguments) -> Task:
    """A task of 64 samples, one epoch."""
    return kind(Recipe(epochs=1, batch_size=16), limit=64, **arguments)


@needs_data
def test_the_files_hold_what_their_docs_say():
    text = shakespeare()
    assert (len(text), len(set(text))) == (1_115_394, 65)
    found = names()
    assert len(found) == len(set(found)) == 29_494
    assert set("".join(found)) == set("abcdefghijklmnopqrstuvwxyz")
    assert max(map(len, found)) == 15
    pairs = {(s, p): scan(s, p) for s in ("simple", "length") for p in ("train", "test")}
    assert {key: len(value) for key, value in pairs.items()} == {
        ("simple", "train"): 16_728, ("simple", "test"): 4_182,
        ("length", "train"): 16_990, ("length", "test"): 3_920,
    }  # fmt: skip
    assert max(len(a) for _, a in pairs["length", "train"]) == 22
    assert [f(len(a) for _, a in pairs["length", "test"]) for f in (min, max)] == [24, 48]
    assert {" ".join(c): a for c, a in pairs["simple", "train"]}["jump twice"] == (
        ["I_JUMP", "I_JUMP"]
    )
    said = sentiment()
    assert len(said) == len({text.lower() for text, _, _ in said}) == 2_979
    assert {site: sum(s == site for _, _, s in said) for _, _, site in said} == {
        "imdb": 997, "yelp": 996, "amazon_cells": 986
    }  # fmt: skip
    assert ("Crust is not good.", 0, "yelp") in said


@needs_data
@pytest.mark.parametrize(
    ("kind", "sizes"), [(Shakespeare, (15_685, 1_742)), (Names, (26_544, 2_950)),
                    (Sentiment, (2_383, 596)), (Scan, (16_728, 4_182))],
)  # fmt: skip
def test_sizes_are_as_documented(kind, sizes):
    data = kind().data(0)
    assert (len(data.fit), len(data.test)) == sizes
    text = " ".join(kind.__doc__.split())
    assert all(f"{size:,}" in text for size in sizes)
    assert kind().data(1).test is data.test, "one split for all seeds"


@needs_data
def test_no_test_sample_is_fitted():
    for task in (Names(), Scan(), Scan(split="length")):
        data = task.data(0)
        parts = [
            part.inputs if isinstance(task, Names) else part.sources
            for part in (data.fit, data.test)
        ]
        fit, test = ({tuple(x.tolist()) for x in part} for part in parts)
        assert len(test) == len(data.test)
        assert not fit & test
    fit, test = sentences()
    assert not {text.lower() for text, _ in fit} & {text.lower() for text, _ in test}
    assert sum(label for _, label in test) == 298
    data, text = Shakespeare().data(0), shakespeare()
    last = "".join(sorted(set(text))[i] for i in data.fit.inputs[-1].tolist())
    first = "".join(sorted(set(text))[i] for i in data.test.inputs[0].tolist())
    begin = len(text) * 9 // 10
    assert text[begin : begin + 64] == first
    assert text[:begin].endswith(last + text[len(data.fit) * 64 : begin])


@needs_data
def test_targets_are_the_next_tokens():
    data = Shakespeare(context=10).data(0).test
    assert torch.equal(data.targets[:, :-1], data.inputs[:, 1:])
    assert torch.equal(data.targets[:-1, -1], data.inputs[1:, 0])
    assert data.inputs.shape[1] == 10
    batch = Names().data(0).test.first(3)
    for x, y in zip(
        *(t.split(batch.structure.lengths.tolist()) for t in (batch.inputs, batch.targets)),
        strict=True,
    ):
        assert torch.equal(x[1:], y[:-1])
        assert x[0] == y[-1] == 0, "the sign for start and end"
        assert (x[1:] > 0).all()
    batch = Scan().data(0).test.first(3)
    for x, y in zip(
        *(t.split(batch.structure.lengths.tolist()) for t in (batch.inputs.written, batch.targets)),
        strict=True,
    ):
        assert torch.equal(x[1:], y[:-1])
        assert x[0] == y[-1] == 0
        assert (x[1:] > 0).all()


@needs_data
def test_words_are_known_from_the_fitted_part_only():
    fit, test = sentences()
    task = Sentiment()
    words = {w for text, _ in fit for w in text.lower().split()}
    strange = [i for i, (text, _) in enumerate(test) if not set(text.lower().split()) & words]
    assert task.facts["symbols"] < len(words)
    zeros = sum(int((x == 0).sum()) for x in task.data(0).test.inputs)
    assert zeros > 100, "unknown words share one token"
    assert len(strange) < 20
    assert task.facts["num_tokens"] >= 60


@needs_data
@pytest.mark.parametrize("kind", KINDS)
def test_limit_is_a_part_of_the_whole_and_of_a_larger_one(kind):
    few, more = kind(limit=5).data(2).fit, kind(limit=9).data(2).fit
    assert (len(few), len(more)) == (5, 9)
    assert torch.equal(few.index, more.index[:5])
    assert not torch.equal(few.index, kind(limit=5).data(3).fit.index)
    with pytest.raises(ValueError, match="limit is 1000000, expected at most"):
        kind(limit=1_000_000).data(0)


@needs_data
@pytest.mark.parametrize("kind", CAUSAL)
def test_nets_that_see_later_tokens_are_refused(kind):
    task = small(kind)
    with pytest.raises(ValueError, match=r"expected one that claims Causality.*tn\.Causal\(\)"):
        task(seed=0, mixer=lambda dim: Attention(dim, 4))
    with pytest.raises(ValueError, match="expected one that claims Causality"):
        task.experiment(lambda: torch.nn.Linear(2, 2))(seed=0)


MIXERS = {
    Sentiment: (lambda: Pooling(), lambda dim: GRU(dim)),
    None: (lambda dim: GRU(dim), lambda dim: Convolution(dim, tn.Causal() & tn.Window(2))),
}


@needs_data
@pytest.mark.parametrize("kind", KINDS)
def test_runs_with_several_mixers_and_is_the_same_again(kind):
    task = small(kind)
    found = task(seed=1, dim=16)
    assert found == task(seed=1, dim=16) != task(seed=2, dim=16)
    assert task.metric in found
    for mixer in MIXERS.get(kind, MIXERS[None]):
        metrics = task(seed=1, mixer=mixer, dim=16)
        assert metrics.keys() == found.keys()
        assert all(math.isfinite(value) for value in metrics.values())
        assert 0 <= metrics["accuracy"] <= 1
        assert 0 < metrics["loss"] < 2 * math.log(task.facts["symbols"])


@needs_data
@pytest.mark.parametrize("kind", KINDS)
def test_two_samples_together_and_apart(kind):
    task = small(kind)
    net, test = task.net().double().eval(), task.data(0).test

    def answer(*index: int) -> torch.Tensor:
        batch = test.batch(torch.tensor(index))
        return net(batch.inputs) if batch.structure is None else net(batch.inputs, batch.structure)

    apart = torch.cat([answer(3), answer(8)])
    torch.testing.assert_close(answer(3, 8), apart, rtol=1e-10, atol=1e-12)


@needs_data
def test_exact_match_is_what_greedy_decoding_finds():
    """Of a net that knows some short answers: each written token by token, without help."""
    task, samples = Scan(), Scan().data(0).fit
    short = [i for i, t in enumerate(samples.targets) if len(t) <= 8][:60]
    torch.manual_seed(0)
    net = task.net(dim=32)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for step in range(60):
        batch = samples.batch(torch.tensor(short[step % 2 :: 2]))
        loss = task.loss(net(batch.inputs, batch.structure), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = 0
    with torch.no_grad():
        for i in short:
            batch = samples.batch(torch.tensor([i]))
            found = task.scores(net(batch.inputs, batch.structure), batch)["accuracy"] == (1, 1)
            assert found == (_written(net, batch.inputs) == batch.targets.tolist())
            right += found
        batch = samples.batch(torch.tensor(short))
        scores = task.scores(net(batch.inputs, batch.structure), batch)
    assert scores["accuracy"] == (right, 60)
    assert 10 < right < 55


def _written(net, pair: Pair) -> list[int]:
    written = [0]
    while len(written) < 12 and (len(written) == 1 or written[-1] != 0):
        x = Pair(pair.source, pair.lengths, torch.tensor(written))
        written.append(int(net(x, tn.Structure.packed([len(written)]))[-1].argmax()))
    return written[1:]


@needs_data
def test_the_command_matters_and_its_order_too():
    task = small(Scan)
    net, batch = task.net().double().eval(), task.data(0).test.first(1)
    pair = batch.inputs
    other = Pair(pair.source.flip(0), pair.lengths, pair.written)
    one, two = (net(p, batch.structure) for p in (pair, other))
    assert (one - two).abs().max() > 1e-3


def _benchmark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("text_references")


@needs_data
def test_computed_references_are_what_the_benchmark_computes(monkeypatch):
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    models = _benchmark(monkeypatch)
    assert models.sentiment() == pytest.approx(Sentiment.reference.value, abs=5e-4)
    assert models.names(5) == pytest.approx(Names.reference.value, abs=5e-4)
    assert models.names(2) == pytest.approx(2.455, abs=5e-4)


def test_counted_models_are_distributions(monkeypatch):
    model = _benchmark(monkeypatch).NGrams([[0, 1, 2, 1, 1], [2, 2, 0]], 3, 4)
    for history in [(), (1,), (2, 1), (3, 3), (0, 1)]:
        assert sum(model.chance(history, c) for c in range(4)) == pytest.approx(1)
    # n(1 2) = 1, t = 1 after h = (1,): once each of 2 and 1; lower: counts 2, 3, 3 of 8, 3 kinds
    lower = (3 + 3 / 4) / 11
    assert model.chance((1,), 2) == pytest.approx((1 + 2 * lower) / 4)


def test_missing_files_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKENNET_DATA", str(tmp_path))
    for load, file in [
        (shakespeare, "input.txt"), (names, "names.txt"), (sentiment, "imdb_labelled.txt"),
        (lambda: scan("simple", "test"), "tasks_test_simple.txt"),
    ]:  # fmt: skip
        with pytest.raises(FileNotFoundError, match=f"{file}.*usually had from.*TOKENNET_DATA"):
            load()


def test_bad_arguments_are_refused():
    for make, message in [
        (lambda: scan("jump", "train"), "split is 'jump', expected one of 'simple', 'length'"),
        (lambda: scan("simple", "fit"), "part is 'fit', expected 'train' or 'test'"),
        (lambda: Scan(split="jump"), "split is 'jump', expected 'simple' or 'length'"),
        (lambda: Names(limit=0), "limit is 0, expected at least 1"),
        (lambda: Shakespeare(context=0), "context is 0, expected at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
