"""Probes of order: copying a sequence, and sorting one.

Axes: S samples, N tokens.
"""

from collections.abc import Mapping
from math import comb
from typing import Any, ClassVar

import torch

from tokennet.net import LearnedPosition
from tokennet.tasks.base import Reference
from tokennet.tasks.probes import SequenceProbe
from tokennet.tasks.samples import Arrays
from tokennet.tasks.training import Recipe


class Copying(SequenceProbe):
    """`length` symbols, then as many blanks: the i-th blank is to say the i-th symbol.

    Ability: to carry content over a distance, from place to place (Hochreiter and Schmidhuber 1997
    and Graves et al. 2014 use such tasks). Symbols are drawn from 8, each as likely: a token that
    hears no other guesses, chance 0.125, and without a position code all blanks of a sample say the
    same. Read at the blanks. 8 symbols; 5,000 samples to fit, 1,000 to test.
    """

    length = 8
    classes = 8
    symbols = 9
    samples = 5_000
    own: ClassVar[Mapping[str, Any]] = {"position": LearnedPosition}
    reference = Reference(1.0, "by construction; chance 0.125")

    @property
    def chance(self) -> float:
        return 1 / self.classes

    def tokens(self, length: int) -> int:
        return 2 * length

    def draw(self, count: int, length: int, generator: torch.Generator) -> Arrays:
        content = torch.randint(self.classes, (count, length), generator=generator)
        blank = torch.full_like(content, self.classes)
        inputs = torch.cat([content, blank], 1)
        return Arrays(inputs, torch.cat([content, content], 1), inputs == self.classes)


class Sorting(SequenceProbe):
    """`length` numbers from 0 to 9: the i-th token is to say the i-th smallest.

    Ability: to compare each token with all others, and to know its own place. A token that hears no
    other knows its number and its place: `chance` is what the order statistics leave it. 8 numbers;
    10,000 samples to fit, 1,000 to test; accuracy of single tokens.
    """

    length = 8
    symbols = classes = 10
    recipe = Recipe(epochs=8, lr=3e-3)
    own: ClassVar[Mapping[str, Any]] = {"position": LearnedPosition}
    reference = Reference(1.0, "by construction; chance 0.387")

    @property
    def chance(self) -> float:
        length, total = self.test_length, 0.0
        for place in range(length):
            for own in range(self.symbols):
                upto = [self._at_most(w, place, own, length) for w in range(self.symbols)]
                total += max(b - a for a, b in zip([0.0, *upto], upto, strict=False))
        return total / (length * self.symbols)

    def _at_most(self, bound: int, place: int, own: int, length: int) -> float:
        """The chance that the number at `place`, once sorted, is at most `bound`."""
        p, others = (bound + 1) / self.symbols, length - 1
        needed = place + 1 - (own <= bound)
        return sum(
            comb(others, k) * p**k * (1 - p) ** (others - k)
            for k in range(max(needed, 0), others + 1)
        )

    def draw(self, count: int, length: int, generator: torch.Generator) -> Arrays:
        inputs = torch.randint(self.symbols, (count, length), generator=generator)
        return Arrays(inputs, inputs.sort(1).values)
