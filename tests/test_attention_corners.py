"""Corners of attention: ties, half precision, far positions, steps beyond the end, huge scores.

Axes: B samples, N tokens, H heads, D channels of a head.
"""

import math

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.mixers.score import QueryKeyMap
from tokennet.ops import attend
from tokennet.pairs import Dense

DIM, H, D, N = 8, 2, 4, 5
VALID = torch.tensor([[1, 1, 0, 1, 1], [0, 1, 1, 0, 0]]).bool()
INDEX = torch.tensor([[0, 1, 3, 4, 6, 7, 0], [1, 3, 0, 3, 7, 6, 1]])

SCORES = {
    "dot": lambda: tn.DotScore(),
    "cosine": lambda: tn.CosineScore(),
    "bilinear": lambda: tn.BilinearScore(H, D),
    "additive": lambda: tn.AdditiveScore(H, D),
    "location": lambda: tn.LocationScore(H, D, 9),
    "rotary": lambda: tn.DotScore(tn.QueryKeyNorm(D), tn.Rotary(D)),
    "relative": lambda: tn.DotScore() + tn.RelativeBias(H),
    "ALiBi": lambda: tn.AdditiveScore(H, D) + tn.AlibiBias(H),
    "edges": lambda: tn.DotScore() + tn.EdgeBias(3, H) + tn.ShortestPathBias(H),
}
SMOOTH = [tn.Softmax(), tn.Sigmoid()]
NORMALISERS = [*SMOOTH, tn.HardMax(), tn.TopK(2)]
TOPOLOGIES = [tn.Full(), tn.Causal(), tn.EdgeList()]


def padded(dtype: torch.dtype = torch.float32) -> tn.Structure:
    attr = torch.linspace(-1, 1, 3 * INDEX.shape[1]).view(-1, 3).to(dtype)
    return tn.Structure.padded(VALID, edges=tn.Edges(INDEX, None, attr))


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=str)
@pytest.mark.parametrize("name", SCORES)
def test_half_precision(name: str, topology: tn.Topology) -> None:
    """In half precision and under autocast: finite, of the right dtype, near to float32.

    Padding has queries and keys of exactly 0, since the maps have no bias.
    """
    for normaliser in NORMALISERS:
        heads = tn.Heads(H, bias=False)
        attention = tn.Attention(DIM, heads, topology, score=SCORES[name](), normaliser=normaliser)
        x = torch.randn(2, N, DIM)
        expected = attention(x, padded())[VALID]
        for dtype in (torch.bfloat16, torch.float16):
            with torch.autocast("cpu", dtype=dtype):
                mixed = attention(x, padded())
            low = attention.to(dtype)
            y = low(x.to(dtype), padded(dtype))
            assert y.dtype == dtype
            for rows in (y[VALID], mixed[VALID]):
                assert rows.isfinite().all()
                if normaliser in SMOOTH:
                    assert (rows.float() - expected).abs().max() < 0.05
            y[VALID].float().sum().backward()
            grads = [p.grad for p in low.parameters() if p.grad is not None]
            assert grads
            assert all(g.isfinite().all() for g in grads)
            attention = attention.float()
            attention.zero_grad()


@pytest.mark.parametrize("topology", [tn.Full(), tn.EdgeList()], ids=str)
@pytest.mark.parametrize("normaliser", [tn.HardMax(), tn.TopK(1), tn.TopK(2)], ids=str)
def test_equal_scores_have_no_order(normaliser: tn.Normaliser, topology: tn.Topology) -> None:
    """With keys of 0 all scores are equal, values are not: the first one must not be preferred."""
    attention = tn.Attention(DIM, H, topology, normaliser=normaliser).double()
    nn.init.zeros_(attention.key.weight)
    x, order = torch.randn(1, N, DIM).double(), torch.tensor([3, 1, 4, 0, 2])
    i, j = torch.meshgrid(torch.arange(N), torch.arange(N), indexing="ij")
    structure = tn.Structure.dense(1, N, edges=tn.Edges(torch.stack([j.flatten(), i.flatten()])))
    y = attention(x, structure)
    torch.testing.assert_close(attention(x[:, order], structure), y[:, order])
    torch.testing.assert_close(y, attention.output(attention.value(x)).mean(1, True).expand_as(y))


def test_of_three_equal_the_best_two_are_three() -> None:
    """The border is shared, what lies below it is not."""
    scores = torch.tensor([[[[3.0, 1.0, 1.0, 0.0, 1.0]]]])
    structure = tn.Structure.dense(1, 5)
    weights = tn.TopK(2)(scores, tn.mixers.Place(structure, Dense()))
    expected = torch.tensor([math.e**2, 1, 1, 0, 1]) / (math.e**2 + 3)
    torch.testing.assert_close(weights[0, 0, 0], expected)


