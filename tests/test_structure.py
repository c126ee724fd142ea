"""Layouts and structures: one interface, round trips, what costs nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import tokennet as tn
from tokennet.structure import Layout

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
