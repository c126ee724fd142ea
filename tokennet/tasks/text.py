"""Tasks on texts: the next character of plays and names, praise or blame in a sentence.

Axes: S samples, N tokens of a sample.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch

from tokennet.checks import positive
from tokennet.data import texts
from tokennet.data.split import complement, stratified_folds
from tokennet.mixers import Attention, Mixer
from tokennet.net import (
    CharacterVocabulary,
    EmbeddingTokenizer,
    LearnedPosition,
    MeanReadout,
    Tokenizer,
    TokenReadout,
    WordVocabulary,
)
from tokennet.tasks.base import Data, Reference, Task
from tokennet.tasks.samples import Arrays, Ragged, limited
from tokennet.tasks.training import Recipe
from tokennet.topology import Causal

END = "\n"  # stands before and after a name


def look_back(dim: int, num_heads: int) -> Mixer:
    """Causal attention: what a net of these tasks mixes with where nothing is chosen."""
    return Attention(dim, num_heads, Causal())


class NextCharacter(Task):
    """Which character comes next, at every token; the loss in nats a character.

    Nets that do not claim `Causality` are refused: they would look it up.
    Facts for parts: `num_tokens`, the most that a sample has, and `symbols`.
    """

    metric = "loss"
    higher_is_better = False
    causal = True
    own: ClassVar[Mapping[str, Any]] = {"mixer": look_back, "position": LearnedPosition, "dim": 64}
    symbols: int
    num_tokens: int

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        limit: int | None = None,
    ) -> None:
        self.limit = None if limit is None else positive("limit", limit)
        super().__init__(recipe, epochs=epochs)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_tokens": self.num_tokens, "symbols": self.symbols}

    def tokenizer(self, dim: int) -> Tokenizer:
        return EmbeddingTokenizer(self.symbols, dim)

    def readout(self, dim: int) -> Mixer:
        return TokenReadout(dim, self.symbols)


class Shakespeare(NextCharacter):
    """Tiny Shakespeare, character by character, in windows of `context`; 65 characters.

    The first 90 % of the text to fit (15,685 windows of 64), the rest to test (1,742). A token
    knows the characters of its window up to itself, 32.5 on average; counted 5-grams, which know
    all that stands before, reach 1.67.

    Args:
        limit: how many windows are fitted, drawn by the seed; None: all.
        context: tokens of a window.
    """

    recipe = Recipe(epochs=3, batch_size=32, lr=4e-3)
    reference = Reference(
        1.88, "nanoGPT's README: 4 layers of 128 channels, context 64, 2,000 steps, on a CPU"
    )
    symbols = 65

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        limit: int | None = None,
        context: int = 64,
    ) -> None:
        self.num_tokens = positive("context", context)
        super().__init__(recipe, epochs=epochs, limit=limit)

    def data(self, seed: int) -> Data:
        whole = _shakespeare(self.num_tokens)
        return Data(limited(whole.fit, self.limit, seed), whole.test)


class Names(NextCharacter):
    """First names, letter by letter: 26,544 to fit, 2,950 others to test.

    Each begins with a start sign and ends with an end sign, which is to be said too; batches are
    packed, up to 16 tokens a name. No name is in both parts, so a net can't know any by heart.

    Args:
        limit: how many names are fitted, drawn by the seed; None: all.
    """

    recipe = Recipe(epochs=6, batch_size=64, lr=4e-3)
    reference = Reference(2.056, "computed: counted 5-grams, Witten-Bell (2-grams: 2.455)")
    symbols = 27
    num_tokens = 16

    def data(self, seed: int) -> Data:
        whole = _names()
        return Data(limited(whole.fit, self.limit, seed), whole.test)


class Sentiment(Task):
    """Praise or blame in a sentence of a review: 2,383 to fit, 596 to test, half of them praise.

    Films, restaurants and telephones in equal shares. Words that the part to fit has twice or more
    have a token of their own, all others share one; the mean of the tokens decides.
    Facts for parts: `num_tokens`, the most that a sample has, and `symbols`.

    Args:
        limit: how many sentences are fitted, drawn by the seed; None: all.
    """

    recipe = Recipe(epochs=8, batch_size=32, lr=5e-3, weight_decay=1.0)
    own: ClassVar[Mapping[str, Any]] = {"dim": 64, "depth": 1, "dropout": 0.5}
    reference = Reference(0.82, "computed: logistic regression on the words' counts")

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        limit: int | None = None,
    ) -> None:
        self.limit = None if limit is None else positive("limit", limit)
        super().__init__(recipe, epochs=epochs)

    @property
    def facts(self) -> Mapping[str, Any]:
        whole, symbols = _sentiment()
        parts = (whole.fit, whole.test)
        return {"num_tokens": max(len(x) for p in parts for x in p.inputs), "symbols": symbols}  # type: ignore[attr-defined]

    def data(self, seed: int) -> Data:
        whole, _ = _sentiment()
        return Data(limited(whole.fit, self.limit, seed), whole.test)

    def tokenizer(self, dim: int) -> Tokenizer:
        return EmbeddingTokenizer(self.facts["symbols"], dim)

    def readout(self, dim: int) -> Mixer:
        return MeanReadout(dim, 2)


@cache
def _shakespeare(context: int) -> Data:
    text = texts.shakespeare()
    ids = torch.tensor(CharacterVocabulary(text).encode(text))
    begin = len(ids) * 9 // 10
    return Data(*(_windows(part, context) for part in (ids[:begin], ids[begin:])))


def _windows(ids: torch.Tensor, context: int) -> Arrays:
    """Windows side by side, and what comes next at each token."""
    count = (len(ids) - 1) // context
    size = count * context
    return Arrays(ids[:size].view(count, context), ids[1 : size + 1].view(count, context))


@cache
def _names() -> Data:
    found = texts.names()
    vocabulary = CharacterVocabulary(END + "".join(found))
    rows = [torch.tensor(vocabulary.encode(END + name + END)) for name in found]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    tests = len(rows) // 10 + 1
    parts = (order[tests:], order[:tests])
    return Data(*(Ragged([rows[i][:-1] for i in p], [rows[i][1:] for i in p]) for p in parts))


def sentences() -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The sentences to fit and those to test: of every site and label, one of five."""
    found = texts.sentiment()
    kind = torch.tensor([texts.SENTIMENT.index(site) * 2 + label for _, label, site in found])
    test = stratified_folds(kind, 5, 0)[0]
    parts = (complement(test, len(found)), test)
    fit, rest = ([found[i][:2] for i in part.tolist()] for part in parts)
    return fit, rest


@cache
def _sentiment() -> tuple[Data, int]:
    parts = sentences()
    vocabulary = WordVocabulary([text.lower() for text, _ in parts[0]], min_count=2)
    made = []
    for part in parts:
        ids = [torch.tensor(vocabulary.encode(text.lower())) for text, _ in part]
        made.append(Ragged(ids, torch.tensor([label for _, label in part])))
    return Data(*made), len(vocabulary)
