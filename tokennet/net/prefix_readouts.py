"""Readouts that tell the first tokens of a sample from the others.

Axes: B samples, N tokens of the longest sample, P tokens in front, D channels, O outputs.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, maker, positive, type_error, value_error
from tokennet.mixers import Mixer
from tokennet.net.readouts import Norm, _Readout
from tokennet.structure import Structure


class PrefixReadout(Mixer):
    """(1/P) sum_p map_p(norm(x_p)) over the first P tokens of each sample: `[*, D] -> [B, O]`.

    DeiT with distillation (Touvron et al. 2021, "Training data-efficient image transformers",
    section 4): the mean of what the head of the class token and the head of the distillation token
    say, each token put there by a `ClassToken`. Missing tokens are read as zeros.

    Args:
        maps: one module for each of the P tokens, from `dim` to `out_dim` channels.
        norm: of the tokens; None: none.
    """

    reads = frozenset({"position"})
    pooled = True

    def __init__(
        self,
        dim: int,
        out_dim: int,
        maps: Sequence[nn.Module],
        *,
        norm: Norm | None = nn.LayerNorm,
    ):
        super().__init__()
        self.dim, self.out_dim = positive("dim", dim), positive("out_dim", out_dim)
        self.norm: nn.Module = (
            nn.Identity() if norm is None else maker("norm", norm, "nn.LayerNorm")(dim)
        )
        if not isinstance(maps, Sequence | nn.ModuleList) or not len(maps):
            hint = "e.g. [nn.Linear(64, 10)]"
            raise value_error("maps", kind_of(maps), "a module for each token", hint)
        for i, module in enumerate(maps):
            if not isinstance(module, nn.Module):
                raise type_error(f"maps[{i}]", kind_of(module), "a module")
        self.maps = nn.ModuleList(maps)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        count = len(self.maps)
        front = structure.layout.compact(x)[:, :count]  # [B, P, D]
        front = self.norm(F.pad(front, (0, 0, 0, count - front.shape[1])))
        each = [module(front[:, i]) for i, module in enumerate(self.maps)]
        return torch.stack(each).sum(0) / count


class RestReadout(_Readout):
    """map(mean_i norm(x_i)) over all tokens but the first `skip`: `[*, D] -> [B, O]`.

    ViTs that keep a class token or registers and yet average the patches (He et al. 2022, "Masked
    autoencoders", appendix A.1). A sample with no more tokens gives map(0).
    """

    reads = frozenset({"position"})
    pooled = True

    def __init__(
        self,
        dim: int,
        out_dim: int,
        skip: int,
        *,
        norm: Norm | None = nn.LayerNorm,
        map: nn.Module | None = None,
    ):
        super().__init__(dim, out_dim, norm=norm, map=map)
        self.skip = positive("skip", skip, minimum=0)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        layout = structure.layout
        y = self.norm(layout.compact(x)[:, self.skip :])  # [B, N - skip, D]
        count = (layout.lengths - self.skip).clamp_min(0)[:, None]  # [B, 1]
        if layout.padded_valid is not None:
            real = torch.arange(y.shape[1], device=x.device) < count
            y = y.masked_fill(~real[..., None], 0)
        return self.map(y.sum(1) / count.clamp_min(1).to(y.dtype))
