"""Laws of the list of edges: its order, and edges that stand in it twice."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tokennet.laws.law import Case, Law
from tokennet.laws.rows import pick, real_rows
from tokennet.structure import Edges, Tokens


def _listed(edges: Edges, order: Tensor) -> Edges:
    """The edges in another order, or some of them more than once."""
    take = lambda t: None if t is None else t[order]  # noqa: E731
    return Edges(edges.index[:, order], take(edges.weight), take(edges.attr))


def _with_edges(tokens: Tokens, edges: Edges, witness: str, gradients: bool = True) -> Case:
    rows, everyone = real_rows(tokens), torch.arange(tokens.structure.batch)
    new = Tokens(tokens.x, tokens.structure.with_facts(edges=edges))
    return Case(new, rows, rows, witness, everyone, everyone, gradients=gradients)


@dataclass(frozen=True)
class EdgeOrder(Law):
    """The order in which edges are listed does not matter."""

    statement: ClassVar[str] = "f(x, edges in another order) = f(x, edges)"

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        edges = tokens.structure.edges
        if edges is None or edges.num_edges < 2:
            return None
        count, kind = edges.num_edges, pick(rng, 0, 3)
        if kind == 0:
            order, name = torch.arange(count).flip(0), "reversed"
        elif kind == 1:
            source, target = edges.index.long()
            order, name = (target * (int(source.max()) + 1) + source).argsort(), "sorted"
        elif kind == 2:
            order, name = torch.arange(count), "two of them exchanged"
            i, j = torch.randperm(count, generator=rng)[:2].tolist()
            order[[i, j]] = order[[j, i]]
        else:
            order, name = torch.randperm(count, generator=rng), "shuffled"
        if torch.equal(edges.index[:, order], edges.index) and edges.weight is edges.attr is None:
            return None
        return _with_edges(tokens, _listed(edges, order), f"edges {name}")


@dataclass(frozen=True)
class DuplicateEdges(Law):
    """An edge that is listed twice counts once; with `counted`, as one of twice the weight."""

    statement: ClassVar[str] = "f(x, edges listed twice) = f(x, edges), or the weights doubled"
    counted: bool = False

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        edges = tokens.structure.edges
        if edges is None or not edges.num_edges or (self.counted and edges.weight is None):
            return None
        repeated = torch.rand(edges.num_edges, generator=rng) < 0.5
        repeated[pick(rng, 0, edges.num_edges - 1)] = True
        again = repeated.nonzero().squeeze(1)
        order = torch.cat([torch.arange(edges.num_edges), again])
        if not self.counted:
            return _with_edges(tokens, _listed(edges, order), f"{len(again)} edges listed twice")
        assert edges.weight is not None
        halves = torch.where(repeated, edges.weight / 2, edges.weight)
        split = _listed(Edges(edges.index, halves, edges.attr), order)
        return _with_edges(tokens, split, f"{len(again)} edges split into two halves", False)
