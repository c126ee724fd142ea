"""From tokens to answers.

Axes: B samples, D channels, O outputs.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import maker, positive
from tokennet.laws import Causality, Permutation, closure
from tokennet.mixers import Mixer
from tokennet.ops import sample_mean
from tokennet.structure import Padded, Structure

Norm = Callable[[int], nn.Module]


class _Readout(Mixer):
    """What readouts share: a norm of the tokens, then a linear map. `norm=None` leaves it out."""

    def __init__(self, dim: int, out_dim: int, *, norm: Norm | None = nn.LayerNorm):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", out_dim)
        self.norm: nn.Module = (
            nn.Identity() if norm is None else maker("norm", norm, "nn.LayerNorm")(dim)
        )
        self.map = nn.Linear(dim, out_dim)


class MeanReadout(_Readout):
    """W mean_i norm(x_i) + b over the real tokens: `[*, D] -> [B, O]`; an empty sample gives b."""

    claims = closure({Permutation()})
    pooled = True

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        return self.map(sample_mean(self.norm(x), structure.layout))


class ClassReadout(_Readout):
    """W norm(x_0) + b of the first real token, put there by `ClassToken`: `[*, D] -> [B, O]`.

    An empty sample is read as a token of zeros.
    """

    reads = frozenset({"position"})
    pooled = True

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        layout = structure.layout
        if layout.rows == 0:
            first = x.new_zeros(layout.batch, x.shape[-1])
        elif isinstance(layout, Padded):
            first = layout.compact(x)[:, 0]
        else:
            first = x.index_select(0, layout.ptr[:-1].long().clamp(max=layout.rows - 1))
            first = first.masked_fill(layout.lengths[:, None] == 0, 0)
        return self.map(self.norm(first))


class TokenReadout(_Readout):
    """W norm(x_i) + b for every token: `[*, D] -> [*, O]`."""

    claims = closure({Permutation(), Causality()})

    def forward(
        self, x: Float[Tensor, "*tokens D"], structure: Structure
    ) -> Float[Tensor, "*tokens O"]:
        self.check(x, structure)
        return self.map(self.norm(x))
