"""Mixers made of mixers: one after the other, or side by side."""

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import value_error
from tokennet.mixers.base import Mixer, as_mixer, compose_claims, compose_max_tokens, compose_reads
from tokennet.structure import Structure


class Composite(Mixer):
    """Mixers made of mixers; what they promise follows from the parts."""

    def __init__(self, *mixers: Mixer):
        super().__init__()
        if not mixers:
            raise value_error("mixers", "()", f"at least one mixer in {type(self).__name__}")
        self.mixers = nn.ModuleList(as_mixer(f"mixers[{i}]", m) for i, m in enumerate(mixers))

    @property
    def parts(self) -> list[Mixer]:
        """The mixers, in order."""
        return list(self.mixers)  # type: ignore[arg-type]

    @property
    def claims(self):  # type: ignore[override]
        return compose_claims(self.parts)

    @property
    def reads(self):  # type: ignore[override]
        return compose_reads(self.parts)

    @property
    def max_tokens(self):  # type: ignore[override]
        return compose_max_tokens(self.parts)

    @property
    def dim(self):  # type: ignore[override]
        return next((p.dim for p in self.parts if p.dim is not None), None)


class Sequential(Composite):
    """y = f_n(... f_2(f_1(x)))."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        for mixer in self.mixers:
            x = mixer(x, structure)
        return x


class Parallel(Composite):
    """y = f_1(x) + f_2(x) + ...: GPS adds a graph operator and attention (Rampasek et al. 2022)."""

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        first, *others = self.mixers
        y = first(x, structure)
        for mixer in others:
            y = y + mixer(x, structure)
        return y
