"""Bad calls of: blocks, norms and channel MLPs."""

from collections.abc import Callable
from functools import partial

from bad import Bad, D, T, V, common, dense, x
from torch import nn

import tokennet as tn


def residual(kind: Callable[..., tn.Mixer]) -> list[Bad]:
    make = partial(kind, D, tn.Pooling())
    name = kind.__name__
    return [
        *common(lambda: make(norm=tn.BatchNorm))[:2],
        Bad(lambda: kind(D, nn.Linear(D, D)), T, r"mixer is Linear, expected a Mixer; wrap"),
        Bad(lambda: kind(D, tn.Pointwise(4)), V, rf"dim of Pointwise is 4, .* the dim of {name}"),
        Bad(lambda: make(norm=nn.LayerNorm(D)), T, r"norm is LayerNorm, .*a class or"),
        Bad(lambda: make(dropout=1.5), V, r"dropout is 1.5, expected a probability"),
        Bad(lambda: make(layer_scale="small"), T, r"layer_scale is 'small', expected a number or"),
        Bad(lambda: make(layer_scale=True), T, r"layer_scale is True, expected a number or None"),
        Bad(lambda: make(layer_scale=float("nan")), V, r"layer_scale is nan, .*finite number; e.g"),
        Bad(lambda: make(norm=tn.BatchNorm).start(dense()), V, r"claims of .* expected Causality"),
    ]


def drop_path(kind: Callable[..., tn.Mixer]) -> list[Bad]:
    make = partial(kind, D, tn.Pooling())
    return [
        Bad(lambda: make(drop_path=1.0), V, r"drop_path is 1.0, expected a probability, 0 <= p"),
        Bad(lambda: make(drop_path="0.1"), T, r"drop_path is '0.1', expected a probability"),
    ]


BLOCKS: dict[str, list[Bad]] = {
    "SandwichNorm": residual(tn.SandwichNorm) + drop_path(tn.SandwichNorm),
    "NoResidual": residual(tn.NoResidual),
    "BatchNorm": [
        *common(lambda: tn.BatchNorm(D)),
        Bad(lambda: tn.BatchNorm(0), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.BatchNorm(D, momentum=1.5), V, r"momentum is 1.5, expected a probability"),
        Bad(lambda: tn.BatchNorm(D, momentum=None), T, r"momentum is None, expected a probability"),
        Bad(lambda: tn.BatchNorm(D, eps=0.0), V, r"eps is 0.0, expected a number above 0"),
        Bad(lambda: tn.BatchNorm(D, eps="1e-5"), T, r"eps is '1e-5', expected a number above 0"),
    ],
    "GatedMLP": [
        *common(lambda: tn.GatedMLP(D, 9)),
        Bad(lambda: tn.GatedMLP(D, 0), V, r"hidden_dim is 0, expected at least 1"),
        Bad(lambda: tn.GatedMLP(D, 9, out_dim=0), V, r"out_dim is 0, expected at least 1"),
        Bad(lambda: tn.GatedMLP(D, 9, dropout=2), V, r"dropout is 2, expected a probability"),
        Bad(
            lambda: tn.GatedMLP(D, 9, activation=nn.SiLU()),
            T,
            r"activation is SiLU, expected a class",
        ),
    ],
    "MixtureOfExperts": [
        *common(lambda: tn.MixtureOfExperts(D, 9, 3)),
        Bad(lambda: tn.MixtureOfExperts(D, 0, 3), V, r"hidden_dim is 0"),
        Bad(lambda: tn.MixtureOfExperts(D, 9, 0), V, r"num_experts is 0"),
        Bad(
            lambda: tn.MixtureOfExperts(D, 9, 3, top_k=4),
            V,
            r"top_k is 4, expected at most num_experts \(3\)",
        ),
        Bad(lambda: tn.MixtureOfExperts(D, 9, 3, top_k=0), V, r"top_k is 0, expected at least 1"),
        Bad(lambda: tn.MixtureOfExperts(D, 9, 3, expert=nn.Linear), T, r"hidden_dim\) is Linear, "),
        Bad(
            lambda: tn.MixtureOfExperts(D, 9, 3, expert=tn.Pointwise(D)),
            T,
            r"expert is Pointwise, expected a class or",
        ),
        Bad(
            lambda: tn.MixtureOfExperts(D, 4, 3, expert=tn.Attention),
            V,
            r"hidden_dim\) is Attention, expected a token-wise mixer",
        ),
        Bad(
            lambda: tn.MixtureOfExperts(D, 9, 3, expert=lambda dim, _: tn.Pointwise(dim + 1)),
            V,
            r"dim and out_dim of Pointwise is \(9, 9\), expected 8",
        ),
        Bad(lambda: tn.MixtureOfExperts(D, 9, 3).shares(x(1, 6, 3), dense()), V, r"is 3, expected"),
    ],
}
