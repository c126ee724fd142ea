"""`verify`: what it finds, what it says, and that it repeats."""

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.verify.noise import Rounding, disturbed
from tokennet.verify.plans import Domain, Plan, build
from tokennet.verify.report import Report, Verdict


class MaxPool(tn.Mixer):
    """The user's own operator of the docs: the channel-wise maximum, added to every token."""

    claims = frozenset({tn.Permutation(), tn.CyclicShift()})

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        layout = structure.layout
        padded = layout.pad(layout.clear(x))
        mask = layout.padded_valid
        if mask is not None:
            padded = padded.masked_fill(~mask[..., None], -torch.inf)
        if not padded.shape[1]:
            return x
        largest = padded.amax(1).where(structure.lengths[:, None] > 0, 0)
        return x + largest[layout.sample].view_as(x)


def image_net(mixer, position=None) -> tn.TokenNet:
    return tn.TokenNet(
        tn.PatchTokenizer(1, 2, 8),
        [*([] if position is None else [position]), tn.Block(8, mixer)],
        tn.MeanReadout(8, 10),
    )


def test_own_operator() -> None:
    report = tn.verify(MaxPool(), dim=8).raise_if_broken()
    assert report["Permutation"].role == "claim"
    assert report["Permutation"].status == "held"
    assert report.mixes


def test_position_code_breaks_permutation_and_by_how_much() -> None:
    """Without the code it holds to rounding; with it, by a good part of the signal."""
    without = tn.verify(image_net(tn.Attention(8, 2)))
    with_code = tn.verify(image_net(tn.Attention(8, 2), tn.LearnedPosition(16, 8)))
    assert without.ok
    assert with_code.ok
    held, broken = without["Permutation"], with_code["Permutation"]
    assert (held.role, held.status) == ("claim", "held")
    assert held.error < 1e-4  # float32 inputs of 1e3 are among the cases
    assert (broken.role, broken.status) == ("measured", "broken")
    assert broken.error > 0.05
    assert with_code["position"].status == "used"


def test_claims_of_a_net_are_the_intersection() -> None:
    assert image_net(tn.Attention(8, 2), tn.LearnedPosition(16, 8)).claims == frozenset()
    assert tn.Permutation() in image_net(tn.Attention(8, 2)).claims
    ring = tn.Parallel(tn.Attention(8, 2), tn.Convolution(8, tn.Window(1, wrap=True)))
    assert ring.claims == frozenset({tn.CyclicShift()})
    decoder = tn.Block(8, tn.Attention(8, 2, tn.Causal()), tn.Attention(8, 2, tn.Memory()))
    assert decoder.claims == frozenset({tn.Causality(), tn.MemoryPermutation()})
    assert decoder.reads == frozenset({"position", "memory"})
    assert tn.Sequential(tn.TokenMLP(9), tn.LearnedPosition(5, 8)).max_tokens == 5


class Leaky(tn.Mixer):
    """Claims what it does not do: the mean over the whole batch."""

    claims = frozenset({tn.Permutation()})
    dim = 4

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        rows = structure.layout.flat(x)
        return x + rows.sum(0)


def test_witness_is_small_and_printed() -> None:
    report = tn.verify(Leaky())
    assert not report.ok
    assert "BatchIndependence" in report.broken
    verdict = report["BatchIndependence"]
    assert verdict.status == "broken"
    assert verdict.error > 0.01
    assert verdict.witness is not None
    assert sum(verdict.witness.plan.lengths) <= 3
    assert verdict.witness.plan.values == "normal"
    text = str(report)
    assert "NOT as promised" in text
    assert "smallest witness" in text
    assert str(verdict.witness.plan) in text
    with pytest.raises(tn.LawBrokenError, match="BatchIndependence"):
        report.raise_if_broken()


def test_same_seed_same_report() -> None:
    """And the caller's random numbers and module are left alone."""
    mixer = tn.Attention(8, 2)
    weights = [p.clone() for p in mixer.parameters()]
    state = torch.get_rng_state()
    one, two = tn.verify(mixer, seed=3), tn.verify(mixer, seed=3)
    assert one.verdicts == two.verdicts
    torch.manual_seed(5)
    assert tn.verify(tn.Attention(8, 2), seed=3).verdicts == one.verdicts, "whatever the weights"
    torch.set_rng_state(state)
    assert torch.equal(state, torch.get_rng_state())
    assert mixer.training
    assert all(torch.equal(a, b) for a, b in zip(weights, mixer.parameters(), strict=True))


class Crash(tn.Mixer):
    dim = 4

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        if x.ndim == 2:
            raise RuntimeError("no packed tokens, please")
        return x


def test_a_crash_is_a_verdict() -> None:
    report = tn.verify(Crash())
    assert not report.ok
    assert "no packed tokens, please" in str(report)


class CrashesOnEdges(tn.Mixer):
    dim = 4
    reads = frozenset({"edges"})

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        if structure.edges is not None and not structure.edges.num_edges:
            raise ZeroDivisionError("no edges")
        return x


def test_a_crash_while_asking_for_facts_is_a_verdict() -> None:
    report = tn.verify(CrashesOnEdges(), domain=Domain(4, num_tokens=(3, 5), train=False))
    assert report["facts"].status == "raised"
    assert "ZeroDivisionError: no edges" in str(report)


class Still(tn.Mixer):
    dim = 4
    claims = frozenset({tn.Permutation()})

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        return torch.ones_like(x)


