"""The norm of Llama and T5, as they round it.

Axes: D channels.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, switch, type_error, value_error


class RoundedRMSNorm(nn.Module):
    """w x / sqrt(mean(x^2) + eps) with the root in float32, whatever the dtype of x.

    Zhang and Sennrich 2019, "Root mean square layer normalization" (equation 4), as Llama and T5
    compute it: published weights learned with this rounding. In float64 `nn.RMSNorm` is exact
    where this is off by up to 6e-8 of a number. Shapes: [*, D] -> [*, D].

    Args:
        statistics_only: x itself keeps its dtype (T5); else it is rounded too (Llama).
    """

    def __init__(self, dim: int, *, eps: float = 1e-6, statistics_only: bool = False):
        super().__init__()
        self.dim = positive("dim", dim)
        if isinstance(eps, bool) or not isinstance(eps, (int, float)):
            raise type_error("eps", repr(eps), "a number from 0")
        if not 0 <= eps < math.inf:
            raise value_error("eps", eps, "a number from 0")
        self.eps = float(eps)
        self.statistics_only = switch("statistics_only", statistics_only)
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "*tokens D"]) -> Float[Tensor, "*tokens D"]:
        rounded = x.to(torch.float32)
        root = torch.rsqrt(rounded.pow(2).mean(-1, keepdim=True) + self.eps)
        y = (x if self.statistics_only else rounded) * root
        return self.weight * y.to(x.dtype)

    def extra_repr(self) -> str:
        only = ", statistics_only=True" if self.statistics_only else ""
        return f"{self.dim}, eps={self.eps}{only}"
