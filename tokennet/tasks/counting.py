"""Probes of counting: how often, which more often, an even or an odd number of times.

Axes: S samples, N tokens.
"""

from collections.abc import Mapping
from math import comb
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokennet.checks import value_error
from tokennet.mixers import GRU, Mixer
from tokennet.tasks.base import Reference, Sums
from tokennet.tasks.probes import SequenceProbe
from tokennet.tasks.samples import Arrays, Batch
from tokennet.tasks.training import Recipe


class Counting(SequenceProbe):
    """One of `length` symbols is marked: how often does it occur, 1 to 6 times?

    Ability: to count the tokens that are like one of them. Each count is as likely, whatever the
    marked token is, and the answer is read at the marked token alone, so the readout can't count in
    place of the mixer: chance 1/6. The mark stands on the first token. 12 tokens of 4 symbols;
    10,000 samples to fit, 1,000 to test.
    """

    kinds, most = 4, 6
    length = 12
    classes = most
    symbols = 2 * kinds  # each also as the marked one
    recipe = Recipe(epochs=6, lr=3e-3)
    reference = Reference(1.0, "by construction; chance 0.167")

    def check_length(self, name: str, length: int) -> None:
        if length < self.most:
            raise value_error(name, length, f"at least {self.most}, to hold them")

    @property
    def chance(self) -> float:
        return 1 / self.most

    def draw(self, count: int, length: int, generator: torch.Generator) -> Arrays:
        often = torch.randint(1, self.most + 1, (count, 1), generator=generator)
        marked = torch.randint(self.kinds, (count, 1), generator=generator)
        step = torch.randint(1, self.kinds, (count, length), generator=generator)
        other = (marked + step) % self.kinds  # any but the marked one
        behind = torch.rand(count, length - 1, generator=generator).argsort(1).argsort(1) + 1
        rank = torch.cat([torch.zeros_like(often), behind], 1)  # the first token is one of them
        inputs = torch.where(rank < often, marked, other)
        inputs[:, 0] += self.kinds
        counts = torch.zeros(count, length, dtype=torch.bool)
        counts[:, 0] = True
        return Arrays(inputs, (often - 1).expand(-1, length), counts)


class Majority(SequenceProbe):
    """`length` bits, an odd number of them: are there more ones than zeros?

    Ability: to weigh all tokens of a sample against each other. Every token answers, so the readout
    can't do it; one that hears no other says its own bit, which is right with probability
    1/2 + C(n - 1, (n - 1) / 2) / 2^n: chance. 15 bits; 5,000 samples to fit, 1,000 to test.
    """

    length = 15
    symbols = classes = 2
    samples = 5_000
    reference = Reference(1.0, "by construction; chance 0.605")

    def check_length(self, name: str, length: int) -> None:
        if length % 2 == 0:
            raise value_error(name, length, "an odd number, so that no sample ties")

    @property
    def chance(self) -> float:
        n = self.test_length
        return 0.5 + comb(n - 1, (n - 1) // 2) / 2**n

    def draw(self, count: int, length: int, generator: torch.Generator) -> Arrays:
        bits = torch.randint(2, (count, length), generator=generator)
        most = (2 * bits.sum(1, keepdim=True) > length).long()
        return Arrays(bits, most.expand(-1, length))


def recurrent(dim: int) -> Mixer:
    """What a net of `Parity` mixes with where nothing is chosen."""
    return GRU(dim)


class Parity(SequenceProbe):
    """`length` bits: is the number of ones odd?

    Ability: to keep a state and to flip it, token by token; every bit changes the answer, so
    whoever misses one guesses: chance 0.5. Trained to say after each token whether the ones so far
    are odd, tested on the last token alone. The default mixer is a GRU. 16 bits; 10,000 samples to
    fit, 1,000 to test.
    """

    length = 16
    symbols = classes = 2
    recipe = Recipe(epochs=8, lr=5e-3)
    own: ClassVar[Mapping[str, Any]] = {"mixer": recurrent, "depth": 1}
    reference = Reference(1.0, "by construction; chance 0.5")

    @property
    def chance(self) -> float:
        return 0.5

    def draw(self, count: int, length: int, generator: torch.Generator) -> Arrays:
        bits = torch.randint(2, (count, length), generator=generator)
        return Arrays(bits, bits.cumsum(1) % 2)

    def scores(self, answer: Tensor, batch: Batch) -> Sums:
        last = Batch(batch.inputs[:, -1], batch.targets[:, -1])
        return super().scores(answer[:, -1], last)
