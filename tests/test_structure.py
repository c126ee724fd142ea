"""Layouts, edges and structures: one interface, round trips, what is kept."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import tokennet as tn
from tokennet.structure import Layout, SortedEdges

rows_of_masks = st.integers(0, 6).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), max_size=4).map(
        lambda rows: torch.tensor(rows, dtype=torch.bool).view(len(rows), n)
    )
)
ragged = st.lists(st.integers(0, 6), max_size=5)


def mask(*rows: str) -> Tensor:
    """One word for each sample: x a real token, . padding."""
    return torch.tensor([[c == "x" for c in row] for row in rows])


RIGHT = mask("xxx.", "x...", "xxxx")
LEFT = RIGHT.flip(1)
HOLES = mask("x.x.x", ".xx..", ".....", "xxxxx")
LAYOUTS: dict[str, Layout] = {
    "right": tn.Padded(RIGHT),
    "left": tn.Padded(LEFT),
    "holes": tn.Padded(HOLES),
    "all valid": tn.Padded(torch.ones(2, 3, dtype=torch.bool)),
    "dense": tn.Padded.dense_batch(2, 3),
    "one token": tn.Padded.dense_batch(1, 1),
    "no sample": tn.Padded.dense_batch(0, 3),
    "no column": tn.Padded.dense_batch(3, 0),
    "packed": tn.Packed.of([3, 0, 1, 4]),
    "packed, equal": tn.Packed.of([3, 3]),
    "packed, one token": tn.Packed.of([1]),
    "packed, no sample": tn.Packed.of([]),
    "packed, empty samples": tn.Packed.of([0, 0]),
    "packed, roomy": tn.Packed(torch.tensor([0, 2, 3], dtype=torch.int32), 3, 7),
}
every = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def content(layout: Layout, *channels: int) -> Tensor:
    """Numbers that are all different, NaN at padding."""
    x = torch.randn(*layout.shape, *channels, dtype=torch.float64)
    x[~layout.valid] = torch.nan
    return x


def check_interface(layout: Layout) -> None:
    """Every statement that the two layouts share, against the definition sample by sample."""
    x = content(layout, 2)
    flat = layout.flat(x)
    size = layout.max_length
    assert layout.shape == tuple(x.shape[:-1])
    assert len(flat) == layout.rows == len(layout.sample) == len(layout.position)
    assert layout.valid.shape == x.shape[:-1]
    assert layout.lengths.tolist() == [
        int(layout.valid.flatten()[layout.sample == b].sum()) for b in range(layout.batch)
    ]
    torch.testing.assert_close(layout.unflat(flat), x, equal_nan=True)
    torch.testing.assert_close(layout.unpad(layout.pad(x))[layout.valid], x[layout.valid])
    padded, front = layout.pad(x), layout.compact(x)
    assert padded.shape[:2] == front.shape[:2] == (layout.batch, size)
    valid = layout.padded_valid
    valid = torch.ones(layout.batch, size, dtype=torch.bool) if valid is None else valid
    places = layout.padded_position.expand(layout.batch, size)
    for b in range(layout.batch):
        real = flat[(layout.sample == b) & layout.valid.flatten()]
        n = len(real)
        assert torch.equal(padded[b][valid[b]], real)
        assert torch.equal(front[b, :n], real)
        assert not front[b, n:].any(), "zeros, also where x holds NaN"
        own = layout.position[(layout.sample == b) & layout.valid.flatten()]
        assert own.tolist() == list(range(n))
        assert places[b].sort().values.tolist() == list(range(size)), "no position twice"
        assert places[b][valid[b]].tolist() == list(range(n))
    assert torch.equal(layout.spread(front)[layout.valid], x[layout.valid])
    assert torch.equal(layout.clear(x), x.nan_to_num(0))


@every
def test_interface(layout: Layout) -> None:
    check_interface(layout)


@given(valid=rows_of_masks)
def test_interface_of_any_mask(valid: Tensor) -> None:
    check_interface(tn.Padded(valid))


@given(lengths=ragged)
def test_interface_of_any_lengths(lengths: list[int]) -> None:
    check_interface(tn.Packed.of(lengths))


@every
@pytest.mark.parametrize("channels", [(), (3,), (2, 3)], ids=str)
def test_any_number_of_channel_axes(layout: Layout, channels: tuple[int, ...]) -> None:
    x = content(layout, *channels)
    for there, back in ((layout.pad, layout.unpad), (layout.compact, layout.spread)):
        y = there(x)
        assert y.shape == (layout.batch, layout.max_length, *channels)
        assert torch.equal(back(y)[layout.valid], x[layout.valid])


@every
def test_gradients_reach_real_tokens_only(layout: Layout) -> None:
    x = content(layout, 2).nan_to_num(0).requires_grad_()
    for there, back in ((layout.pad, layout.unpad), (layout.compact, layout.spread)):
        (grad,) = torch.autograd.grad((back(there(x))[layout.valid] * 3).sum(), x)
        assert torch.equal(grad, 3.0 * layout.valid[..., None].expand_as(grad))


@pytest.mark.parametrize("name", ["dense", "packed, equal", "one token", "no sample"])
def test_equal_lengths_cost_nothing(name: str) -> None:
    """Padding, packing and turning to the front are views of the same memory."""
    layout = LAYOUTS[name]
    x = content(layout, 2)
    padded = layout.pad(x)
    for y in (padded, layout.unpad(padded), layout.compact(x), layout.spread(padded)):
        assert y.data_ptr() == x.data_ptr()
    assert layout.clear(x) is x
    assert layout.padded_valid is None
    assert not layout.causal_needs_mask


def test_positions_count_real_tokens() -> None:
    layout = tn.Padded(HOLES)
    assert layout.padded_position[0].tolist() == [0, 3, 1, 4, 2]
    assert tn.Padded(LEFT).padded_position[0].tolist() == [3, 0, 1, 2]
    assert tn.Packed.of([2, 0, 3]).position.tolist() == [0, 1, 0, 1, 2]
    assert tn.Packed.of([2, 0, 3]).sample.tolist() == [0, 0, 2, 2, 2]


def test_packed_of_a_tensor_stays_on_its_device() -> None:
    layout = tn.Packed.of(torch.tensor([2, 1], dtype=torch.int32))
    assert (layout.ptr.tolist(), layout.num_tokens, layout.max_length) == ([0, 2, 3], 3, 2)
    assert layout.to("cpu").ptr.tolist() == [0, 2, 3]


# -- edges ----------------------------------------------------------------------------------------

INDEX = torch.tensor([[3, 0, 0, 2, 1, 0, 3], [1, 2, 1, 2, 0, 2, 1]])  # repeated, a loop, unsorted


def some_edges(**more: Tensor) -> tn.Edges:
    return tn.Edges(INDEX, torch.arange(7.0), torch.arange(14.0).view(7, 2), **more)


def check_sorted(edges: tn.Edges, rows: int) -> SortedEdges:
    found = SortedEdges.of(edges, rows)
    pairs = list(zip(found.target.tolist(), found.source.tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert sorted(found.order.tolist()) == list(range(edges.num_edges))
    assert torch.equal(found.index, edges.index[:, found.order])
    assert torch.equal(found.original().index, edges.index)
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
    back = found.original()
    assert torch.equal(back.weight, edges.weight)
    assert torch.equal(back.attr, edges.attr)
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


# -- structures -----------------------------------------------------------------------------------


def test_constructors() -> None:
    dense = tn.Structure.dense(2, 6, grid=(2, 3), memory=torch.randn(2, 5, 4))
    assert dense.layout.dense
    assert (dense.batch, dense.grid, dense.memory.x.shape) == (2, (2, 3), (2, 5, 4))
    assert tn.Structure.padded(RIGHT).lengths.tolist() == [3, 1, 4]
    packed = tn.Structure.packed([3, 0, 2], edges=tn.Edges(torch.tensor([[0, 3], [1, 4]])))
    assert packed.sorted_edges.num_edges == 2
    assert packed.batch == 3
    assert packed.to("cpu").edges.num_edges == 2


@pytest.mark.usefixtures("no_typecheck")
def test_a_plain_tensor_of_edges_or_memory_will_do() -> None:
    index = torch.tensor([[0, 3], [1, 2]])
    structure = tn.Structure.dense(1, 4, edges=index, memory=torch.randn(1, 2, 3))
    assert structure.edges.index is index
    assert structure.memory.structure.layout.shape == (1, 2)


def test_tokens_unpack_and_count() -> None:
    x = torch.randn(2, 3, 4)
    tokens = tn.Tokens.dense(x)
    features, structure = tokens
    assert features is x
    assert structure.layout.shape == (2, 3)
    assert tokens.num_tokens == 6
    assert tn.Tokens(torch.randn(3, 4, 2), tn.Structure.padded(RIGHT)).num_tokens == 8
    assert tokens.to("cpu").x is x
