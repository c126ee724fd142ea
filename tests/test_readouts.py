"""Readouts and losses of sets: invariant where the blocks before them are equivariant.

Axes: B samples, N tokens, Q predictions, M targets, D channels, O outputs.
"""

import importlib.util
from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn

D = 8
seeds, counts = st.integers(0, 10_000), st.integers(1, 6)
draws = settings(max_examples=15, deadline=None)
matching = pytest.mark.skipif(importlib.util.find_spec("scipy") is None, reason="needs scipy")


def memory() -> tn.Attention:
    return tn.Attention(D, 2, tn.Memory())


def detector(queries: int = 4) -> tn.SetReadout:
    return tn.SetReadout(D, 3, queries, tn.Block(D, tn.Attention(D, 2), memory()))


READOUTS: dict[str, Callable[[], tn.Mixer]] = {
    "mean": lambda: tn.MeanReadout(D, 3),
    "sum": lambda: tn.SumReadout(D, 3),
    "max": lambda: tn.MaxReadout(D, 3),
    "gated": lambda: tn.GatedReadout(D, 3),
    "attention": lambda: tn.AttentionReadout(D, 3, memory(), num_seeds=2),
    "set": detector,
}
each = pytest.mark.parametrize("make", READOUTS.values(), ids=READOUTS)


@each
@draws
@given(seeds, st.integers(2, 8))
def test_blocks_are_equivariant_and_pooled_outputs_invariant(
    make: Callable[[], tn.Mixer], seed: int, tokens: int
) -> None:
    """Often said of transformer blocks: "permutation invariant". Their output goes along instead.

    With f a block, P a permutation: f(P x) = P f(x), and not f(x); readout(f(P x)) =
    readout(f(x)).
    """
    torch.manual_seed(seed)
    block, readout = tn.Block(D, tn.Attention(D, 2)).double(), make().double()
    x, structure = torch.randn(2, tokens, D, dtype=torch.float64), tn.Structure.dense(2, tokens)
    order = torch.randperm(tokens).roll(1) if tokens > 2 else torch.tensor([1, 0])
    y, z = block(x, structure), block(x[:, order], structure)
    assert (z - y[:, order]).detach().abs().max() < 1e-12
    if not torch.equal(order, torch.arange(tokens)):
        assert (z - y).detach().abs().max() > 1e-3
    pooled, moved = readout(y, structure).detach(), readout(z, structure).detach()
    assert pooled.abs().max() > 1e-3
    assert (pooled - moved).abs().max() < 1e-11


def test_order_counts_with_positions() -> None:
    """A bag of words does not know who bites whom; one position code, and it does."""
    ids = torch.tensor([[0, 1, 2], [2, 1, 0]])  # man bites dog, dog bites man
    for layers, differ in (([], False), ([tn.LearnedPosition(3, D)], True)):
        layers = [*layers, tn.Block(D, tn.Attention(D, 2))]
        net = tn.TokenNet(tn.EmbeddingTokenizer(3, D), layers, tn.MeanReadout(D, 2)).double()
        assert (tn.Permutation() in net.claims) != differ
        one, two = net(ids).detach()
        assert ((one - two).abs().max() > 1e-3) == differ


@each
def test_only_the_real_tokens_of_a_sample_count(make: Callable[[], tn.Mixer]) -> None:
    """Padded, packed, alone: one answer; NaN as padding; an empty sample gives a finite one."""
    readout = make().double()
    samples = [torch.randn(n, D, dtype=torch.float64) for n in (3, 0, 5)]
    tokens = tn.Tokens.from_list(samples)
    packed = readout(*tokens)
    x, structure = tokens.padded()
    x = x.masked_fill(~structure.layout.valid[..., None], torch.nan)
    torch.testing.assert_close(readout(x, structure), packed, rtol=1e-12, atol=1e-12)
    for b, sample in enumerate(samples):
        alone = readout(sample, tn.Structure.packed([len(sample)]))
        torch.testing.assert_close(alone[0], packed[b], rtol=1e-12, atol=1e-12)
    assert packed.isfinite().all()
    assert packed.shape == ((3, 4, 3) if isinstance(readout, tn.SetReadout) else (3, 3))


