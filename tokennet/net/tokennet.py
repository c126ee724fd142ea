"""A net: a tokenizer, a list of mixers, a readout."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.laws import Law
from tokennet.mixers import Mixer
from tokennet.mixers.base import (
    as_mixer,
    check_chain,
    compose_claims,
    compose_couples,
    compose_max_tokens,
    compose_reads,
)
from tokennet.mixers.combine import step_through
from tokennet.net.tokenizers import Tokenizer
from tokennet.structure import Structure, Tokens

if TYPE_CHECKING:
    from tokennet.net.summary import Summary


class TokenNet(nn.Module):
    """readout(mixer_n(... mixer_1(tokenizer(inputs)))).

    `net(inputs)` gives the answer, `net.encode(inputs)` the tokens before the readout. A structure
    is passed where the inputs don't tell it: `net(ids, Structure.padded(mask))`,
    `net(*Tokens.from_pyg(data))`. Padding is set to zero once, after the tokenizer.

    What the net promises of tokens (`claims`, `reads`, `max_tokens`) follows from its parts.
    """

    origin: Any = None
    """Of an imported net, the model that it was (`tokennet.interop.Origin`)."""

    def __init__(self, tokenizer: Tokenizer, mixers: Sequence[Mixer], readout: Mixer):
        super().__init__()
        if not isinstance(tokenizer, Tokenizer):
            raise type_error("tokenizer", kind_of(tokenizer), "a Tokenizer")
        self.tokenizer = tokenizer
        if not isinstance(mixers, Sequence | nn.ModuleList):
            raise type_error("mixers", kind_of(mixers), "a list of mixers")
        self.mixers = nn.ModuleList(as_mixer(f"mixers[{i}]", m) for i, m in enumerate(mixers))
        self.readout = as_mixer("readout", readout)
        named = [(f"mixers[{i}]", mixer) for i, mixer in enumerate(self.parts[:-1])]
        for name, mixer in named:
            if mixer.pooled:
                allowed = "a mixer with a row for each token"
                raise value_error(name, type(mixer).__name__, allowed, "readouts come last")
        check_chain([*named, ("readout", self.readout)], tokenizer.dim)

    @property
    def parts(self) -> list[Mixer]:
        """The mixers and the readout, in order."""
        return [*self.mixers, self.readout]

    @property
    def claims(self) -> frozenset[Law]:
        return compose_claims(self.parts)

    @property
    def reads(self) -> frozenset[str]:
        return compose_reads(self.parts)

    @property
    def max_tokens(self) -> int | None:
        return compose_max_tokens(self.parts)

    @property
    def couples_samples(self) -> bool:
        return compose_couples(self.parts)

    @property
    def pooled(self) -> bool:
        return self.readout.pooled

    @property
    def dim(self) -> int:
        """Channels of the tokens that the mixers get."""
        return self.tokenizer.dim

    def tokens(self, inputs: Any, structure: Structure | None = None) -> Tokens:
        """What the tokenizer makes of the inputs, padding set to zero."""
        x, structure = self.tokenizer(inputs, structure)
        structure.require(self.reads, "TokenNet")
        return Tokens(structure.layout.clear(x), structure)

    def encode(self, inputs: Any, structure: Structure | None = None) -> Float[Tensor, "*tokens D"]:
        """The tokens after all mixers."""
        x, structure = self.tokens(inputs, structure)
        for mixer in self.mixers:
            x = mixer(x, structure)
        return x

    def forward(self, inputs: Any, structure: Structure | None = None) -> Tensor:
        return self.mix(*self.tokens(inputs, structure))

    def mix(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        """Mixers and readout: the part of the net that the claims speak of."""
        for mixer in self.parts:
            x = mixer(x, structure)
        return x

    def start(self, structure: Structure) -> list[Any]:
        """The states before the first token, for `step`; the structure tells batch and memory."""
        return [part.start(structure) for part in self.parts]

    def step(self, inputs: Tensor, state: list[Any]) -> tuple[Float[Tensor, "B O"], list[Any]]:
        """The answer at the next token of every sample, from its input `[B, ...]`, and the states.

        For nets of causal mixers; the same as `forward` on all tokens so far.
        """
        x, structure = self.tokenizer(inputs[:, None])
        if structure.layout.shape != (len(inputs), 1):
            name = type(self.tokenizer).__name__
            raise value_error("tokenizer", name, "one that makes one token of each input", "")
        return step_through(self.parts, x[:, 0], state)

    def summary(self, inputs: Any, structure: Structure | None = None) -> "Summary":
        """A table of the parts on these inputs: claims, parameters, FLOPs, receptive field."""
        from tokennet.net.summary import summarise

        return summarise(self, inputs, structure)
