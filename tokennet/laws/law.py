"""What a law is: a relation between two inputs. Plain torch: a claim costs nothing.

A law changes an input and says which rows of the output must be equal before and after
(`rows` and `image`), and on which rows of the input they may depend (`sources`). From this one
statement follow the check of outputs, of input gradients and of parameter gradients.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from tokennet.structure import Tokens


@dataclass(frozen=True, eq=False)
class Case:
    """A changed input, and what has to stay: output rows `rows` equal the new rows `image`.

    Rows are of the flat view. `samples` and `sample_image` say the same of pooled outputs, None
    where the law says nothing of them. Of the real rows only `sources` (new: `source_image`) may
    have a gradient; with `padding` no row of padding may have one either.
    """

    tokens: Tokens
    rows: Int[Tensor, " R"]
    image: Int[Tensor, " R"]
    witness: str
    samples: Int[Tensor, " S"] | None = None
    sample_image: Int[Tensor, " S"] | None = None
    sources: Int[Tensor, " Q"] | None = None
    source_image: Int[Tensor, " Q"] | None = None
    gradients: bool = True
    padding: bool = False


@dataclass(frozen=True)
class Law(ABC):
    """A property of mixers. Laws are equal if they are of one kind with equal fields."""

    statement: ClassVar[str]
    implied: ClassVar[tuple[type["Law"], ...]] = ()
    padded_only: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return type(self).__name__

    @abstractmethod
    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        """A changed input at random; None where the law has nothing to say about this one."""


def closure(laws: Iterable[Law]) -> frozenset[Law]:
    """The laws together with those that follow from them."""
    found = set(laws)
    return frozenset(found | {law() for known in found for law in known.implied})
