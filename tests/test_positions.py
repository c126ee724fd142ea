"""Position codes: their formulas, and what they make of a net (sets, sequences, grids)."""

import math

import pytest
import torch
from torch import Tensor

import tokennet as tn

D = 8


def codes(position: tn.Mixer, structure: tn.Structure) -> Tensor:
    return position.double()(torch.zeros(*structure.layout.shape, D).double(), structure)


def held(mixer: tn.Mixer, law: str) -> bool:
    return tn.verify(mixer, dim=D, examples=10)[law].status == "held"


def test_formulas() -> None:
    """Place i = 3 by hand: whole numbers, sigmoid, sine, and alternating sines and cosines."""
    line = tn.Structure.dense(1, 5)
    assert torch.equal(codes(tn.IntegerPosition(D), line)[0, 3], torch.full((D,), 3.0).double())
    for position, value in (
        (tn.SigmoidPosition(D), 1 / (1 + math.exp(-3))),
        (tn.SinePosition(D, period=7), math.sin(6 * math.pi / 7)),
    ):
        assert (codes(position, line)[0, 3] - value).abs().max() < 1e-15
    angles = [3 / 10_000 ** (2 * j / D) for j in range(D // 2)]
    expected = [f(a) for a in angles for f in (math.sin, math.cos)]
    assert (codes(tn.SinusoidalPosition(D), line)[0, 3] - torch.tensor(expected)).abs().max() < 1e-6


def test_a_grid_code_is_two_line_codes() -> None:
    grid = codes(tn.GridSinusoidalPosition(D), tn.Structure.dense(1, 15, grid=(3, 5)))
    one = tn.SinusoidalPosition(D // 2)
    line = one(torch.zeros(1, 5, D // 2).double(), tn.Structure.dense(1, 5))[0]
    grid = grid.view(3, 5, D)
    assert torch.equal(grid[..., : D // 2], line[:3, None].expand(3, 5, -1))
    assert torch.equal(grid[..., D // 2 :], line[None].expand(3, 5, -1))


def test_coordinates_go_from_minus_one_to_one() -> None:
    structure = tn.Structure.dense(2, 6, grid=(2, 3))
    both = tn.ConcatenatedPosition(tn.CoordinatePosition(), D)(torch.ones(2, 6, D), structure)
    assert torch.equal(both[..., :D], torch.ones(2, 6, D))
    rows = torch.tensor([[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]]).float()
    assert torch.equal(both[..., D:], rows.expand(2, -1, -1))


def test_degrees_by_hand() -> None:
    """In and out apart, repeated edges counted, the largest degrees together."""
    index = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 2, 2, 2]])
    position = tn.DegreePosition(D, max_degree=2)
    found = codes(position, tn.Structure.packed([4], edges=tn.Edges(index)))
    into, out = [0, 2, 2, 0], [2, 2, 0, 0]  # 3 into token 2, 3 out of token 0: counted as 2
    expected = position.code_in[into] + position.code_out[out]
    torch.testing.assert_close(found, expected)


def test_hops_by_hand() -> None:
    """A path of four: its end has one token at each distance, its middle two at distance one."""
    position = tn.ShortestPathPosition(D, max_distance=3)
    index = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    found = codes(position, tn.Structure.packed([4], edges=tn.Edges(index)))
    counts = torch.tensor([[1, 1, 1], [2, 1, 0], [2, 1, 0], [1, 1, 1]]).double()
    torch.testing.assert_close(found, counts.log1p() @ position.map.weight.T)


def test_adding_is_a_case_of_concatenating() -> None:
    """W (x + c) = [W W] [x, c]: the sum shares one map, the pair may have two."""
    x, structure = torch.randn(2, 5, D), tn.Structure.dense(2, 5)
    position, weight = tn.SinusoidalPosition(D), torch.randn(3, D)
    both = tn.ConcatenatedPosition(position, D)(x, structure)
    torch.testing.assert_close(
        position(x, structure) @ weight.T, both @ torch.cat([weight, weight], 1).T
    )


@pytest.mark.parametrize("make", [tn.SinusoidalPosition, lambda d: tn.LearnedPosition(9, d)])
def test_the_batch_is_not_repeated(make) -> None:
    """A dense batch gets one [N, D] code."""
    assert make(D).codes(tn.Structure.dense(64, 9), torch.float32).shape == (9, D)


def test_step_counts_and_refuses_beyond_the_table() -> None:
    position = tn.LearnedPosition(2, D)
    state = position.start(tn.Structure.dense(3, 2))
    for i in range(2):
        y, state = position.step(torch.zeros(3, D), state)
        assert torch.equal(y, position.code[i].expand(3, D))
    with pytest.raises(ValueError, match="tokens in a sample is 3, expected at most max_tokens"):
        position.step(torch.zeros(3, D), state)


def test_longer_samples_than_learned_are_refused() -> None:
    """Learned codes "have to see sequences of every length"; formulas don't."""
    long = tn.Structure.dense(1, 7)
    assert tn.LearnedPosition(6, D).max_tokens == 6
    with pytest.raises(ValueError, match=r"tokens in a sample is 7, expected at most max_tokens"):
        tn.LearnedPosition(6, D)(torch.zeros(1, 7, D), long)
    assert tn.SinusoidalPosition(D)(torch.zeros(1, 7, D), long).shape == (1, 7, D)


def test_a_code_makes_a_sequence_of_a_set() -> None:
    """The same net: set to set without a code, sequence to sequence with one."""
    attention = tn.Attention(D, 2)
    assert held(attention, "Permutation")
    assert not held(tn.Sequential(tn.SinusoidalPosition(D), attention), "Permutation")
    assert not held(tn.Sequential(attention, tn.TokenMLP(9)), "Permutation"), "or a token MLP"


@pytest.mark.parametrize("position", [[], [tn.SinusoidalPosition(D)]], ids=["without", "with"])
def test_word_order(position: list[tn.Mixer]) -> None:
    """A pooled classifier reads "man bites dog" as "dog bites man", unless places are coded."""
    tokenizer = tn.EmbeddingTokenizer(3, D)
    layers = [*position, tn.Block(D, tn.Attention(D, 2))]
    net = tn.TokenNet(tokenizer, layers, tn.MeanReadout(D, 2)).double()
    change = (net(torch.tensor([[0, 1, 2]])) - net(torch.tensor([[2, 1, 0]]))).abs().max()
    assert change > 1e-3 if position else change < 1e-12


def test_what_breaks_the_shifts_of_a_convolution() -> None:
    """A ring convolution commutes with shifts; with a token MLP, or coordinates, no longer."""
    ring = tn.Convolution(D, tn.Window(1, wrap=True))
    assert held(ring, "CyclicShift")
    assert not held(tn.Sequential(ring, tn.TokenMLP(9)), "CyclicShift")
    torus = tn.Convolution(D, tn.Neighborhood(1, wrap=True))
    assert held(torus, "GridShift")
    wide = tn.Convolution(D + 2, tn.Neighborhood(1, wrap=True), out_dim=D)
    with_coordinates = tn.ConcatenatedPosition(tn.CoordinatePosition(), D)
    assert not held(tn.Sequential(with_coordinates, wide), "GridShift")
