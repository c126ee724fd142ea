"""What the probes share: learning problems that are drawn, each made to need one ability.

Axes: S samples, N tokens of a sample.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import positive, value_error
from tokennet.mixers import Mixer
from tokennet.net import EmbeddingTokenizer, Tokenizer, TokenReadout
from tokennet.tasks.base import Data, Task
from tokennet.tasks.samples import Arrays, Samples
from tokennet.tasks.training import Recipe

TESTS = 1000
# far from the seeds of runs, which draw what is fitted; torch reads no more than 32 bits of it
_TEST_SEED = 4_000_000_007
_DRAWS = 20


class Probe(Task):
    """A problem that only nets with one ability solve; `best` is then reached, else `chance`.

    What is fitted is drawn from the seed; the 1,000 samples of the test part are always the same,
    and none of them is fitted.

    Args:
        length: the size of a sample; what it counts, the probe says.
        test_length: the size of a test sample, for extrapolation; None: the same.
        samples: how many samples are fitted.
    """

    recipe = Recipe(epochs=10, lr=3e-3)
    best = 1.0
    length: int
    test_length: int
    samples = 10_000

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        length: int | None = None,
        test_length: int | None = None,
        samples: int | None = None,
    ) -> None:
        self.length = type(self).length if length is None else positive("length", length)
        self.test_length = self.length
        if test_length is not None:
            self.test_length = positive("test_length", test_length)
        if samples is not None:
            self.samples = positive("samples", samples)
        for name in ("length", "test_length"):
            self.check_length(name, getattr(self, name))
        super().__init__(recipe, epochs=epochs)

    def check_length(self, name: str, length: int) -> None:
        """Raises where there are no samples of this size."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """The best value of the metric in the test part for a net without the ability."""

    @abstractmethod
    def draw(self, count: int, length: int, generator: torch.Generator) -> Samples:
        """New samples of one size."""

    def data(self, seed: int) -> Data:
        test = self.draw(TESTS, self.test_length, torch.Generator().manual_seed(_TEST_SEED))
        generator = torch.Generator().manual_seed(seed)
        return Data(self._others(test, generator), test)

    def _others(self, test: Samples, generator: torch.Generator) -> Samples:
        """What is fitted: samples that are not in the test part."""
        return self.draw(self.samples, self.length, generator)

    @property
    def largest(self) -> int:
        """The greater one of the two sizes."""
        return max(self.length, self.test_length)


class SequenceProbe(Probe):
    """A probe on ids `[S, N]`, an answer for each token; those in `counts` are asked for.

    Facts for parts: `num_tokens` of the longer ones, `symbols` and `classes`.
    """

    symbols: int
    classes: int

    @abstractmethod
    def draw(self, count: int, length: int, generator: torch.Generator) -> Arrays: ...

    def _others(self, test: Samples, generator: torch.Generator) -> Samples:
        assert isinstance(test, Arrays)
        kept, found = [], 0
        for _ in range(_DRAWS):
            new = self.draw(self.samples, self.length, generator)
            new = new.chosen(~_rows_in(new.inputs, test.inputs))
            kept.append(new)
            found += len(new)
            if found >= self.samples:
                return Arrays.joined(kept).chosen(slice(self.samples))
        raise value_error(
            "length", self.length, f"one with more than {found} different samples",
            "nearly all of them are in the test part",
        )  # fmt: skip

    def tokens(self, length: int) -> int:
        """Tokens of a sample."""
        return length

    @property
    def facts(self) -> Mapping[str, Any]:
        return {
            "num_tokens": self.tokens(self.largest), "symbols": self.symbols,
            "classes": self.classes,
        }  # fmt: skip

    def tokenizer(self, dim: int) -> Tokenizer:
        return EmbeddingTokenizer(self.symbols, dim)

    def readout(self, dim: int) -> Mixer:
        return TokenReadout(dim, self.classes)


def _rows_in(rows: Tensor, others: Tensor) -> Tensor:
    """`[S]`, whether each row is one of the others."""
    if rows.shape[1:] != others.shape[1:]:
        return torch.zeros(len(rows), dtype=torch.bool)
    known = {row.tobytes() for row in others.numpy()}
    return torch.tensor([row.tobytes() in known for row in rows.numpy()], dtype=torch.bool)


def some_of(count: int, total: int, number: int, generator: torch.Generator) -> Tensor:
    """`[count, number]`: for each sample different numbers below `total`, in random order."""
    return torch.rand(count, total, generator=generator).argsort(1)[:, :number]
