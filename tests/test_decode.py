"""Decoding with a state against decoding by whole forward passes, and against all sequences."""

import itertools

import pytest
import torch
from torch import Tensor

import tokennet as tn

V, DIM, STOP = 4, 8, 3


def language(seed: int = 0, *, memory: bool = False) -> tn.TokenNet:
    """A small causal net whose answers are far from uniform."""
    torch.manual_seed(seed)
    mixers = [tn.Attention(DIM, 2, tn.Causal(), score=tn.DotScore(tn.Rotary(4)))]
    if memory:
        mixers.append(tn.Attention(DIM, 2, tn.Memory()))
    layers = [tn.SinusoidalPosition(DIM), tn.Block(DIM, *mixers)]
    net = tn.TokenNet(tn.EmbeddingTokenizer(V, DIM), layers, tn.TokenReadout(DIM, V))
    torch.nn.init.normal_(net.readout.map.weight, std=1.0)
    return net.eval()


def recurrent(seed: int) -> tn.TokenNet:
    """States of every kind: of two layers, linear attention's sums, a window, a prefix."""
    torch.manual_seed(seed)
    layers = [
        tn.GRU(DIM, num_layers=2),
        tn.LSTM(DIM),
        tn.LinearAttention(DIM, 2, tn.Causal()),
        tn.Convolution(DIM, tn.Causal() & tn.Window(2)),
        tn.Attention(DIM, 2, tn.Causal() & tn.Window(2)),
        tn.LatentState(DIM, 3),
    ]
    net = tn.TokenNet(tn.EmbeddingTokenizer(V, DIM), layers, tn.TokenReadout(DIM, V))
    torch.nn.init.normal_(net.readout.map.weight, std=1.0)
    return net.eval()


def log_prob(net: tn.TokenNet, sequence: list[int], given: int, memory: Tensor | None) -> float:
    """Of what comes after the first `given` ids."""
    ids = torch.tensor([sequence[:-1]])
    structure = tn.Structure.dense(1, len(sequence) - 1, memory=memory)
    each = net(ids, structure).log_softmax(-1, dtype=torch.float64)[0]
    return sum(float(each[t - 1, sequence[t]]) for t in range(given, len(sequence)))


def slow_greedy(net: tn.TokenNet, prompt: list[int], most: int, memory: Tensor | None) -> list[int]:
    found: list[int] = []
    while len(found) < most:
        ids = torch.tensor([prompt + found])
        structure = tn.Structure.dense(1, ids.shape[1], memory=memory)
        best = int(net(ids, structure)[0, -1].argmax())
        if best == STOP:
            break
        found.append(best)
    return found


