"""Probes: the samples are as documented, a fit net solves them, an unfit one stays at chance."""

import math
from itertools import product

import networkx as nx
import pytest
import torch

import tokennet as tn
from tokennet.mixers import GRU, Attention, Mixer, Pointwise, Pooling, SAGEConvolution, TokenMLP
from tokennet.tasks import (
    AssociativeRecall,
    Copying,
    Counting,
    Majority,
    NeighbourMean,
    Parity,
    PatchQuestion,
    Probe,
    Recipe,
    ShortestPath,
    Sorting,
)
from tokennet.tasks.graph_probes import EqualGraphs
from tokennet.tasks.probes import TESTS
from tokennet.tasks.recall import Questions

PROBES = (
    AssociativeRecall, Copying, Counting, Majority, NeighbourMean, Parity, PatchQuestion,
    ShortestPath, Sorting,
)  # fmt: skip


def deaf(dim: int) -> Mixer:
    """A mixer that hears no other token."""
    return Pointwise(dim)


@pytest.mark.parametrize("kind", PROBES)
def test_sizes_and_parts_are_as_documented(kind):
    task = kind()
    data, again, other = task.data(0), task.data(0), task.data(1)
    assert (len(data.fit), len(data.test)) == (task.samples, TESTS)
    assert f"{task.samples:,} samples to fit, 1,000 to test" in " ".join(kind.__doc__.split())
    whole = [part.batch(torch.arange(len(part))) for part in (data.fit, data.test)]
    assert torch.equal(whole[0].inputs, again.fit.batch(torch.arange(task.samples)).inputs)
    assert not torch.equal(whole[0].inputs, other.fit.batch(torch.arange(task.samples)).inputs)
    tests = torch.arange(TESTS)
    assert torch.equal(whole[1].inputs, other.test.batch(tests).inputs), "the test part is fixed"
    assert torch.equal(whole[1].targets, other.test.batch(tests).targets)


@pytest.mark.parametrize("kind", PROBES)
def test_no_test_sample_is_fitted(kind):
    data = kind(length=9 if kind in (Majority, Parity) else None).data(0)  # 512 samples in all
    assert not _rows(data.fit) & _rows(data.test)


def _rows(samples) -> set[bytes]:
    """Each sample as bytes: whatever a net gets of it."""
    if isinstance(samples, EqualGraphs):
        parts = [samples.x, samples.edges]
    elif isinstance(samples, Questions):
        parts = [samples.patches, samples.questions]
    else:
        parts = [samples.inputs]
    flat = torch.cat([part.flatten(1).double() for part in parts], 1).numpy()
    return {row.tobytes() for row in flat}


@pytest.mark.parametrize("kind", PROBES)
def test_the_reference_is_the_best_value_and_tells_the_chance(kind):
    task = kind()
    assert task.reference.value == task.best == (0.0 if kind is NeighbourMean else 1.0)
    told = float(task.reference.source.rsplit(" ", 1)[1])
    assert told == pytest.approx(task.chance, abs=5e-4)


def test_the_chance_of_sorting_is_what_counting_finds():
    """For each number and place the most frequent answer, over many samples."""
    for task in (Sorting(), Sorting(length=3)):
        samples = task.draw(100_000, task.length, torch.Generator().manual_seed(1))
        places = torch.arange(task.length).expand(samples.inputs.shape)
        index = (places * 10 + samples.inputs) * 10 + samples.targets
        table = torch.bincount(index.flatten(), minlength=100 * task.length).view(-1, 10)
        found = float(table.max(1).values.sum() / table.sum())
        assert found == pytest.approx(task.chance, abs=0.003)


@pytest.mark.parametrize("length", [1, 3, 7])
def test_the_chance_of_majority_is_what_all_samples_give(length):
    right = [(sum(bits) * 2 > length) == bits[-1] for bits in product((0, 1), repeat=length)]
    assert Majority(test_length=length).chance == pytest.approx(sum(right) / len(right))


def test_answers_of_recall():
    task = AssociativeRecall()
    batch = task.data(0).test.first(50)
    for x, answer, counts in zip(batch.inputs, batch.targets, batch.counts, strict=True):
        keys, values = x[:-1, :16].argmax(1).tolist(), x[:-1, 16:].argmax(1).tolist()
        assert len(set(keys)) == len(set(values)) == 8
        assert x[-1].sum() == 1, "the query has no value"
        found = dict(zip(keys, values, strict=True))[int(x[-1, :16].argmax())]
        assert answer[-1] == found
        assert counts.tolist() == [False] * 8 + [True]


