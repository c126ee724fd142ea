"""Names of permutation groups: S, A, C, D, products and wreath products of them."""

import math
from collections.abc import Sequence
from itertools import pairwise

from tokennet.audit.symmetry.elements import Group, Permutation, compose, inverse, period, swap


def name_of(group: Group) -> str:
    """What the group is called; "order 20 group" where it has no name here.

    `S` all permutations, `A` the even ones, `C` rotations, `D` rotations and reflections, each of
    as many tokens as the number says; `S3 wr S2` permutes 2 blocks and the 3 tokens of each.
    """
    moved = [orbit for orbit in group.orbits if len(orbit) > 1]
    if not moved:
        return "trivial"
    parts = [group.on(orbit) for orbit in moved]
    if len(parts) == 1:
        everywhere = len(moved[0]) == group.n
        return _transitive(parts[0]) + ("" if everywhere else f" on tokens {ranges(moved[0])}")
    if math.prod(part.order for part in parts) == group.order:
        return " x ".join(_transitive(part) for part in parts)
    if group.abelian:
        return _abelian(group)
    faithful = [_transitive(part) for part in parts if part.order == group.order]
    named = [name for name in faithful if not name.startswith("order")]
    return (named or [_unnamed(group)])[0]


def ranges(tokens: Sequence[int]) -> str:
    """Sorted token numbers, runs of three and more shortened: `0, 2..5`."""
    runs: list[list[int]] = []
    for t in tokens:
        if runs and runs[-1][-1] == t - 1:
            runs[-1].append(t)
        else:
            runs.append([t])
    words = [f"{r[0]}..{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs]
    return ", ".join(words)


def _unnamed(group: Group) -> str:
    return f"order {group.order} group"


def _transitive(group: Group) -> str:
    """The name of a group in which every token can take every other's place."""
    n, order = group.n, group.order
    if order == math.factorial(n):
        return f"S{n}"
    if 2 * order == math.factorial(n):
        return f"A{n}" if n > 3 else f"C{n}"
    if order == n and group.abelian:
        return _abelian(group)
    if order == 2 * n and _dihedral(group):
        return f"D{n}"
    return _wreath(group) or (_abelian(group) if group.abelian else _unnamed(group))


def _dihedral(group: Group) -> bool:
    """Whether it is the symmetries of a ring: a turn of all, and a swap that turns it round."""
    elements = group.elements
    if elements is None:
        return False
    turn = next((p for p in elements if period(p) == group.n and _one_cycle(p)), None)
    if turn is None:
        return False
    powers, p = {turn}, turn
    while (p := compose(p, turn)) not in powers:
        powers.add(p)
    back = inverse(turn)
    return all(compose(compose(inverse(q), turn), q) == back for q in elements - powers)


def _one_cycle(p: Permutation) -> bool:
    seen, i = 0, 0
    while True:
        seen, i = seen + 1, p[i]
        if i == 0:
            return seen == len(p)


def _wreath(group: Group) -> str | None:
    """S_k wr S_m: blocks of tokens that can be exchanged one by one, and all their orders."""
    block = [t for t in range(group.n) if t == 0 or group.contains(swap(group.n, 0, t))]
    size, blocks = len(block), group.n // len(block)
    if size == 1 or blocks == 1:
        return None
    full = math.factorial(size) ** blocks * math.factorial(blocks)
    return f"S{size} wr S{blocks}" if group.order == full else None


def _abelian(group: Group) -> str:
    """The product of cyclic groups, each order a divisor of the next: `C2 x C6`."""
    elements = group.elements
    if elements is None:
        return _unnamed(group)
    periods = [period(p) for p in elements]
    factors: list[int] = []
    for prime in _primes(group.order):
        powers, power = [], 1
        counts = [1]
        while counts[-1] < prime ** _times(prime, group.order):
            power *= prime
            counts.append(sum(power % k == 0 for k in periods))
        ranks = [_times(prime, b // a) for a, b in pairwise(counts)]
        for i in range(ranks[0]):  # ranks[k] of the factors have an order above prime ** k
            powers.append(prime ** sum(r > i for r in ranks))
        factors += [1] * (len(powers) - len(factors))
        factors = [f * p for f, p in zip(factors, powers + [1] * len(factors), strict=False)]
    return " x ".join(f"C{f}" for f in sorted(factors))


def _times(prime: int, number: int) -> int:
    """How often the prime divides the number."""
    count = 0
    while number % prime == 0:
        number, count = number // prime, count + 1
    return count


def _primes(number: int) -> list[int]:
    return [p for p in range(2, number + 1) if number % p == 0 and all(p % q for q in range(2, p))]