PROMPTS = [[0], [1, 2, 0], [2, 2], [0, 1, 0, 1, 2]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("memory", [False, True], ids=["language", "translation"])
def test_greedy_of_ragged_prompts(seed: int, memory: bool) -> None:
    """The arg-max of the softmax at each step; the same alone and in company."""
    net = language(seed, memory=memory)
    heard = [torch.randn(n, DIM) for n in (3, 1, 0, 5)]
    tokens = tn.Tokens.from_list(heard) if memory else None
    with torch.no_grad():
        found = tn.greedy_decode(net, PROMPTS, max_tokens=6, stop=STOP, memory=tokens)
        for prompt, sample, decoded in zip(PROMPTS, heard, found, strict=True):
            alone = sample[None] if memory else None
            assert decoded.tokens == slow_greedy(net, prompt, 6, alone)
            ended = len(decoded.tokens) < 6
            whole = prompt + decoded.tokens + [STOP] * ended
            assert decoded.log_prob == pytest.approx(
                log_prob(net, whole, len(prompt), alone), abs=1e-5
            )


def test_greedy_stops_and_does_not() -> None:
    lengths = {
        len(d.tokens)
        for seed in range(6)
        for d in tn.greedy_decode(language(seed), PROMPTS, max_tokens=6, stop=STOP)
    }
    assert 6 in lengths
    assert len(lengths) > 2


def sequences(most: int) -> list[list[int]]:
    """All that can be written: ended by the stop id, or as long as allowed."""
    free = [i for i in range(V) if i != STOP]
    found = [[*body, STOP] for n in range(most) for body in itertools.product(free, repeat=n)]
    return found + [list(body) for body in itertools.product(free, repeat=most)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("memory", [False, True], ids=["language", "translation"])
def test_wide_beams_find_the_best_of_all(seed: int, memory: bool) -> None:
    """With more beams than sequences the search is exhaustive; prompts of different lengths."""
    net, prompts = language(seed, memory=memory), [[0], [1, 2, 0]]
    heard = [torch.randn(n, DIM) for n in (3, 1)]
    tokens = tn.Tokens.from_list(heard) if memory else None
    found = tn.beam_decode(net, prompts, beams=60, max_tokens=3, stop=STOP, memory=tokens)
    for prompt, sample, beams in zip(prompts, heard, found, strict=True):
        alone = sample[None] if memory else None
        with torch.no_grad():
            scores = {tuple(s): log_prob(net, prompt + s, len(prompt), alone) for s in sequences(3)}
        chances = torch.tensor(list(scores.values())).exp()
        assert float(chances.sum()) == pytest.approx(1, abs=1e-4)
        ranked = sorted(scores.values(), reverse=True)
        assert len(beams) == len(scores) == 40
        for decoded, score in zip(beams, ranked, strict=True):
            assert decoded.log_prob == pytest.approx(score, abs=1e-4)
            written = tuple(decoded.tokens)
            key = written if len(written) == 3 else (*written, STOP)
            assert scores[key] == pytest.approx(decoded.log_prob, abs=1e-4)


def test_beams_are_at_least_as_good_as_greedy() -> None:
    """One beam is greedy; more of them found better sequences for some nets."""
    gains = []
    for seed in range(12):
        net = language(seed)
        greedy = tn.greedy_decode(net, PROMPTS, max_tokens=5, stop=STOP)
        one = tn.beam_decode(net, PROMPTS, beams=1, max_tokens=5, stop=STOP)
        four = tn.beam_decode(net, PROMPTS, beams=4, max_tokens=5, stop=STOP)
        for g, o, f in zip(greedy, one, four, strict=True):
            assert o[0].tokens == g.tokens
            assert o[0].log_prob == pytest.approx(g.log_prob, abs=1e-5)
            gains.append(f[0].log_prob - g.log_prob)
            assert [d.log_prob for d in f] == sorted((d.log_prob for d in f), reverse=True)
            assert len({tuple(d.tokens) for d in f}) == len(f)
    assert min(gains) > -0.5
    assert max(gains) > 0.05
    assert sum(gains) > 0


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_state_follows_its_beam(seed: int) -> None:
    """What a beam says of its probability is what the net says of the whole sequence."""
    net = recurrent(seed)
    found = tn.beam_decode(net, [[0], [1, 2]], beams=5, max_tokens=4, stop=STOP)
    for prompt, beams in zip([[0], [1, 2]], found, strict=True):
        assert len(beams) == 5
        for decoded in beams:
            whole = prompt + decoded.tokens + [STOP] * (len(decoded.tokens) < 4)
            with torch.no_grad():
                expected = log_prob(net, whole, len(prompt), None)
            assert decoded.log_prob == pytest.approx(expected, abs=1e-4)


def test_length_power_prefers_longer() -> None:
    """Divided by its length, a long sequence pays less for each id."""
    lengths = []
    for power in (0.0, 2.0):
        found = [
            tn.beam_decode(
                language(seed), [[0]], beams=60, max_tokens=3, stop=STOP, length_power=power
            )[0][0]
            for seed in range(5)
        ]
        lengths.append(sum(len(d.tokens) for d in found))
    assert lengths[1] > lengths[0]


def test_the_length_counts_the_stop_id() -> None:
    """Ranked by log_prob / length: of what was written, the stop id included."""
    for seed in range(3):
        beams = tn.beam_decode(
            language(seed), [[0]], beams=60, max_tokens=3, stop=STOP, length_power=1.0
        )[0]
        ranks = [d.log_prob / min(len(d.tokens) + 1, 3) for d in beams]
        assert len(ranks) == 40
        assert ranks == sorted(ranks, reverse=True)


def test_samples_follow_the_softmax() -> None:
    """Frequencies of the first id over 2,000 draws; near zero temperature the most likely."""
    net, rng = language(1), torch.Generator().manual_seed(0)
    draws = tn.sample_decode(net, [[0]] * 2000, max_tokens=1, generator=rng)
    counts = torch.bincount(torch.tensor([d.tokens[0] for d in draws]), minlength=V)
    chances = net(torch.tensor([[0]])).softmax(-1)[0, 0].detach()
    assert (counts / 2000 - chances).abs().max() < 0.04
    cold = tn.sample_decode(net, [[0]] * 5, max_tokens=1, temperature=1e-4, generator=rng)
    assert {d.tokens[0] for d in cold} == {int(chances.argmax())}


def test_no_prompts_no_answers() -> None:
    assert tn.greedy_decode(language(), [], max_tokens=3) == []
    assert tn.beam_decode(language(), [], beams=2, max_tokens=3) == []


@pytest.mark.usefixtures("no_typecheck")
def test_bad_calls() -> None:
    net = language()
    with pytest.raises(ValueError, match=r"prompts\[1\] is \[\], expected at least one id"):
        tn.greedy_decode(net, [[0], []], max_tokens=3)
    with pytest.raises(ValueError, match=r"prompts.shape is \(2,\), expected \[B, P\]"):
        tn.greedy_decode(net, torch.tensor([0, 1]), max_tokens=3)
    with pytest.raises(ValueError, match=r"stop is -1, expected at least 0"):
        tn.beam_decode(net, [[0]], beams=2, max_tokens=3, stop=-1)
    with pytest.raises(ValueError, match=r"max_tokens is 0, expected at least 1"):
        tn.greedy_decode(net, [[0]], max_tokens=0)
    with pytest.raises(TypeError, match=r"net is Linear, expected a TokenNet"):
        tn.greedy_decode(torch.nn.Linear(2, 2), [[0]], max_tokens=1)
    with pytest.raises(ValueError, match=r"beams is 0, expected at least 1"):
        tn.beam_decode(net, [[0]], beams=0, max_tokens=1)
    with pytest.raises(ValueError, match=r"temperature is 0, expected a number above 0; or use"):
        tn.sample_decode(net, [[0]], max_tokens=1, temperature=0)
    short = tn.TokenNet(
        tn.EmbeddingTokenizer(V, DIM), [tn.LearnedPosition(4, DIM)], tn.TokenReadout(DIM, V)
    )
    with pytest.raises(ValueError, match=r"max_tokens is 4, expected at most 3 after prompts of 2"):
        tn.greedy_decode(short, [[0, 1]], max_tokens=4)
    assert len(tn.greedy_decode(short, [[0, 1]], max_tokens=3)[0].tokens) == 3
    full = tn.TokenNet(
        tn.EmbeddingTokenizer(V, DIM), [tn.Attention(DIM, 2)], tn.TokenReadout(DIM, V)
    )
    with pytest.raises(ValueError, match=r"claims of Attention is .*expected Causality"):
        tn.greedy_decode(full, [[0]], max_tokens=2)
