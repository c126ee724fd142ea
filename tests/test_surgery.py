"""Parts exchanged: which weights are kept, what is refused, what the report says."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from surgery_nets import DIM, TOKENS, all_edges, images, places, vit
from torch import nn

import tokennet as tn
from tokennet.surgery import SurgeryReport, over, swap


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(t, two[k]) for k, t in one.items())


def moved(report: SurgeryReport) -> float:
    assert report.change is not None
    return report.change.max


# -- weights that are kept ------------------------------------------------------------------------

WIDE = {  # other ways to say "every token hears every token": the answers may not move
    "full": (tn.Full(), None),
    "window": (tn.Window(TOKENS), None),
    "neighbourhood": (tn.Neighborhood(TOKENS), None),
    "edges": (tn.EdgeList(), all_edges(6)),
}


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("how", ["over", "new"])
def test_the_same_pairs_give_the_same_answers(name: str, how: str) -> None:
    topology, structure = WIDE[name]
    maker = over(topology) if how == "over" else lambda dim: tn.Attention(dim, 3, topology)
    report = swap(
        vit(), "Attention", maker, example=(images(), structure) if structure else images()
    )
    assert [place.weights for place in report.places] == ["kept"] * 3
    assert moved(report) < 1e-12
    assert same(state(report.net), state(vit()))


def test_fewer_pairs_move_the_answers() -> None:
    """The measure of change is none that is always 0."""
    report = swap(vit(), "Attention", over(tn.Neighborhood(1)), example=images())
    assert report.change is not None
    assert 1e-2 < report.change.rms < report.change.max
    x = images()
    before, after = vit()(x).detach(), report.net(x).detach()
    expected = (after - before).square().mean().sqrt() / before.square().mean().sqrt()
    assert report.change.rms == pytest.approx(float(expected))


def test_score_parameters_are_kept() -> None:
    score = lambda: tn.CosineScore(scale=3.0) + tn.RelativeBias(3)  # noqa: E731
    net = vit(lambda: tn.Attention(DIM, 3, score=score()))
    one = swap(net, "Attention", over(tn.Window(TOKENS)), example=images())
    two = swap(net, "Attention", lambda dim: tn.Attention(dim, 3, score=score()), example=images())
    for report in (one, two):
        assert moved(report) < 1e-12
        assert all(p.weights == "kept" for p in report.places)
    causal = tn.CosineScore(scale=3.0) + tn.RelativeBias(3, causal=True)  # other buckets
    report = swap(net, places()[0], lambda dim: tn.Attention(dim, 3, score=causal))
    assert report.places[0].weights == "kept in part"
    assert report.places[0].fresh == ("score.score.log_scale", "score.biases.0.table")
    assert "fresh are score.score.log_scale" in str(report)


PARTLY: dict[str, tuple[Callable[..., tn.Mixer], int, int]] = {  # maker, kept, fresh
    "linear": (tn.LinearAttention, 8, 0),
    "low rank": (lambda d, h, n: tn.LowRankAttention(d, h, n, 4), 8, 2),
    "no bias": (lambda d: tn.Attention(d, tn.Heads(3, bias=False)), 0, 4),
    "other heads": (lambda d: tn.Attention(d, 4), 0, 8),
    "shared keys": (lambda d: tn.Attention(d, tn.Heads(3, kv_heads=1)), 0, 8),
    "graph attention": (lambda d: tn.GraphAttention(d, 3), 0, 3),
    "gates": (lambda d, n: tn.TokenGating(d, 8, n), 0, 8),
    "convolution": (lambda d: tn.Convolution(d, tn.Window(1)), 0, 2),
    "pooling": (lambda: tn.Pooling(), 0, 0),
}


@pytest.mark.parametrize("name", PARTLY)
def test_what_is_kept(name: str) -> None:
    maker, kept, fresh = PARTLY[name]
    report = swap(vit(), places()[1], maker, example=(images(), all_edges(6)))
    (place,) = report.places
    assert (len(place.kept), len(place.fresh)) == (kept, fresh)
    expected = "kept" if kept and not fresh else "kept in part" if kept else "fresh"
    assert place.weights == ("none" if name == "pooling" else expected)
    old, new = state(vit()), state(report.net)
    for key in place.kept:
        assert torch.equal(old[f"{place.path}.{key}"], new[f"{place.path}.{key}"])
    for key in place.fresh:
        before = old.get(f"{place.path}.{key}")
        assert before is None or not torch.equal(before, new[f"{place.path}.{key}"])
    assert len(place.dropped) == (0 if kept else 8)
    assert moved(report) > 1e-3


def test_back_again() -> None:
    """Linear attention holds what attention needs."""
    away = swap(vit(), "Attention", tn.LinearAttention).net
    back = swap(away, "LinearAttention", tn.Attention, example=images())
    assert same(state(back.net), state(vit()))


def test_keys_of_memory_are_no_keys_of_tokens() -> None:
    net = vit(lambda: tn.Attention(DIM, 3, tn.Memory()), depth=1)
    report = swap(net, "Attention", lambda dim: tn.Attention(dim, 3))
    assert report.places[0].weights == "fresh"
    with pytest.raises(ValueError, match=r"topology is Full in the place of Memory, expected one"):
        swap(net, "Attention", over(tn.Full()))


def test_grouped_heads_come_along() -> None:
    net = vit(lambda: tn.Attention(DIM, tn.Heads(6, kv_heads=2, head_dim=5)))
    report = swap(net, "Attention", tn.LinearAttention, example=images())
    assert [p.weights for p in report.places] == ["kept"] * 3
    assert {type(h) for h in [m.heads for m in report.net.modules() if hasattr(m, "heads")]} == {
        tn.Heads
    }


def test_whole_blocks() -> None:
    """A block shares what its parts share."""

    def block(dim: int) -> tn.Mixer:
        return tn.Block(dim, tn.Attention(dim, 3, tn.Window(TOKENS)), mlp=tn.Pointwise(dim, 17))

    assert moved(swap(vit(), tn.Block, block, example=images())) < 1e-12
    wider = lambda dim: tn.Block(dim, tn.Attention(dim, 3), mlp=tn.Pointwise(dim, 18))  # noqa: E731
    (place,) = swap(vit(), "mixers.2", wider).places
    assert [name for name in place.fresh if "norm" in name or "mixers.0" in name] == []
    assert len(place.fresh) == 4


def test_a_wrapped_part_keeps_its_weights() -> None:
    report = swap(
        vit(), "Attention", lambda old: tn.Parallel(old, tn.Pointwise(DIM)), example=images()
    )
    assert {(p.weights, len(p.kept), len(p.fresh)) for p in report.places} == {
        ("kept in part", 8, 2)
    }


def test_own_rules() -> None:
    net = vit()
    rule = lambda old, new: {"map.weight": "value.weight"}  # noqa: E731
    report = swap(net, "Attention", tn.Pointwise, keep=rule)
    assert report.places[0].kept == ("map.weight",)
    assert torch.equal(
        report.net.state_dict()[f"{places()[0]}.map.weight"],
        net.state_dict()[f"{places()[0]}.value.weight"],
    )
    none = swap(net, "Attention", over(tn.Full()), keep=False)  # `over` itself hands on the maps
    assert none.places[0].weights == "kept"
    fresh = swap(net, "Attention", lambda dim: tn.Attention(dim, 3), keep=False)
    assert fresh.places[0].weights == "fresh"


def test_a_part_in_two_places_stays_one() -> None:
    """Weights shared over the depth are shared after it."""
    net = vit(depth=2)
    net.mixers[2] = net.mixers[1]
    report = swap(net, "Attention", over(tn.Window(2)), example=images())
    (place,) = report.places
    assert place.paths == places(2)
    assert report.net.get_submodule(place.paths[0]) is report.net.get_submodule(place.paths[1])
    assert f"also at {place.paths[1]}" in str(report)


# -- the net --------------------------------------------------------------------------------------


def test_a_copy_unless_in_place() -> None:
    net = vit()
    before, kept = state(net), dict(net.named_parameters())
    report = swap(net, "Attention", tn.Pooling, example=images())
    assert report.net is not net
    assert same(before, state(net))
    assert isinstance(net.get_submodule(places()[0]), tn.Attention)
    report = swap(net, "Attention", over(tn.Window(2)), in_place=True)
    assert report.net is net
    assert all(p is kept[name] for name, p in net.named_parameters())


def test_modes_dtypes_and_random_numbers() -> None:
    net = vit().train()
    net.mixers[1].eval()
    torch.manual_seed(3)
    report = swap(net, "Attention", lambda: tn.Pooling(), example=images())
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1)), "the example uses no random number up"
    modes = [report.net.get_submodule(path).training for path in places()]
    assert modes == [False, True, True]
    assert net.training
    fresh = swap(net, "Attention", lambda dim: tn.Convolution(dim, tn.Window(1))).net
    assert {p.dtype for p in fresh.parameters()} == {torch.float64}


def test_a_refused_swap_leaves_the_net() -> None:
    """Also when it shows only as the example runs."""

    class Odd(tn.Mixer):
        def forward(self, x: torch.Tensor, structure: tn.Structure) -> torch.Tensor:
            raise RuntimeError("never")

    net = vit()
    before, parts = state(net), list(net.modules())
    for maker in (Odd, lambda: tn.Pointwise(DIM + 1), lambda: tn.MeanReadout(DIM, DIM)):
        with pytest.raises((RuntimeError, ValueError)):
            swap(net, "Attention", maker, example=images(), in_place=True)
    assert same(before, state(net))
    assert all(a is b for a, b in zip(parts, net.modules(), strict=True))


def test_origin_is_dropped() -> None:
    net = vit()
    net.origin = tn.interop.Origin("torch", "Some", {})
    assert swap(net, "Attention", lambda old: old).net.origin is not None
    assert swap(net, "Attention", over(tn.Window(1))).net.origin is None
    assert net.origin is not None


# -- where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("mixers.*.mixers.0.mixer", 3),
        ("mixers.[12].mixers.0.mixer", 2),
        ("**.mixer", 6),
        ("Atten*", 3),
        (tn.Attention, 3),
        (lambda path, m: isinstance(m, tn.Attention) and path < "mixers.2", 1),
        ("mixers.*", 4),
        ("readout", 1),
    ],
)
def test_where(where: Any, count: int) -> None:
    report = swap(vit(), where, lambda old: copy.deepcopy(old), example=images())
    assert len(report.places) == len(report.paths) == count
    assert moved(report) == 0


def test_facts_for_makers() -> None:
    seen: list[tuple] = []

    def maker(old, index, path, dim, num_tokens, num_heads, width=3):
        seen.append((type(old).__name__, index, path, dim, num_tokens, num_heads, width))
        return old

    report = swap(vit(), "Attention", maker)
    assert seen == [("Attention", i, p, DIM, TOKENS, 3, 3) for i, p in enumerate(places())]
    assert {p.weights for p in report.places} == {"unchanged"}
