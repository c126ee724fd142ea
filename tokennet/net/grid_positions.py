"""Codes of a cell's place on a grid.

Axes: N tokens of the padded view, A axes of the grid, D channels.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from tokennet.checks import positive, value_error
from tokennet.laws import Causality
from tokennet.net.position import Position
from tokennet.net.positions import checked_base, waves
from tokennet.structure import Structure


class GridSinusoidalPosition(Position):
    """x_i + the sinusoidal codes of i's row and of its column, each in half of the channels.

    MAE (He et al. 2022) and DETR (Carion et al. 2020, appendix A.4) code images so, after Parmar et
    al. 2018. `grid_axes=1` is `SinusoidalPosition` on a grid of one axis. No parameters, any grid;
    `dim` must be a multiple of 2 `grid_axes`.
    """

    claims = frozenset({Causality()})
    reads = frozenset({"grid"})

    def __init__(self, dim: int, *, grid_axes: int = 2, base: float = 10_000.0):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.axes = _checked_axes(grid_axes)
        if dim % (2 * grid_axes):
            hint = "each axis needs pairs of a sine and a cosine"
            raise value_error("dim", dim, f"a multiple of {2 * grid_axes}", hint)
        self.base = checked_base(base)

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        assert self.dim is not None
        cell = _cells(structure, self.axes, type(self).__name__)
        code = waves(cell, self.dim // self.axes, self.base)  # [..., A, D / A]
        return code.flatten(-2).to(dtype)


class CoordinatePosition(Position):
    """The row and the column of a cell, each from -1 to 1, as two channels.

    CoordConv (Liu et al. 2018, "An intriguing failing of convolutional neural networks") gives them
    to a convolution beside its input: `ConcatenatedPosition(CoordinatePosition(), dim)`. They fit
    the grid they are on, so a cell has another code on another grid.
    """

    claims = frozenset({Causality()})
    reads = frozenset({"grid"})

    def __init__(self, *, grid_axes: int = 2):
        super().__init__()
        self.axes = self.dim = self.out_dim = _checked_axes(grid_axes)

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        cell = _cells(structure, self.axes, type(self).__name__)
        assert structure.grid is not None
        last = [max(n - 1, 1) for n in structure.grid]
        columns = [cell[..., a].double() * (2 / n) - 1 for a, n in enumerate(last)]
        return torch.stack(columns, -1).to(dtype)


def _checked_axes(grid_axes: int) -> int:
    if grid_axes not in (1, 2):
        raise value_error("grid_axes", grid_axes, "1 or 2")
    return grid_axes


def _cells(structure: Structure, axes: int, reader: str) -> Int[Tensor, "*tokens A"]:
    """The coordinates of every token's cell; of one sample, `[N, A]`, where all lie alike."""
    grid = structure.grid
    if grid is None or len(grid) != axes:
        raise value_error("structure.grid", grid, f"a grid of {axes} axes, which {reader} reads")
    layout = structure.layout
    if len(layout.shape) == 2 and layout.padded_valid is None:
        place = layout.padded_position[0]
    else:
        place = layout.unflat(layout.position)
    if axes == 1:
        return place[..., None]
    return torch.stack([place // grid[1], place % grid[1]], -1)
