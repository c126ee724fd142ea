"""From tokens to answers.

Axes: B samples, D channels, O outputs.
"""

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, maker, positive, type_error, value_error
from tokennet.laws import Causality, Permutation, closure
from tokennet.mixers import Mixer
from tokennet.ops import sample_max, sample_mean, sample_sum, segment_softmax
from tokennet.structure import Padded, Structure

Norm = Callable[[int], nn.Module]


class _Readout(Mixer):
    """What readouts share: a norm of the tokens, then a map, a linear one where none is given.

    `norm=None` leaves the norm out. `map` is any module from `dim` to `out_dim` channels that
    takes each row by itself.
    """

    def __init__(
        self,
        dim: int,
        out_dim: int,
        *,
        norm: Norm | None = nn.LayerNorm,
        map: nn.Module | None = None,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", out_dim)
        self.norm: nn.Module = (
            nn.Identity() if norm is None else maker("norm", norm, "nn.LayerNorm")(dim)
        )
        if map is not None and not isinstance(map, nn.Module):
            raise type_error("map", kind_of(map), "a module or None", "e.g. nn.Linear(dim, 10)")
        self.map: nn.Module = nn.Linear(dim, out_dim) if map is None else map


class MeanReadout(_Readout):
    """W mean_i norm(x_i) + b over the real tokens: `[*, D] -> [B, O]`; an empty sample gives b."""

    claims = closure({Permutation()})
    pooled = True

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        return self.map(sample_mean(self.norm(x), structure.layout))


class SumReadout(_Readout):
    """W sum_i norm(x_i) + b over the real tokens: `[*, D] -> [B, O]`; it can count them.

    Zaheer et al. 2017, "Deep sets" (theorem 2); Xu et al. 2019, "How powerful are graph neural
    networks?" (section 5.2).
    """

    claims = closure({Permutation()})
    pooled = True

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        return self.map(sample_sum(self.norm(x), structure.layout))


class MaxReadout(_Readout):
    """W max_i norm(x_i) + b, channel by channel: `[*, D] -> [B, O]`; an empty sample gives b.

    Qi et al. 2017, "PointNet" (equation 1).
    """

    claims = closure({Permutation()})
    pooled = True

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        return self.map(sample_max(self.norm(x), structure.layout))


class GatedReadout(_Readout):
    """W sum_i softmax_i(g(x_i)) norm(x_i) + b, the softmax over the sample: `[*, D] -> [B, O]`.

    Li et al. 2019, "Graph matching networks" (equation 3), with a softmax; PyG's
    `AttentionalAggregation`. An empty sample gives b.

    Args:
        gate: g, a token-wise module to one channel, or to D: then each channel has weights of its
            own; None: a linear map to one.
    """

    claims = closure({Permutation()})
    pooled = True

    def __init__(
        self,
        dim: int,
        out_dim: int,
        *,
        gate: nn.Module | None = None,
        norm: Norm | None = nn.LayerNorm,
    ):
        super().__init__(dim, out_dim, norm=norm)
        if gate is not None and not isinstance(gate, nn.Module):
            raise type_error("gate", kind_of(gate), "a module or None", "e.g. nn.Linear(dim, 1)")
        self.gate: nn.Module = nn.Linear(dim, 1) if gate is None else gate

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        layout = structure.layout
        x = layout.clear(x)
        score = self.gate(x)
        if score.shape[-1] not in (1, x.shape[-1]):
            allowed = f"1 or {x.shape[-1]}"
            raise value_error("channels that gate gives", score.shape[-1], allowed)
        score = layout.flat(score.masked_fill(~layout.valid[..., None], -math.inf))
        weights = layout.unflat(segment_softmax(score, layout.sample, layout.batch))
        return self.map(sample_sum(weights * self.norm(x), layout))


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
