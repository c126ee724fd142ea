"""The inputs of attention as its kernels take them: tensors laid out, numbers, tiles.

Axes: T rows, E edges, H heads, D channels of a key, C of a value, F features of an edge, I pieces.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tokennet.checks import type_error
from tokennet.ops.kernel import Inputs
from tokennet.ops.triton.plan import Tile, power_of_2, tile_of

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TENSORS = ("q", "k", "v", "vector", "bias", "edge_query", "attr", "kept")


def laid_out(inputs: Inputs) -> Inputs:
    """The same, with the rows of q, k and v anywhere and everything else contiguous."""
    wrong = {}
    for name in TENSORS:
        x = getattr(inputs, name)
        if x is None:
            continue
        if x.dtype not in DTYPES and name != "kept":
            raise type_error(f"inputs.{name}.dtype", x.dtype, "float32, bfloat16 or float16")
        if not (_has_rows(x) if name in ("q", "k", "v") else x.is_contiguous()):
            wrong[name] = x.contiguous()
    return inputs._replace(**wrong) if wrong else inputs


def _has_rows(x: Tensor) -> bool:
    """Whether the last axes are contiguous."""
    return x.stride(-1) == 1 and (x.ndim == 2 or x.stride(1) == x.shape[2])


class Shape(NamedTuple):
    """Sizes that the kernels are compiled for."""

    heads: int
    keys: int
    """Channels of a key: 1 of "gat"."""
    values: int
    features: int

    @staticmethod
    def of(inputs: Inputs) -> "Shape":
        heads, values = inputs.values.shape[1:]
        keys = 1 if inputs.score == "gat" else inputs.q.shape[2]
        return Shape(heads, keys, values, 0 if inputs.attr is None else inputs.attr.shape[1])

    def tile(self, mean_degree: float, elements: int) -> Tile:
        """The tile of a program: features count twice, for they have sums and queries too."""
        widest = max(self.keys, self.values, 2 * self.features)
        return tile_of(self.heads, widest, mean_degree, elements)


@lru_cache(maxsize=1024)  # asked for at every launch
def constants(shape: Shape, tile: Tile, names: str) -> dict[str, int]:
    """Those of the constants H D C F and their blocks BH BD BC BF that are named."""
    known = {
        "H": shape.heads, "D": shape.keys, "C": shape.values, "F": shape.features,
        "BH": tile.heads, "BD": power_of_2(shape.keys), "BC": power_of_2(shape.values),
        "BF": power_of_2(shape.features),
    }  # fmt: skip
    return {name: known[name] for name in names.split()}


def side(inputs: Inputs) -> Tensor | None:
    """What goes in one pointer: the vector of "gatv2", the edge queries of "dot"."""
    return inputs.edge_query if inputs.score == "dot" else inputs.vector


class Strides(NamedTuple):
    """From row to row of q, k and the values, in units; of "gat", whose q and k are numbers, only
    of the values."""

    unit: int
    q: int
    k: int
    v: int

    @staticmethod
    def of(inputs: Inputs) -> "Strides":
        q, k, v = (x.stride(0) for x in (inputs.q, inputs.k, inputs.values))
        whole = v if inputs.score == "gat" else q | k | v
        unit = min(whole & -whole, 16) or 16  # the largest power of 2 that divides all of them
        if inputs.score == "gat":
            return Strides(unit, q, k, v // unit)
        return Strides(unit, q // unit, k // unit, v // unit)


def factor(inputs: Inputs) -> float:
    """What goes in one number: the scale of "dot", the slope of the others."""
    return float(inputs.scale if inputs.score == "dot" else inputs.slope)


def share(inputs: Inputs) -> float:
    """What dropout multiplies the weights by that it leaves."""
    return 1.0 / (1.0 - inputs.dropout)


def for_pieces(x: Tensor | None, items: int, planes: tuple[int, ...] = ()) -> Any:
    """Where pieces of long rows leave their parts of `x [T, ...]`: `[*planes, I, ...]`."""
    return None if x is None else x.new_empty(*planes, items, *x.shape[1:], dtype=torch.float32)
