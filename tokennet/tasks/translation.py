"""Commands into actions: a net that reads one sequence and writes another.

Axes: B samples, S tokens of all commands, T tokens of all answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.data import texts
from tokennet.mixers import Attention, Mixer
from tokennet.net import (
    Block,
    EmbeddingTokenizer,
    SinusoidalPosition,
    Tokenizer,
    TokenReadout,
    WordVocabulary,
)
from tokennet.structure import Structure, Tokens
from tokennet.tasks.base import Data, Reference, Sums, Task
from tokennet.tasks.samples import Batch, Samples, limited
from tokennet.tasks.text import look_back
from tokennet.tasks.training import Recipe
from tokennet.topology import Memory

REFERENCES = {
    "simple": Reference(0.998, "Lake and Baroni 2018, experiment 1, the best recurrent net"),
    "length": Reference(0.208, "Lake and Baroni 2018, experiment 2, the best recurrent net"),
}


@dataclass(frozen=True, eq=False)
class Pair:
    """What a translating net gets: ids of what it reads `[S]`, and of what it has written `[T]`."""

    source: Tensor
    lengths: list[int]
    written: Tensor

    def to(self, device: torch.device | str) -> "Pair":
        return Pair(self.source.to(device), self.lengths, self.written.to(device))


@dataclass(frozen=True, eq=False)
class Pairs(Samples):
    """Sequences, and what they are to become: the ids of each, those written with start and end."""

    sources: list[Tensor]
    targets: list[Tensor]

    def __len__(self) -> int:
        return len(self.sources)

    def batch(self, index: Tensor) -> Batch:
        chosen = index.tolist()
        sources = [self.sources[i] for i in chosen]
        targets = [self.targets[i] for i in chosen]
        pair = Pair(
            torch.cat(sources), [len(s) for s in sources], torch.cat([t[:-1] for t in targets])
        )
        structure = Structure.packed([len(t) - 1 for t in targets])
        return Batch(pair, torch.cat([t[1:] for t in targets]), structure)


class Encoder(Tokenizer):
    """The written tokens, with the source, after blocks of attention, as `structure.memory`."""

    def __init__(self, sources: int, symbols: int, dim: int, *blocks: Mixer):
        super().__init__()
        self.dim = dim
        self.source = EmbeddingTokenizer(sources, dim)
        self.position = SinusoidalPosition(dim)
        self.blocks = nn.ModuleList(blocks)
        self.written = EmbeddingTokenizer(symbols, dim)

    def forward(self, inputs: Pair, structure: Structure | None = None) -> tuple[Tensor, Structure]:
        device = inputs.source.device
        x, read = self.source(inputs.source, Structure.packed(inputs.lengths, device=device))
        x = self.position(x, read)
        for block in self.blocks:
            x = block(x, read)
        y, structure = self.written(inputs.written, structure)
        return y, structure.with_facts(memory=Tokens(x, read))


class Scan(Task):
    """SCAN: "jump twice after walk" to I_WALK I_JUMP I_JUMP, whole answers counted.

    The chosen mixer works among the actions written so far, and must claim `Causality`; after it
    each block reads the command by attention over `Memory()`, which two blocks of attention have
    encoded. `accuracy` is the share of commands with every action right, and the end: with all
    actions before it given, which finds the same answers right as writing them one after the
    other, always the likeliest. "simple": 16,728 pairs at random to fit, 4,182 to test; "length":
    16,990 of up to 22 actions, and 3,920 of 24 to 48.
    Facts for parts: `num_tokens`, the most that a sample has, and `symbols`.

    Args:
        split: "simple" or "length".
        limit: how many pairs are fitted, drawn by the seed; None: all.
    """

    recipe = Recipe(epochs=6, batch_size=64, lr=3e-3)
    reference = REFERENCES["simple"]
    causal = True
    own: ClassVar[Mapping[str, Any]] = {
        "mixer": look_back, "position": SinusoidalPosition, "dim": 64,
    }  # fmt: skip
    sources, symbols, num_tokens = 13, 7, 49

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        split: str = "simple",
        limit: int | None = None,
    ) -> None:
        if split not in REFERENCES:
            raise value_error("split", repr(split), "'simple' or 'length'")
        self.split = split
        self.reference = REFERENCES[split]  # type: ignore[misc]
        self.limit = None if limit is None else positive("limit", limit)
        super().__init__(recipe, epochs=epochs)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_tokens": self.num_tokens, "symbols": self.symbols}

    def data(self, seed: int) -> Data:
        whole = _scan(self.split)
        return Data(limited(whole.fit, self.limit, seed), whole.test)

    def tokenizer(self, dim: int) -> Tokenizer:
        blocks = [Block(dim, Attention(dim, 4)) for _ in range(2)]
        return Encoder(self.sources, self.symbols, dim, *blocks)

    def mixers(self, mixer: Mixer, facts: Mapping[str, Any]) -> Sequence[Mixer]:
        return [mixer, Attention(facts["dim"], facts["num_heads"], Memory())]

    def readout(self, dim: int) -> Mixer:
        return TokenReadout(dim, self.symbols)

    def scores(self, answer: Tensor, batch: Batch) -> Sums:
        assert batch.structure is not None
        by_token = super().scores(answer, batch)
        wrong = (answer.argmax(-1) != batch.targets).long()
        sample, count = batch.structure.layout.sample, batch.structure.batch
        misses = wrong.new_zeros(count).index_add(0, sample, wrong)
        return {
            "accuracy": (int((misses == 0).sum()), count),
            "token_accuracy": by_token["accuracy"],
            "loss": by_token["loss"],
        }


@cache
def _scan(split: str) -> Data:
    parts = [texts.scan(split, part) for part in ("train", "test")]
    read = WordVocabulary([" ".join(c) for c, _ in parts[0]], pattern=r"\S+")
    write = WordVocabulary([" ".join(a) for _, a in parts[0]], pattern=r"\S+")
    end = torch.zeros(1, dtype=torch.int64)  # also the start: the id of no action
    made = []
    for part in parts:
        sources = [torch.tensor(read.encode(" ".join(command))) - 1 for command, _ in part]
        answers = [torch.tensor(write.encode(" ".join(actions))) for _, actions in part]
        made.append(Pairs(sources, [torch.cat([end, answer, end]) for answer in answers]))
    return Data(*made)
