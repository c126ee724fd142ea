"""Features of queries and keys, whose dot products are the weights of linear attention.

Axes: D channels of a head, F features.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error


class FeatureMap(nn.Module, ABC):
    """Nonnegative features of keys, `[..., D] -> [..., F]`, each row by itself.

    Write `forward`. The weight of a pair is queries(q) . forward(k), over the sum of the weights;
    so all keys may be off by one common factor, and each query by one of its own.
    """

    head_dim: int | None = None
    """Channels of a head that it takes; None: any."""

    @abstractmethod
    def forward(self, k: Float[Tensor, "... D"]) -> Float[Tensor, "... F"]:
        """Features of keys."""

    def queries(self, q: Float[Tensor, "... D"]) -> Float[Tensor, "... F"]:
        """Features of queries; the same as those of keys unless written otherwise."""
        return self(q)


class EluFeatures(FeatureMap):
    """elu(x) + 1: Katharopoulos et al. 2020, "Transformers are RNNs", equation 7. F = D."""

    def forward(self, k: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        return F.elu(k) + 1


class _RandomFeatures(FeatureMap):
    """Random directions w `[F, D]`, standard normal, drawn once and kept with the weights.

    Args:
        orthogonal: D directions at a time are orthogonal (with the lengths of independent ones):
            a smaller error for the same number (section 4.2 of the paper).
        generator: of the random numbers; None: torch's own.
    """

    weight: Tensor

    def __init__(
        self,
        head_dim: int,
        num_features: int,
        *,
        orthogonal: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.head_dim = positive("head_dim", head_dim)
        self.num_features = positive("num_features", num_features)
        self.orthogonal = bool(orthogonal)
        self.register_buffer("weight", torch.zeros(num_features, head_dim))
        self.redraw(generator)

    @torch.no_grad()
    def redraw(self, generator: torch.Generator | None = None) -> None:
        """New random directions, as between steps of a training."""
        if generator is not None and not isinstance(generator, torch.Generator):
            raise type_error("generator", kind_of(generator), "a torch.Generator or None")
        device = None if generator is None else generator.device
        size, dim = self.weight.shape
        normal = torch.randn(size, dim, generator=generator, device=device, dtype=torch.float64)
        if self.orthogonal:
            blocks = math.ceil(size / dim)
            square = torch.randn(
                blocks, dim, dim, generator=generator, device=device, dtype=torch.float64
            )
            q, r = torch.linalg.qr(square)
            # the signs make q uniform over all rotations, whatever the factorisation does
            q = q * torch.diagonal(r, dim1=-2, dim2=-1).sign()[:, None]
            normal = q.flatten(0, 1)[:size] * normal.norm(dim=1, keepdim=True)
        self.weight.copy_(normal)


class PositiveRandomFeatures(_RandomFeatures):
    """exp(w.x - |x|^2 / 2) / sqrt(F), x = k / D^(1/4): on average, dots are exp(q.k / sqrt(D)).

    FAVOR+: Choromanski et al. 2021, "Rethinking attention with performers" (equations 5 to 7, and
    10 for `orthogonal`). The mean square error of a dot product falls as 1 / F.

    All features of keys share the factor exp(-s), s from the directions alone (0 unless one is
    longer than about 9 in float32): w.x - |x|^2 / 2 <= |w|^2 / 2, so nothing overflows, and nothing
    depends on other tokens. Each query has its own factor: its largest feature is 1. Features of
    queries below about 3e-14, and of keys below about 5e-20 (in float32), are 0. So a key with
    |k|^2 / sqrt(D) far above |w|^2 is not heard at all; a query that hears no key gets 0.
    """

    def forward(self, k: Float[Tensor, "... D"]) -> Float[Tensor, "... F"]:
        wide = at_least_float32(k)
        x = wide / self._root
        exponent = self._project(x) - x.square().sum(-1, keepdim=True) / 2
        largest = self.weight.to(x.dtype).square().sum(1).amax() / 2
        limit = math.log(torch.finfo(x.dtype).max)
        exponent = exponent - (largest - 0.45 * limit).clamp_min(0)
        # products of features stay above the smallest normal number: no sums of rounding errors
        y = _exp_above(exponent, -0.5 * limit) / math.sqrt(self.num_features)
        return y.to(k.dtype)

    def queries(self, q: Float[Tensor, "... D"]) -> Float[Tensor, "... F"]:
        wide = at_least_float32(q)
        exponent = self._project(wide / self._root)
        exponent = exponent - exponent.detach().amax(-1, keepdim=True)
        return _exp_above(exponent, -0.35 * math.log(torch.finfo(wide.dtype).max)).to(q.dtype)

    @property
    def _root(self) -> float:
        return (self.head_dim or 1) ** 0.25

    def _project(self, x: Tensor) -> Tensor:
        return x @ self.weight.to(x.dtype).T


class ReluFeatures(_RandomFeatures):
    """relu(w.x) + offset: generalised attention of Choromanski et al. 2021 (section 2.2).

    It approximates no softmax. PyG's `PerformerAttention` has it, with directions of length 1.
    """

    def __init__(
        self,
        head_dim: int,
        num_features: int,
        *,
        orthogonal: bool = True,
        offset: float = 1e-3,
        generator: torch.Generator | None = None,
    ):
        super().__init__(head_dim, num_features, orthogonal=orthogonal, generator=generator)
        if isinstance(offset, bool) or not isinstance(offset, (int, float)):
            raise type_error("offset", repr(offset), "a number")
        if not 0 <= offset < math.inf:
            raise value_error("offset", offset, "a finite number, at least 0")
        self.offset = float(offset)

    def forward(self, k: Float[Tensor, "... D"]) -> Float[Tensor, "... F"]:
        return (k @ self.weight.to(k.dtype).T).relu() + self.offset


def at_least_float32(x: Tensor) -> Tensor:
    """x, or in float32 where it has fewer bits: sums and exponents need them."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _exp_above(exponent: Tensor, low: float) -> Tensor:
    """exp, and exactly 0 below `low`."""
    return exponent.exp().masked_fill(exponent < low, 0)
