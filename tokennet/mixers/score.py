"""Scores of attention: how well a query and a key go together. Score and norm are two choices.

Axes: B samples, b B or 1, N target and M source tokens, T rows of the flat view, E edges, H heads,
D channels of a head, P positions.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.laws import CLAIMABLE, Causality, Law
from tokennet.ops import dot_scores
from tokennet.pairs import Pairs, Sparse
from tokennet.structure import Structure

EVERY_LAW = frozenset(CLAIMABLE)
CAUSAL_ONLY: frozenset[Law] = frozenset({Causality()})


@dataclass(frozen=True, eq=False)
class Place:
    """Where the pairs lie that are scored; `at` gives the positions where no layout tells them."""

    structure: Structure
    pairs: Pairs
    at: tuple[Tensor, Tensor] | None = None

    @property
    def positions(self) -> tuple[Int[Tensor, "*targets"], Int[Tensor, "*sources"]]:
        """Of targets and sources: `[b, N]` and `[b, M]` over dense pairs, `[T]` over sparse."""
        if self.at is not None:
            return self.at
        layout = self.structure.layout
        own = layout.position if isinstance(self.pairs, Sparse) else _once(layout.padded_position)
        return own, own

    @property
    def offset(self) -> Int[Tensor, "*pairs"]:
        """Position of the source less that of the target: `[b, N, M]`, or `[E]`."""
        target, source = self.positions
        if isinstance(self.pairs, Sparse):
            edges = self.pairs.edges
            return source.index_select(0, edges.source) - target.index_select(0, edges.target)
        return source[:, None, :] - target[:, :, None]


def _once(position: Int[Tensor, "B N"]) -> Int[Tensor, "b N"]:
    """One row where all samples have the same, as with padding behind: it costs less from here on.

    Only where looking does not wait for a device, nor is compiled into the program.
    """
    recorded = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    if recorded or position.shape[0] < 2 or position.device.type != "cpu":
        return position
    return position[:1] if torch.equal(position, position[:1].expand_as(position)) else position


class Dot(NamedTuple):
    """Scores in the form that fused kernels take: scale * q.k + bias."""

    q: Tensor
    k: Tensor
    scale: float
    bias: Tensor | None = None


class Part(nn.Module, ABC):
    """A part of an attention: the laws that it leaves standing, and the facts that it reads."""

    claims: frozenset[Law] = EVERY_LAW
    reads: frozenset[str] = frozenset()
    max_tokens: int | None = None

    num_heads: int | None = None
    head_dim: int | None = None
    """The heads that it is made for; None: any."""


class QueryKeyMap(Part):
    """Changes queries and keys before their dot product: rotary codes, norms."""

    @abstractmethod
    def forward(self, q: Tensor, k: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        """q, k, of the same shapes."""


class Bias(Part):
    """A number added to the score of each pair: `DotScore() + RelativeBias(8)`."""

    @abstractmethod
    def forward(self, place: Place) -> Tensor:
        """`[b, H, N, M]` over dense pairs, `[E, H]` over edges."""


class Score(Part):
    """Scores of pairs: `[B, H, N, M]` over dense ones, `[E, H]` over edges."""

    is_dot: bool = False
    """Whether `as_dot` says the same as a dot product with a bias, which fused kernels compute."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a dot product without a bias."""
        return self.is_dot

    @abstractmethod
    def forward(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        """From queries `[..., H, D]` and keys, padded or flat as the pairs are."""

    def as_dot(self, q: Tensor, k: Tensor, place: Place) -> Dot | None:
        """The same as a dot product with a bias; None for a score that is none (`is_dot`)."""
        return None

    def __add__(self, bias: Bias) -> "BiasedScore":
        return BiasedScore(self, bias)


class BiasedScore(Score):
    """A score plus biases, as `score + bias` makes it."""

    score: Score
    biases: nn.ModuleList

    def __init__(self, score: Score, *biases: Bias):
        super().__init__()
        before: list[nn.Module] = []
        if isinstance(score, BiasedScore):
            before = list(score.biases)
            score = score.score
        self.score = score
        for bias in biases:
            if not isinstance(bias, Bias):
                raise type_error("bias", kind_of(bias), "a Bias", "e.g. tn.RelativeBias(8)")
        self.biases = nn.ModuleList([*before, *biases])
        self.is_dot = self.score.is_dot
        parts = [self.score, *self.biases]
        self.claims = frozenset.intersection(*(p.claims for p in parts))
        self.reads = frozenset().union(*(p.reads for p in parts))
        self.max_tokens = min((p.max_tokens for p in parts if p.max_tokens), default=None)

    @property
    def is_plain(self) -> bool:
        return self.is_dot and not len(self.biases)

    def forward(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        return self.score(q, k, place) + self._bias(place)

    def as_dot(self, q: Tensor, k: Tensor, place: Place) -> Dot | None:
        dot = self.score.as_dot(q, k, place)
        return None if dot is None else dot._replace(bias=self._bias(place))

    def _bias(self, place: Place) -> Tensor:
        first, *others = (bias(place) for bias in self.biases)
        return sum(others, first)


class DotScore(Score):
    """q.k / D**power: 0 the dot product, 0.5 the scaled one, 1 muP's.

    Luong et al. 2015 ("dot"); Vaswani et al. 2017, equation 1; Yang et al. 2022, "Tensor programs
    V". Of independent entries of size one, q.k has variance D: the root keeps it one at the start,
    the whole D keeps it bounded when queries and keys grow alike.

    Args:
        maps: change queries and keys first, in turn: `DotScore(QueryKeyNorm(64), Rotary(64))`.
    """

    is_dot = True

    def __init__(self, *maps: QueryKeyMap, power: float = 0.5):
        super().__init__()
        for i, m in enumerate(maps):
            if not isinstance(m, QueryKeyMap):
                raise type_error(f"maps[{i}]", kind_of(m), "a QueryKeyMap", "e.g. tn.Rotary(64)")
        if isinstance(power, bool) or not isinstance(power, (int, float)):
            raise type_error("power", repr(power), "a number", "e.g. 0.5: divided by sqrt(D)")
        if not math.isfinite(power):
            raise value_error("power", power, "a finite number", "e.g. 0.5: divided by sqrt(D)")
        self.maps = nn.ModuleList(maps)
        self.power = float(power)
        self.claims = EVERY_LAW.intersection(*(m.claims for m in maps))
        self.reads = frozenset().union(*(m.reads for m in maps))
        self.max_tokens = min((m.max_tokens for m in maps if m.max_tokens), default=None)

    def as_dot(self, q: Tensor, k: Tensor, place: Place) -> Dot:
        scale = q.shape[-1] ** -self.power
        for change in self.maps:
            q, k = change(q, k, place)
        return Dot(q, k, scale)

    def forward(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        return _scores(self.as_dot(q, k, place), place)


class CosineScore(Score):
    """exp(s) cos(q, k): bounded by its temperature, however large queries and keys are.

    Henry et al. 2020, "Query-key normalization for transformers"; Swin v2. s is learned and starts
    at log(scale).
    """

    is_dot = True

    def __init__(self, *, scale: float = 10.0):
        super().__init__()
        number = isinstance(scale, (int, float)) and not isinstance(scale, bool)
        if not number or not 0 < scale < math.inf:
            raise type_error("scale", repr(scale), "a number above 0")
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def as_dot(self, q: Tensor, k: Tensor, place: Place) -> Dot:
        eps = max(1e-12, torch.finfo(q.dtype).tiny)  # in float16 1e-12 is 0, and 0 / 0 spreads
        q = F.normalize(q, dim=-1, eps=eps) * self.log_scale.exp().to(q.dtype)
        return Dot(q, F.normalize(k, dim=-1, eps=eps), 1.0)

    def forward(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        return _scores(self.as_dot(q, k, place), place)


class BilinearScore(Score):
    """q^T W_h k, a matrix for each head: Luong et al. 2015, equation 8 ("general")."""

    is_dot = True

    def __init__(self, num_heads: int, head_dim: int):
        super().__init__()
        self.num_heads = positive("num_heads", num_heads)
        self.head_dim = positive("head_dim", head_dim)
        self.weight = nn.Parameter(torch.empty(num_heads, head_dim, head_dim))
        nn.init.normal_(self.weight, std=1 / head_dim)

    def as_dot(self, q: Tensor, k: Tensor, place: Place) -> Dot:
        return Dot(torch.einsum("...hd,hde->...he", q, self.weight), k, 1.0)

    def forward(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        return _scores(self.as_dot(q, k, place), place)


class AdditiveScore(Score):
    """v_h . tanh(q + k): Bahdanau et al. 2015, "Neural machine translation by jointly learning to
    align and translate" (appendix A.1.2); W and U of the paper are the maps to queries and keys.

    Holds a vector for each pair while it runs: N M H D numbers over dense pairs, E H D over edges.
    """

    def __init__(self, num_heads: int, head_dim: int):
        super().__init__()
        self.num_heads = positive("num_heads", num_heads)
        self.head_dim = positive("head_dim", head_dim)
        self.vector = nn.Parameter(torch.empty(num_heads, head_dim))
        nn.init.normal_(self.vector, std=head_dim**-0.5)

    def forward(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        if isinstance(place.pairs, Sparse):
            edges = place.pairs.edges
            both = q.index_select(0, edges.target) + k.index_select(0, edges.source)  # [E, H, D]
            return (both.tanh() * self.vector).sum(-1)
        both = q[:, :, None] + k[:, None]  # [B, N, M, H, D]
        return torch.einsum("bnmhd,hd->bhnm", both.tanh(), self.vector)


class LocationScore(Score):
    """(W_h q)_p for a key at position p: from the target alone, whatever stands there.

    Luong et al. 2015, equation 8 ("location"). Holds `num_tokens` positions.
    """

    claims = CAUSAL_ONLY
    reads = frozenset({"position"})

    def __init__(self, num_heads: int, head_dim: int, num_tokens: int):
        super().__init__()
        self.num_heads = positive("num_heads", num_heads)
        self.head_dim = positive("head_dim", head_dim)
        self.max_tokens = positive("num_tokens", num_tokens)
        self.weight = nn.Parameter(torch.empty(num_heads, num_tokens, head_dim))
        nn.init.normal_(self.weight, std=head_dim**-0.5)

    def forward(self, q: Tensor, k: Tensor, place: Place) -> Tensor:
        each = torch.einsum("...hd,hpd->...hp", q, self.weight)  # a score for each position
        at = place.positions[1].clamp(max=self.weight.shape[1] - 1)  # padding may lie beyond
        if isinstance(place.pairs, Sparse):
            edges = place.pairs.edges
            index = at.index_select(0, edges.source)[:, None, None].expand(-1, each.shape[1], 1)
            return each.index_select(0, edges.target).gather(2, index)[..., 0]
        index = at[:, None, None].expand(each.shape[0], each.shape[1], each.shape[2], -1)
        return each.gather(3, index).transpose(1, 2)


def _scores(dot: Dot, place: Place) -> Float[Tensor, "..."]:
    return dot_scores(dot.q, dot.k, place.pairs) * dot.scale
