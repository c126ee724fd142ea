"""Readouts that ask the tokens: learned seeds or queries attend to them as their memory.

Axes: B samples, S seeds, Q queries, D channels, O outputs.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive
from tokennet.laws import Permutation, closure
from tokennet.mixers import Mixer
from tokennet.mixers.base import as_mixer, compose_couples
from tokennet.mixers.latents import check_readers, learned_tokens, order_blind, read_tokens
from tokennet.structure import Structure


class _Asking(Mixer):
    """What readouts with learned tokens share; `claims` speak of the order of the tokens."""

    pooled = True

    def __init__(self, dim: int, out_dim: int, mixers: Sequence[Mixer], name: str, count: int):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", out_dim)
        self.learned = learned_tokens(name, count, dim)
        self.mixers = nn.ModuleList(as_mixer(f"mixers[{i}]", m) for i, m in enumerate(mixers))
        named = [(f"mixers[{i}]", mixer) for i, mixer in enumerate(mixers)]
        check_readers(named, count, dim)
        width: int | None = dim
        for mixer in mixers:
            width = mixer.width(width)
        self._width = dim if width is None else width
        self.couples_samples = compose_couples(self._parts)
        if order_blind(self._parts):
            self.claims = closure({Permutation()})
        else:
            self.reads = frozenset({"position"})

    @property
    def _parts(self) -> list[Mixer]:
        return list(self.mixers)  # type: ignore[arg-type]

    def _ask(self, x: Tensor, structure: Structure) -> Tensor:
        self.check(x, structure)
        return read_tokens(self.learned, self._parts, x, structure)


class AttentionReadout(_Asking):
    """W [s_1, ..., s_S] + b: learned seeds, after mixers for which the tokens are the memory.

    Pooling by multihead attention: Lee et al. 2019, "Set transformer" (equation 11), with
    `mixers` one `Block(dim, Attention(dim, h, Memory()), ..., residual=PostNorm)`, and with more
    mixers its decoder (equation 12). A Perceiver (Jaegle et al. 2021) with many seeds and blocks
    `Block(dim, Attention(dim, h, Memory()), Attention(dim, h))`. `[*, D] -> [B, O]`; what an empty
    sample gives depends on the weights alone.
    """

    def __init__(self, dim: int, out_dim: int, *mixers: Mixer, num_seeds: int = 1):
        super().__init__(dim, out_dim, mixers, "num_seeds", num_seeds)
        self.map = nn.Linear(num_seeds * self._width, out_dim)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        return self.map(self._ask(x, structure).flatten(1))


class SetReadout(_Asking):
    """W o_q + b for each of Q learned object queries: `[*, D] -> [B, Q, O]`, a set of answers.

    DETR: Carion et al. 2020, "End-to-end object detection with transformers" (section 3.2), with
    `mixers` decoder blocks such as `Block(dim, Attention(dim, h), Attention(dim, h, Memory()))`.
    The queries enter once, at the first block (DETR adds them again in each). Permuting the tokens
    changes nothing; the order of the answers means nothing: compare them with `set_loss`.
    """

    def __init__(self, dim: int, out_dim: int, num_queries: int, *mixers: Mixer):
        super().__init__(dim, out_dim, mixers, "num_queries", num_queries)
        self.map = nn.Linear(self._width, out_dim)

    def forward(
        self, x: Float[Tensor, "*tokens D"], structure: Structure
    ) -> Float[Tensor, "B Q O"]:
        return self.map(self._ask(x, structure))
