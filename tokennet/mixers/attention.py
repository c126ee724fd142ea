"""Multi-head attention over any topology.

Axes: B samples, N target and M source tokens, T rows, E edges, H heads, D channels of a head.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, probability, split_heads, type_error, value_error
from tokennet.mixers.base import Mixer, check_place
from tokennet.ops import attend, attention_weights
from tokennet.structure import Structure
from tokennet.topology import Dense, Full, Pairs, Topology


class Attention(Mixer):
    """y_i = W_O sum_j softmax_j(q_i . k_j / sqrt(D)) v_j over the pairs (i, j) of the topology.

    Vaswani et al. 2017, "Attention is all you need". The same weights run over `Full()` (a
    transformer), `EdgeList()` (a graph network), `Causal()`, windows, and `Memory()`
    (cross-attention: keys and values from `structure.memory`, of `memory_dim` channels).

    `query`, `key` and `value` may be replaced by any token-wise modules of the same output size.
    A token that has nobody to listen to gets W_O 0 = the bias of `output`.
    Shapes: [*, dim] -> [*, dim].

    Args:
        output: False leaves W_O out (then the result has num_heads * head_dim channels).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        topology: Topology | None = None,
        *,
        head_dim: int | None = None,
        memory_dim: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        output: bool = True,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.num_heads = positive("num_heads", num_heads)
        self.head_dim = (
            positive("head_dim", head_dim) if head_dim is not None else split_heads(dim, num_heads)
        )
        self.topology = Full() if topology is None else topology
        if not isinstance(self.topology, Topology):
            raise type_error("topology", kind_of(topology), "a Topology", "e.g. tn.Causal()")
        self.dropout = probability("dropout", dropout)
        self.memory_dim = positive("memory_dim", dim if memory_dim is None else memory_dim)
        if self.memory_dim != dim and "memory" not in self.topology.reads:
            raise value_error(
                "memory_dim", memory_dim, "None", "only topology=Memory() reads memory"
            )
        inner, source_dim = self.num_heads * self.head_dim, self.memory_dim
        self.out_dim = dim if output else inner
        self.query = nn.Linear(dim, inner, bias=bias)
        self.key = nn.Linear(source_dim, inner, bias=bias)
        self.value = nn.Linear(source_dim, inner, bias=bias)
        self.output: nn.Module = nn.Linear(inner, dim, bias=bias) if output else nn.Identity()

    @property
    def claims(self):  # type: ignore[override]
        return self.topology.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.topology.reads

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        q, k, v, pairs = self._project(x, structure)
        y = attend(q, k, v, pairs, dropout=self.dropout if self.training else 0.0).flatten(-2)
        layout = structure.layout
        y = layout.unpad(y) if isinstance(pairs, Dense) else layout.unflat(y)
        return self.output(y)

    def check(self, x: Tensor, structure: Structure) -> None:
        super().check(x, structure)
        if "memory" not in self.topology.reads:
            return
        assert structure.memory is not None  # the line above has seen to it
        memory, name = structure.memory.x, "structure.memory.x"
        if memory.shape[-1] != self.memory_dim:
            allowed = f"{self.memory_dim}, the memory_dim of Attention"
            raise value_error(f"{name}.shape[-1]", memory.shape[-1], allowed)
        if not torch.compiler.is_compiling():
            check_place(name, memory, self)

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor | tuple:
        """Who listens to whom: `[B, H, N, M]` of the padded view, or over edges (index, `[E, H]`).

        Rows sum to one (to zero for a token that has nobody to listen to).
        """
        self.check(x, structure)
        q, k, _, pairs = self._project(x, structure)
        weights = attention_weights(q, k, pairs)
        return weights if isinstance(pairs, Dense) else (pairs.edges.index, weights)

    def _project(self, x: Tensor, structure: Structure) -> tuple[Tensor, Tensor, Tensor, Pairs]:
        """q, k, v `[..., H, D]`, padded or flat as the pairs need them."""
        layout, pairs = structure.layout, self.topology.pairs(structure)
        x = layout.clear(x)
        source, source_layout = x, layout
        if "memory" in self.topology.reads:
            assert structure.memory is not None  # `check` has seen to it
            memory, memory_structure = structure.memory
            source_layout = memory_structure.layout
            source = source_layout.clear(memory)
        heads = (self.num_heads, self.head_dim)
        q = self.query(x).unflatten(-1, heads)
        k = self.key(source).unflatten(-1, heads)
        v = self.value(source).unflatten(-1, heads)
        if isinstance(pairs, Dense):
            return layout.pad(q), source_layout.pad(k), source_layout.pad(v), pairs
        return layout.flat(q), source_layout.flat(k), source_layout.flat(v), pairs
