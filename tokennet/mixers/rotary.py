"""What is done to queries and keys before their dot product.

Axes: B samples, b B or 1, N tokens, T rows of the flat view, H heads, D channels of a head,
R channels that turn.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokennet.checks import maker, positive, type_error, value_error
from tokennet.mixers.score import CAUSAL_ONLY, Place, QueryKeyMap


class Rotary(QueryKeyMap):
    """Turns each pair of channels by position * base**(-2r/R): scores then know only offsets.

    Su et al. 2021, "RoFormer" (equations 13 to 15). Channel r turns together with r + R/2, as in
    Llama and GPT-NeoX (the paper's r and r + 1 with the channels in another order).

    Args:
        rotary_dim: channels that turn, the first ones; by default all. R.
        angles: dtype in which angles are computed: float64, since positions grow large. In float32
            they are off by up to 3e-8 times the position; published weights learned with those.
            None: that of the queries, float32 at least, from frequencies in float32 (a buffer of
            the model, as in x-transformers).
    """

    claims = CAUSAL_ONLY
    reads = frozenset({"position"})

    def __init__(
        self,
        head_dim: int,
        *,
        rotary_dim: int | None = None,
        base: float = 10_000.0,
        angles: torch.dtype | None = torch.float64,
    ):
        super().__init__()
        self.head_dim = positive("head_dim", head_dim)
        name = "head_dim" if rotary_dim is None else "rotary_dim"
        self.rotary_dim = positive(name, head_dim if rotary_dim is None else rotary_dim)
        if self.rotary_dim % 2:
            raise value_error(name, self.rotary_dim, "an even number", "channels turn in pairs")
        if self.rotary_dim > head_dim:
            raise value_error("rotary_dim", rotary_dim, f"at most head_dim ({head_dim})")
        if isinstance(base, bool) or not isinstance(base, (int, float)):
            raise type_error("base", repr(base), "a number greater than 1")
        if not 1 < base < math.inf:
            raise value_error("base", base, "a number greater than 1")
        if angles not in (torch.float32, torch.float64, None):
            raise value_error("angles", angles, "torch.float64, torch.float32 or None")
        self.base, self.angles = float(base), angles

    def forward(self, q: Tensor, k: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        if q.shape[-1] != self.head_dim:
            raise value_error("head_dim of Rotary", self.head_dim, f"{q.shape[-1]}, a head's")
        target, source = place.positions
        own = self._waves(q, target)
        return _turned(q, *own), _turned(k, *(own if source is target else self._waves(k, source)))

    def turn(
        self, x: Float[Tensor, "*tokens H D"], position: Int[Tensor, "*places"]
    ) -> Float[Tensor, "*tokens H D"]:
        """x with its channels turned by the angles of the positions."""
        return _turned(x, *self._waves(x, position))

    def frequencies(self, device: torch.device | None = None) -> Float[Tensor, "R_half"]:
        """Angle from one position to the next, for each pair of channels."""
        half = self.rotary_dim // 2
        step = torch.arange(half, device=device, dtype=self.angles or torch.float32) / half
        return 1.0 / self.base**step

    def _waves(self, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """[cos, cos] and [-sin, sin] of the angles of each position, `[..., 1, R]`, like x."""
        dtype = self.angles or torch.promote_types(x.dtype, torch.float32)
        turns = self.frequencies(x.device).to(dtype)
        angle = position.to(dtype)[..., None, None] * turns  # [..., 1, R/2]
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    size = cos.shape[-1]
    part = x if size == x.shape[-1] else x[..., :size]
    other = torch.cat([part[..., size // 2 :], part[..., : size // 2]], -1)
    y = part * cos + other * sin
    return y if part is x else torch.cat([y, x[..., size:]], -1)


class QueryKeyNorm(QueryKeyMap):
    """Norms of queries and of keys, each its own, over the channels of a head.

    Dehghani et al. 2023, "Scaling vision transformers to 22 billion parameters": keeps scores from
    growing without bound. `norm(head_dim)` makes one; `nn.RMSNorm` as in Qwen 3.
    """

    def __init__(self, head_dim: int, *, norm: Callable[[int], nn.Module] = nn.LayerNorm):
        super().__init__()
        make = maker("norm", norm, "nn.LayerNorm")
        self.head_dim = positive("head_dim", head_dim)
        self.query, self.key = make(head_dim), make(head_dim)

    def forward(self, q: Tensor, k: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        return self.query(q), self.key(k)
