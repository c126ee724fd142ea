"""A multi-layer perceptron over the tokens, the same for every channel.

Axes: B samples, N tokens of the longest sample, P positions of the weights, K hidden, D channels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import maker, positive
from tokennet.mixers.base import Mixer
from tokennet.structure import Structure


class TokenMLP(Mixer):
    """y[:, d] = W2 act(W1 x[:, d] + b1) + b2 for every channel d: the token mixing of MLP-Mixer.

    Tolstikhin et al. 2021, "MLP-Mixer" (equation 1). It knows every position, so it commutes with
    no permutation and holds at most `num_tokens` positions: `max_tokens`. A shorter sample is read
    as if zeros followed. `dim` is any. Shapes: [*, D] -> [*, D].
    """

    reads = frozenset({"position"})

    def __init__(
        self,
        num_tokens: int,
        hidden_tokens: int | None = None,
        *,
        activation: Callable[[], nn.Module] = nn.GELU,
    ):
        super().__init__()
        self.num_tokens = self.max_tokens = positive("num_tokens", num_tokens)
        hidden = positive(
            "hidden_tokens", 2 * num_tokens if hidden_tokens is None else hidden_tokens
        )
        self.expand = nn.Linear(num_tokens, hidden)
        self.activation = maker("activation", activation, "nn.GELU")()
        self.contract = nn.Linear(hidden, num_tokens)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, size = structure.layout, self.num_tokens
        front = layout.compact(x)  # [B, N, D]
        length = front.shape[1]
        if length > size:  # what lies beyond is padding: `check` has seen to it
            front = front[:, :size]
        seen = front.shape[1]
        # not [:, :seen]: torch.export would then refuse the full length, or all but that
        weight = self.expand.weight.index_select(1, torch.arange(seen, device=x.device))
        y = F.linear(front.transpose(1, 2), weight, self.expand.bias)  # [B, D, K]
        weight, bias = self.contract.weight[:seen], self.contract.bias[:seen]
        y = F.linear(self.activation(y), weight, bias).transpose(1, 2)
        if length > size:
            y = F.pad(y, (0, 0, 0, length - size))
        return layout.spread(y)
