"""Convolution over a line, a ring or a grid: weights by offset.

Axes: B samples, N tokens of the padded view, H W cells of the grid, K taps, D channels in, O out.
"""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.laws import CyclicShift
from tokennet.mixers.base import Mixer
from tokennet.structure import Structure
from tokennet.topology import Neighborhood, Topology, Window


class Convolution(Mixer):
    """y_i = b + sum over offsets o of W_o x_(i+o): one matrix for each offset of the topology.

    `Window(r)` is a line (zeros beyond its ends), `Window(r, wrap=True)` a ring that closes at each
    sample's own length, `Neighborhood(r)` a grid with zeros around, `Neighborhood(r, wrap=True)` a
    torus. LeCun et al. 1989. `weight [O, D, 2r+1]`, or `[O, D, 2r+1, 2r+1]` for a grid of two
    axes (`grid_axes=2`), as in `nn.Conv1d` and `nn.Conv2d`. Shapes: [*, dim] -> [*, out_dim].
    """

    def __init__(
        self,
        dim: int,
        topology: Topology,
        *,
        out_dim: int | None = None,
        grid_axes: int = 2,
        bias: bool = True,
    ):
        super().__init__()
        if not isinstance(topology, (Window, Neighborhood)):
            raise value_error("topology", topology, "Window(r) or Neighborhood(r)")
        if grid_axes not in (1, 2):
            raise value_error("grid_axes", grid_axes, "1 or 2")
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        self.topology = topology
        self.axes = 1 if isinstance(topology, Window) else grid_axes
        size = (2 * topology.radius + 1,) * self.axes
        make = nn.Conv1d if self.axes == 1 else nn.Conv2d
        start = make(dim, self.out_dim, size, bias=bias)  # type: ignore[arg-type]
        self.weight = start.weight
        self.bias = start.bias

    @property
    def claims(self):  # type: ignore[override]
        ring = self.axes == 1 and self.topology.wrap  # a grid of one axis: its shifts are the cycle
        return self.topology.claims | {CyclicShift()} if ring else self.topology.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.topology.reads

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        front = layout.compact(x)  # [B, N, D]
        if isinstance(self.topology, Window):
            valid = layout.padded_valid
            if not self.topology.wrap:
                y = _convolve(front, self.weight, self.bias, (front.shape[1],), wrap=False)
            elif valid is None and front.shape[1] > self.topology.radius:
                y = _convolve(front, self.weight, self.bias, (front.shape[1],), wrap=True)
            else:
                y = self._ring(front, layout.lengths)
            return layout.spread(y)
        grid = structure.grid
        assert grid is not None  # `check` has seen to it
        if len(grid) != self.axes:
            raise value_error(
                "structure.grid", grid, f"{self.axes} axes", "see grid_axes of Convolution"
            )
        cells = 1
        for n in grid:
            cells *= n
        y = _convolve(front[:, :cells], self.weight, self.bias, grid, self.topology.wrap)
        return layout.spread(F.pad(y, (0, 0, 0, front.shape[1] - y.shape[1])))

    def _ring(self, x: Float[Tensor, "B N D"], lengths: Tensor) -> Float[Tensor, "B N O"]:
        """Tap by tap, where rings are of different lengths or shorter than the kernel."""
        place = torch.arange(x.shape[1], device=x.device)
        length = lengths.clamp_min(1)[:, None]  # [B, 1]
        y = x.new_zeros(*x.shape[:2], self.weight.shape[0])
        for tap, weight in enumerate(self.weight.unbind(-1)):
            index = (place + tap - self.topology.radius) % length  # [B, N]
            y = y + F.linear(x.gather(1, index[..., None].expand_as(x)), weight)
        return y if self.bias is None else y + self.bias


def _convolve(
    x: Float[Tensor, "B N D"],
    weight: Tensor,
    bias: Tensor | None,
    grid: tuple[int, ...],
    wrap: bool,
) -> Float[Tensor, "B N O"]:
    if not x.numel():  # torch refuses empty images
        return F.linear(x, weight.flatten(2)[..., 0], bias)
    radius = weight.shape[-1] // 2
    y = x.transpose(1, 2).unflatten(2, grid)  # [B, D, *grid]
    convolve = F.conv1d if len(grid) == 1 else F.conv2d
    if wrap:
        y = _wrap(y, radius)
        return convolve(y, weight, bias).flatten(2).transpose(1, 2)
    return convolve(y, weight, bias, padding=radius).flatten(2).transpose(1, 2)


def _wrap(y: Tensor, radius: int) -> Tensor:
    """Continues every axis of the grid periodically, also where it is shorter than the radius."""
    for axis in itertools.count(2):
        if axis == y.ndim:
            return y
        size = y.shape[axis]
        index = torch.arange(-radius, size + radius, device=y.device) % size
        y = y.index_select(axis, index)
    return y