def test_sums_means_and_maxima_by_hand() -> None:
    """The sum tells how many there are, the mean only of what kind, the maximum only which."""
    x = torch.tensor([[1.0, -2.0], [3.0, -5.0], [1.0, -2.0]])
    one, two = x[:2], torch.cat([x[:2], x[:2]])  # twice the same set
    expected = {
        tn.SumReadout: ([4.0, -7.0], [8.0, -14.0]),
        tn.MeanReadout: ([2.0, -3.5], [2.0, -3.5]),
        tn.MaxReadout: ([3.0, -2.0], [3.0, -2.0]),
    }
    for kind, values in expected.items():
        readout = kind(2, 2, norm=None)
        with torch.no_grad():
            readout.map.weight.copy_(torch.eye(2))
            readout.map.bias.zero_()
        for sample, value in zip((one, two), values, strict=True):
            y = readout(sample, tn.Structure.packed([len(sample)]))
            assert torch.equal(y[0].detach(), torch.tensor(value))
        assert torch.equal(readout(x[:0], tn.Structure.packed([0])).detach(), torch.zeros(1, 2))


def test_gates_choose() -> None:
    """A gate far above the others: its token alone is read."""
    readout = tn.GatedReadout(D, 3, gate=nn.Linear(D, 1, bias=False), norm=None)
    x, structure = torch.randn(1, 5, D), tn.Structure.dense(1, 5)
    best = int(readout.gate(x)[0, :, 0].argmax())
    with torch.no_grad():
        readout.gate.weight.mul_(1e4)
    torch.testing.assert_close(readout(x, structure), readout.map(x[:, best]))


def test_seeds_and_queries_differ_from_each_other() -> None:
    """Queries start differently, so their answers differ; each one hears the tokens."""
    readout = detector().double()
    x, structure = torch.randn(1, 5, D, dtype=torch.float64), tn.Structure.dense(1, 5)
    y = readout(x, structure)[0].detach()
    assert torch.pdist(y).min() > 1e-3
    moved = readout(x + torch.randn_like(x), structure)[0].detach()
    assert (y - moved).abs().amax(1).min() > 1e-4
    assert torch.autograd.grad(readout(x, structure).sum(), readout.learned)[0].abs().max() > 1e-5


def _cost(answers: Tensor, targets: Tensor) -> Tensor:
    return (answers[:, :, None] - targets[:, None]).square().sum(-1)


@matching
@draws
@given(seeds, st.integers(1, 5), st.integers(0, 5), st.booleans())
def test_matching_is_the_best_of_all(
    seed: int, predictions: int, targets: int, plain: bool
) -> None:
    """Against all permutations; each target is taken once, others are -1."""
    torch.manual_seed(seed)
    targets = min(predictions, targets)
    cost = torch.randn(2, predictions, targets, dtype=torch.float64)
    unmatched = None if plain else torch.randn(2, predictions, dtype=torch.float64)
    match = tn.set_matching(cost)
    loss = tn.set_loss(cost, unmatched)
    for b in range(2):
        taken = match[b][match[b] >= 0]
        assert sorted(taken.tolist()) == list(range(targets))
        sums = {
            rows: sum(float(cost[b, q, m]) for m, q in enumerate(rows))
            for rows in permutations(range(predictions), targets)
        }
        best = min(sums, key=lambda rows: sums[rows])
        extra = 0.0
        if unmatched is not None:
            extra = sum(float(unmatched[b, q]) for q in range(predictions) if q not in best)
        assert abs(float(loss[b]) - sums[best] - extra) < 1e-12


