"""From scores to weights: soft or hard, few or many, summing to one or not.

Axes: B samples, b B or 1, N target and M source tokens, E edges, H heads.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error
from tokennet.laws import Law
from tokennet.mixers.score import EVERY_LAW, Place
from tokennet.ops import edge_softmax, masked_softmax, segment_min, segment_softmax, segment_sum
from tokennet.pairs import Dense, Sparse
from tokennet.structure import SortedEdges
from tokennet.topology import Topology


class Normaliser(ABC):
    """Weights of pairs from their scores, `[B, H, N, M]` over dense pairs, `[E, H]` over edges."""

    claims: ClassVar[frozenset[Law]] = EVERY_LAW
    reads: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def __call__(self, scores: Tensor, place: Place) -> Tensor:
        """Weights; 0 where there is no pair."""


def _mask(scores: Tensor, pairs: Dense) -> Tensor:
    """`[b, n, M]`, True where there is a pair."""
    return pairs.full_mask(scores.shape[2], scores.shape[3], scores.device)


@dataclass(frozen=True)
class Softmax(Normaliser):
    """exp(s_ij) / sum_j exp(s_ij): every row sums to one. Vaswani et al. 2017, equation 1."""

    def __call__(self, scores: Tensor, place: Place) -> Tensor:
        pairs = place.pairs
        if isinstance(pairs, Sparse):
            return edge_softmax(scores, pairs.edges)
        return masked_softmax(scores, _mask(scores, pairs))


@dataclass(frozen=True)
class TopK(Normaliser):
    """Softmax over the `count` highest scores of each token, the others 0.

    Gupta et al. 2021, "Memory-efficient transformers via top-k attention". All scores equal to the
    last of the highest are taken too: to choose among them would need an order of the tokens.
    """

    count: int

    def __post_init__(self) -> None:
        positive("count", self.count)

    def __call__(self, scores: Tensor, place: Place) -> Tensor:
        pairs = place.pairs
        if isinstance(pairs, Sparse):
            edges = pairs.edges
            outside = _rank(scores, edges) >= self.count
            if edges.keep is not None:
                outside = outside | ~edges.keep[:, None]
                scores = scores.masked_fill(~edges.keep[:, None], -math.inf)
            inside = scores.masked_fill(outside, math.inf)
            lowest = segment_min(inside, edges.target, edges.num_rows)
            below = scores < lowest.index_select(0, edges.target)
            scores = scores.masked_fill(below, -math.inf)
            return segment_softmax(scores, edges.target, edges.num_rows)
        mask = _mask(scores, pairs)
        masked = scores.masked_fill(~mask[:, None], -math.inf)
        order = masked.argsort(dim=-1, descending=True, stable=True)
        rank = torch.empty_like(order).scatter(
            -1, order, torch.arange(order.shape[-1], device=order.device).expand_as(order)
        )
        live = mask.any(-1, keepdim=True)[:, None]
        if masked.shape[-1]:  # of no scores there is no lowest
            lowest = masked.masked_fill(rank >= self.count, math.inf).amin(-1, keepdim=True)
            masked = masked.masked_fill(masked < lowest, -math.inf)
        return masked.masked_fill(~live, 0).softmax(-1) * live


@dataclass(frozen=True)
class HardMax(Normaliser):
    """1 for the highest score of each token, 0 for the others; gradients are those of the softmax.

    Hard attention (Xu et al. 2015, "Show, attend and tell") with the straight-through gradient of
    Bengio et al. 2013. Equal highest scores share the 1, so that no order of the tokens counts.
    """

    def __call__(self, scores: Tensor, place: Place) -> Tensor:
        soft = Softmax()(scores, place)
        hard = TopK(1)(scores.detach(), place)
        return hard + (soft - soft.detach())


@dataclass(frozen=True)
class Sigmoid(Normaliser):
    """sigmoid(s_ij - log n_i), n_i the number of pairs of token i: rows sum to about one at first.

    Ramapuram et al. 2025, "Theory, analysis, and best practices for sigmoid self-attention"
    (section 3.1). No pair competes with another.
    """

    def __call__(self, scores: Tensor, place: Place) -> Tensor:
        pairs = place.pairs
        if isinstance(pairs, Sparse):
            edges = pairs.edges
            kept = torch.ones_like(edges.target) if edges.keep is None else edges.keep.long()
            count = segment_sum(kept.to(scores.dtype), edges.target, edges.num_rows).clamp_min(1)
            shift = count.log().index_select(0, edges.target)[:, None]
            return torch.sigmoid(scores - shift) * kept[:, None]
        mask = _mask(scores, pairs)
        shift = mask.sum(-1, keepdim=True).clamp_min(1).to(scores.dtype).log()
        return torch.sigmoid(scores - shift[:, None]) * mask[:, None]


@dataclass(frozen=True)
class ZeroedSoftmax(Normaliser):
    """The softmax over the attention's own pairs, then 0 outside of `topology`: rows sum to less.

    What "change their weight to zero" does when taken at its word. It is no mask: the denominator
    still sees every pair, so with `Causal()` later tokens leak into it. Mask with the attention's
    topology instead; this is here to show the difference.
    """

    topology: Topology

    def __post_init__(self) -> None:
        if not isinstance(self.topology, Topology):
            raise type_error("topology", kind_of(self.topology), "a Topology", "e.g. tn.Causal()")
        if "edges" in self.topology.reads or "memory" in self.topology.reads:
            allowed = "a topology over positions or a grid"
            raise type_error("topology", str(self.topology), allowed)

    @property
    def claims(self) -> frozenset[Law]:  # type: ignore[override]
        return self.topology.claims

    @property
    def reads(self) -> frozenset[str]:  # type: ignore[override]
        return self.topology.reads

    def __call__(self, scores: Tensor, place: Place) -> Tensor:
        weights, other = Softmax()(scores, place), self.topology.pairs(place.structure)
        assert isinstance(other, Dense)
        if isinstance(place.pairs, Sparse):
            raise type_error("topology", "a list of edges", "one with dense pairs")
        return weights * _mask(scores, other)[:, None]


def _rank(scores: Tensor, edges: SortedEdges) -> Tensor:
    """The rank of each edge `[E, H]` among the edges into its target, 0 the highest score."""
    down = scores.argsort(dim=0, descending=True, stable=True)
    row = edges.target if edges.keep is None else edges.target.where(edges.keep, edges.num_rows)
    target = row[:, None].expand_as(down)
    order = down.gather(0, target.gather(0, down).argsort(dim=0, stable=True))
    place = torch.arange(scores.shape[0], device=scores.device)[:, None]
    place = place - edges.ptr.index_select(0, row)[:, None]
    return torch.empty_like(order).scatter(0, order, place.expand_as(order))
