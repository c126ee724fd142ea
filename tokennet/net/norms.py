"""Norms that need to know which rows are real.

Axes: D channels.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, probability, type_error, value_error
from tokennet.laws import Permutation, closure
from tokennet.mixers import Mixer
from tokennet.structure import Structure


class BatchNorm(Mixer):
    """y = w (x - m) / sqrt(v + eps) + b, with mean m and variance v of each channel.

    Ioffe and Szegedy 2015, "Batch normalization", algorithm 1. In train mode m and v are those of
    all real tokens of the batch: so its samples see each other (`couples_samples`), and earlier
    tokens see later ones. Then the running statistics move by `momentum`, v without bias. In eval
    mode m and v are the running statistics, and every token stands by itself. Equal to
    `nn.BatchNorm1d` on the real rows; beyond it, a single token gives b and none gives none, and
    both leave the running statistics as they are. Shapes: [*, D] -> [*, D].
    """

    claims = closure({Permutation()})
    couples_samples = True
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, dim: int, *, momentum: float = 0.1, eps: float = 1e-5):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.momentum = 1.0 if momentum == 1 else probability("momentum", momentum)
        self.eps = _small("eps", eps)
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(
        self, x: Float[Tensor, "*tokens D"], structure: Structure
    ) -> Float[Tensor, "*tokens D"]:
        self.check(x, structure)
        layout = structure.layout
        rows = layout.flat(layout.clear(x))
        if not self.training:
            y = (rows - self.running_mean) * (self.weight * (self.running_var + self.eps).rsqrt())
            return layout.unflat(y + self.bias).to(x.dtype)
        real = layout.valid.flatten()[:, None]
        z = rows.to(torch.promote_types(x.dtype, torch.float32))  # sums of half precision lose
        count = real.sum().to(z.dtype)
        mean = z.sum(0) / count.clamp(min=1)
        gap = (z - mean) * real  # zero at padding, which so has no part in the variance
        var = gap.square().sum(0) / count.clamp(min=1)
        self._follow(mean, var, count)
        y = gap * (var + self.eps).rsqrt() * self.weight + self.bias
        return layout.unflat(y.to(x.dtype))

    @torch.no_grad()
    def _follow(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        """Moves the running statistics; one token has no variance."""
        step = self.momentum * (count > 1).to(count)
        unbiased = var * count / (count - 1).clamp(min=1)
        for running, new in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.add_((step * (new - running)).to(running.dtype))


def _small(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise type_error(name, repr(value), "a number above 0")
    if not value > 0:
        raise value_error(name, value, "a number above 0")
    return float(value)
