"""How a position code is measured, and what both kinds of codes are judged by.

Axes: T rows of the flat view, D channels.
"""

import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.mixers import Mixer
from tokennet.structure import Structure
from tokennet.verify.position_report import PositionFinding

TOLERANCE = 1e-9
SIZE_LIMIT = 2.0


def measured(
    position: Mixer, structure: Structure, x: Tensor | None = None, *, dtype: torch.dtype
) -> Float[Tensor, "T D"]:
    """What the mixer adds to each real token of x; x is zero unless given."""
    layout = structure.layout
    if x is None:
        x = torch.zeros(*layout.shape, position.dim or 1, dtype=dtype)
    return layout.flat(position(x, structure) - x)[layout.valid.flatten()].to(dtype)


def at_precision(position: Mixer, dtype: torch.dtype) -> Mixer:
    """A copy to measure, in eval mode."""
    return copy.deepcopy(position).to(dtype).eval()


def difference(a: Tensor, b: Tensor, scale: float) -> float:
    """The largest difference beside the size of the code; infinite where one is not finite."""
    found = float((a - b).abs().max()) / max(scale, 1e-300) if a.numel() else 0.0
    return found if math.isfinite(found) else math.inf


def equality(name: str, error: float, varies: bool, note: str) -> PositionFinding:
    """A finding on codes that have to be equal."""
    status = "held" if error <= TOLERANCE else "broken"
    if status == "held" and not varies:
        return PositionFinding(name, "required", "untested", error, "all codes are equal")
    return PositionFinding(name, "required", status, error, note)  # type: ignore[arg-type]


def size_finding(codes: Tensor) -> PositionFinding:
    """The largest code beside content of unit variance."""
    ratio = float(codes.square().mean(-1).max().sqrt()) if codes.numel() else 0.0
    status = "held" if ratio <= SIZE_LIMIT else "broken"
    note = f"times content of unit variance, at most {SIZE_LIMIT:g}"
    return PositionFinding("size", "required", status, ratio, note)  # type: ignore[arg-type]
