"""Multi-head attention over any topology.

Axes: B samples, N target and M source tokens, T rows, E edges, H heads, G heads of keys and values,
D channels of a head, K channels of an edge.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, probability, type_error, value_error
from tokennet.mixers.base import Mixer, check_place
from tokennet.mixers.bias import edge_features
from tokennet.mixers.heads import Heads
from tokennet.mixers.normaliser import Normaliser, Softmax
from tokennet.mixers.score import DotScore, Place, Score
from tokennet.mixers.stepping import Cache, check_token
from tokennet.ops import attend, attend_ragged, dot_scores, runs_ragged, segment_sum, weighted_sum
from tokennet.pairs import Dense, Ragged, Sparse
from tokennet.structure import Structure
from tokennet.topology import Causal, Full, Memory, Topology


class Attention(Mixer):
    """y_i = W_O sum_j softmax_j(q_i . k_j / sqrt(D)) v_j over the pairs (i, j) of the topology.

    Vaswani et al. 2017, "Attention is all you need". The same weights run over `Full()` (a
    transformer), `EdgeList()` (a graph network), `Causal()`, windows, and `Memory()`
    (cross-attention: keys and values from `structure.memory`, of `memory_dim` channels).
    A token that has nobody to listen to gets W_O 0 = the bias of the output map.
    Shapes: [*, dim] -> [*, dim].

    Args:
        num_heads: a number, or `Heads(8, kv_heads=2, head_dim=16, bias=False, output=False)`.
        edge_dim: edge features e_ij add to keys and values: q_i.(k_j + W e_ij), v_j + W e_ij (Shi
            et al. 2021, "Masked label prediction"); never as a tensor [E, H, D]. K.
        score: `DotScore()` by default; `DotScore(Rotary(64)) + AlibiBias(8)`, `CosineScore()`, ...
        normaliser: `Softmax()` by default; `HardMax()`, `TopK(4)`, `Sigmoid()`, ...
        dropout: of the weights.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int | Heads,
        topology: Topology | None = None,
        *,
        memory_dim: int | None = None,
        edge_dim: int | None = None,
        score: Score | None = None,
        normaliser: Normaliser | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.heads = Heads.of(num_heads, dim)
        self.topology = Full() if topology is None else topology
        if not isinstance(self.topology, Topology):
            raise type_error("topology", kind_of(topology), "a Topology", "e.g. tn.Causal()")
        self.score = DotScore() if score is None else score
        if not isinstance(self.score, Score):
            raise type_error("score", kind_of(score), "a Score", "e.g. tn.CosineScore()")
        self.normaliser = Softmax() if normaliser is None else normaliser
        if not isinstance(self.normaliser, Normaliser):
            raise type_error("normaliser", kind_of(normaliser), "a Normaliser", "e.g. tn.TopK(4)")
        self.heads.check(self.score)
        self.dropout = probability("dropout", dropout)
        self.memory_dim = positive("memory_dim", dim if memory_dim is None else memory_dim)
        self.edge_dim = edge_dim
        self._check_parts()
        self.out_dim = dim if self.heads.output else self.heads.inner_dim
        maps = self.heads.maps(dim, self.memory_dim)
        self.query, self.key, self.value, self.output = maps
        if edge_dim is not None:
            self.edge = nn.Linear(edge_dim, self.heads.inner_dim, bias=False)

    def _check_parts(self) -> None:
        """Raises where topology, score, normaliser and memory don't go together."""
        reads = self.topology.reads
        if self.memory_dim != self.dim and "memory" not in reads:
            raise value_error(
                "memory_dim", self.memory_dim, "None", "only topology=Memory() reads memory"
            )
        for name, part in (("score", self.score), ("normaliser", self.normaliser)):
            if "memory" in reads and part.reads:
                raise value_error(
                    f"reads of {name}", sorted(part.reads), "nothing over Memory()",
                    "memory tokens have no order or edges to the tokens",
                )  # fmt: skip
            if "edges" in reads and getattr(part, "topology", None) is not None:
                allowed = "one without a topology of its own over edges"
                raise value_error("normaliser", type(part).__name__, allowed)
        if self.edge_dim is None:
            return
        positive("edge_dim", self.edge_dim)
        if "edges" not in reads:
            hint = "over other pairs use score=DotScore() + EdgeBias(edge_dim, num_heads)"
            raise value_error("edge_dim", self.edge_dim, "None without EdgeList()", hint)
        if not self.score.is_dot:
            name = type(self.score).__name__
            raise value_error("score", name, "a dot product with edge_dim", "e.g. tn.DotScore()")

    @property
    def claims(self):  # type: ignore[override]
        return self.topology.claims & self.score.claims & self.normaliser.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.topology.reads | self.score.reads | self.normaliser.reads

    @property
    def max_tokens(self):  # type: ignore[override]
        return self.score.max_tokens

    def with_maps(self, **maps: nn.Module) -> "Attention":
        """Itself, with other maps: `query`, `key`, `value`, `output`, any token-wise modules.

        General f_q, f_k, f_v instead of linear ones; `nn.Identity()` leaves a map out.
        """
        source = self.memory_dim
        sizes = {"key": source, "value": source, "output": self.heads.inner_dim}
        sizes["query"] = self.dim or 0
        for name, module in maps.items():
            if name not in sizes:
                raise value_error("maps", name, "query, key, value or output")
            if not isinstance(module, nn.Module):
                raise type_error(name, kind_of(module), "a module")
            old = getattr(self, name)
            p = next(module.parameters(), next(self.parameters(), torch.empty(0)))
            probe = torch.zeros(1, 1, sizes[name], dtype=p.dtype, device=p.device)
            expected = old.out_features if isinstance(old, nn.Linear) else probe.shape[-1]
            own = getattr(module, "in_features", sizes[name])
            if own != sizes[name]:
                raise value_error(f"channels that {name} takes", own, f"{sizes[name]}")
            with torch.no_grad():
                found = module(probe).shape[-1]
            if found != expected:
                raise value_error(f"channels that {name} gives", found, f"{expected}")
            setattr(self, name, module)
        return self

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        ragged = self._ragged(x, structure)
        if ragged is not None:
            return self.output(self._mix_ragged(x, structure, ragged).flatten(-2))
        q, k, v, place = self._project(x, structure)
        y = self._mix(q, k, v, place).flatten(-2)
        layout = structure.layout
        y = layout.unpad(y) if isinstance(place.pairs, Dense) else layout.unflat(y)
        return self.output(y)

    def check(self, x: Tensor, structure: Structure) -> None:
        if not torch.compiler.is_compiling():
            self.heads.check_place(self.score, self.query)
        super().check(x, structure)
        if "memory" in self.topology.reads:
            self._check_memory(structure)

    def _check_memory(self, structure: Structure) -> None:
        assert structure.memory is not None  # the line above has seen to it
        memory, name = structure.memory.x, "structure.memory.x"
        if memory.shape[-1] != self.memory_dim:
            allowed = f"{self.memory_dim}, the memory_dim of Attention"
            raise value_error(f"{name}.shape[-1]", memory.shape[-1], allowed)
        if not torch.compiler.is_compiling():
            check_place(name, memory, self)

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor | tuple:
        """Who listens to whom: `[B, H, N, M]` of the padded view, or over edges (index, `[E, H]`).

        With the softmax rows sum to one (to zero for a token that has nobody to listen to).
        """
        self.check(x, structure)
        q, k, _, place = self._project(x, structure)
        weights = self._weights(q, self.heads.shared(k), place)
        return weights if isinstance(place.pairs, Dense) else (place.pairs.edges.index, weights)

    def start(self, structure: Structure) -> Any:
        """For `Causal()` an empty cache, for `Memory()` its keys and values; else all tokens."""
        if isinstance(self.topology, Memory):
            self.check_steps(structure)
            self._check_memory(structure)
            assert structure.memory is not None
            memory, facts = structure.memory
            source = facts.layout.clear(memory)
            k, v = self.heads.split(self.key(source)), self.heads.split(self.value(source))
            return Cache(structure, facts.layout.pad(k), facts.layout.pad(v))
        if isinstance(self.topology, Causal) and not self.normaliser.reads:
            self.check_steps(structure)
            return Cache(structure)
        return super().start(structure)

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B O"], Any]:
        if not isinstance(state, Cache):
            return super().step(x, state)
        check_token(x, state.structure.batch, self.dim or 0)
        check_place("x", x, self)
        q = self.heads.split(self.query(x))[:, None]  # [B, 1, H, D]
        pairs = Dense()
        if isinstance(self.topology, Causal):
            k, v = self.heads.split(self.key(x)), self.heads.split(self.value(x))
            state = state.extended(k[:, None], v[:, None])
            self._check_count(state)
        else:
            dense = self.topology.pairs(state.structure)
            pairs = dense if isinstance(dense, Dense) else pairs
        assert state.k is not None
        assert state.v is not None
        seen = torch.arange(state.k.shape[1], device=x.device)[None]
        y = self._mix(q, state.k, state.v, Place(state.structure, pairs, (seen[:, -1:], seen)))
        return self.output(y.flatten(1)), state

    def _check_count(self, state: "Cache") -> None:
        count = 0 if state.k is None else state.k.shape[1]
        if self.max_tokens is not None and count > self.max_tokens:
            raise value_error("tokens so far", count, f"at most max_tokens ({self.max_tokens})")

    def _project(self, x: Tensor, structure: Structure) -> tuple[Tensor, Tensor, Tensor, Place]:
        """q `[..., H, D]`, k, v `[..., G, D]`, padded or flat as the pairs need them."""
        layout, pairs = structure.layout, self.topology.pairs(structure)
        x = layout.clear(x)
        source, source_layout = x, layout
        if "memory" in self.topology.reads:
            assert structure.memory is not None  # `check` has seen to it
            memory, memory_structure = structure.memory
            source_layout = memory_structure.layout
            source = source_layout.clear(memory)
        split, place = self.heads.split, Place(structure, pairs)
        q, k, v = split(self.query(x)), split(self.key(source)), split(self.value(source))
        if isinstance(pairs, Dense):
            return layout.pad(q), source_layout.pad(k), source_layout.pad(v), place
        return layout.flat(q), source_layout.flat(k), source_layout.flat(v), place

    def _ragged(self, x: Tensor, structure: Structure) -> Ragged | None:
        """The pairs without padding, where a kernel over packed samples runs."""
        plain = isinstance(self.normaliser, Softmax) and self.score.is_plain
        if not plain or (self.training and self.dropout):
            return None
        pairs = self.topology.ragged(structure)
        return pairs if pairs is not None and runs_ragged(x, pairs) else None

    def _mix_ragged(self, x: Tensor, structure: Structure, pairs: Ragged) -> Tensor:
        source = structure.memory.x if isinstance(self.topology, Memory) else x  # type: ignore[union-attr]
        split, shared = self.heads.split, self.heads.shared
        k, v = shared(split(self.key(source))), shared(split(self.value(source)))
        at = pairs.targets.position, pairs.sources.position
        dot = self.score.as_dot(split(self.query(x)), k, Place(structure, Dense(), at))
        assert dot is not None  # a plain score is a dot product
        return attend_ragged(dot.q, dot.k, v, pairs, scale=dot.scale)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, place: Place) -> Tensor:
        """The weighted sums `[..., H, D]`."""
        k, v = self.heads.shared(k), self.heads.shared(v)
        dropout = self.dropout if self.training else 0.0
        dot = self.score.as_dot(q, k, place) if isinstance(self.normaliser, Softmax) else None
        if dot is not None:
            attr = matrix = None
            if self.edge_dim is not None:
                _, attr, matrix = self._edge_parts(place)
            return attend(
                dot.q, dot.k, v, place.pairs, scale=dot.scale, bias=dot.bias, dropout=dropout,
                attr=attr, edge_map=matrix,
            )  # fmt: skip
        weights = F.dropout(self._weights(q, k, place), dropout)
        y = weighted_sum(weights, v, place.pairs)
        return y if self.edge_dim is None else y + self._edge_values(weights, place)

    def _weights(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        score = self.score if self.edge_dim is None else self._edge_scores
        return self.normaliser(score(q, k, place), place)

    def _edge_parts(self, place: Place) -> tuple[Any, Tensor, Tensor]:
        """The edges, their features `[E, K]` and the map W `[H, D, K]`."""
        assert isinstance(place.pairs, Sparse)  # `_check_parts` has seen to it
        edges = place.pairs.edges
        attr = edge_features(edges, self.edge_dim or 0, "Attention")
        return edges, attr, self.edge.weight.unflatten(0, (self.heads.num_heads, -1))

    def _edge_scores(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        """Scores with q.(W e) as (q W).e, so that nothing of E H D numbers is made."""
        edges, attr, matrix = self._edge_parts(place)
        dot = self.score.as_dot(q, k, place)
        assert dot is not None
        reduced = torch.einsum("thd,hdk->thk", dot.q, matrix).index_select(0, edges.target)
        scores = dot_scores(dot.q, dot.k, place.pairs) + torch.einsum("ehk,ek->eh", reduced, attr)
        scores = scores * dot.scale
        return scores if dot.bias is None else scores + dot.bias

    def _edge_values(self, weights: Tensor, place: Place) -> Tensor:
        """sum_j w_ij W e_ij as W sum_j w_ij e_ij."""
        edges, attr, matrix = self._edge_parts(place)
        each = weights[:, :, None] * attr[:, None]  # [E, H, K]
        return torch.einsum("thk,hdk->thd", segment_sum(each, edges.target, edges.num_rows), matrix)
