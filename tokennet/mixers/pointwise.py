"""The same map at every token: a 1x1 convolution or a token-wise MLP.

Axes: D channels in, K hidden, O channels out.
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, maker, positive, probability, type_error, value_error
from tokennet.laws import Causality, Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.structure import Structure


class Pointwise(Mixer):
    """y_i = W x_i + b, or with `hidden_dim` y_i = W2 act(W1 x_i + b1) + b2: no token sees another.

    The first is `nn.Conv1d` with kernel 1 (Lin et al. 2014, "Network in network"), the second the
    feed-forward layer of "Attention is all you need" (equation 2). Shapes: [*, D] -> [*, O].
    """

    claims = closure({Permutation(), Causality()})

    def __init__(
        self,
        dim: int,
        hidden_dim: int | None = None,
        *,
        out_dim: int | None = None,
        activation: Callable[[], nn.Module] = nn.GELU,
        dropout: float = 0.0,
        bias: bool = True,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        dropout = probability("dropout", dropout)
        if hidden_dim is None:
            self.map: nn.Module = nn.Linear(dim, self.out_dim, bias=bias)
        else:
            positive("hidden_dim", hidden_dim)
            self.map = nn.Sequential(
                nn.Linear(dim, hidden_dim, bias=bias),
                maker("activation", activation, "nn.GELU")(),
                nn.Dropout(dropout),
                nn.Linear(hidden_dim, self.out_dim, bias=bias),
            )

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        return self.map(x)

    def start(self, structure: Structure) -> None:
        return None

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        return self.map(x[:, None])[:, 0], state


class TokenWise(Mixer):
    """Lifts a module that acts on each token by itself: norms, activations, dropout.

    `TokenWise(nn.LayerNorm(dim))`. `nn.BatchNorm1d` is none: it mixes tokens; `tn.verify` shows it.
    """

    claims = closure({Permutation(), Causality()})

    def __init__(self, *modules: nn.Module):
        super().__init__()
        if not modules:
            raise value_error("modules", "()", "at least one module")
        for i, module in enumerate(modules):
            if not isinstance(module, nn.Module):
                raise type_error(f"modules[{i}]", kind_of(module), "a module")
        self.map = modules[0] if len(modules) == 1 else nn.Sequential(*modules)

    def width(self, dim: int | None) -> int | None:
        return None  # a module does not tell

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        return self.map(x)

    def start(self, structure: Structure) -> None:
        return None

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        return self.map(x[:, None])[:, 0], state
