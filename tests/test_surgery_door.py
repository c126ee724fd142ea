"""What surgery refuses, and how it says so."""

from collections.abc import Callable
from typing import Any

import pytest
from surgery_nets import CLASSES, DIM, images, vit
from torch import nn

import tokennet as tn
from tokennet.surgery import over, swap

READY = tn.Attention(DIM, 3).double()
MAKERS: list[tuple[Any, type[Exception], str]] = [
    (READY, ValueError, r"mixer is one module, expected a function: mixers.1.*several places"),
    (nn.Linear(2, 2), TypeError, r"mixer is Linear, expected a Mixer or a function that makes"),
    (3, TypeError, r"mixer is int, expected a Mixer or a function"),
    (lambda: nn.Linear(2, 2), TypeError, r"mixer for mixers.1.* is Linear, .*tn.TokenWise"),
    (lambda: READY, ValueError, r"mixers.2.* is the same module, expected another module than"),
    (lambda foo: foo, ValueError, r"an argument of mixer is 'foo', expected one of old, index"),
    (lambda: tn.Pointwise(5), ValueError, r"dim of Pointwise is 5, expected 12, the channels th"),
    (lambda: tn.Pointwise(DIM, out_dim=5), ValueError, r"out_dim of Pointwise is 5, expected 12"),
    (lambda: tn.MeanReadout(DIM, DIM), ValueError, r"is MeanReadout, expected a row for each tok"),
    (
        tn.GraphConvolution,
        ValueError,
        r"is GraphConvolution, expected one that does not read edges",
    ),
    (lambda d: tn.Attention(d, 3, tn.Memory()), ValueError, r"does not read memory: the example's"),
    (
        lambda: tn.TokenMLP(5),
        ValueError,
        r"max_tokens of TokenMLP for mixers.1.* is 5, .* least 16",
    ),
]


@pytest.mark.parametrize("number", range(len(MAKERS)))
def test_parts_that_do_not_fit(number: int, no_typecheck: None) -> None:
    maker, error, match = MAKERS[number]
    with pytest.raises(error, match=match) as caught:
        swap(vit(), "Attention", maker, example=images())
    assert len(str(caught.value)) < 250


RULES: list[tuple[Any, type[Exception], str]] = [
    ("all", TypeError, r"keep is 'all', expected True or False"),
    (lambda old, new: 3, TypeError, r"what keep returned is int, expected a dict of names"),
    (lambda old, new: {"a": "b"}, ValueError, r"name in the new part is 'a', expected one of map"),
    (
        lambda old, new: {"map.bias": "b"},
        ValueError,
        r"name in the old part is 'b', .* query.weigh",
    ),
    (
        lambda old, new: {"map.bias": "query.weight"},
        ValueError,
        r"shape of query.weight is \[12, 12\], expected \[12\]",
    ),
]


@pytest.mark.parametrize("number", range(len(RULES)))
def test_rules_that_can_not_be_followed(number: int, no_typecheck: None) -> None:
    rule, error, match = RULES[number]
    with pytest.raises(error, match=match):
        swap(vit(), "Attention", tn.Pointwise, keep=rule)


CALLS: list[tuple[Callable[[tn.TokenNet], Any], type[Exception], str]] = [
    (
        lambda net: swap(net, "Foo", tn.Pooling),
        ValueError,
        r"where is 'Foo', expected one of .*Attention \(mixers.1.mixers.0.mixer and 2 more\)",
    ),
    (
        lambda net: swap(net, "**", tn.Pooling),
        ValueError,
        r"which matches mixers.1 and mixers.1.mixers.0 inside it, .*the outer or the inner",
    ),
    (lambda net: swap(net, 3, tn.Pooling), TypeError, r"where is int, expected a pattern, a cl"),
    (
        lambda net: swap(net, "readout", lambda: tn.TokenReadout(DIM, CLASSES)),
        ValueError,
        r"mixer for readout is TokenReadout, expected a readout, one row for each sample",
    ),
    (lambda net: swap(net, "Block", over(tn.Full())), TypeError, r"the old mixer is Block, exp"),
    (lambda net: over("full"), TypeError, r"topology is str, expected a Topology"),
    (
        lambda net: swap(net.readout, "Attention", tn.Pooling),
        TypeError,
        r"net is MeanReadout, expected a TokenNet",
    ),
    (
        lambda net: swap(net, "Attention", lambda n: tn.TokenMLP(n)) if net.mixers.pop(0) else None,
        ValueError,
        r"'n', expected one of old, index, path, dim, num_heads; num_tokens is known with an",
    ),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_refused(number: int, no_typecheck: None) -> None:
    call, error, match = CALLS[number]
    with pytest.raises(error, match=match):
        call(vit())


def test_without_an_example_the_net_itself_says_what_it_needs() -> None:
    """A graph mixer is allowed: inputs to come may have edges."""
    report = swap(vit(), "Attention", tn.GraphConvolution)
    assert "edges" in report.after.reads - report.before.reads
    with pytest.raises(
        ValueError, match=r"structure.edges is None, expected edges, which TokenNet"
    ):
        report.net(images())
