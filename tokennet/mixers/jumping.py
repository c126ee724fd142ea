"""Mixers one after the other, whose results are all kept.

Axes: D channels.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import switch, value_error
from tokennet.mixers.base import Mixer, check_chain
from tokennet.mixers.combine import Composite
from tokennet.structure import Structure


class JumpingKnowledge(Composite):
    """y = [x_1, ..., x_n] or max(x_1, ..., x_n), with x_i = f_i(x_{i-1}), x_0 the input.

    Xu et al. 2018, "Representation learning on graphs with jumping knowledge networks". The maximum
    is taken channel by channel. Shapes: [*, D] -> [*, sum of the mixers' channels], or with
    `maximum` as many as each of them gives.
    """

    def __init__(self, *mixers: Mixer, maximum: bool = False):
        super().__init__(*mixers)
        self.maximum = switch("maximum", maximum)
        check_chain(self._numbered(), None)
        known = {w for w in self._widths(self.dim) if w is not None}
        if maximum and len(known) > 1:
            raise value_error("channels of the mixers", sorted(known), "one number, for a maximum")

    def _widths(self, dim: int | None) -> list[int | None]:
        widths = []
        for part in self.parts:
            dim = part.width(dim)
            widths.append(dim)
        return widths

    def width(self, dim: int | None) -> int | None:
        widths = self._widths(dim)
        if self.maximum:
            return next((w for w in widths if w is not None), None)
        known = [w for w in widths if w is not None]
        return sum(known) if len(known) == len(widths) else None

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        found = []
        for mixer in self.mixers:
            x = mixer(x, structure)
            found.append(x)
        return self._join(found)

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        found, after = [], []
        for part, own in zip(self.parts, state, strict=True):
            x, own = part.step(x, own)
            found.append(x)
            after.append(own)
        return self._join(found), after

    def _join(self, found: list[Tensor]) -> Tensor:
        return torch.stack(found).max(0).values if self.maximum else torch.cat(found, -1)
