"""Texts to tokens.

Axes: B samples, N tokens of the longest text, T rows of all texts together, D channels.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokennet.checks import kind_of, type_error
from tokennet.net.tokenizers import EmbeddingTokenizer, Tokenizer, ragged_structure
from tokennet.net.vocabularies import Vocabulary, checked_texts
from tokennet.structure import Structure


class TextTokenizer(Tokenizer):
    """Texts to packed tokens: the ids of the vocabulary, each with a learned vector.

    Inputs: a list of texts. Output `[T, dim]`, one sample for each text, in reading order; an empty
    text is a sample without tokens.
    """

    def __init__(self, vocabulary: Vocabulary, dim: int):
        super().__init__()
        if not isinstance(vocabulary, Vocabulary):
            raise type_error("vocabulary", kind_of(vocabulary), "a Vocabulary")
        self.vocabulary = vocabulary
        self.tokens = EmbeddingTokenizer(len(vocabulary), dim)
        self.dim = dim

    def forward(
        self, inputs: list[str], structure: Structure | None = None
    ) -> tuple[Float[Tensor, "T D"], Structure]:
        ids, lengths = self._ids(inputs)
        structure = ragged_structure(lengths, ids.device, structure)
        return self.tokens(ids, structure)

    def ids(self, inputs: list[str]) -> tuple[Int[Tensor, " T"], Structure]:
        """The packed ids of a list of texts, as targets of a language model."""
        ids, lengths = self._ids(inputs)
        return ids, Structure.packed(lengths, device=ids.device)

    def padded_ids(self, inputs: list[str]) -> tuple[Int[Tensor, "B N"], Structure]:
        """The same ids, one row for each text; 0 stands at padding, where `valid` is False."""
        ids, structure = self.ids(inputs)
        layout, width = structure.layout, max(structure.lengths.tolist(), default=0)
        places = torch.arange(width, device=ids.device)
        padded = ids.new_zeros(layout.batch, width)
        padded[layout.sample, layout.position] = ids
        return padded, Structure.padded(places < structure.lengths[:, None])

    def _ids(self, inputs: list[str]) -> tuple[Int[Tensor, " T"], list[int]]:
        encoded = [self.vocabulary.encode(text) for text in checked_texts("inputs", inputs)]
        flat = [i for ids in encoded for i in ids]
        device = self.tokens.embedding.weight.device
        return torch.tensor(flat, dtype=torch.int64, device=device), [len(ids) for ids in encoded]
