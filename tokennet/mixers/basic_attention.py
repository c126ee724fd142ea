"""Self-attention without parameters.

Axes: T rows, D channels.
"""

from jaxtyping import Float
from torch import Tensor

from tokennet.checks import kind_of, type_error
from tokennet.mixers.base import Mixer
from tokennet.ops import attend, attend_ragged, attention_weights, runs_ragged
from tokennet.pairs import Dense
from tokennet.structure import Structure
from tokennet.topology import Full, Topology


class BasicAttention(Mixer):
    """y_i = sum_j softmax_j(x_i . x_j / D**power) x_j over the pairs of the topology.

    Bloem 2019, "Transformers from scratch": tokens are queries, keys and values themselves, with
    plain dot products (power 0). No parameters. Shapes: [*, D] -> [*, D].
    """

    def __init__(self, topology: Topology | None = None, *, power: float = 0.0):
        super().__init__()
        self.topology = Full() if topology is None else topology
        if not isinstance(self.topology, Topology) or "memory" in self.topology.reads:
            kind = kind_of(topology) if not isinstance(topology, Topology) else str(topology)
            raise type_error("topology", kind, "a Topology of the tokens themselves")
        if isinstance(power, bool) or not isinstance(power, (int, float)):
            raise type_error("power", repr(power), "a number", "e.g. 0.5: divided by sqrt(D)")
        self.power = float(power)

    @property
    def claims(self):  # type: ignore[override]
        return self.topology.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.topology.reads

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        ragged = self.topology.ragged(structure)
        if ragged is not None and runs_ragged(x, ragged):
            z = x[:, None]  # [T, 1, D], one head
            return attend_ragged(z, z, z, ragged, scale=x.shape[-1] ** -self.power).squeeze(-2)
        layout, pairs = structure.layout, self.topology.pairs(structure)
        z = layout.clear(x)[..., None, :]
        z = layout.pad(z) if isinstance(pairs, Dense) else layout.flat(z)
        y = attend(z, z, z, pairs, scale=x.shape[-1] ** -self.power).squeeze(-2)
        return layout.unpad(y) if isinstance(pairs, Dense) else layout.unflat(y)

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor | tuple:
        """Who listens to whom: `[B, 1, N, N]`, padded view, or over edges (index, `[E, 1]`)."""
        self.check(x, structure)
        layout, pairs = structure.layout, self.topology.pairs(structure)
        z, scale = layout.clear(x)[..., None, :], x.shape[-1] ** -self.power
        if isinstance(pairs, Dense):
            return attention_weights(layout.pad(z), layout.pad(z), pairs, scale=scale)
        z = layout.flat(z)
        return pairs.edges.index, attention_weights(z, z, pairs, scale=scale)
