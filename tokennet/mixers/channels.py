"""Token-wise modules for tokens [x, c] that carry a code c beside their content x.

With them attention adds a code to queries and keys and to nothing else, in every layer anew, as in
DETR (Carion et al. 2020, "End-to-end object detection with transformers", figure 10):
`Attention(2 * dim, Heads(h, head_dim=dim // h)).with_maps(query=nn.Sequential(AddedCode(dim), ...),
value=nn.Sequential(FirstChannels(dim), ...), output=nn.Sequential(..., ThenZeros(dim)))`.

Axes: D channels in, O channels out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error


class FirstChannels(nn.Module):
    """x of [x, c]: the first `count` channels."""

    def __init__(self, count: int):
        super().__init__()
        self.count = positive("count", count)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any O"]:
        _check(x, self.count)
        return x[..., : self.count]

    def extra_repr(self) -> str:
        return str(self.count)


class AddedCode(nn.Module):
    """x + c of [x, c], of `count` channels each."""

    def __init__(self, count: int):
        super().__init__()
        self.count = positive("count", count)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any O"]:
        if x.shape[-1] != 2 * self.count:
            raise value_error("channels of [x, c]", x.shape[-1], f"twice {self.count}")
        return x[..., : self.count] + x[..., self.count :]

    def extra_repr(self) -> str:
        return str(self.count)


class ThenZeros(nn.Module):
    """[x, 0]: `count` zeros behind, so that a residual leaves the code as it is."""

    def __init__(self, count: int):
        super().__init__()
        self.count = positive("count", count)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any O"]:
        return F.pad(x, (0, self.count))

    def extra_repr(self) -> str:
        return str(self.count)


class OnFirst(nn.Module):
    """[f(x), c] of [x, c]: a module for the first `count` channels, such as a norm."""

    def __init__(self, module: nn.Module, count: int):
        super().__init__()
        if not isinstance(module, nn.Module):
            raise type_error("module", kind_of(module), "a module", "e.g. nn.LayerNorm(count)")
        self.module = module
        self.count = positive("count", count)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any O"]:
        _check(x, self.count)
        return torch.cat([self.module(x[..., : self.count]), x[..., self.count :]], -1)


def _check(x: Tensor, count: int) -> None:
    if x.shape[-1] < count:
        raise value_error("channels of x", x.shape[-1], f"at least {count}")
