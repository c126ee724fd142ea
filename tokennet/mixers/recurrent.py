"""Recurrent networks: the tokens one after the other, through a state of fixed size.

Axes: B samples, N tokens of the padded view, L layers, D channels in, H channels of the state.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive
from tokennet.laws import Causality
from tokennet.mixers.base import Mixer
from tokennet.mixers.stepping import check_state, check_token
from tokennet.ops import reference
from tokennet.ops.backend import is_counting, is_reference
from tokennet.structure import Structure

Weights = list[Tensor]  # of one layer: input to state, state to state, and their two biases


class _Recurrent(Mixer, ABC):
    """What the three share: the weights, named as torch names them, and the layers."""

    claims = frozenset({Causality()})
    reads = frozenset({"position"})
    gates: ClassVar[int]

    def __init__(self, dim: int, hidden_dim: int | None = None, *, num_layers: int = 1):
        super().__init__()
        self.dim = positive("dim", dim)
        size = positive("hidden_dim", dim if hidden_dim is None else hidden_dim)
        self.hidden_dim = self.out_dim = size
        self.num_layers = positive("num_layers", num_layers)
        rows = self.gates * size
        for layer in range(num_layers):
            shapes = ((rows, size if layer else dim), (rows, size), (rows,), (rows,))
            for name, shape in zip(_NAMES, shapes, strict=True):
                start = torch.empty(shape).uniform_(-(size**-0.5), size**-0.5)
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(start))

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        y = structure.layout.compact(x)  # [B, N, D], padding last: nothing real comes after it
        plain = is_reference() or is_counting()
        for weights in self._layers():
            if y.numel():
                y = self._plain(y, *weights) if plain else self._run(y, weights)
            else:  # torch refuses empty sequences
                y = nn.functional.linear(y, weights[0][: self.hidden_dim])
        return structure.layout.spread(y)

    @abstractmethod
    def _run(self, x: Float[Tensor, "B N D"], weights: Weights) -> Float[Tensor, "B N H"]:
        """One layer, fast."""

    @staticmethod
    @abstractmethod
    def _plain(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Float[Tensor, "B N H"]:
        """One layer, as plain as possible."""

    def _layers(self) -> list[Weights]:
        return [
            [self.get_parameter(f"{name}_l{layer}") for name in _NAMES]
            for layer in range(self.num_layers)
        ]

    def _zeros(self, structure: Structure) -> Float[Tensor, "B L H"]:
        self.check_steps(structure)
        weight = self.get_parameter("weight_hh_l0")
        return weight.new_zeros(structure.batch, self.num_layers, self.hidden_dim)

    def _check_step(self, x: Tensor, state: Tensor) -> None:
        check_token(x, state.shape[0], self.dim or 0)


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _OneState(_Recurrent, ABC):
    """Those whose state is their output h alone."""

    @abstractmethod
    def _cell(self, x: Tensor, h: Tensor, weights: Weights) -> Float[Tensor, "B H"]:
        """The state after one more token."""

    def start(self, structure: Structure) -> Float[Tensor, "B L H"]:
        """Zeros, one state for each layer and sample."""
        return self._zeros(structure)

    def step(
        self, x: Float[Tensor, "B D"], state: Float[Tensor, "B L H"]
    ) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B L H"]]:
        check_state(state, "[B, L, H]", isinstance(state, Tensor) and state.ndim == 3)
        self._check_step(x, state)
        new = []
        for h, weights in zip(state.unbind(1), self._layers(), strict=True):
            x = self._cell(x, h, weights)
            new.append(x)
        return x, torch.stack(new, 1)


class RNN(_OneState):
    """h_i = tanh(W x_i + b + U h_(i-1) + c) from h_0 = 0; the output is h.

    Elman 1990, "Finding structure in time"; layer l > 1 reads the states of layer l - 1. Causal, of
    one state `[B, L, H]` for `start` and `step`. The names of the weights, hence the state dict,
    are those of `nn.RNN`. Compiled, it is unrolled: once for each length. Shapes: [*, dim] ->
    [*, hidden_dim], by default dim.
    """

    gates = 1
    _plain = staticmethod(reference.rnn)

    def _run(self, x: Float[Tensor, "B N D"], weights: Weights) -> Float[Tensor, "B N H"]:
        return torch.rnn_tanh(x, *_rest(x, self.hidden_dim, weights))[0]

    def _cell(self, x: Tensor, h: Tensor, weights: Weights) -> Float[Tensor, "B H"]:
        return torch.rnn_tanh_cell(x, h, *weights)


class GRU(_OneState):
    """h_i = (1 - z) n + z h_(i-1), with gates r, z and n = tanh(W x_i + b + r (U h_(i-1) + c)).

    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", with the reset
    gate r after the product, as in `nn.GRU`. r and z are sigmoids of maps of their own of x_i and
    h_(i-1). States, names of the weights, compilation and shapes as in `RNN`.
    """

    gates = 3
    _plain = staticmethod(reference.gru)

    def _run(self, x: Float[Tensor, "B N D"], weights: Weights) -> Float[Tensor, "B N H"]:
        return torch.gru(x, *_rest(x, self.hidden_dim, weights))[0]

    def _cell(self, x: Tensor, h: Tensor, weights: Weights) -> Float[Tensor, "B H"]:
        return torch.gru_cell(x, h, *weights)


class LSTM(_Recurrent):
    """h_i = o tanh(c_i), c_i = f c_(i-1) + i tanh(g): gates i, f, o, candidate g of x_i, h_(i-1).

    Hochreiter and Schmidhuber 1997, "Long short-term memory", with the forget gate f of Gers et al.
    2000, as in `nn.LSTM`. The state for `start` and `step` is the pair (h, c), each `[B, L, H]`.
    Names of the weights, compilation and shapes as in `RNN`.
    """

    gates = 4
    _plain = staticmethod(reference.lstm)

    def _run(self, x: Float[Tensor, "B N D"], weights: Weights) -> Float[Tensor, "B N H"]:
        if torch.compiler.is_compiling():  # torch 2.13 can't differentiate its own one there
            return reference.lstm(x, *weights)
        zero, *rest = _rest(x, self.hidden_dim, weights)
        return torch.lstm(x, (zero, zero), *rest)[0]

    def start(self, structure: Structure) -> tuple[Float[Tensor, "B L H"], Float[Tensor, "B L H"]]:
        """Zeros: h and c of each layer and sample."""
        zero = self._zeros(structure)
        return zero, zero

    def step(
        self, x: Float[Tensor, "B D"], state: tuple[Tensor, Tensor]
    ) -> tuple[Float[Tensor, "B H"], tuple[Tensor, Tensor]]:
        fits = isinstance(state, tuple) and len(state) == 2
        check_state(state, "the pair (h, c)", fits and all(isinstance(s, Tensor) for s in state))
        self._check_step(x, state[0])
        new = []
        for h, c, weights in zip(
            state[0].unbind(1), state[1].unbind(1), self._layers(), strict=True
        ):
            new.append(torch.lstm_cell(x, (h, c), *weights))
            x = new[-1][0]
        return x, (torch.stack([h for h, _ in new], 1), torch.stack([c for _, c in new], 1))


def _rest(x: Tensor, size: int, weights: Weights) -> tuple:
    """The other arguments of torch's functions: zero state, weights, and one plain layer."""
    # the fifth: cuDNN keeps what a backward pass needs in training mode only
    zero = x.new_zeros(1, len(x), size)
    return zero, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True
