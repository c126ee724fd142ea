"""Edges and their sorted form: duplicates, self-loops, what is kept, gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import tokennet as tn
from tokennet.structure import SortedEdges

INDEX = torch.tensor([[3, 0, 0, 2, 1, 0, 3], [1, 2, 1, 2, 0, 2, 1]])  # repeated, a loop, unsorted


def some_edges(**more: Tensor) -> tn.Edges:
    return tn.Edges(INDEX, torch.arange(7.0), torch.arange(14.0).view(7, 2), **more)


def check_sorted(edges: tn.Edges, rows: int) -> SortedEdges:
    found = SortedEdges.of(edges, rows)
    pairs = list(zip(found.target.tolist(), found.source.tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert sorted(found.order.tolist()) == list(range(edges.num_edges))
    assert torch.equal(found.index, edges.index[:, found.order])
    assert torch.equal(found.unsort(found.index.T).T, edges.index)
    assert (found.num_edges, found.num_rows) == (edges.num_edges, rows)
    order, ptr = found.by_source
    for t in range(rows):
        into = slice(int(found.ptr[t]), int(found.ptr[t + 1]))
        assert (found.target[into] == t).all()
        assert into.stop - into.start == int((edges.index[1] == t).sum())
        out = order[int(ptr[t]) : int(ptr[t + 1])]
        assert (found.source[out] == t).all()
        assert len(out) == int((edges.index[0] == t).sum())
    return found


@given(data=st.data(), rows=st.integers(1, 8))
def test_sorted_form(data: st.DataObject, rows: int) -> None:
    pair = st.tuples(st.integers(0, rows - 1), st.integers(0, rows - 1))
    pairs = data.draw(st.lists(pair, max_size=20))
    check_sorted(tn.Edges(torch.tensor(pairs, dtype=torch.int64).view(-1, 2).T), rows)


def test_sorted_form_without_rows() -> None:
    check_sorted(tn.Edges(torch.zeros(2, 0, dtype=torch.int32)), 0)


def test_weights_and_features_go_along() -> None:
    edges = some_edges()
    found = check_sorted(edges, 4)
    assert torch.equal(found.weight, edges.weight[found.order])
    assert torch.equal(found.attr, edges.attr[found.order])
    assert torch.equal(found.unsort(found.weight), edges.weight)
    assert torch.equal(found.unsort(found.attr), edges.attr)


def test_equal_edges_keep_the_callers_order() -> None:
    found = SortedEdges.of(some_edges(), 4)
    twice = (found.target == 1) & (found.source == 3)
    assert found.weight[twice].tolist() == [0.0, 6.0]


def test_self_loops_are_added_where_none_is() -> None:
    found = SortedEdges.of(some_edges(), 4).with_self_loops
    kept = found.keep
    pairs = sorted(zip(found.source[kept].tolist(), found.target[kept].tolist(), strict=True))
    there = sorted(map(tuple, INDEX.T.tolist()))
    assert pairs == sorted([*there, (0, 0), (1, 1), (3, 3)])
    new = kept & (found.order >= 7)
    assert (found.weight[new] == 1).all()
    assert not found.attr[new].any()
    assert found.num_edges == 7 + 4, "of fixed size: one candidate for each token"
    again = found.with_self_loops
    assert int(again.keep.sum()) == int(kept.sum()), "a candidate left out is no self-loop"


def test_the_memo_computes_once() -> None:
    edges = SortedEdges.of(tn.Edges(INDEX), 4)
    calls = []
    for _ in range(3):
        assert edges.remember("name", lambda: calls.append(1) or 5) == 5
    assert len(calls) == 1
    assert edges.with_self_loops is edges.with_self_loops
    structure = tn.Structure.packed([4], edges=tn.Edges(INDEX))
    assert structure.sorted_edges is structure.sorted_edges
    assert structure.with_facts(grid=(2, 2)).sorted_edges is structure.sorted_edges
    other = structure.with_facts(edges=tn.Edges(INDEX[:, :2]))
    assert other.sorted_edges.num_edges == 2


def test_the_memo_keeps_nothing_that_is_being_learned() -> None:
    weight = torch.ones(7, requires_grad=True)
    edges = SortedEdges.of(tn.Edges(INDEX, weight), 4)
    calls = []
    for _ in range(2):
        edges.remember("name", lambda: calls.append(1))
    assert len(calls) == 2


def test_inference_first_then_training() -> None:
    structure = tn.Structure.packed([4], edges=some_edges())
    mixer = tn.Sequential(tn.GraphConvolution(3), tn.RandomWalkPosition(3), tn.GraphAttention(3, 1))
    x = torch.randn(4, 3)
    with torch.inference_mode():
        mixer(x, structure)
    mixer(x, structure).sum().backward()
    assert all(p.grad is not None for p in mixer.parameters())


def test_a_structure_made_in_inference_mode_can_train() -> None:
    with torch.inference_mode():
        structure = tn.Structure.packed([4], edges=some_edges())
    mixer = tn.GraphConvolution(3)
    mixer(torch.randn(4, 3), structure).sum().backward()
    assert mixer.map.weight.grad is not None


@pytest.mark.parametrize("mixer", [tn.GraphConvolution(3).double()], ids=["graph convolution"])
def test_gradients_reach_edge_weights_twice(mixer: tn.Mixer) -> None:
    """One structure used in two steps: nothing of the first step's graph is kept."""
    weight = (torch.rand(7, dtype=torch.float64) + 0.5).requires_grad_()
    structure = tn.Structure.packed([4], edges=tn.Edges(INDEX, weight))
    x = torch.randn(4, 3, dtype=torch.float64)
    found = []
    for _ in range(2):
        (grad,) = torch.autograd.grad(mixer(x, structure).square().sum(), weight)
        assert grad.abs().sum() > 0
        found.append(grad)
    assert torch.equal(*found)