def test_answers_about_patches():
    batch = PatchQuestion().data(0).test.first(50)
    joined = PatchQuestion(joined=True).data(0).test.first(50)
    question = batch.structure.memory.x
    for b, patches in enumerate(batch.inputs):
        asked = {int(question[b, 0, :4].argmax()): int(question[b, 1, 4:].argmax())}
        kinds = [(int(p[:4].argmax()), int(p[4:8].argmax())) for p in patches]
        assert len(set(kinds)) == 9
        assert sorted(patches[:, 8:].argmax(1).tolist()) == list(range(9))
        (place,) = (i for i, kind in enumerate(kinds) if kind in asked.items())
        assert batch.targets[b] == patches[place, 8:].argmax()
    assert torch.equal(joined.inputs[:, :-1], batch.inputs)
    assert torch.equal(joined.inputs[:, -1, :8], question.sum(1))
    assert torch.equal(joined.targets[:, -1], batch.targets)
    assert joined.counts.sum() == joined.counts[:, -1].sum() == 50


def test_answers_of_sequences():
    x, y, counts = _first(Copying())
    assert [[row[:8], [8] * 8] for row in y] == [[row[:8], row[8:]] for row in x]
    assert [row[8:] for row in y] == [row[:8] for row in x]
    assert counts == [[False] * 8 + [True] * 8] * 50
    x, y, _ = _first(Sorting())
    assert y == [sorted(row) for row in x]
    x, y, _ = _first(Majority())
    assert y == [[int(sum(row) > 7)] * 15 for row in x]
    x, y, _ = _first(Parity())
    assert y == [[sum(row[: i + 1]) % 2 for i in range(16)] for row in x]
    x, y, counts = _first(Counting())
    assert counts == [[True] + [False] * 11] * 50
    assert all(row[0] >= 4 and max(row[1:]) < 4 for row in x)
    assert [row[0] + 1 for row in y] == [1 + row[1:].count(row[0] - 4) for row in x]
    assert {row[0] for row in y} == set(range(6))


def _first(task: Probe):
    batch = task.data(0).test.first(50)
    counts = None if batch.counts is None else batch.counts.tolist()
    return batch.inputs.tolist(), batch.targets.tolist(), counts


def test_answers_on_graphs():
    for graph, x, targets in _graphs(ShortestPath()):
        (marked,) = (i for i in range(16) if x[i, 0] == 1)
        length = nx.single_source_shortest_path_length(graph, marked)
        assert targets == [min(length.get(i, 5), 5) for i in range(16)]
        assert graph.number_of_edges() == 20
    for graph, x, targets in _graphs(NeighbourMean()):
        heard = [[float(x[j, 0]) for j in graph[i]] for i in range(16)]
        assert targets == pytest.approx([sum(h) / max(1, len(h)) for h in heard], abs=1e-6)
        assert graph.number_of_edges() == 32


def _graphs(task: Probe):
    test = task.data(0).test
    for i in range(20):
        batch = test.batch(torch.tensor([i]))
        index = batch.structure.edges.index
        assert not (index[0] == index[1]).any()
        assert len(set(map(tuple, index.T.tolist()))) == index.shape[1], "no edge twice"
        graph = nx.DiGraph(index.T.tolist())
        graph.add_nodes_from(range(16))
        both = graph.to_undirected(reciprocal=True)
        assert 2 * both.size() == index.shape[1], "each edge in both directions"
        yield both, batch.inputs, batch.targets.tolist()


