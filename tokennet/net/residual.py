"""A mixer with a norm inside a residual: where the norm stands, and what is done to the branch.

Axes: B samples, D channels.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import maker, positive, probability, type_error, value_error
from tokennet.laws import Causality, Permutation, closure
from tokennet.mixers import Mixer
from tokennet.mixers.base import add, as_mixer
from tokennet.mixers.combine import Composed
from tokennet.structure import Structure

Norm = Callable[[int], nn.Module]
Run = Callable[[nn.Module, Tensor], Tensor]


class _Residual(Composed):
    """What the placements of the norm share; f is the mixer.

    Args:
        norm: called with `dim`; a token-wise module, or a mixer such as `BatchNorm`, which then
            gets the structure and takes part in what is claimed; `nn.Identity`: no norm.
        dropout: of the branch's entries in train mode.
        layer_scale: what diag(s) begins with, in s * f(.) with a learned s for each channel
            (Touvron et al. 2021, "Going deeper with image transformers", equation 8); None: no s.
        drop_path: probability that in train mode a sample leaves the branch out; where it is kept
            it is divided by 1 - drop_path (Huang et al. 2016, "Deep networks with stochastic
            depth").
    """

    dim: int | None = None
    norms: ClassVar[int] = 1

    def __init__(
        self,
        dim: int,
        mixer: Mixer,
        *,
        norm: Norm = nn.LayerNorm,
        dropout: float = 0.0,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.mixer = as_mixer("mixer", mixer)
        for name, size in (("dim", mixer.dim), ("out_dim", mixer.width(dim))):
            if size is not None and size != dim:
                inner, outer = type(mixer).__name__, type(self).__name__
                hint = "a residual adds output and input"
                raise value_error(f"{name} of {inner}", size, f"{dim}, the dim of {outer}", hint)
        if mixer.pooled:
            raise value_error("mixer", type(mixer).__name__, "a mixer with a row for each token")
        self.norm = maker("norm", norm, "nn.LayerNorm")(dim)
        if self.norms == 2:
            self.second_norm = norm(dim)
        self.dropout = nn.Dropout(probability("dropout", dropout))
        self.scale = None if layer_scale is None else _scale(dim, layer_scale)
        self.drop_path = _DropPath(drop_path) if probability("drop_path", drop_path) else None

    @property
    def parts(self) -> list[Mixer]:
        """The mixer, and a norm that is one."""
        return [child for child in self.children() if isinstance(child, Mixer)]

    @abstractmethod
    def _place(self, x: Tensor, run: Run) -> Tensor:
        """The formula; `run(part, z)` calls a norm or a mixer, on all tokens or on the next."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        def run(part: nn.Module, z: Tensor) -> Tensor:
            return part(z, structure) if isinstance(part, Mixer) else part(z)

        return self._place(x, run)

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        parts, after = self.parts, list(state)

        def run(part: nn.Module, z: Tensor) -> Tensor:
            if not isinstance(part, Mixer):
                return part(z[:, None])[:, 0]
            i = parts.index(part)
            z, after[i] = part.step(z, after[i])
            return z

        return self._place(x, run), after

    def _branch(self, y: Tensor, run: Run) -> Tensor:
        """What becomes of the branch before it is added."""
        y = self.dropout(y)
        if self.scale is not None:
            y = self.scale * y
        return y if self.drop_path is None else run(self.drop_path, y)

    def _sum(self, x: Tensor, y: Tensor, run: Run) -> Tensor:
        """x and the branch y together."""
        return add(x, self._branch(y, run), type(self.mixer).__name__)


class PreNorm(_Residual):
    """x + f(norm(x)): ViT, GPT-2 (Xiong et al. 2020, "On layer normalization")."""

    def _place(self, x: Tensor, run: Run) -> Tensor:
        return self._sum(x, run(self.mixer, run(self.norm, x)), run)


class PostNorm(_Residual):
    """norm(x + f(x)): the transformer of 2017, BERT."""

    def _place(self, x: Tensor, run: Run) -> Tensor:
        return run(self.norm, self._sum(x, run(self.mixer, x), run))


class ResPostNorm(_Residual):
    """x + norm(f(x)): Swin v2 (Liu et al. 2022); not the same as post-norm."""

    def _place(self, x: Tensor, run: Run) -> Tensor:
        return self._sum(x, run(self.norm, run(self.mixer, x)), run)


class SandwichNorm(_Residual):
    """x + norm2(f(norm1(x))): CogView (Ding et al. 2021, "Mastering text-to-image generation").

    The two norms have weights of their own.
    """

    norms = 2

    def _place(self, x: Tensor, run: Run) -> Tensor:
        y = run(self.mixer, run(self.norm, x))
        return self._sum(x, run(self.second_norm, y), run)


class NoResidual(_Residual):
    """f(norm(x)): the skip connection switched off, to see what it is good for.

    Nothing would be left of a sample that leaves the branch out, so there is no `drop_path`.
    """

    def __init__(
        self,
        dim: int,
        mixer: Mixer,
        *,
        norm: Norm = nn.LayerNorm,
        dropout: float = 0.0,
        layer_scale: float | None = None,
    ):
        super().__init__(dim, mixer, norm=norm, dropout=dropout, layer_scale=layer_scale)

    def _place(self, x: Tensor, run: Run) -> Tensor:
        return self._branch(run(self.mixer, run(self.norm, x)), run)


class _DropPath(Mixer):
    """Zeros for samples chosen at random, y / (1 - p) for the others; in eval mode y."""

    claims = closure({Permutation(), Causality()})

    def __init__(self, p: float):
        super().__init__()
        self.dropout = nn.Dropout(p)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        if not self.training:
            return x
        layout = structure.layout
        keep = self.dropout(x.new_ones(layout.batch))
        return x * keep[layout.sample].view(*layout.shape, 1)

    def start(self, structure: Structure) -> None:
        return None

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B D"], Any]:
        return x * self.dropout(x.new_ones(len(x), 1)), state


def _scale(dim: int, start: float) -> nn.Parameter:
    if isinstance(start, bool) or not isinstance(start, (int, float)):
        raise type_error("layer_scale", repr(start), "a number or None", "e.g. 1e-4")
    if not math.isfinite(start):
        raise value_error("layer_scale", start, "a finite number", "e.g. 1e-4")
    return nn.Parameter(torch.full((dim,), float(start)))