def test_a_law_that_holds_because_nothing_happens_is_untested() -> None:
    report = tn.verify(Still())
    assert report["Permutation"].status == "untested"
    assert not report.ok


def test_errors_at_the_door() -> None:
    with pytest.raises(TypeError, match=r"module is Linear, expected a Mixer or a TokenNet"):
        tn.verify(nn.Linear(4, 4))
    with pytest.raises(ValueError, match=r"dim is None, expected the number of channels"):
        tn.verify(tn.Pooling())
    with pytest.raises(ValueError, match=r"dim is 5, expected 8, the dim of Attention"):
        tn.verify(tn.Attention(8, 2), dim=5)
    with pytest.raises(ValueError, match=r"examples is 0, expected at least 1"):
        tn.verify(tn.Pointwise(4), examples=0)
    with pytest.raises(ValueError, match=r"num_tokens is \(3, 1\)"):
        Domain(4, num_tokens=(3, 1))
    mixer = tn.Pointwise(4)
    mixer.claims = frozenset({tn.Locality()})
    with pytest.raises(ValueError, match=r"claims is Locality, expected laws that are closed"):
        tn.verify(mixer)
    mixer.claims, mixer.reads = frozenset(), frozenset({"edge"})
    with pytest.raises(ValueError, match=r"reads is edge, expected some of edges, grid, memory"):
        tn.verify(mixer)
    with pytest.raises(KeyError, match="no verdict on 'Causalty'"):
        tn.verify(tn.Pointwise(4), examples=3)["Causalty"]


def test_domain_is_kept() -> None:
    """Nothing outside the stated domain is tried."""
    seen = set()

    class Spy(tn.Mixer):
        dim = 4

        def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
            if structure.batch > 1:
                seen.add(
                    (int(structure.lengths.max()), int(structure.lengths.min()), self.training)
                )
            return x

    domain = Domain(4, num_tokens=(3, 9), train=False, empty_samples=False, dtypes=(torch.float64,))
    tn.verify(Spy(), domain=domain).raise_if_broken()
    assert len(seen) > 5
    assert max(s[0] for s in seen) <= 9
    assert min(s[1] for s in seen) >= 2  # facts are asked of two tokens at least
    assert not any(s[2] for s in seen)


def test_plans_build_the_same_twice() -> None:
    domain = Domain(4, facts=frozenset({"edges", "memory"}))
    plan = Plan(
        (3, 0, 5), "holes", "ties", "repeated", weighted=True, memory=(2, 0, 1), strided=True
    )
    one, two = build(plan, domain), build(plan, domain)
    assert torch.equal(one.x, two.x)
    assert torch.equal(one.structure.edges.index, two.structure.edges.index)
    assert not one.x.is_contiguous()
    assert one.structure.lengths.tolist() == [3, 0, 5]


def test_rounding_moves_the_last_digit_and_keeps_ties() -> None:
    x = torch.randn(100, dtype=torch.float64).repeat(2)
    moved = disturbed(x, 1e4)
    assert 0 < (moved - x).abs().max() < 1e-14
    assert torch.equal(moved[:100], moved[100:])
    whole = torch.tensor([0.0, 1.0, -3.0, torch.finfo(torch.float64).min, torch.inf])
    assert torch.equal(disturbed(whole, 1e4), whole)
    a = torch.randn(30, 30, dtype=torch.float64)
    with Rounding(1e4):
        b = a @ a
    assert 0 < (b - a @ a).abs().max() < 1e-13


def test_large_logits_are_no_false_alarm() -> None:
    """Attention over inputs of 1e3 rounds coarsely; a leak of a millionth is still found."""

    class Sharp(tn.Mixer):
        dim = 8
        claims = frozenset({tn.Permutation()})

        def __init__(self, leak: float):
            super().__init__()
            self.inner, self.leak = tn.Attention(8, 2), leak

        def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
            place = structure.layout.unflat(structure.layout.position[:, None].to(x.dtype))
            return self.inner(x * 30, structure) * (1 + self.leak * place)

    tn.verify(Sharp(0.0)).raise_if_broken()
    assert "Permutation" in tn.verify(Sharp(1e-6)).broken


def test_report_of_nothing_promised() -> None:
    verdict = Verdict("Permutation", "measured", "broken", 0.5, 1e-15, 10, 9)
    report = Report("X", (verdict,), mixes=True)
    assert report.ok
    assert report.broken == ()
    assert "Permutation" in report
    assert "Causality" not in report


def test_a_secret_position_is_found_also_where_the_length_is_limited() -> None:
    """Not declared in `reads`: a limit on the tokens is no excuse."""

    class Slots(tn.Mixer):
        dim, max_tokens = 4, 9

        def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
            return x + structure.layout.unflat(structure.layout.position[:, None].to(x.dtype))

    assert tn.verify(Slots())["position"].status == "undeclared"


def test_memory_of_other_channels_behind_attention_among_tokens() -> None:
    """The memory's channels are those of the part that reads it, not of the first attention."""
    cross = tn.Attention(4, 2, tn.Memory(), memory_dim=6)
    net = tn.TokenNet(
        tn.FeatureTokenizer(4), [tn.Block(4, tn.Attention(4, 2), cross)], tn.TokenReadout(4, 3)
    )
    report = tn.verify(net, examples=5)
    assert report.ok, str(report)
    assert "MemoryPermutation" in {law.name for law in net.claims}
