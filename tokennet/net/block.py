"""The common block: mixers, each with a norm and a residual, then an MLP over the channels.

Axes: D channels.
"""

from abc import ABC
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import maker, positive, probability, type_error, value_error
from tokennet.mixers import Mixer, Pointwise
from tokennet.mixers.base import add, as_mixer
from tokennet.mixers.combine import Composite
from tokennet.structure import Structure

Norm = Callable[[int], nn.Module]


class _Residual(Mixer, ABC):
    """What the placements of the norm share. `norm(dim)` makes it, by default `nn.LayerNorm`."""

    def __init__(self, dim: int, mixer: Mixer, *, norm: Norm = nn.LayerNorm, dropout: float = 0.0):
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
        self.dropout = nn.Dropout(probability("dropout", dropout))

    @property
    def claims(self):  # type: ignore[override]
        return self.mixer.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.mixer.reads

    @property
    def max_tokens(self):  # type: ignore[override]
        return self.mixer.max_tokens


class PreNorm(_Residual):
    """x + f(norm(x)): ViT, GPT-2 (Xiong et al. 2020, "On layer normalization")."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        return add(x, self.dropout(self.mixer(self.norm(x), structure)), type(self.mixer).__name__)


class PostNorm(_Residual):
    """norm(x + f(x)): the transformer of 2017, BERT."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        return self.norm(add(x, self.dropout(self.mixer(x, structure)), type(self.mixer).__name__))


class ResPostNorm(_Residual):
    """x + norm(f(x)): Swin v2 (Liu et al. 2022); not the same as post-norm."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        return add(x, self.dropout(self.norm(self.mixer(x, structure))), type(self.mixer).__name__)


class Block(Composite):
    """Each mixer in turn, then a channel MLP, each inside `residual`.

    `Block(dim, Attention(dim, 8))` is a transformer's encoder layer, with `TokenMLP` MLP-Mixer's,
    with `Parallel(GraphConvolution(dim), Attention(dim, 8))` a GPS layer; with
    `Attention(dim, 8, Causal()), Attention(dim, 8, Memory())` a decoder layer.

    Args:
        mlp: the channel MLP, a token-wise mixer; None: `Pointwise(dim, 4 * dim)`.
        residual: `PreNorm`, `PostNorm`, `ResPostNorm` or any function (dim, mixer, dropout=) that
            wraps a mixer; `functools.partial(PreNorm, norm=nn.RMSNorm)` chooses the norm.
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
