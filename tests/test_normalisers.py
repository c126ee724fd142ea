"""From scores to weights: rows that sum to one or not, hard and soft, local and global.

Axes: B samples, N tokens, H heads.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tokennet as tn
from tokennet.structure import SortedEdges

B, N, DIM = 2, 6, 8


def attention(normaliser: tn.Normaliser, topology: tn.Topology | None = None) -> tn.Attention:
    """With scores of size about one, so that the softmax is far from uniform."""
    made = tn.Attention(DIM, 2, topology, normaliser=normaliser, score=tn.DotScore(power=0))
    return made.double()


def dense(attention: tn.Attention, x: Tensor) -> Tensor:
    return attention.weights(x, tn.Structure.dense(x.shape[0], x.shape[1]))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(B, N, DIM, dtype=torch.float64) * 2


def test_softmax_rows_sum_to_one(x: Tensor) -> None:
    weights = dense(attention(tn.Softmax(), tn.Causal()), x)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, 2, N).double())
    assert (weights >= 0).all()
    assert weights.triu(1).abs().max() == 0


def test_zeroing_after_the_softmax_is_no_mask(x: Tensor) -> None:
    """Rows sum to less than one, by what was taken away, and later tokens leak into them."""
    zeroed, masked = attention(tn.ZeroedSoftmax(tn.Causal())), attention(tn.Softmax(), tn.Causal())
    masked.load_state_dict(zeroed.state_dict())
    weights = dense(zeroed, x)
    sums = weights.sum(-1)
    whole = dense(attention_like(zeroed, tn.Softmax()), x)
    torch.testing.assert_close(sums, whole.tril().sum(-1))
    assert sums[..., -1].sub(1).abs().max() < 1e-12, "the last token lost nothing"
    assert sums[..., 0].max() < 0.9, "the first lost nearly all"
    rescaled = weights / sums[..., None]
    torch.testing.assert_close(rescaled, dense(masked, x))  # rows rescaled: the mask before it
    later = x.clone()
    later[:, -1] += 3
    structure = tn.Structure.dense(B, N)
    leak = (zeroed(later, structure) - zeroed(x, structure))[:, :-1].abs().max()
    kept = (masked(later, structure) - masked(x, structure))[:, :-1].abs().max()
    assert leak > 1e-3
    assert kept == 0


def attention_like(other: tn.Attention, normaliser: tn.Normaliser) -> tn.Attention:
    made = attention(normaliser)
    made.load_state_dict(other.state_dict())
    return made


def test_hard_attention_retrieves_one_value(x: Tensor) -> None:
    """The result is the value of the most relevant token, as in a search; gradients are soft."""
    hard = attention(tn.HardMax())
    soft = attention_like(hard, tn.Softmax())
    weights = dense(hard, x)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, 2, N).double())
    assert ((weights > 1 - 1e-12) | (weights.abs() < 1e-12)).all()
    assert torch.equal(weights.argmax(-1), dense(soft, x).argmax(-1))
    v = hard.value(x).view(B, N, 2, DIM // 2).transpose(1, 2)
    index = weights.argmax(-1)[..., None].expand_as(v)
    y = hard.output(v.gather(2, index).transpose(1, 2).flatten(2))
    torch.testing.assert_close(hard(x, tn.Structure.dense(B, N)), y)
    grads = [
        torch.autograd.grad((dense(a, x) * torch.arange(N).double()).sum(), a.query.weight)[0]
        for a in (hard, soft)
    ]
    torch.testing.assert_close(*grads)
    assert grads[0].abs().max() > 1e-3


@pytest.mark.parametrize("count", [1, 2, 4, 100])
def test_top_k_keeps_the_highest(x: Tensor, count: int) -> None:
    top = attention(tn.TopK(count))
    whole, weights = dense(attention_like(top, tn.Softmax()), x), dense(top, x)
    assert ((weights > 0).sum(-1) == min(count, N)).all()
    kept = whole * (weights > 0)
    torch.testing.assert_close(weights, kept / kept.sum(-1, keepdim=True))
    assert (whole.where(weights == 0, 0).amax(-1) <= whole.where(weights > 0, 2).amin(-1)).all()


def test_sigmoid_weights_do_not_compete(x: Tensor) -> None:
    """Moving one token's key changes no other pair; and rows sum to about one at zero scores."""
    sigmoid = attention(tn.Sigmoid())
    moved = x.clone()
    moved[:, 0] += 1
    change = (dense(sigmoid, moved) - dense(sigmoid, x))[:, :, 1:]
    assert change[..., 1:].abs().max() == 0
    assert change[..., 0].abs().max() > 1e-3
    zero = torch.zeros(1, 1, N, N)
    place = tn.mixers.Place(tn.Structure.dense(1, N), tn.Full().pairs(tn.Structure.dense(1, N)))
    assert abs(float(tn.Sigmoid()(zero, place).sum(-1)[0, 0, 0]) - N / (N + 1)) < 1e-6


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("local", [True, False], ids=["local", "global"])
def test_hard_and_local_are_two_axes(x: Tensor, hard: bool, local: bool) -> None:
    """All four exist: hard says how many count, local says who is there to choose from."""
    normaliser = tn.HardMax() if hard else tn.Softmax()
    weights = dense(attention(normaliser, tn.Window(1) if local else tn.Full()), x)
    heard = (weights.abs() > 1e-12).sum(-1)
    reach = (torch.arange(N)[None] - torch.arange(N)[:, None]).abs().expand(B, 2, N, N)
    farthest = reach[weights.abs() > 1e-12].max()
    assert (heard.max() == 1) == hard
    assert (farthest <= 1) == local


NORMALISERS = [tn.Softmax(), tn.HardMax(), tn.TopK(1), tn.TopK(3), tn.Sigmoid()]


@pytest.mark.parametrize("normaliser", NORMALISERS, ids=str)
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(0, 25), st.booleans())
def test_edges_agree_with_a_mask(
    normaliser: tn.Normaliser, seed: int, tokens: int, count: int, some_left_out: bool
) -> None:
    """Over distinct edges, some perhaps not kept, the weights are those over the same mask."""
    rng = torch.Generator().manual_seed(seed)
    pairs = torch.randperm(tokens * tokens, generator=rng)[:count]
    target, source = pairs // tokens, pairs % tokens
    keep = torch.rand(len(pairs), generator=rng) < 0.7 if some_left_out else None
    edges = SortedEdges.of(tn.Edges(torch.stack([source, target])), tokens, keep)
    scores = torch.randn(1, 2, tokens, tokens, generator=rng, dtype=torch.float64)
    mask = torch.zeros(1, tokens, tokens, dtype=torch.bool)
    real = slice(None) if edges.keep is None else edges.keep
    mask[0, edges.target[real], edges.source[real]] = True
    structure = tn.Structure.dense(1, tokens)
    whole = normaliser(scores, tn.mixers.Place(structure, tn.pairs.Dense(mask)))
    each = scores[0, :, edges.target, edges.source].T
    found = normaliser(each, tn.mixers.Place(structure, tn.pairs.Sparse(edges)))
    torch.testing.assert_close(found, whole[0, :, edges.target, edges.source].T)
    assert (whole.masked_select(~mask[:, None]) == 0).all()
