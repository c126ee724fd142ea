"""Where a net came from: what it takes to give its weights back under their old names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

LIBRARIES = ("torch", "pyg", "transformers", "timm", "x_transformers")


@dataclass(frozen=True, eq=False)
class Origin:
    """`net.origin` of an imported net.

    Args:
        library: one of `LIBRARIES`.
        kind: the name of the original's class.
        config: its options, plain values only.
        names: the keys of its state dict, in their order.
        kept: weights of the original that the net has no use for (a pooler that is not read).
    """

    library: str
    kind: str
    config: Mapping[str, Any]
    names: tuple[str, ...] = ()
    kept: Mapping[str, Tensor] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.library}'s {self.kind}"
