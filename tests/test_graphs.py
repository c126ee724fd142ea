"""Virtual tokens, expander edges, and what is special about the graph operators."""

import pytest
import torch
from torch import Tensor

import tokennet as tn

LENGTHS = [4, 0, 1, 3]


def _edges() -> tn.Edges:
    return tn.Edges(torch.tensor([[0, 5], [1, 6]]), torch.tensor([2.0, 3.0]), torch.ones(2, 3))


def _holes() -> tn.Tokens:
    """Padding in front, between and behind, full of NaN."""
    valid = torch.tensor([[False, True, True, False, True]])
    x = torch.randn(1, 5, 2).masked_fill(~valid[..., None], torch.nan)
    return tn.Tokens(x, tn.Structure.padded(valid))


def _pairs(index: Tensor) -> list[tuple[int, int]]:
    return sorted((int(s), int(t)) for s, t in index.T)


def test_virtual_token_is_joined_to_all_of_its_sample() -> None:
    tokenizer = tn.VirtualToken(tn.FeatureTokenizer(2))
    x, structure = tokenizer(torch.randn(8, 2), tn.Structure.packed(LENGTHS, edges=_edges()))
    assert structure.lengths.tolist() == [5, 1, 2, 4]
    first = [0, 5, 6, 8]
    assert torch.equal(x[first], tokenizer.first.token.expand(4, 2))
    spokes = [(0, 1), (0, 2), (0, 3), (0, 4), (6, 7), (8, 9), (8, 10), (8, 11)]
    both = spokes + [(t, s) for s, t in spokes]
    assert _pairs(structure.edges.index) == sorted([(1, 2), (9, 10), *both])
    assert structure.edges.weight.tolist() == [2, 3] + [1] * 16
    assert not structure.edges.attr[2:].any()


def test_virtual_token_with_padding_anywhere() -> None:
    x, structure = tn.VirtualToken(tn.FeatureTokenizer(2))(*_holes())
    assert x.shape == (1, 6, 2)
    assert _pairs(structure.edges.index) == [(0, 2), (0, 3), (0, 5), (2, 0), (3, 0), (5, 0)]
    y = tn.GINConvolution(2)(x, structure)
    assert y[structure.layout.valid].isfinite().all()


def test_virtual_token_of_an_empty_batch() -> None:
    x, structure = tn.VirtualToken(tn.FeatureTokenizer(2))(
        torch.zeros(0, 2), tn.Structure.packed([])
    )
    assert x.shape == (0, 2)
    assert structure.edges.num_edges == 0


def _gap(index: Tensor, size: int) -> float:
    """1 less the second largest |eigenvalue| / degree of the adjacency matrix."""
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.index_put_(tuple(index), torch.ones(index.shape[1], dtype=torch.float64), True)
    values = torch.linalg.eigvalsh(matrix).abs().sort(descending=True).values
    return float(1 - values[1] / matrix[0].sum())


@pytest.mark.parametrize("degree", [4, 6])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_expander_is_regular_and_beats_a_ring(degree: int, seed: int) -> None:
    size, here = 101, torch.arange(101)
    index = tn.expander_edges(tn.Structure.dense(1, size), degree=degree, seed=seed).edges.index
    assert index.shape == (2, size * degree)
    for end in index:
        assert torch.equal(end.bincount(minlength=size), torch.full((size,), degree))
    assert (index[0] != index[1]).all()
    offsets = [k for k in range(-degree // 2, degree // 2 + 1) if k]
    ring = torch.cat([torch.stack([here, (here + k) % size]) for k in offsets], 1)
    assert _gap(index, size) > 5 * _gap(ring, size)
    assert _gap(index, size) > 0.08  # 0 if it were not connected


def test_expander_keeps_edges_and_samples_apart() -> None:
    old = tn.Structure.packed(LENGTHS, edges=_edges())
    new = tn.expander_edges(old, degree=2, seed=3)
    assert torch.equal(new.edges.index[:, :2], old.edges.index)
    assert new.edges.weight.tolist() == [2, 3] + [1] * 14  # none for the sample of one token
    assert not new.edges.attr[2:].any()
    sample = new.layout.sample[new.edges.index]
    assert torch.equal(sample[0], sample[1])
    assert old.edges.num_edges == 2


def test_expander_depends_on_seed_and_length_only() -> None:
    make = lambda s, seed=0: _pairs(tn.expander_edges(s, degree=2, seed=seed).edges.index)  # noqa: E731
    ten = tn.Structure.packed([10])
    assert make(ten) == make(ten) == make(tn.Structure.dense(1, 10))
    assert make(ten) != make(ten, 1)
    beside = make(tn.Structure.packed([10, 4, 10]))
    assert beside[:20] == make(ten)
    holes = _holes().structure
    place = [1, 2, 4]
    assert make(holes) == [(place[s], place[t]) for s, t in make(tn.Structure.packed([3]))]


def test_pna_of_equal_neighbours_has_finite_gradients() -> None:
    """Where the standard deviation is 0 its slope is not defined."""
    edges = tn.Edges(torch.tensor([[0, 0, 1], [2, 2, 0]]))
    x = torch.ones(3, 4, requires_grad=True)
    mixer = tn.PNAConvolution(4, torch.tensor([1, 2]))
    y = mixer(x, tn.Structure.packed([3], edges=edges))
    grads = torch.autograd.grad(y.square().sum(), [x, *mixer.parameters()])
    assert all(g.isfinite().all() for g in grads)


def test_weights_of_sage_are_what_is_heard() -> None:
    structure = tn.Structure.packed(LENGTHS, edges=tn.Edges(torch.tensor([[0, 1, 1], [1, 2, 1]])))
    x = torch.randn(8, 3)
    mixer = tn.SAGEConvolution(3)
    (source, target), weights = mixer.weights(x, structure)
    heard = torch.zeros(8, 3).index_add(0, target, weights * x[source])
    torch.testing.assert_close(mixer(x, structure), mixer.own(x) + mixer.heard(heard))
