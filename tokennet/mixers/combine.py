"""Mixers made of mixers: one after the other, or side by side."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import value_error
from tokennet.mixers.base import (
    Mixer,
    add,
    as_mixer,
    check_chain,
    compose_claims,
    compose_couples,
    compose_max_tokens,
    compose_reads,
)
from tokennet.structure import Structure


class Composed(Mixer):
    """What mixers made of mixers share: what they promise follows from their parts."""

    @property
    @abstractmethod
    def parts(self) -> list[Mixer]:
        """The mixers that it is made of."""

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
    def couples_samples(self):  # type: ignore[override]
        return compose_couples(self.parts)

    def start(self, structure: Structure) -> list[Any]:
        self.check_steps(structure)
        return [part.start(structure) for part in self.parts]


class Composite(Composed):
    """A list of mixers."""

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
    def dim(self):  # type: ignore[override]
        return next((p.dim for p in self.parts if p.dim is not None), None)

    def _numbered(self) -> list[tuple[str, Mixer]]:
        return [(f"mixers[{i}]", mixer) for i, mixer in enumerate(self.parts)]


def step_through(parts: Iterable[Mixer], x: Tensor, state: list[Any]) -> tuple[Tensor, list[Any]]:
    """One token through mixers in turn, each with its own state."""
    after = []
    for part, own in zip(parts, state, strict=True):
        x, own = part.step(x, own)
        after.append(own)
    return x, after


class Sequential(Composite):
    """y = f_n(... f_2(f_1(x)))."""

    def __init__(self, *mixers: Mixer):
        super().__init__(*mixers)
        check_chain(self._numbered(), None)

    def width(self, dim: int | None) -> int | None:
        for part in self.parts:
            dim = part.width(dim)
        return dim

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        for mixer in self.mixers:
            x = mixer(x, structure)
        return x

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        return step_through(self.parts, x, state)


class Parallel(Composite):
    """y = f_1(x) + f_2(x) + ...: GPS adds a graph operator and attention (Rampasek et al. 2022)."""

    def __init__(self, *mixers: Mixer):
        super().__init__(*mixers)
        width = self.width(self.dim)
        for name, mixer in self._numbered():
            for side, own, all_ in (
                ("dim", mixer.dim, self.dim),
                ("out_dim", mixer.width(self.dim), width),
            ):
                if None not in (own, all_) and own != all_:
                    raise value_error(f"{name}.{side}", own, f"{all_} as of the mixers beside it")

    def width(self, dim: int | None) -> int | None:
        return next((w for p in self.parts if (w := p.width(dim)) is not None), None)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        first, *others = self.mixers
        y = first(x, structure)
        for mixer in others:
            y = add(y, mixer(x, structure), type(mixer).__name__)
        return y

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        results = [p.step(x, s) for p, s in zip(self.parts, state, strict=True)]
        y = results[0][0]
        for part, (more, _) in zip(self.parts[1:], results[1:], strict=True):
            y = add(y, more, type(part).__name__)
        return y, [after for _, after in results]


class MinusInput(Composite):
    """y = f(x) - x: a mixer whose residual is to leave f alone, as in PoolFormer's blocks.

    Yu et al. 2022, "MetaFormer is actually what you need for vision" (equation 4).
    """

    def __init__(self, mixer: Mixer):
        super().__init__(mixer)

    @property
    def mixer(self) -> Mixer:
        return self.parts[0]

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        return add(-x, self.mixer(x, structure), type(self.mixer).__name__)

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B D"], Any]:
        y, after = self.mixer.step(x, state[0])
        return add(-x, y, type(self.mixer).__name__), [after]
