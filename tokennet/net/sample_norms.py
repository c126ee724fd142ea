"""Norms over all tokens of a sample.

Axes: B samples, T rows of the flat view, D channels.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive
from tokennet.laws import Permutation, closure
from tokennet.mixers import Mixer
from tokennet.net.norms import _small
from tokennet.ops import sample_mean
from tokennet.structure import Structure


class _SampleNorm(Mixer, ABC):
    """What the two share; a padded token has no part in mean and variance."""

    claims = closure({Permutation()})

    def __init__(self, dim: int, *, eps: float = 1e-5):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.eps = _small("eps", eps)
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    @abstractmethod
    def _mean(self, x: Tensor, structure: Structure) -> Tensor:
        """The mean of each sample, `[B, D]` or `[B, 1]`."""

    @abstractmethod
    def _shift(self, mean: Tensor) -> Tensor:
        """What is taken away of the tokens."""

    def forward(
        self, x: Float[Tensor, "*tokens D"], structure: Structure
    ) -> Float[Tensor, "*tokens D"]:
        self.check(x, structure)
        layout = structure.layout
        x = layout.clear(x)
        z = layout.flat(x) - self._spread(self._shift(self._mean(x, structure)), structure)
        var = self._mean(layout.unflat(z.square()), structure)
        y = z * self._spread((var + self.eps).rsqrt(), structure) * self.weight + self.bias
        return layout.unflat(y)

    def _spread(self, rows: Tensor, structure: Structure) -> Float[Tensor, "T D"]:
        return rows.index_select(0, structure.layout.sample)


class SampleNorm(_SampleNorm):
    """y = w (x - m) / sqrt(v + eps) + b, m and v over all tokens and channels of the sample.

    A layer norm of the whole sample: PyG's `LayerNorm` with mode "graph" and `batch`. Shapes:
    [*, D] -> [*, D].
    """

    def _mean(self, x: Tensor, structure: Structure) -> Tensor:
        return sample_mean(x, structure.layout).mean(-1, keepdim=True)

    def _shift(self, mean: Tensor) -> Tensor:
        return mean


class GraphNorm(_SampleNorm):
    """y = w z / sqrt(mean(z^2) + eps) + b, z = x - a m, means over the sample, channel by channel.

    Cai et al. 2021, "GraphNorm: a principled approach to accelerating graph neural network
    training" (equation 6); a is learned. Shapes: [*, D] -> [*, D].
    """

    def __init__(self, dim: int, *, eps: float = 1e-5):
        super().__init__(dim, eps=eps)
        self.mean_scale = nn.Parameter(torch.ones(dim))

    def _mean(self, x: Tensor, structure: Structure) -> Tensor:
        return sample_mean(x, structure.layout)

    def _shift(self, mean: Tensor) -> Tensor:
        return self.mean_scale * mean
