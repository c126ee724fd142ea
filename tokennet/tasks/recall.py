"""Probes of reading by content: a key asks for its value, a question for a patch.

Axes: S samples, P pairs or patches, N tokens, V values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tokennet.checks import switch, value_error
from tokennet.mixers import Attention, Mixer
from tokennet.net import FeatureTokenizer, MeanReadout, Tokenizer, TokenReadout
from tokennet.structure import Structure, Tokens
from tokennet.tasks.base import Reference, attention
from tokennet.tasks.probes import Probe, SequenceProbe, some_of
from tokennet.tasks.samples import Arrays, Batch, Samples
from tokennet.tasks.training import Recipe
from tokennet.topology import Memory


class AssociativeRecall(SequenceProbe):
    """`length` pairs of a key and a value, then a key alone: what is its value?

    Ability: to find a token by its content (Ba et al. 2016, "Using fast weights to attend to the
    recent past", section 4.1). A pair is one token, 16 keys and 8 values one-hot; all keys of a
    sample are different, and so are its values, so that a net which hears the other tokens without
    asking for the key guesses among `length` values, and one that hears none among 8: chance. The
    answer is read at the last token. 10,000 samples to fit, 1,000 to test.
    """

    keys, values = 16, 8
    length = 8
    classes = values
    symbols = keys + values
    recipe = Recipe(epochs=6, lr=3e-3)
    reference = Reference(1.0, "by construction; chance 0.125")

    def check_length(self, name: str, length: int) -> None:
        if length > self.values:
            raise value_error(name, length, f"at most {self.values}, as values differ")

    @property
    def chance(self) -> float:
        return 1 / self.test_length

    def tokens(self, length: int) -> int:
        return length + 1

    def draw(self, count: int, length: int, generator: torch.Generator) -> Arrays:
        key = some_of(count, self.keys, length, generator)
        value = some_of(count, self.values, length, generator)
        asked = torch.randint(length, (count, 1), generator=generator)
        pairs = torch.cat([F.one_hot(key, self.keys), F.one_hot(value, self.values)], -1)
        query = F.one_hot(key.gather(1, asked), self.symbols)  # no value
        inputs = torch.cat([pairs, query], 1).float()  # [S, P + 1, symbols]
        counts = torch.zeros(count, length + 1, dtype=torch.bool)
        counts[:, -1] = True
        return Arrays(inputs, value.gather(1, asked).expand(-1, length + 1), counts)

    def tokenizer(self, dim: int) -> Tokenizer:
        return FeatureTokenizer(self.symbols, dim)


class PatchQuestion(Probe):
    """`length` patches, each of a colour, a shape and a value; a question names colour and shape.

    Ability: to read a memory (cross-attention), and to answer about the patch that it asks for. The
    question is two tokens in `structure.memory`, colour and shape one-hot; the default mixer is
    cross-attention, each patch asking the memory. With `joined` it is one token behind the patches
    instead, where the answer is read, and the default mixer is attention. No two patches of a
    sample share colour and shape, and none a value: who does not know the question guesses among
    `length` values. 4 colours, 4 shapes, 9 values; 9 patches; 10,000 samples to fit, 1,000 to test.

    Facts for parts: `num_tokens`, `memory_dim`, `features` and `classes`.
    """

    colours, shapes = 4, 4
    length = 9
    classes = 9
    recipe = Recipe(epochs=20, lr=3e-3)  # after 8 one seed in three still stands on a plateau
    reference = Reference(1.0, "by construction; chance 0.111")

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        length: int | None = None,
        test_length: int | None = None,
        samples: int | None = None,
        joined: bool = False,
    ) -> None:
        self.joined = switch("joined", joined)
        self.own = {"mixer": attention if joined else ask}  # type: ignore[misc]
        super().__init__(
            recipe, epochs=epochs, length=length, test_length=test_length, samples=samples
        )

    def check_length(self, name: str, length: int) -> None:
        if length > self.classes:
            raise value_error(name, length, f"at most {self.classes}, as values differ")

    @property
    def chance(self) -> float:
        return 1 / self.test_length

    @property
    def features(self) -> int:
        """Channels of a patch."""
        return self.colours + self.shapes + self.classes

    @property
    def facts(self) -> Mapping[str, Any]:
        return {
            "num_tokens": self.largest + self.joined,
            "memory_dim": self.colours + self.shapes,
            "features": self.features,
            "classes": self.classes,
        }

    def draw(self, count: int, length: int, generator: torch.Generator) -> Samples:
        kind = some_of(count, self.colours * self.shapes, length, generator)
        value = some_of(count, self.classes, length, generator)
        colour, shape = kind // self.shapes, kind % self.shapes
        parts = ((colour, self.colours), (shape, self.shapes), (value, self.classes))
        patches = torch.cat([F.one_hot(part, size) for part, size in parts], -1).float()
        asked = torch.randint(length, (count, 1), generator=generator)
        both = torch.cat([colour.gather(1, asked), shape.gather(1, asked) + self.colours], 1)
        question = F.one_hot(both, self.colours + self.shapes).float()  # [S, 2, memory_dim]
        targets = value.gather(1, asked)
        if self.joined:
            more = F.pad(question.sum(1, keepdim=True), (0, self.classes))
            counts = torch.zeros(count, length + 1, dtype=torch.bool)
            counts[:, -1] = True
            return Arrays(torch.cat([patches, more], 1), targets.expand(-1, length + 1), counts)
        return Questions(patches, question, targets.squeeze(1))

    def tokenizer(self, dim: int) -> Tokenizer:
        return FeatureTokenizer(self.features, dim)

    def readout(self, dim: int) -> Mixer:
        return (TokenReadout if self.joined else MeanReadout)(dim, self.classes)


def ask(dim: int, num_heads: int, memory_dim: int) -> Mixer:
    """Cross-attention: what a net of `PatchQuestion` mixes with where nothing is chosen."""
    return Attention(dim, num_heads, Memory(), memory_dim=memory_dim)


@dataclass(frozen=True, eq=False)
class Questions(Samples):
    """Patches `[S, P, D]`, a question to each sample `[S, M, K]` as its memory, answers `[S]`."""

    patches: Tensor
    questions: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index: Tensor) -> Batch:
        patches = self.patches[index]
        memory = Tokens.dense(self.questions[index])
        structure = Structure.dense(*patches.shape[:2], memory=memory)
        return Batch(patches, self.targets[index], structure)
