"""Mixing by the Fourier transform, without any weights.

Axes: B samples, N tokens of the padded view, D channels.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokennet.mixers.base import Mixer
from tokennet.ops import reference
from tokennet.ops.backend import is_reference, record_flops
from tokennet.structure import Structure


class FourierMixing(Mixer):
    """y = Re(F_n x F_D): the discrete Fourier transform over the channels and over the tokens.

    FNet: Lee-Thorp et al. 2022, "FNet: Mixing tokens with Fourier transforms" (equation 3). n is
    each sample's own length, whatever the padding: with samples of several lengths the transforms
    over tokens are products with `[n, n]` matrices, O(N^2 D). It knows every position, so it keeps
    no symmetry. `dim` is any. Shapes: [*, D] -> [*, D].
    """

    reads = frozenset({"position"})

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        front = layout.compact(x)  # [B, N, D]
        if front.dtype in (torch.float16, torch.bfloat16):  # of which torch has no transform
            front = front.float()
        if is_reference():
            y = reference.fourier_mix(front, layout.lengths)
        elif layout.padded_valid is None and front.numel():
            if not torch.compiler.is_compiling():  # which would compile for this size alone
                size = front.shape[1] * front.shape[2]
                record_flops(round(5 * front.numel() * math.log2(size)))  # of a fast transform
            y = torch.fft.fft2(front, dim=(1, 2)).real
        else:
            y = _by_matrices(front, layout.lengths)
        return layout.spread(y.to(x.dtype))


def _by_matrices(x: Float[Tensor, "B N D"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B N D"]:
    """Re((C - iS) x (C' - iS')) = C x C' - S x S', C and S of each sample's own length."""
    channels = torch.full((1,), max(x.shape[2], 1), device=x.device)
    c, s = (t[0] for t in _waves(x.shape[2], channels, x.dtype))  # [D, D]
    tokens_c, tokens_s = _waves(x.shape[1], lengths.clamp_min(1), x.dtype)  # [B, N, N]
    return tokens_c @ (x @ c) - tokens_s @ (x @ s)


def _waves(
    size: int, lengths: Int[Tensor, " B"], dtype: torch.dtype
) -> tuple[Float[Tensor, "B N N"], Float[Tensor, "B N N"]]:
    """Cosine and sine of 2 pi k m / n for k, m < size."""
    place = torch.arange(size, device=lengths.device)
    turn = (place[:, None] * place) % lengths[:, None, None]  # whole, so that long ones are exact
    angle = turn.double() * (2 * math.pi) / lengths[:, None, None]
    return angle.cos().to(dtype), angle.sin().to(dtype)