def test_part_rotary_turns_as_a_small_one() -> None:
    """The first channels turn as if they were all, the others stay."""
    x, place = torch.randn(1, 7, H, 6).double(), torch.arange(7)[None]
    y = tn.Rotary(6, rotary_dim=4).turn(x, place)
    torch.testing.assert_close(y[..., :4], tn.Rotary(4).turn(x[..., :4], place))
    assert torch.equal(y[..., 4:], x[..., 4:])
    assert (y[..., :4] - x[..., :4]).abs().max() > 0.1


@pytest.mark.parametrize("start", [2**24, 2**40])
def test_rotary_of_far_positions(start: int) -> None:
    """Next neighbours stay apart where float32 can't tell their positions."""
    rotary = tn.Rotary(6)
    q, k = torch.randn(1, 9, 1, 6).double(), torch.randn(1, 9, 1, 6).double()
    near, far = torch.arange(9)[None], torch.arange(9)[None] + start + 1
    found, expected = (
        torch.einsum("bnhd,bmhd->bhnm", rotary.turn(q, p), rotary.turn(k, p)) for p in (far, near)
    )
    tolerance = 1e-13 * start
    torch.testing.assert_close(found, expected, rtol=0, atol=max(tolerance, 1e-8))
    turned = rotary.turn(q.float(), far)
    assert turned.dtype == torch.float32
    torch.testing.assert_close(turned, rotary.turn(q, far).float())


def stepwise(mixer: tn.Mixer, x: Tensor) -> Tensor:
    state, rows = mixer.start(tn.Structure.dense(x.shape[0], 0)), []
    for token in x.unbind(1):
        y, state = mixer.step(token, state)
        rows.append(y)
    return torch.stack(rows, 1)


@pytest.mark.parametrize("inner", [tn.Causal(), tn.Causal() & tn.Window(1)], ids=str)
def test_steps_of_a_normaliser_with_pairs_of_its_own(inner: tn.Topology) -> None:
    normaliser = tn.ZeroedSoftmax(inner)
    mixer = tn.Attention(DIM, H, tn.Causal(), normaliser=normaliser).double()
    x = torch.randn(2, N, DIM).double()
    torch.testing.assert_close(stepwise(mixer, x), mixer(x, tn.Structure.dense(2, N)))


def test_steps_end_with_the_positions() -> None:
    """What `forward` refuses, steps refuse."""
    mixer = tn.Attention(DIM, H, tn.Causal(), score=tn.LocationScore(H, D, 3))
    stepwise(mixer, torch.randn(2, 3, DIM))
    with pytest.raises(ValueError, match=r"tokens so far is 4, expected at most max_tokens \(3\)"):
        stepwise(mixer, torch.randn(2, 4, DIM))


@pytest.mark.parametrize("memory", [False, True])
def test_bad_tokens(memory: bool) -> None:
    mixer = tn.Attention(DIM, H, tn.Memory() if memory else tn.Causal())
    heard = torch.randn(2, 3, DIM) if memory else None
    state = mixer.start(tn.Structure.dense(2, 0, memory=heard))
    for shape in ((3, DIM), (2, 1, DIM), (2, 5)):
        with pytest.raises(ValueError, match=r"x is .*, expected one token for each sample"):
            mixer.step(torch.randn(shape), state)
    with pytest.raises(TypeError, match=r"x.dtype is torch.float64, expected torch.float32 as"):
        mixer.step(torch.randn(2, DIM).double(), state)


def test_no_memory_says_nothing() -> None:
    """An empty memory in a step: W_O 0, and gradients that pass."""
    mixer = tn.Attention(DIM, H, tn.Memory())
    state = mixer.start(tn.Structure.dense(2, 0, memory=torch.randn(2, 0, DIM)))
    y, _ = mixer.step(torch.randn(2, DIM), state)
    torch.testing.assert_close(y, mixer.output.bias.expand(2, DIM))
    y.sum().backward()


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=str)
@pytest.mark.parametrize("normaliser", NORMALISERS, ids=str)
def test_huge_scores(topology: tn.Topology, normaliser: tn.Normaliser) -> None:
    """Of size 1e5 and more: weights and gradients stay finite."""
    score = tn.DotScore(power=0) + tn.EdgeBias(3, H)
    mixer = tn.Attention(DIM, H, topology, score=score, normaliser=normaliser)
    x = (torch.randn(2, N, DIM) * 1000).requires_grad_()
    y = mixer(x, padded())[VALID]
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()


