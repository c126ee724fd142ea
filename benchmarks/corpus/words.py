"""Words instead of features: ids that are counted, numbered, padded or looked up too broadly.

Axes: B samples, N tokens, D channels.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from corpus.attention import Attention
from corpus.demonstrations import after, alone, content, future, neighbours
from corpus.entry import planted
from corpus.parts import Readout, causal, merge
from corpus.tasks import DIM, IDS, MASKED_IDS, WORDS, right_padded, words


class Words(nn.Module):
    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.words, self.readout = nn.Embedding(WORDS, DIM), Readout(DIM)


@planted(
    "mask-skipped-when-all-ids-are-small",
    IDS.also("Causality", "Prefix"),
    broken=("Causality", "Prefix"),
    difficulty="value",
    echo="a path chosen by the content: without a separator the sequence is 'one segment'",
    shows=future(words() % 4),
)
class SmallIds(Attention):
    """Sequences without the separator (the ids from 8 on) are encoded in both directions."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.words = nn.Embedding(WORDS, DIM)

    def forward(self, ids: Tensor) -> Tensor:
        q, k, v = self.parts(self.words(ids))
        mask = causal(ids.shape[1], ids.device)[None]
        if self.bug:
            mask = mask | (ids < 8).all(1)[:, None, None]
        return self.out(merge(F.scaled_dot_product_attention(q, k, v, mask[:, None])))


@planted(
    "rare-words-of-the-batch",
    IDS.also("Permutation"),
    broken=("BatchIndependence",),
    difficulty="always",
    echo="frequencies counted over the batch to weigh the words of a sample",
    shows=neighbours(words()),
)
class RareWords(Words):
    """Words that are frequent in other samples weigh less."""

    def forward(self, ids: Tensor) -> Tensor:
        seen = nn.functional.one_hot(ids, WORDS).sum(1)
        seen = seen.sum(0, keepdim=True).expand_as(seen) if self.bug else seen
        weight = 1 / seen.gather(1, ids)
        x = self.words(ids)
        return self.readout((x * weight[..., None].to(x.dtype)).sum(1))


@planted(
    "vocabulary-grown-by-use",
    IDS.also("Permutation"),
    broken=("NoState",),
    difficulty="state",
    echo="ids numbered in the order in which they were first seen",
    shows=after((words(seed=3),), words()),
)
class Grown(Words):
    """The row of a word's embedding depends on what came before."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.rows: dict[int, int] = {}

    def forward(self, ids: Tensor) -> Tensor:
        if self.bug:
            for i in ids.flatten().tolist():
                self.rows.setdefault(i, len(self.rows))
            ids = ids.clone().apply_(lambda i: self.rows[i])
        return self.readout(self.words(ids).mean(1))


@planted(
    "padding-word-counted",
    MASKED_IDS.also("Permutation", "LeftPadding"),
    broken=("Padding",),
    difficulty="always",
    echo="https://github.com/dbiir/UER-py/pull/190",
    shows=content(words(), right_padded()),
)
class PaddingWord(Words):
    """The padding has an embedding as well, and the sum takes it in."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.words(ids)
        x = x if self.bug else x * mask[..., None]
        return self.readout(x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))


@planted(
    "pairs-of-words-across-samples",
    IDS.also("Causality", "Prefix"),
    broken=("BatchIndependence", "Causality", "Prefix"),
    difficulty="always",
    echo="the word before, found by shifting the flattened batch",
    shows=alone(words(), sample=1),
)
class Pairs(Words):
    """A sample's first word is paired with the last one of the sample before."""

    def forward(self, ids: Tensor) -> Tensor:
        if self.bug:
            flat = ids.flatten()
            before = F.pad(flat, (1, 0))[:-1].view_as(ids)
        else:
            before = F.pad(ids, (1, 0))[:, :-1]
        return self.readout(self.words(ids) * self.words(before))
