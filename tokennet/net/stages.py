"""Tokenizers with mixers in them: earlier stages on finer grids, codes before a class token.

Axes: B samples, N tokens, D channels.
"""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.mixers import Mixer
from tokennet.mixers.base import as_mixer, check_chain, compose_reads
from tokennet.net.images import PatchTokenizer
from tokennet.net.tokenizers import Tokenizer
from tokennet.structure import Structure


class StageTokenizer(Tokenizer):
    """The tokens of another tokenizer after mixers of their own, then on a coarser grid.

    An earlier stage of a net whose grid shrinks (PoolFormer, Yu et al. 2022; Swin), since the
    mixers of a `TokenNet` keep the structure; stages nest. Without `patches` the structure stays:
    `ClassToken(StageTokenizer(patches, [LearnedPosition(n, dim)]))` leaves the class token without
    a position.

    Args:
        mixers: each gives a row for each token.
        patches: reads the tokens on their grid as an image, so that a strided convolution makes one
            token of several: `PatchTokenizer(64, 3, 128, stride=2, padding=1)`. A structure given
            to the net is then refused: it could not fit both grids.
    """

    def __init__(
        self, tokenizer: Tokenizer, mixers: Sequence[Mixer], patches: PatchTokenizer | None = None
    ):
        super().__init__()
        if not isinstance(tokenizer, Tokenizer):
            raise type_error("tokenizer", kind_of(tokenizer), "a Tokenizer")
        if not isinstance(mixers, Sequence | nn.ModuleList):
            raise type_error("mixers", kind_of(mixers), "a list of mixers")
        self.tokenizer = tokenizer
        self.mixers = nn.ModuleList(as_mixer(f"mixers[{i}]", m) for i, m in enumerate(mixers))
        if patches is not None and not isinstance(patches, PatchTokenizer):
            raise type_error("patches", kind_of(patches), "a PatchTokenizer or None")
        self.patches = patches
        dim: int | None = tokenizer.dim
        named = [(f"mixers[{i}]", mixer) for i, mixer in enumerate(self.parts)]
        for name, mixer in named:
            if mixer.pooled:
                allowed = "a mixer with a row for each token"
                raise value_error(name, type(mixer).__name__, allowed)
            dim = mixer.width(dim) if mixer.width(dim) is not None else dim
        check_chain(named, tokenizer.dim)
        if patches is not None and patches.channels != dim:
            allowed = f"{dim}, the channels that reach it"
            raise value_error("patches.channels", patches.channels, allowed)
        self.dim = (dim or tokenizer.dim) if patches is None else patches.dim

    @property
    def parts(self) -> list[Mixer]:
        """The mixers, in order."""
        return list(self.mixers)  # type: ignore[arg-type]

    def forward(
        self, inputs: Any, structure: Structure | None = None
    ) -> tuple[Float[Tensor, "*tokens D"], Structure]:
        name = type(self).__name__
        if structure is not None and self.patches is not None:
            hint = "its grid is not the one of the first tokens"
            raise value_error("structure", "given", f"None, as {name} makes its own", hint)
        x, structure = self.tokenizer(inputs, structure)
        structure.require(compose_reads(self.parts), name)
        x = structure.layout.clear(x)
        for mixer in self.mixers:
            x = mixer(x, structure)
        if self.patches is None:
            return x, structure
        grid = structure.grid
        if grid is None or len(grid) != 2 or structure.layout.shape[1:] != (grid[0] * grid[1],):
            raise value_error("grid of the tokens", grid, "rows and columns, a token in every cell")
        return self.patches(x.transpose(1, 2).unflatten(2, grid))
