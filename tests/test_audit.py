"""`audit`: what it reports, how it says so, and that it leaves everything alone."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tokennet as tn

D = 6


class Causal(nn.Module):
    """A cumulative mean, which may look one token ahead in some circumstance."""

    def __init__(self, leak: str = ""):
        super().__init__()
        self.inner = nn.Linear(D, D)
        self.leak = leak
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        count = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
        y = self.inner(x).cumsum(1) / count
        ahead = torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], 1)
        leaks = {
            "always": True, "long": x.shape[1] > 40, "train": self.training,
            "no_grad": not torch.is_grad_enabled(), "batch": len(x) > 12,
            "float32": x.dtype == torch.float32, "small": True, "gradient": True, "": False,
        }[self.leak]  # fmt: skip
        if not leaks:
            return y
        if self.leak == "gradient":
            return y + ahead - ahead.detach()
        return y + (1e-4 if self.leak == "small" else 1) * ahead


LEAKS = ("always", "long", "train", "no_grad", "batch", "float32", "small")


@pytest.mark.parametrize("leak", LEAKS)
def test_leaks_are_found_in_every_circumstance(leak: str) -> None:
    report = tn.audit(Causal(leak), torch.randn(2, 5, D), properties=["Causality"])
    assert report.broken == ("Causality",), report
    assert not report.ok
    verdict = report["Causality"]
    assert verdict.witness is not None
    assert verdict.error > 64 * verdict.floor
    longest = max(verdict.witness.plan.lengths)
    assert longest == (41 if leak == "long" else 2)
    assert len(verdict.witness.plan.lengths) == (13 if leak == "batch" else 1)
    with pytest.raises(tn.LawBrokenError, match="BROKEN: Causality"):
        report.raise_if_broken()


def test_what_is_correct_is_not_refuted() -> None:
    promised = ["Causality", "Prefix", "BatchIndependence", "NoState", "GradientOf(Causality)"]
    report = tn.audit(Causal(), torch.randn(2, 5, D), properties=promised)
    assert report.ok, report
    assert set(promised) <= set(report.holding)
    assert all(report[name].bites > 20 for name in promised)
    assert report.raise_if_broken() is report


def test_gradients_have_laws_of_their_own() -> None:
    promised = ["Causality", "GradientOf(Causality)"]
    report = tn.audit(Causal("gradient"), torch.randn(2, 5, D), properties=promised)
    assert report.broken == ("GradientOf(Causality)",), report
    assert report["Causality"].status == "holds"


def test_what_is_not_promised_is_information() -> None:
    report = tn.audit(Causal(), torch.randn(2, 5, D), properties=[tn.Causality()])
    assert report.ok
    assert report["Permutation"].status == "broken"
    assert not report["Permutation"].promised
    everything = tn.audit(Causal(), torch.randn(2, 5, D), quick=True)
    assert "Permutation" in everything.broken
    assert not everything.ok


@pytest.mark.parametrize("given", ["Locality(hops=2)", tn.Locality(hops=2)])
def test_laws_are_given_by_name_or_as_objects(given: object) -> None:
    class TwoHops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(D, D), nn.Linear(D, D)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            for inner in (self.one, self.two):
                y = inner(x)
                x = x + torch.zeros_like(y).index_add(0, edge_index[1], y[edge_index[0]]).tanh()
            return x

    index = torch.tensor([[0, 1, 2], [1, 2, 3]])
    example = (torch.randn(4, D), index)
    assert tn.audit(TwoHops(), example, properties=[given], quick=True).ok
    one = tn.audit(TwoHops(), example, properties=["Locality(hops=1)"])
    assert one.broken == ("Locality",)


def test_the_module_itself_is_left_alone() -> None:
    module = Causal("always")
    before = copy.deepcopy(module.state_dict())
    state = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())
    x = torch.randn(2, 5, D)
    torch.set_rng_state(state[0])
    kept = x.clone()
    tn.audit(module, x, quick=True)
    assert module.calls == 0
    assert module.training
    assert torch.equal(x, kept)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]
    assert np.array_equal(np.random.get_state()[1], state[2])


def test_the_same_seed_finds_the_same() -> None:
    one, two = (
        tn.audit(Causal("long"), torch.randn(2, 5, D), properties=["Causality"], seed=3)
        for _ in range(2)
    )
    assert one["Causality"].witness == two["Causality"].witness
    assert one.inputs == two.inputs


def test_nothing_outside_the_domain_is_tried() -> None:
    seen: list[tuple[tuple[int, ...], torch.dtype, bool, float]] = []

    class Watched(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((tuple(x.shape), x.dtype, self.training, float(x.detach().abs().max())))
            return super().forward(x)

    domain = tn.Domain(
        num_tokens=(4, 16), multiple_of=4, batch=(2, 3), dtypes=(torch.float32,), train=False
    )
    tn.audit(Watched(D, D), torch.randn(2, 8, D), domain=domain, budget=3)
    assert {s[0][0] for s in seen} == {2, 3}
    assert {s[0][1] for s in seen} == {4, 8, 12, 16}
    assert {s[1] for s in seen} == {torch.float32}
    assert not any(s[2] for s in seen)


def test_where_it_enters_and_how_to_see_it_again() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = Causal(), Causal("always"), Causal()

        def forward(self, x: Tensor) -> Tensor:
            return self.third(self.second(self.first(x)))

    promised = ["Causality", "GradientOf(Causality)"]
    report = tn.audit(Net(), torch.randn(2, 5, D), properties=promised)
    assert report["Causality"].blame == "second (Causal)"
    assert report["GradientOf(Causality)"].blame == "second (Causal)"
    assert "enters at second (Causal)" in str(report)
    code = report["Causality"].reproduction
    net = Net().eval().double()
    scope: dict[str, object] = {}
    exec(code.replace("module = ...", "module = given"), {"given": net}, scope)
    y, z = scope["y"], scope["z"]
    assert isinstance(y, Tensor)
    assert isinstance(z, Tensor)
    assert not torch.allclose(y[:, :1], z[:, :1])
    assert len(code.splitlines()) < 12


def test_what_cannot_be_asked_is_not_applicable() -> None:
    report = tn.audit(nn.Linear(D, D), torch.randn(2, 5, D), quick=True)
    assert report["Padding"].status == "not applicable"
    assert report["Padding"].note.startswith("no mask")
    assert report["Locality"].note.startswith("no edges")
    assert report.broken == ()
    assert report.facts == {} or not report.facts["tokens"]


def test_a_module_that_does_nothing_proves_nothing() -> None:
    class Nothing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros_like(x)

    report = tn.audit(Nothing(), torch.randn(2, 5, D), properties=["Causality"])
    assert report.ok
    assert report["Causality"].status == "undecided"
    assert "does not answer" in report["Causality"].note


def test_zero_initialised_gates_are_drawn_anew() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.gate * x.mean(1, keepdim=True)

    example = torch.randn(2, 5, D)
    assert tn.audit(Gated(), example, properties=["Causality"]).broken
    assert tn.audit(Gated(), example, properties=["Causality"], randomise=False).ok


def test_the_meaning_of_a_mask_is_told_from_behaviour() -> None:
    class Kept(nn.Module):
        def forward(self, x: Tensor, padding_mask: Tensor) -> Tensor:  # True = a real token
            x = x.masked_fill(~padding_mask[..., None], 0)
            return x - x.sum(1, keepdim=True) / padding_mask.sum(1)[:, None, None].clamp_min(1)

    example = (torch.randn(2, 5, D), torch.ones(2, 5, dtype=torch.bool))
    arguments = {"tokens": "x", "mask": "padding_mask", "properties": ["Padding"]}
    report = tn.audit(Kept(), example, **arguments)
    assert report.ok, report
    assert "means keep" in report.source
    wrong = tn.audit(Kept(), example, mask_kind="ignore", **arguments)
    assert wrong.broken == ("Padding",)


def test_state_is_blamed_for_what_state_does() -> None:
    class Remembers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen = getattr(self, "seen", None)
            self.seen = x.detach().mean()
            return x if seen is None else x + seen

    example = torch.randn(2, 5, D)
    both = tn.audit(Remembers(), example, properties=["Causality", "NoState"])
    assert both.broken == ("NoState",), both
    alone = tn.audit(Remembers(), example, properties=["Causality"])
    assert alone.broken == ("Causality",), alone  # nobody else is there to be blamed


def test_torch_itself() -> None:
    """An empty sample: torch's fast path gives NaN where the slow path gives 0."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    arguments = {"tokens": "src", "mask": "src_key_padding_mask", "properties": ["Finite"]}
    report = tn.audit(layer, torch.randn(2, 5, 8), **arguments)
    assert report.broken == ("Finite",)
    assert "autograd off" in report["Finite"].witness.change
    full = tn.Domain(empty_samples=False)
    assert tn.audit(layer, torch.randn(2, 5, 8), domain=full, **arguments).ok


