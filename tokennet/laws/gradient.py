"""What a law says of outputs, said of gradients."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from tokennet.laws.law import Case, Law
from tokennet.structure import Tokens


@dataclass(frozen=True)
class GradientOf(Law):
    """The gradients of inputs and weights obey a law, whether or not the outputs do.

    Where the law says that an output does not depend on a token, its gradient there is zero.
    """

    statement: ClassVar[str] = "gradients go along as the outputs do, and vanish out of reach"
    law: Law

    @property
    def name(self) -> str:
        return f"GradientOf({self.law.name})"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        found = self.law.case(tokens, rng)
        return found if found is not None and found.gradients else None
