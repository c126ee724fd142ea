"""Convolution over a line, a ring or a grid: weights by offset.

Axes: B samples, N tokens of the padded view, H W cells of the grid, K taps, D channels in, O out,
G groups of channels, R tokens before a causal window's last.
"""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.laws import CyclicShift
from tokennet.mixers.base import Mixer
from tokennet.mixers.stepping import check_state, check_token
from tokennet.structure import Structure
from tokennet.topology import Causal, Intersection, Neighborhood, Topology, Window


class Convolution(Mixer):
    """y_i = b + sum over offsets o of W_o x_(i+o): one matrix for each offset of the topology.

    `Window(r)` is a line (zeros beyond its ends), `Window(r, wrap=True)` a ring that closes at each
    sample's own length, `Causal() & Window(r)` a line that looks back only (offsets -r to 0; van
    den Oord et al. 2016, "WaveNet"), `Neighborhood(r)` a grid with zeros around,
    `Neighborhood(r, wrap=True)` a torus. LeCun et al. 1989. `weight [O, D / G, 2r+1]`, `[O, D / G,
    r+1]` if causal, or `[O, D / G, 2r+1, 2r+1]` for a grid of two axes (`grid_axes=2`), as in
    `nn.Conv1d` and `nn.Conv2d`; with `groups=dim` depthwise. A causal one goes token by token with
    the last r tokens `[B, r, D]` as its state. Shapes: [*, dim] -> [*, out_dim].
    """

    def __init__(
        self,
        dim: int,
        topology: Topology,
        *,
        out_dim: int | None = None,
        groups: int = 1,
        grid_axes: int = 2,
        bias: bool = True,
    ):
        super().__init__()
        area, self.causal = _area(topology)
        if grid_axes not in (1, 2):
            raise value_error("grid_axes", grid_axes, "1 or 2")
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        self.groups = positive("groups", groups)
        if dim % groups or self.out_dim % groups:
            allowed = f"a divisor of dim ({dim}) and out_dim ({self.out_dim})"
            raise value_error("groups", groups, allowed)
        self.topology = topology
        self.radius, self.wrap, self.line = area.radius, area.wrap, isinstance(area, Window)
        self.axes = 1 if self.line else grid_axes
        size = (area.radius + 1 if self.causal else 2 * area.radius + 1,) * self.axes
        make = nn.Conv1d if self.axes == 1 else nn.Conv2d
        start = make(dim, self.out_dim, size, groups=groups, bias=bias)  # type: ignore[arg-type]
        self.weight = start.weight
        self.bias = start.bias

    @property
    def claims(self):  # type: ignore[override]
        ring = self.axes == 1 and self.wrap  # a grid of one axis: its shifts are the cycle
        return self.topology.claims | {CyclicShift()} if ring else self.topology.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.topology.reads

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        front = layout.compact(x)  # [B, N, D]
        if self.line:
            ragged = layout.padded_valid is not None
            if self.wrap and (ragged or front.shape[1] <= self.radius):
                return layout.spread(self._ring(front, layout.lengths))
            return layout.spread(self._convolve(front, (front.shape[1],)))
        grid = structure.grid
        assert grid is not None  # `check` has seen to it
        if len(grid) != self.axes:
            raise value_error(
                "structure.grid", grid, f"{self.axes} axes", "see grid_axes of Convolution"
            )
        cells = 1
        for n in grid:
            cells *= n
        y = self._convolve(front[:, :cells], grid)
        return layout.spread(F.pad(y, (0, 0, 0, front.shape[1] - y.shape[1])))

    def start(self, structure: Structure) -> Float[Tensor, "B R D"]:
        """Zeros in place of the last r tokens."""
        self.check_steps(structure)
        return self.weight.new_zeros(structure.batch, self.radius, self.dim or 0)

    def step(
        self, x: Float[Tensor, "B D"], state: Float[Tensor, "B R D"]
    ) -> tuple[Float[Tensor, "B O"], Float[Tensor, "B R D"]]:
        check_state(state, "[B, r, D]", isinstance(state, Tensor) and state.ndim == 3)
        check_token(x, len(state), self.dim or 0)
        seen = torch.cat([state, x[:, None]], 1)
        y = self._taps(seen.transpose(1, 2)) if len(x) else self._nothing(x)[..., None]
        return y[..., 0], seen[:, 1:]

    def _convolve(self, x: Float[Tensor, "B N D"], grid: tuple[int, ...]) -> Float[Tensor, "B N O"]:
        if not x.numel():  # torch refuses empty images
            return self._nothing(x)
        y = x.transpose(1, 2).unflatten(2, grid)  # [B, D, *grid]
        after = 0 if self.causal else self.radius
        y = _wrap(y, self.radius) if self.wrap else F.pad(y, (self.radius, after) * len(grid))
        return self._taps(y).flatten(2).transpose(1, 2)

    def _taps(self, y: Tensor) -> Tensor:
        """torch's convolution of `[B, D, *grid]`, continued by as much as the taps reach."""
        convolve = F.conv1d if self.axes == 1 else F.conv2d
        return convolve(y, self.weight, self.bias, groups=self.groups)

    def _nothing(self, x: Float[Tensor, "*tokens D"]) -> Float[Tensor, "*tokens O"]:
        """No rows, of the right width, that all weights have a gradient from."""
        y = x.sum(-1, keepdim=True) * self.weight.flatten(1).sum(1)
        return y if self.bias is None else y + self.bias

    def _ring(self, x: Float[Tensor, "B N D"], lengths: Tensor) -> Float[Tensor, "B N O"]:
        """Tap by tap, where rings are of different lengths or shorter than the kernel."""
        place = torch.arange(x.shape[1], device=x.device)
        length = lengths.clamp_min(1)[:, None]  # [B, 1]
        y = x.new_zeros(*x.shape[:2], self.weight.shape[0])
        for tap, weight in enumerate(self.weight.unbind(-1)):
            index = (place + tap - self.radius) % length  # [B, N]
            each = x.gather(1, index[..., None].expand_as(x)).unflatten(2, (self.groups, -1))
            split = weight.unflatten(0, (self.groups, -1))  # [G, O / G, D / G]
            y = y + torch.einsum("bngd,god->bngo", each, split).flatten(2)
        return y if self.bias is None else y + self.bias


def _area(topology: Topology) -> tuple[Window | Neighborhood, bool]:
    """The window or neighborhood of a topology, and whether it is cut to what came before."""
    if isinstance(topology, (Window, Neighborhood)):
        return topology, False
    if isinstance(topology, Intersection):
        parts = {type(part): part for part in (topology.first, topology.second)}
        window = parts.get(Window)
        if isinstance(window, Window) and Causal in parts and not window.wrap:
            return window, True
    allowed = "Window(r), Neighborhood(r) or Causal() & Window(r)"
    raise value_error("topology", topology, allowed)


def _wrap(y: Tensor, radius: int) -> Tensor:
    """Continues every axis of the grid periodically, also where it is shorter than the radius."""
    for axis in itertools.count(2):
        if axis == y.ndim:
            return y
        size = y.shape[axis]
        index = torch.arange(-radius, size + radius, device=y.device) % size
        y = y.index_select(axis, index)
    return y