@pytest.mark.parametrize("module", [tn.Attention(8, 2), tn.GraphConvolution(8), tn.LSTM(8)])
def test_own_mixers_keep_their_promises(module: tn.Mixer) -> None:
    report = tn.audit(module, budget=4)
    assert report.ok, report
    assert {"BatchIndependence", "Purity"} <= set(report.holding)
    assert not any(words.startswith("in the audit") for words in report.refusals)


def test_arguments_are_computed_from_sizes() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    causal = {"src_mask": lambda batch, n: torch.full((n, n), -torch.inf).triu(1)}
    example = torch.randn(2, 5, 8)
    assert tn.audit(layer, example, properties=["Causality"], computed=causal, budget=4).ok
    assert tn.audit(layer, example, properties=["Causality"], budget=4).broken


def test_not_finite_is_not_equal() -> None:
    class Poisoned(nn.Module):
        """Every row but the last is NaN."""

        def forward(self, x: Tensor) -> Tensor:
            last = torch.arange(x.shape[1]) == x.shape[1] - 1
            return torch.where(last[:, None], x, x * torch.nan)

    report = tn.audit(Poisoned(), torch.randn(2, 5, D), properties=["Prefix", "Finite"])
    assert set(report.broken) == {"Prefix", "Finite"}


def test_components_of_a_graph_are_samples_where_that_is_promised() -> None:
    class Graph(nn.Module):
        def __init__(self, norm: bool):
            super().__init__()
            self.norm = norm

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            y = x + torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])
            return y - y.mean(0) if self.norm else y

    example = (torch.randn(4, D), torch.tensor([[0, 1, 2], [1, 2, 3]]))
    for norm in (False, True):
        report = tn.audit(Graph(norm), example, properties=["BatchIndependence"], budget=4)
        assert report["BatchIndependence"].status == ("broken" if norm else "holds"), report
