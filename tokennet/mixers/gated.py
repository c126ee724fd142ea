"""The channel MLP with a gate.

Axes: D channels in, H hidden, O channels out.
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import maker, positive, probability, switch
from tokennet.laws import Causality, Permutation, closure
from tokennet.mixers.base import Mixer
from tokennet.structure import Structure


class GatedMLP(Mixer):
    """y_i = W2 (act(W1 x_i) * W3 x_i): no token sees another.

    Shazeer 2020, "GLU variants improve transformer", equation 6: SwiGLU with `nn.SiLU` (LLaMA),
    GEGLU with `nn.GELU`, GLU with `nn.Sigmoid`, bilinear with `nn.Identity`. As wide as an MLP of
    4 D it has 3/2 of its weights, so 8/3 D is usual. Shapes: [*, D] -> [*, O].

    Args:
        output_bias: whether W2 has a bias; None: as `bias`.
    """

    claims = closure({Permutation(), Causality()})

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        *,
        activation: Callable[[], nn.Module] = nn.SiLU,
        out_dim: int | None = None,
        bias: bool = False,
        dropout: float = 0.0,
        output_bias: bool | None = None,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.out_dim = positive("out_dim", dim if out_dim is None else out_dim)
        positive("hidden_dim", hidden_dim)
        self.gate = nn.Linear(dim, hidden_dim, bias=bias)
        self.value = nn.Linear(dim, hidden_dim, bias=bias)
        self.activation = maker("activation", activation, "nn.SiLU")()
        self.dropout = nn.Dropout(probability("dropout", dropout))
        self.output_bias = bias if output_bias is None else switch("output_bias", output_bias)
        self.output = nn.Linear(hidden_dim, self.out_dim, bias=self.output_bias)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        return self._map(x)

    def start(self, structure: Structure) -> None:
        return None

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        return self._map(x), state

    def _map(self, x: Tensor) -> Tensor:
        return self.output(self.dropout(self.activation(self.gate(x)) * self.value(x)))
