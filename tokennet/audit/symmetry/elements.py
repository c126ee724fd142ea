"""Permutations as tuples, and the groups that they generate.

The tuple p moves token p[i] to place i: `x[p]`. Groups are sets where they are small, and products
of symmetric groups where swaps say so; sympy's Schreier-Sims stands in for other large ones.
"""

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

Permutation = tuple[int, ...]
LISTED = 5040  # elements at most that are listed


def compose(p: Permutation, q: Permutation) -> Permutation:
    """x[compose(p, q)] = x[p][q]."""
    return tuple([p[i] for i in q])


def inverse(p: Permutation) -> Permutation:
    """The permutation that undoes p."""
    found = [0] * len(p)
    for i, j in enumerate(p):
        found[j] = i
    return tuple(found)


def swap(n: int, i: int, j: int) -> Permutation:
    """Tokens i and j exchanged."""
    p = list(range(n))
    p[i], p[j] = j, i
    return tuple(p)


def cycles(p: Permutation) -> list[tuple[int, ...]]:
    """The cycles of p of two tokens or more."""
    found, seen = [], set()
    for start in range(len(p)):
        cycle = []
        while start not in seen:
            seen.add(start)
            cycle.append(start)
            start = p[start]
        if len(cycle) > 1:
            found.append(tuple(cycle))
    return found


def period(p: Permutation) -> int:
    """How often p has to be done until nothing has moved."""
    return math.lcm(1, *(len(c) for c in cycles(p)))


def orbits(generators: Iterable[Permutation], n: int) -> list[tuple[int, ...]]:
    """Which tokens can take each other's place, in order; a fixed token is alone."""
    root = list(range(n))

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    for p in generators:
        for i, j in enumerate(p):
            one, two = sorted((find(i), find(j)))
            root[two] = one
    found: dict[int, list[int]] = {}
    for i in range(n):
        found.setdefault(find(i), []).append(i)
    return [tuple(members) for members in found.values()]


def closed(
    generators: Iterable[Permutation], n: int, *, limit: int = LISTED
) -> frozenset[Permutation] | None:
    """All products of the generators; None where there are more than `limit`."""
    generators = list(generators)
    seen = {tuple(range(n))}
    edge = list(seen)
    while edge:
        edge = [r for p in edge for g in generators if (r := compose(p, g)) not in seen]
        seen.update(edge)
        if len(seen) > limit:
            return None
        edge = list(dict.fromkeys(edge))
    return frozenset(seen)


class Group:
    """The group that permutations of n tokens generate."""

    def __init__(self, generators: Iterable[Permutation], n: int):
        self.n, self.generators = n, tuple(generators)

    @cached_property
    def elements(self) -> frozenset[Permutation] | None:
        """All of them, where they are few enough to be listed."""
        return closed(self.generators, self.n)

    @cached_property
    def _large(self) -> Any:
        from sympy.combinatorics import Permutation as Element  # type: ignore[import-untyped]
        from sympy.combinatorics import PermutationGroup

        return PermutationGroup([Element(list(p)) for p in self.generators])

    @cached_property
    def _free(self) -> bool:
        """Whether swaps alone join each orbit: then all permutations inside orbits are members."""
        swaps = [p for p in self.generators if [len(c) for c in cycles(p)] == [2]]
        return orbits(swaps, self.n) == self.orbits

    @cached_property
    def order(self) -> int:
        """The number of elements."""
        if self._free:
            return math.prod(math.factorial(len(orbit)) for orbit in self.orbits)
        return int(self._large.order()) if self.elements is None else len(self.elements)

    def contains(self, p: Permutation) -> bool:
        """Whether p is a product of the generators."""
        if self._free:
            place = {token: k for k, orbit in enumerate(self.orbits) for token in orbit}
            return all(place[i] == place[j] for i, j in enumerate(p))
        if self.elements is not None:
            return p in self.elements
        from sympy.combinatorics import Permutation as Element

        return bool(self._large.contains(Element(list(p))))

    @cached_property
    def orbits(self) -> list[tuple[int, ...]]:
        """Which tokens can take each other's place."""
        return orbits(self.generators, self.n)

    @property
    def abelian(self) -> bool:
        """Whether the order of two elements never matters."""
        return all(compose(p, q) == compose(q, p) for p in self.generators for q in self.generators)

    def on(self, orbit: tuple[int, ...]) -> "Group":
        """What the group does to the tokens of one orbit, numbered anew."""
        place = {token: i for i, token in enumerate(orbit)}
        return Group([tuple(place[p[t]] for t in orbit) for p in self.generators], len(orbit))