def test_gradients_of_weights_are_right() -> None:
    x = torch.randn(4, 3, dtype=torch.float64)
    mixer = tn.GraphConvolution(3).double()

    def f(weight: Tensor) -> Tensor:
        return mixer(x, tn.Structure.packed([4], edges=tn.Edges(INDEX, weight)))

    weight = (torch.rand(7, dtype=torch.float64) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(f, (weight,))


def test_inputs_are_left_alone() -> None:
    index, weight = INDEX.clone(), torch.arange(7.0)
    structure = tn.Structure.packed([4], edges=tn.Edges(index, weight))
    _ = structure.sorted_edges.with_self_loops, structure.sorted_edges.by_source
    assert torch.equal(index, INDEX)
    assert torch.equal(weight, torch.arange(7.0))


@given(data=st.data(), rows=st.integers(1, 6))
def test_edges_left_out_stand_behind_the_rows(data: st.DataObject, rows: int) -> None:
    """Left out at once or one after the other: rows and columns reach just the others, in order."""
    end = st.integers(0, rows - 1)
    triples = data.draw(st.lists(st.tuples(end, end, st.booleans(), st.booleans()), max_size=15))
    index = torch.tensor([t[:2] for t in triples], dtype=torch.int64).view(-1, 2).T
    first, second = (torch.tensor([t[i] for t in triples], dtype=torch.bool) for i in (2, 3))
    edges = tn.Edges(index, torch.arange(1.0 + len(triples))[1:])
    left = SortedEdges.of(edges, rows, first)
    both = left.restricted(second[left.order])
    for found, keep in ((left, first), (both, first & second)):
        count = int(keep.sum())
        assert found.keep is not None
        assert int(found.ptr[-1]) == count
        assert found.keep[:count].all()
        assert not found.keep[count:].any()
        assert torch.equal(found.weight, edges.weight[found.order])
        assert torch.equal(found.index, index[:, found.order])
        expected = sorted(zip(index[1][keep].tolist(), index[0][keep].tolist(), strict=True))
        pairs = list(zip(found.target.tolist(), found.source.tolist(), strict=True))
        assert pairs[:count] == expected
        for form, own in ((found.rows, found.target), (found.columns, found.source)):
            places = torch.arange(len(triples)) if form.place is None else form.place.long()
            other = found.source if form.place is None else found.target
            assert int(form.ptr[-1]) == count
            for row in range(rows):
                inside = slice(int(form.ptr[row]), int(form.ptr[row + 1]))
                assert (own[places[inside]] == row).all()
                assert torch.equal(other[places[inside]], form.index[inside].long())
                assert places[inside].tolist() == sorted(places[inside].tolist())