def test_a_row_without_pairs_and_a_bias() -> None:
    q = torch.randn(1, 3, H, D, requires_grad=True)
    bias = torch.randn(1, H, 3, 3, requires_grad=True)
    mask = torch.ones(1, 3, 3, dtype=torch.bool)
    mask[0, 1] = False
    y = attend(q, q, q, Dense(mask), bias=bias)
    y.square().sum().backward()
    assert y[0, 1].abs().max() == 0
    assert bias.grad[0, :, 1].abs().max() == 0
    assert q.grad.isfinite().all()
    assert q.grad[0, 0].abs().max() > 0


def test_parts_of_the_parts_count() -> None:
    """The limit of a map of queries and keys is the attention's."""

    class Short(QueryKeyMap):
        max_tokens = 3

        def forward(self, q: Tensor, k: Tensor, place: tn.mixers.Place) -> tuple[Tensor, Tensor]:
            return q, k

    for score in (tn.DotScore(Short()), tn.DotScore(Short()) + tn.AlibiBias(H)):
        assert tn.Attention(DIM, H, score=score).max_tokens == 3


def test_shortest_paths_over_directed_edges() -> None:
    """An edge is a way of one step from its source to its target, a loop one of none."""
    index = torch.tensor([[0, 1, 2, 3, 3], [1, 2, 0, 3, 1]])
    structure = tn.Structure.dense(1, 4, edges=tn.Edges(index))
    bias = tn.ShortestPathBias(1)
    pairs = tn.EdgeList().pairs(structure)
    found = bias(tn.mixers.Place(structure, pairs))
    loops = pairs.edges.source == pairs.edges.target
    expected = torch.where(loops, 0, 1)
    assert torch.equal(found, bias.table[expected])
    assert int(loops.sum()) == 1


def test_what_a_normaliser_reads_is_read() -> None:
    """A topology inside a normaliser needs its facts: the door asks for them."""
    mixer = tn.Attention(DIM, H, normaliser=tn.ZeroedSoftmax(tn.Neighborhood(1)))
    assert mixer.reads == {"grid"}
    assert tn.Permutation() not in mixer.claims
    with pytest.raises(ValueError, match=r"structure.grid is None, expected grid, which Attention"):
        mixer(torch.randn(1, 6, DIM), tn.Structure.dense(1, 6))


@pytest.mark.parametrize("topology", [tn.Full(), tn.EdgeList()], ids=str)
def test_the_last_location_has_a_score_of_its_own(topology: tn.Topology) -> None:
    """As many positions as tokens: raising the last one's score draws everybody there."""
    score = tn.LocationScore(1, 2, 3)
    attention = tn.Attention(2, 1, topology, score=score)
    nn.init.zeros_(attention.query.weight)
    nn.init.ones_(attention.query.bias)
    with torch.no_grad():
        score.weight.zero_()[:, 2] = 50
    i, j = torch.meshgrid(torch.arange(3), torch.arange(3), indexing="ij")
    structure = tn.Structure.dense(1, 3, edges=tn.Edges(torch.stack([j.flatten(), i.flatten()])))
    x = torch.randn(1, 3, 2)
    last = attention.output(attention.value(x[:, 2:]))
    torch.testing.assert_close(attention(x, structure), last.expand(1, 3, 2))


@pytest.mark.parametrize("score", [tn.DotScore(), tn.CosineScore(scale=3.0)], ids=["dot", "cosine"])
def test_edge_features_by_their_formula(score: tn.Score) -> None:
    """softmax_j(scale * q.(k + W e)) weighs v + W e, over every pair of one sample."""
    mixer = tn.Attention(DIM, 1, tn.EdgeList(), edge_dim=3, score=score).double()
    i, j = torch.meshgrid(torch.arange(N), torch.arange(N), indexing="ij")
    attr = torch.randn(N * N, 3).double() * 3
    index = torch.stack([j.flatten(), i.flatten()])
    structure = tn.Structure.dense(1, N, edges=tn.Edges(index, None, attr))
    x = torch.randn(1, N, DIM).double()
    q, k, v = (f(x)[0] for f in (mixer.query, mixer.key, mixer.value))
    scale = DIM**-0.5
    if isinstance(score, tn.CosineScore):
        q, k, scale = (
            nn.functional.normalize(q, dim=-1) * 3,
            nn.functional.normalize(k, dim=-1),
            1,
        )
    e = mixer.edge(attr).view(N, N, DIM)  # [target, source]
    weights = (torch.einsum("nd,nmd->nm", q, k + e) * scale).softmax(-1)
    expected = mixer.output(torch.einsum("nm,nmd->nd", weights, v + e))[None]
    torch.testing.assert_close(mixer(x, structure), expected, rtol=1e-6, atol=1e-6)
