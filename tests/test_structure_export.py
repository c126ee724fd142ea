"""Tokens out to PyG and networkx, and back again."""

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tokennet as tn


@st.composite
def tokens(draw: st.DrawFn) -> tn.Tokens:
    """A ragged batch with repeated edges, loops, isolated tokens, weights, empty samples."""
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    pairs, start = [], 0
    for n in lengths:
        one = st.integers(start, start + n - 1)
        pairs += draw(st.lists(st.tuples(one, one), max_size=6)) if n else []
        start += n
    index = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).T
    weight, attr = torch.rand(len(pairs)), torch.rand(len(pairs), 2)
    structure = tn.Structure.packed(lengths, edges=tn.Edges(index, weight, attr))
    return tn.Tokens(torch.randn(sum(lengths), 3), structure)


def same(one: tn.Tokens, two: tn.Tokens, *, attr: bool) -> None:
    """The same features, lengths and edges; edges may be listed in another order."""
    assert torch.equal(one.x, two.x)
    assert one.structure.lengths.tolist() == two.structure.lengths.tolist()
    rows = []
    for t in (one, two):
        edges = t.structure.edges
        columns = [edges.index.T.double(), edges.weight[:, None].double()]
        columns += [edges.attr.double()] if attr else []
        rows.append(sorted(torch.cat(columns, 1).tolist()))
    assert rows[0] == rows[1]


@given(tokens())
def test_pyg_round_trip(before: tn.Tokens) -> None:
    batch = before.to_pyg()
    assert batch.num_graphs == before.structure.batch
    assert batch.validate()
    same(before, tn.Tokens.from_pyg(batch), attr=True)


@given(tokens())
def test_networkx_round_trip(before: tn.Tokens) -> None:
    graphs = before.padded().to_networkx()
    assert [type(g) for g in graphs] == [nx.MultiDiGraph] * before.structure.batch
    assert sum(g.number_of_edges() for g in graphs) == before.structure.edges.num_edges
    if len(before.x):
        same(before, tn.Tokens.from_networkx(graphs, features=["x"], weight="weight"), attr=False)


def test_without_edges() -> None:
    before = tn.Tokens.from_list([torch.randn(2, 3), torch.randn(4, 3)])
    assert before.to_pyg().num_edges == 0
    assert [g.number_of_nodes() for g in before.to_networkx()] == [2, 4]


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_padded_tensors_with_a_mask(kind: str) -> None:
    """From a padded tensor and its mask, wherever the padding is, and out again."""
    valid = torch.tensor([[False, True, True], [True, False, True]])
    x = torch.randn(2, 3, 4)
    before = tn.Tokens(x, tn.Structure.padded(valid))
    samples = [x[0, 1:], x[1, [0, 2]]]
    inner = getattr(before, kind)()
    assert all(torch.equal(a, b) for a, b in zip(inner.to_list(), samples, strict=True))
    after = tn.Tokens.from_list(samples).padded()
    assert torch.equal(after.x[after.structure.layout.valid], x[valid])
