"""What a position code is: something added to every token that does not depend on the tokens.

Axes: B samples, N tokens of the padded view, P positions, D channels, K channels of a code.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.laws import Causality
from tokennet.mixers import Mixer
from tokennet.mixers.stepping import check_state
from tokennet.structure import Structure


class Position(Mixer):
    """y_i = x_i + code_i: where a token stands, told by a vector that no token's content changes.

    Write `codes`, and set `claims` and `reads`; `tn.verify_position` measures what the code is
    worth. A code is also called an embedding or an encoding of positions, learned or not.
    """

    @abstractmethod
    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        """The code of every token as the tokens lie, `[B, N, D]` or `[T, D]`.

        `[N, D]` where all samples of a batch without padding have the same: it is added to each
        sample without being repeated.
        """

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        return x + self.codes(structure, x.dtype)


@dataclass(frozen=True)
class Count:
    """The state of a code of places: how many tokens there were so far."""

    num_tokens: int = 0


class OrderPosition(Position):
    """A code of a token's place in its sample: 0, 1, 2, ... over the real tokens.

    Write `at`. Token by token the state is the number of tokens so far.
    """

    claims = frozenset({Causality()})
    reads = frozenset({"position"})

    @abstractmethod
    def at(self, place: Int[Tensor, " P"], dtype: torch.dtype) -> Float[Tensor, "P D"]:
        """The code of each place."""

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        layout = structure.layout
        if len(layout.shape) == 2 and layout.padded_valid is None:
            return self.at(layout.padded_position[0], dtype)
        return layout.unflat(self.at(layout.position, dtype))

    def start(self, structure: Structure) -> Count:
        self.check_steps(structure)
        return Count()

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B D"], Count]:
        check_state(state, "a Count", isinstance(state, Count))
        if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != self.dim:
            shape = tuple(x.shape) if isinstance(x, Tensor) else kind_of(x)
            raise value_error("x", shape, f"one token for each sample, [B, {self.dim}]")
        count = state.num_tokens
        if self.max_tokens is not None and count >= self.max_tokens:
            raise value_error(
                "tokens in a sample", count + 1, f"at most max_tokens ({self.max_tokens}) of "
                f"{type(self).__name__}", "build it for more tokens",
            )  # fmt: skip
        place = torch.full((1,), count, device=x.device)
        return x + self.at(place, x.dtype), Count(count + 1)


class ConcatenatedPosition(Mixer):
    """y_i = [x_i, code_i]: the code beside the content, in channels of its own.

    A linear map after it gives W x_i + V code_i: adding is the case V = W. What a sum has to tell
    apart, this keeps apart, for more channels: [*, dim] -> [*, dim + position.dim].
    """

    def __init__(self, position: Position, dim: int):
        super().__init__()
        if not isinstance(position, Position):
            hint = "e.g. tn.SinusoidalPosition(16)"
            raise type_error("position", kind_of(position), "a Position", hint)
        self.dim = positive("dim", dim)
        self.width_of_code = position.width(None) or 0
        self.out_dim = dim + self.width_of_code
        self.position = position
        self.claims = position.claims
        self.reads = position.reads
        self.max_tokens = position.max_tokens

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        code = self.position.codes(structure, x.dtype).to(x.dtype)
        return torch.cat([x, code.expand(*x.shape[:-1], -1)], -1)

    def start(self, structure: Structure) -> Any:
        self.check_steps(structure)
        return self.position.start(structure)

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != self.dim:
            shape = tuple(x.shape) if isinstance(x, Tensor) else kind_of(x)
            raise value_error("x", shape, f"one token for each sample, [B, {self.dim}]")
        code, state = self.position.step(x.new_zeros(len(x), self.width_of_code), state)
        return torch.cat([x, code], -1), state
