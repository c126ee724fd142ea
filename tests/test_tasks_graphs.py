"""Tasks on graphs: splits as papers make them, nets that train."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

import tokennet as tn
from tokennet.data.split import complement, stratified_folds
from tokennet.tasks import MUTAG, PROTEINS, TASKS, CiteSeer, Cora
from tokennet.tasks.graphs import SparseFeatures

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),  # PyG's import
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta"),
]

FOLDERS = {
    "Cora": "Planetoid/Cora/raw", "CiteSeer": "Planetoid/CiteSeer/raw",
    "MUTAG": "TUDataset/MUTAG/raw", "PROTEINS": "TUDataset/PROTEINS/raw",
}  # fmt: skip


def needs(name: str) -> None:
    root = os.environ.get("TOKENNET_DATA")
    if not root or not Path(root, FOLDERS[name]).is_dir():
        pytest.skip(f"{FOLDERS[name]} is not in TOKENNET_DATA")


@pytest.mark.parametrize("task", [Cora(), CiteSeer()], ids=lambda t: t.name)
def test_citations_have_the_public_split(task):
    needs(task.name)
    data = task.data(0)
    masks = [part.counts for part in (data.fit, data.choose, data.test)]
    assert [int(m.sum()) for m in masks] == [20 * task.classes, 500, 1000]
    assert int(sum(m.int() for m in masks).max()) == 1, "the parts overlap"
    assert data.fit.x.shape == (task.tokens, task.features)
    assert data is task.data(1), "one split for all seeds"
    assert len(data.fit) == 1


def test_citation_nets_train():
    needs("Cora")
    task = Cora(epochs=3)
    found = task(seed=0)
    assert found == task(seed=0)
    assert 0.14 < found["accuracy"] <= 1
    assert found["equivariance_error"] < 1e-12
    attention = lambda dim: tn.Attention(dim, 4, tn.EdgeList(self_loops=True))  # noqa: E731
    other = task(seed=0, mixer=attention)
    assert other["accuracy"] != found["accuracy"] or other["loss"] != found["loss"]


def test_unlabelled_tokens_don_t_count():
    needs("Cora")
    task, data = Cora(), Cora().data(0)
    batch = data.fit.first()
    answer = torch.zeros(task.tokens, task.classes)
    answer[torch.arange(task.tokens), batch.targets] = 9.0
    answer[~batch.counts] = torch.randn(int((~batch.counts).sum()), task.classes)
    assert task.scores(answer, batch)["accuracy"] == (140, 140)
    assert float(task.loss(answer, batch)) < 0.01


def test_dropped_sparse_features_are_those_of_the_dense_matrix():
    x = torch.rand(5, 7).where(torch.rand(5, 7) > 0.5, 0)
    structure = tn.Structure.packed([5])
    tokenizer = SparseFeatures(7, 3, 0.4).eval()
    y, _ = tokenizer(x.to_sparse_csr(), structure)
    torch.testing.assert_close(y, x @ tokenizer.features.map.weight.T)
    tokenizer.train()
    with torch.no_grad():
        tokenizer.features.map.weight.fill_(1.0)
    with torch.no_grad():
        y, _ = tokenizer(torch.ones(200, 7).to_sparse_csr(), tn.Structure.packed([200]))
    kept = (y[:, 0] * 0.6).round()  # of 7, each with probability 0.6
    torch.testing.assert_close(y[:, 0] * 0.6, kept)
    assert kept.unique().numel() > 3
    assert abs(float(kept.mean()) - 4.2) < 0.4


@pytest.mark.parametrize(("task", "size"), [(MUTAG(), 188), (PROTEINS(), 1113)])
def test_ten_folds_hold_every_graph_once(task, size):
    needs(task.name)
    seen, labels = [], None
    for seed in range(10):
        data = task.data(seed)
        test, fit = ({id(g) for g in part.graphs} for part in (data.test, data.fit))
        assert not test & fit
        assert len(test) + len(fit) == size
        assert len(test) in (size // 10, size // 10 + 1)
        seen += list(test)
        labels = data.test.targets if labels is None else torch.cat([labels, data.test.targets])
        assert data.choose is None, "an epoch chosen by the test fold flatters"
    assert len(seen) == len(set(seen)) == size
    assert f"{size:,}" in (type(task).__doc__ or "")
    other = {id(g) for g in task.data(10).test.graphs}
    assert other != {id(g) for g in task.data(0).test.graphs}, "the next ten are another shuffle"
    assert labels is not None
    assert labels.unique().tolist() == [0, 1]


def test_graph_nets_train():
    needs("MUTAG")
    task = MUTAG(epochs=2, limit=40)
    found = task(seed=1)
    assert found == task(seed=1)
    assert len(task.data(1).fit) == 40
    assert 0 <= found["accuracy"] <= 1
    assert found["equivariance_error"] < 1e-12
    assert task(seed=1, mixer=lambda dim: tn.Attention(dim, 4))["loss"] != found["loss"]


def test_graphs_of_a_batch_stand_for_themselves():
    needs("MUTAG")
    task = MUTAG()
    net = task.net().double().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    answers = []
    for index in ([0, 7], [0], [7]):
        batch = task.data(0).test.batch(torch.tensor(index))
        structure = tn.Structure.packed(
            batch.structure.lengths.tolist(), edges=tn.Edges(batch.structure.edges.index)
        )
        answers.append(net(batch.inputs.double(), structure))
    torch.testing.assert_close(answers[0], torch.cat(answers[1:]))
    assert not torch.allclose(answers[0][0], answers[0][1])


def test_folds_are_stratified_and_alike_on_every_machine():
    labels = torch.tensor([0] * 33 + [1] * 20)
    folds = stratified_folds(labels, 5, seed=3)
    assert sorted(torch.cat(folds).tolist()) == list(range(53))
    for fold in folds:
        assert len(fold) in (10, 11)
        assert int(labels[fold].sum()) == 4
        assert len(complement(fold, 53)) == 53 - len(fold)
        assert not set(complement(fold, 53).tolist()) & set(fold.tolist())
    again, other = (stratified_folds(labels, 5, seed=s) for s in (3, 4))
    assert torch.equal(folds[2], again[2])
    assert not torch.equal(folds[2], other[2])


def test_tasks_are_listed():
    assert {"Cora", "CiteSeer", "MUTAG", "PROTEINS"} < set(TASKS)
    assert not {"Task", "Citations", "GraphClasses", "ImageTask"} & set(TASKS)
    for kind in TASKS.values():
        assert kind.reference.source
        assert kind.__doc__
