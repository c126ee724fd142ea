"""The common block: mixers, each with a norm and a residual, then an MLP over the channels.

Axes: D channels.
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from tokennet.checks import positive, type_error, value_error
from tokennet.mixers import Mixer, Pointwise
from tokennet.mixers.base import as_mixer
from tokennet.mixers.combine import Composite, step_through
from tokennet.net.residual import PreNorm
from tokennet.structure import Structure


class Block(Composite):
    """Each mixer in turn, then a channel MLP, each inside `residual`.

    `Block(dim, Attention(dim, 8))` is a transformer's encoder layer, with `TokenMLP` MLP-Mixer's,
    with `Parallel(GraphConvolution(dim), Attention(dim, 8))` a GPS layer; with
    `Attention(dim, 8, Causal()), Attention(dim, 8, Memory())` a decoder layer.

    Args:
        mlp: the channel MLP, a token-wise mixer; None: `Pointwise(dim, 4 * dim)`.
        residual: `PreNorm`, `PostNorm`, `ResPostNorm`, `SandwichNorm`, `NoResidual` or any function
            (dim, mixer, dropout=) that wraps a mixer; `functools.partial(PreNorm, norm=nn.RMSNorm,
            layer_scale=1e-4, drop_path=0.1)` chooses what it takes.
        dropout: of each branch, and of the MLP's hidden layer.
    """

    def __init__(
        self,
        dim: int,
        *mixers: Mixer,
        mlp: Mixer | None = None,
        residual: Callable[..., Mixer] = PreNorm,
        dropout: float = 0.0,
    ):
        positive("dim", dim)
        if not mixers:
            raise value_error("mixers", "()", "at least one mixer", "e.g. tn.Attention(dim, 8)")
        if isinstance(residual, str) or not callable(residual):
            allowed = "PreNorm, PostNorm or ResPostNorm, the class"
            raise type_error("residual", repr(residual), allowed)
        last = Pointwise(dim, 4 * dim, dropout=dropout) if mlp is None else mlp
        checked = [as_mixer(f"mixers[{i}]", m) for i, m in enumerate(mixers)]
        checked.append(as_mixer("mlp", last))
        super().__init__(*(residual(dim, m, dropout=dropout) for m in checked))

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        for mixer in self.mixers:
            x = mixer(x, structure)
        return x

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B D"], Any]:
        return step_through(self.parts, x, state)