@pytest.mark.parametrize("kind", PROBES)
def test_two_samples_together_and_apart(kind):
    task = kind(samples=50)
    net, test = task.net().double().eval(), task.data(0).test

    def answer(*index: int) -> torch.Tensor:
        batch = test.batch(torch.tensor(index))
        inputs, structure = batch.inputs, batch.structure
        if inputs.is_floating_point():
            inputs = inputs.double()
        if structure is None:
            return net(inputs)
        if structure.memory is not None:
            memory = tn.Tokens(structure.memory.x.double(), structure.memory.structure)
            structure = structure.with_facts(memory=memory)
        return net(inputs, structure)

    apart = torch.cat([answer(3), answer(8)])
    torch.testing.assert_close(answer(3, 8), apart, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(answer(3), answer(8))


MIXERS = {
    "token MLP": lambda dim, num_tokens: TokenMLP(num_tokens),
    "pooling": lambda: Pooling(),
}


@pytest.mark.parametrize("kind", PROBES)
def test_runs_with_several_mixers_and_is_the_same_again(kind):
    task = kind(Recipe(epochs=1), samples=64)
    found = task(seed=3)
    assert found == task(seed=3) != task(seed=4)
    for mixer in MIXERS.values():
        metrics = task(seed=3, mixer=mixer, dim=8)
        assert metrics.keys() == found.keys()
        assert all(math.isfinite(value) for value in metrics.values())
        assert 0 <= metrics[task.metric] <= (10 if kind is NeighbourMean else 1)


FAST = Recipe(epochs=4, lr=5e-3)
SMALL = {  # that a test has time for
    AssociativeRecall: AssociativeRecall(FAST, length=3, samples=3000),
    Copying: Copying(Recipe(epochs=4, batch_size=32, lr=1e-2), length=4, samples=2000),
    Counting: Counting(FAST, length=8, samples=4000),
    Majority: Majority(FAST, length=11, samples=2000),
    NeighbourMean: NeighbourMean(Recipe(epochs=5, lr=1e-2), length=6, samples=800),
    Parity: Parity(Recipe(epochs=4, batch_size=32, lr=1e-2), length=11, samples=1000),
    PatchQuestion: PatchQuestion(FAST, length=3, samples=3000),
    ShortestPath: ShortestPath(FAST, length=8, farthest=2, samples=1000),
    Sorting: Sorting(FAST, length=3, samples=3000),
}


@pytest.mark.parametrize("kind", SMALL)
def test_a_fit_mixer_solves_it(kind):
    task = SMALL[kind]
    assert abs(task(seed=0)[task.metric] - task.best) <= 0.05
    assert abs(task.chance - task.best) > 0.2, "chance must be far from it"


@pytest.mark.parametrize("kind", SMALL)
def test_a_mixer_that_hears_no_other_token_is_no_better_than_chance(kind):
    task = SMALL[kind]
    found = task(seed=0, mixer=deaf)[task.metric]
    better = found - task.chance if task.higher_is_better else task.chance - found
    assert better <= 0.05


def test_what_is_missing_makes_the_difference():
    """The ability alone: order for copying, edges for paths, the question for patches."""
    assert SMALL[Copying](seed=0, position=None)["accuracy"] < 0.6
    for kind in (ShortestPath, PatchQuestion):
        task = SMALL[kind]
        everyone = task(seed=0, mixer=lambda dim: Attention(dim, 4))["accuracy"]
        assert everyone == pytest.approx(task.chance, abs=0.05)


def test_a_state_extrapolates_and_a_joined_question_is_read():
    recipe = Recipe(epochs=4, batch_size=32, lr=1e-2)
    assert Parity(recipe, length=11, test_length=40, samples=1000)(seed=0)["accuracy"] > 0.95
    task = PatchQuestion(FAST, length=3, samples=3000, joined=True)
    assert task(seed=0)["accuracy"] > 0.95
    assert task.facts["num_tokens"] == 4


def test_bad_sizes_are_refused():
    for make, message in [
        (lambda: AssociativeRecall(length=9), "length is 9, expected at most 8"),
        (lambda: PatchQuestion(test_length=10), "test_length is 10, expected at most 9"),
        (lambda: Counting(length=5), "length is 5, expected at least 6"),
        (lambda: Majority(length=4), "length is 4, expected an odd number"),
        (lambda: ShortestPath(length=3), "length is 3, expected at least 4 tokens"),
        (lambda: Sorting(length=0), "length is 0, expected at least 1"),
        (lambda: Copying(samples=0), "samples is 0, expected at least 1"),
        (lambda: ShortestPath(farthest=0), "farthest is 0, expected at least 1"),
        (lambda: Parity(length=3).data(0), "length is 3, expected one with more than 0 different"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.usefixtures("no_typecheck")
def test_a_number_is_no_switch():
    with pytest.raises(TypeError, match="joined is 1, expected True or False"):
        PatchQuestion(joined=1)  # type: ignore[arg-type]


def test_graph_probes_take_graph_mixers():
    task = ShortestPath(Recipe(epochs=1), samples=64)
    for mixer in (SAGEConvolution, lambda dim: Attention(dim, 2, tn.EdgeList(self_loops=True))):
        assert 0 <= task(seed=0, mixer=mixer)["accuracy"] <= 1
    assert isinstance(Parity().net().mixers[0].mixers[0].mixer, GRU)
