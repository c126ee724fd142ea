"""Norms over all tokens of a sample: a padded token has no part in mean and variance.

Axes: B samples, D channels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive
from tokennet.laws import Permutation, closure
from tokennet.mixers import Mixer
from tokennet.net.norms import _small
from tokennet.ops import sample_mean
from tokennet.structure import Structure


class SampleNorm(Mixer):
    """y = w (x - m) / sqrt(v + eps) + b, m and v over all tokens and channels of each sample.

    `nn.GroupNorm(1, dim)` (Wu and He 2018, "Group normalization", with one group), PoolFormer's
    norm; PyG's `LayerNorm` with mode "graph" and `batch`. Tokens see each other, samples don't.
    Shapes: [*, D] -> [*, D].
    """

    claims = closure({Permutation()})

    def __init__(self, dim: int, *, eps: float = 1e-5):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.eps = _small("eps", eps)
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(
        self, x: Float[Tensor, "*tokens D"], structure: Structure
    ) -> Float[Tensor, "*tokens D"]:
        self.check(x, structure)
        layout = structure.layout
        if len(layout.shape) == 2 and layout.padded_valid is None and x.numel():
            image = x.transpose(1, 2).unflatten(2, (-1, 1))  # [B, D, N, 1], channels last
            y = F.group_norm(image, 1, self.weight, self.bias, self.eps)
            return y.flatten(2).transpose(1, 2)
        z = _wide(layout.clear(x))
        mean = sample_mean(z, layout).mean(-1, keepdim=True)  # [B, 1]
        gap = layout.clear(z - _spread(mean, structure))
        var = sample_mean(gap.square(), layout).mean(-1, keepdim=True)
        y = gap * _spread((var + self.eps).rsqrt(), structure) * self.weight + self.bias
        return y.to(x.dtype)


class GraphNorm(Mixer):
    """y = w z / sqrt(mean(z^2) + eps) + b, z = x - a m, means over the sample, channel by channel.

    Cai et al. 2021, "GraphNorm: a principled approach to accelerating graph neural network
    training" (equation 6); a is learned. Shapes: [*, D] -> [*, D].
    """

    claims = closure({Permutation()})

    def __init__(self, dim: int, *, eps: float = 1e-5):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.eps = _small("eps", eps)
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.mean_scale = nn.Parameter(torch.ones(dim))

    def forward(
        self, x: Float[Tensor, "*tokens D"], structure: Structure
    ) -> Float[Tensor, "*tokens D"]:
        self.check(x, structure)
        layout = structure.layout
        wide = _wide(layout.clear(x))
        z = layout.clear(wide - _spread(self.mean_scale * sample_mean(wide, layout), structure))
        var = sample_mean(z.square(), layout)  # [B, D]
        y = z * _spread((var + self.eps).rsqrt(), structure) * self.weight + self.bias
        return y.to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    """In float32 at least: sums of half precision lose."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _spread(rows: Float[Tensor, "B K"], structure: Structure) -> Float[Tensor, "*tokens K"]:
    """The number of each sample at each of its tokens."""
    return structure.layout.unflat(rows.index_select(0, structure.layout.sample))
