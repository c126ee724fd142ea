"""The same tokens laid out anew: packed, padded, permuted, chosen, joined."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import assert_rows, assert_same_samples, graph_of, some_tokens
from torch import Tensor

import tokennet as tn
from tokennet.structure.transform import concatenate, pad_into, permute, rearrange, select


def mask(*rows: str) -> Tensor:
    return torch.tensor([[c == "x" for c in row] for row in rows])


@given(lengths=st.lists(st.integers(0, 4), max_size=4), seed=st.integers(0, 3))
def test_round_trips(lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    tokens = some_tokens(lengths)
    assert tokens.packed() is tokens
    padded = tokens.padded()
    assert padded.padded() is padded
    assert_same_samples(tokens, padded)
    back = padded.packed()
    assert torch.equal(back.x, tokens.x)
    assert torch.equal(back.structure.edges.index, tokens.structure.edges.index)
    assert_same_samples(tokens, back)


def test_equal_lengths_become_dense() -> None:
    tokens = some_tokens([3, 3])
    assert tokens.padded().structure.layout.dense


def test_padding_is_zero_and_leaves_no_trace() -> None:
    x = torch.full((1, 3, 2), torch.nan)
    x[0, 0] = 1
    tokens = tn.Tokens(x, tn.Structure.padded(mask("x..")))
    assert torch.equal(tokens.packed().x, torch.ones(1, 2))
    wider = pad_into(tokens, mask(".x.."))
    assert wider.x.tolist() == [[[0, 0], [1, 1], [0, 0], [0, 0]]]


def test_a_grid_survives() -> None:
    tokens = tn.Tokens(torch.randn(12, 2), tn.Structure.packed([6, 6], grid=(2, 3)))
    assert tokens.padded().structure.grid == (2, 3)
    assert tokens.padded().packed().structure.grid == (2, 3)


@pytest.mark.parametrize("padded", [False, True])
def test_permute(padded: bool) -> None:
    tokens = some_tokens([3, 0, 2])
    tokens = tokens.padded() if padded else tokens
    real = tokens.structure.layout.valid.flatten().nonzero().squeeze(1)
    order = torch.arange(tokens.structure.layout.rows)
    order[real] = real[[2, 0, 1, 4, 3]]
    new = permute(tokens, order)
    flat = tokens.structure.layout.flat
    assert torch.equal(flat(new.x), flat(tokens.x)[order])
    for b in range(3):
        assert graph_of(new, b) == graph_of(tokens, b)
    back = permute(new, order.argsort())
    assert torch.equal(back.x, tokens.x)
    assert torch.equal(back.structure.edges.index, tokens.structure.edges.index)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("samples", [[0], [2, 0], [1], [], [2, 2, 0, 2], [1, 1]], ids=str)
def test_select(samples: list[int], padded: bool) -> None:
    tokens = some_tokens([3, 0, 2])
    tokens = tokens.padded() if padded else tokens
    new = select(tokens, samples)
    assert new.structure.batch == len(samples)
    assert_rows(new.to_list(), [tokens.to_list()[b] for b in samples])
    memory = tokens.structure.memory.to_list()
    assert_rows(new.structure.memory.to_list(), [memory[b] for b in samples])
    for place, b in enumerate(samples):
        assert graph_of(new, place) == graph_of(tokens, b)


@pytest.mark.parametrize("padded", [False, True])
def test_concatenate(padded: bool) -> None:
    a, b = some_tokens([3, 0, 2]), some_tokens([1, 3])
    parts = [a.padded(), b.padded()] if padded else [a, b]
    new = concatenate(parts)
    assert_rows(new.to_list(), [*a.to_list(), *b.to_list()])
    for s in range(5):
        assert graph_of(new, s) == graph_of(*((a, s) if s < 3 else (b, s - 3)))
    again = select(new, [0, 1, 2])
    assert_rows(again.structure.memory.to_list(), a.structure.memory.to_list())


def test_rearrange_drops_edges_that_lose_an_end() -> None:
    edges = tn.Edges(torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.tensor([1.0, 2.0, 3.0]))
    tokens = tn.Tokens(torch.randn(3, 1), tn.Structure.packed([3], edges=edges))
    new = rearrange(tokens, tn.Packed.of([2]), torch.tensor([2, 0]))
    assert new.structure.edges.index.T.tolist() == [[0, 1]]
    assert new.structure.edges.weight.tolist() == [3]


def test_gradients_pass() -> None:
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    structure = tn.Structure.packed([3, 0, 2])

    def f(x: Tensor) -> Tensor:
        return select(tn.Tokens(x, structure).padded(), [2, 0]).packed().x

    assert torch.autograd.gradcheck(f, (x,))
