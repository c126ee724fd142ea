"""Calls that must fail, and what every mixer says of x and structures that don't fit it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

import tokennet as tn


class Bad(NamedTuple):
    """The message names the argument, its value and what is allowed."""

    call: Callable[[], Any]
    error: type[Exception]
    match: str


V, T = ValueError, TypeError
D = 8
FACTS = {"edges": tn.Edges(torch.tensor([[0], [1]])), "grid": (2, 3)}


def packed(*lengths: int, **facts: Any) -> tn.Structure:
    return tn.Structure.packed(lengths or (6,), **facts)


def dense(*, memory: Tensor | None = None) -> tn.Structure:
    return tn.Structure.dense(
        1, 6, memory=torch.randn(1, 2, D) if memory is None else memory, **FACTS
    )


def x(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
    return torch.ones(*(shape or (1, 6, D)), dtype=dtype, device=device)


def common(
    make: Callable[[], tn.Mixer], *, any_dim: bool = False, weights: bool = True
) -> list[Bad]:
    """What every mixer says of x and structures that don't fit it."""
    name = type(make()).__name__
    valid = tn.Structure.padded(torch.ones(1, 6, dtype=torch.bool), **FACTS)
    missing = sorted(make().reads - {"position"})
    found = [
        Bad(lambda: make()(x(), None), T, r"structure is NoneType, expected a Structure"),
        Bad(
            lambda: make()(x(), x() > 0),
            T,
            r"structure is Tensor, .*Structure.padded\(mask.bool\(\)",
        ),
        Bad(lambda: make()([1.0], dense()), T, r"x is list, expected a tensor of floating"),
        Bad(
            lambda: make()(x().long(), dense()),
            T,
            r"x is torch.int64, expected a tensor of floating",
        ),
        Bad(lambda: make()(x() > 0, dense()), T, r"x is torch.bool, expected a tensor of floating"),
        Bad(lambda: make()(x().cfloat(), dense()), T, r"x is torch.complex64"),
        Bad(
            lambda: make()(x(6, D), valid),
            V,
            r"x.shape is \(6, 8\), expected \[1, 6, D\]; the structure is for \[B, N, D\]",
        ),
        Bad(
            lambda: make()(x(), packed(6, **FACTS)),
            V,
            r"x.shape is \(1, 6, 8\), expected \[6, D\]; the structure is for \[T, D\]",
        ),
        Bad(
            lambda: make()(x(1, 5, D), dense()), V, r"x.shape is \(1, 5, 8\), expected \[1, 6, D\]"
        ),
        Bad(lambda: make()(x(1, 6, D, device="meta"), dense()), V, r"x.device is meta, .*cpu"),
    ]
    if not any_dim:
        found.append(
            Bad(
                lambda: make()(x(1, 6, 3), dense()),
                V,
                rf"x.shape\[-1\] is 3, expected 8, .* {name}",
            )
        )
    if weights:
        allowed = rf"torch.float32 as the parameters of {name}"
        found += [
            Bad(
                lambda: make()(x().double(), dense()), T, rf"x.dtype is torch.float64, .*{allowed}"
            ),
            Bad(
                lambda: make()(x().bfloat16(), dense()),
                T,
                rf"x.dtype is torch.bfloat16, .*{allowed}",
            ),
            Bad(lambda: make().to("meta")(x(), dense()), V, r"x.device is cpu, expected meta as"),
        ]
    if missing:
        words = rf"structure.{missing[0]} is None, expected {missing[0]}, which .* reads; build"
        found.append(Bad(lambda: make()(x(), tn.Structure.dense(1, 6)), V, words))
    return found