@matching
@draws
@given(seeds, counts, counts)
def test_the_loss_of_sets_has_no_order(seed: int, queries: int, targets: int) -> None:
    """DETR's: shuffled predictions, targets, image tokens, or more padding give the same loss.

    And the same gradients, which go along with the predictions; a loss by order does not.
    """
    torch.manual_seed(seed)
    targets = min(queries, targets)
    readout = detector(queries).double()
    x, structure = torch.randn(2, 7, D, dtype=torch.float64), tn.Structure.dense(2, 7)
    wanted = torch.randn(2, targets, 3, dtype=torch.float64)
    answers = readout(x, structure).detach().requires_grad_()
    none = answers.square().sum(-1) + 1
    loss = tn.set_loss(_cost(answers, wanted), none)
    gradient = torch.autograd.grad(loss.sum(), answers)[0]
    order, other = torch.randperm(queries), torch.randperm(targets)

    moved = answers.detach()[:, order].requires_grad_()
    longer = torch.cat([wanted[:, other], torch.full((2, 2, 3), torch.nan).double()], 1)
    valid = torch.arange(targets + 2).expand(2, -1) < targets
    again = tn.set_loss(_cost(moved, longer), none[:, order], valid=valid)
    assert (again - loss).detach().abs().max() < 1e-12
    filled = tn.set_loss(_cost(moved, longer.nan_to_num()), moved.square().sum(-1) + 1, valid=valid)
    back = torch.autograd.grad(filled.sum(), moved)[0]
    assert (back - gradient[:, order]).abs().max() < 1e-12

    same = readout(x[:, torch.randperm(7)], structure)
    end = tn.set_loss(_cost(same, wanted), same.square().sum(-1) + 1)
    assert (end - loss).detach().abs().max() < 1e-10


@matching
def test_a_loss_by_order_is_not_one_of_sets() -> None:
    answers = torch.randn(1, 4, 3)
    wanted = answers[:, torch.tensor([1, 2, 3, 0])]
    assert tn.set_loss(_cost(answers, wanted)).item() == 0
    assert _cost(answers, wanted).diagonal(dim1=1, dim2=2).sum() > 1


@matching
def test_a_matching_of_another_cost() -> None:
    cost, other = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    match = tn.set_matching(other)
    expected = [sum(cost[b, q, m] for q, m in enumerate(match[b]) if m >= 0) for b in range(2)]
    torch.testing.assert_close(tn.set_loss(cost, match=match), torch.stack(expected))
    assert tn.set_loss(torch.zeros(0, 4, 3)).shape == (0,)


@matching
@pytest.mark.usefixtures("no_typecheck")
def test_bad_costs() -> None:
    cost = torch.zeros(1, 2, 3)
    with pytest.raises(ValueError, match=r"real targets of sample 0 is 3, expected at most 2, the"):
        tn.set_matching(cost)
    with pytest.raises(ValueError, match=r"cost is nan somewhere, expected finite numbers at real"):
        tn.set_matching(torch.full((1, 3, 2), torch.nan))
    with pytest.raises(ValueError, match=r"cost is \(2, 3\), expected a tensor \[B, Q, M\]"):
        tn.set_loss(cost[0])
    with pytest.raises(TypeError, match=r"valid is torch.int64, expected a bool tensor \[B, M\]"):
        tn.set_loss(cost, valid=torch.ones(1, 3).long())
    with pytest.raises(ValueError, match=r"valid.shape is \(1, 2\), expected \(1, 3\)"):
        tn.set_matching(cost, torch.ones(1, 2) > 0)
    with pytest.raises(ValueError, match=r"unmatched.shape is \(1, 3\), expected \(1, 2\)"):
        tn.set_loss(cost[..., :2], torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"match.shape is \(2, 2\), expected \(1, 2\)"):
        tn.set_loss(cost[..., :2], match=torch.zeros(2, 2).long())
