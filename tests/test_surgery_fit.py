"""Token MLPs fitted to attention: what is reported is what the part does."""

import pytest
import torch
from surgery_nets import DIM, all_edges, images, places, vit
from torch import nn

import tokennet as tn
from tokennet.surgery import Fit, over, swap
from tokennet.surgery.places import Found
from tokennet.surgery.record import Call, run

MAKERS = {
    "alone": lambda n: tn.TokenMLP(n),
    "channels first": lambda d, n: tn.Sequential(tn.Pointwise(d), tn.TokenMLP(n)),
    "tokens first": lambda d, n: tn.Sequential(tn.TokenMLP(n), tn.Pointwise(d)),
    "of low rank": lambda d, n: tn.Sequential(tn.Pointwise(d), tn.TokenMLP(n, 9)),
    "two": lambda d, n: tn.Parallel(
        *(tn.Sequential(tn.Pointwise(d), tn.TokenMLP(n, activation=nn.ReLU)) for _ in range(2))
    ),
    "more than heads": lambda d, n: tn.Parallel(
        *(tn.Sequential(tn.TokenMLP(n, activation=nn.Identity), tn.Pointwise(d)) for _ in range(4))
    ),
}


def call_of(net: tn.TokenNet, path: str, example: object) -> Call:
    part = net.get_submodule(path)
    assert isinstance(part, tn.Mixer)
    return run(net, example, [Found(part, (path,)).module]).calls[part]


def fit_of(report: tn.surgery.SurgeryReport, place: int = 0) -> Fit:
    found = report.places[place].fit
    assert found is not None
    assert report.places[place].weights == "fitted"
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_the_error_is_what_the_part_does(name: str) -> None:
    net, x = vit(), images(20)
    report = swap(net, "Attention", MAKERS[name], example=x)
    for place in report.places:
        call = call_of(net, place.path, x)
        with torch.no_grad():
            y = report.net.get_submodule(place.path)(call.x, call.structure)
        assert place.fit is not None
        error = float((y - call.y).norm() / call.y.norm())
        assert error == pytest.approx(place.fit.error, rel=1e-6)
        assert place.fit.error < 1
        assert place.fit.mean is None or place.fit.error < place.fit.mean
        assert (place.fit.mean is None) == (name == "alone")
        assert f"fitted, error {place.fit.error:.1%}" in str(report)


@pytest.mark.parametrize("name", ["channels first", "tokens first", "two", "more than heads"])
def test_attention_that_does_not_look_is_met_exactly(name: str) -> None:
    """With queries of 0 every token hears the mean: a fixed matrix."""
    net = vit()
    for path in places():
        nn.init.zeros_(net.get_submodule(f"{path}.query").weight)
        nn.init.zeros_(net.get_submodule(f"{path}.query").bias)
    report = swap(net, "Attention", MAKERS[name], example=images())
    assert all(place.fit is not None and place.fit.error < 1e-4 for place in report.places)
    assert report.change is not None
    assert report.change.max < 1e-3
    fresh = swap(net, "Attention", MAKERS[name], example=images(), keep=False)
    assert {place.weights for place in fresh.places} == {"fresh"}
    assert fresh.change is not None
    assert fresh.change.max > 0.1


def test_more_freedom_fits_better() -> None:
    net, x = vit(), images(20)
    error = {
        name: fit_of(swap(net, places()[1], MAKERS[name], example=x)).error
        for name in ("alone", "of low rank", "channels first", "two")
    }
    assert error["two"] < error["channels first"] < error["of low rank"] < error["alone"]


def test_one_sweep_can_not_be_improved() -> None:
    """Least squares: any small change of the fitted token map makes the error larger."""
    net, x = vit(), images(20)
    report = swap(net, places()[0], MAKERS["channels first"], example=x)
    call = call_of(net, places()[0], x)
    part = report.net.get_submodule(places()[0])
    mlp = part.parts[1]
    for _ in range(5):
        away = 1e-2 * torch.randn_like(mlp.contract.weight)
        with torch.no_grad():
            mlp.contract.weight += away
            worse = part(call.x, call.structure)
            mlp.contract.weight -= away
        assert float((worse - call.y).norm() / call.y.norm()) > fit_of(report).error


def test_a_matrix_over_edges_and_linear_attention() -> None:
    """The mean attention over all edges is that over all tokens."""
    x, structure = images(), all_edges(6)
    dense = swap(vit(), places()[0], MAKERS["channels first"], example=x)
    sparse = swap(vit(), "Attention", over(tn.EdgeList())).net
    edges = swap(sparse, places()[0], MAKERS["channels first"], example=(x, structure))
    assert fit_of(edges).mean == pytest.approx(fit_of(dense).mean)
    assert fit_of(edges).error == pytest.approx(fit_of(dense).error)
    linear = swap(vit(), "Attention", tn.LinearAttention).net
    fit_of(swap(linear, "LinearAttention", MAKERS["channels first"], example=x))
    grouped = vit(lambda: tn.Attention(DIM, tn.Heads(6, kv_heads=2, head_dim=5, bias=False)))
    fit_of(swap(grouped, places()[0], MAKERS["channels first"], example=x))


REASONS = {
    "no example": (None, lambda n: tn.TokenMLP(n)),
    "Tanh(z) - Tanh(-z) is no multiple of z": (
        images(),
        lambda n: tn.TokenMLP(n, activation=nn.Tanh),
    ),
    "the example has 16 tokens a sample, TokenMLP 20": (images(), lambda: tn.TokenMLP(20)),
}


@pytest.mark.parametrize("reason", REASONS)
def test_where_it_can_not_be_done_weights_are_fresh(reason: str) -> None:
    example, maker = REASONS[reason]
    report = swap(vit(), "Attention", maker, example=example)
    assert {place.weights for place in report.places} == {"fresh"}
    assert f"not fitted: {reason}" in report.places[0].note
    assert f"not fitted: {reason}" in str(report)


def test_samples_of_different_lengths() -> None:
    readout = tn.MeanReadout(4, 2)
    net = tn.TokenNet(tn.FeatureTokenizer(3, 4), [tn.Block(4, tn.Attention(4, 2))], readout)
    tokens = tn.Tokens.from_list([torch.randn(3, 3), torch.randn(5, 3)])
    report = swap(net, "Attention", lambda n: tn.TokenMLP(n), example=tokens)
    assert report.places[0].note == "not fitted: the samples of the example have different lengths"
