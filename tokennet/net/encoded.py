"""An encoder in front of a decoder: one net reads what another has made of the source."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from tokennet.checks import kind_of, type_error, value_error
from tokennet.net.tokenizers import Tokenizer
from tokennet.net.tokennet import TokenNet
from tokennet.structure import Structure, Tokens


class EncodedMemory(Tokenizer):
    """The tokens of the target, with the encoded source as their `structure.memory`.

    Makes an encoder-decoder one `TokenNet`: its mixers are the decoder's, with attention over
    `Memory()`. Inputs: `(source, target)`, or `(source, target, source_structure)` where the source
    does not tell its structure; the structure given to the net is the target's.

    Args:
        encoder: gives a row for each token of the source.
        tokenizer: of the target; the encoder's own where both share their embedding.
    """

    def __init__(self, encoder: TokenNet, tokenizer: Tokenizer):
        super().__init__()
        if not isinstance(encoder, TokenNet):
            raise type_error("encoder", kind_of(encoder), "a TokenNet")
        if encoder.pooled:
            name = type(encoder.readout).__name__
            raise value_error("encoder.readout", name, "a readout with a row for each token")
        if not isinstance(tokenizer, Tokenizer):
            raise type_error("tokenizer", kind_of(tokenizer), "a Tokenizer")
        self.encoder, self.tokenizer = encoder, tokenizer
        self.dim = tokenizer.dim

    def forward(
        self, inputs: Any, structure: Structure | None = None
    ) -> tuple[Float[Tensor, "*tokens D"], Structure]:
        if not isinstance(inputs, tuple | list) or len(inputs) not in (2, 3):
            allowed = "(source, target) or (source, target, source_structure)"
            raise type_error("inputs", kind_of(inputs), allowed)
        source, target, *facts = inputs
        x, known = self.encoder.tokens(source, *facts)
        memory = Tokens(self.encoder.mix(x, known), known)
        y, structure = self.tokenizer(target, structure)
        return y, structure.with_facts(memory=memory)
