"""Tokens of several types: a learned vector for each.

Axes: B samples, N tokens, D channels.
"""

from typing import Any

from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.net.tokenizers import Tokenizer, check_ids
from tokennet.structure import Structure


class TypedTokenizer(Tokenizer):
    """x_i + e[type of token i]: a learned vector for each of `num_types` types.

    BERT's segments (Devlin et al. 2019, "BERT", figure 2). Inputs: `(inputs, types)`, with whole
    numbers `types [B, N]`, or `[T]` with a packed structure; or the inputs alone: all of type 0.
    """

    def __init__(self, tokenizer: Tokenizer, num_types: int):
        super().__init__()
        if not isinstance(tokenizer, Tokenizer):
            raise type_error("tokenizer", kind_of(tokenizer), "a Tokenizer")
        self.tokenizer = tokenizer
        self.dim = tokenizer.dim
        self.num_types = positive("num_types", num_types)
        self.types = nn.Embedding(num_types, self.dim)

    def forward(self, inputs: Any, structure: Structure | None = None) -> tuple[Tensor, Structure]:
        if not isinstance(inputs, tuple | list):
            x, structure = self.tokenizer(inputs, structure)
            return x + self.types.weight[0], structure
        if len(inputs) != 2:
            raise value_error("inputs", f"{len(inputs)} in a tuple", "(inputs, types), or inputs")
        inputs, types = inputs
        x, structure = self.tokenizer(inputs, structure)
        if isinstance(types, Tensor) and types.shape != x.shape[:-1]:
            allowed = f"{list(x.shape[:-1])}, one for each token"
            raise value_error("types.shape", list(types.shape), allowed)
        check_ids(types, self.num_types, self.types.weight, self, structure, name="types")
        return x + self.types(types), structure
