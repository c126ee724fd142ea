"""The permutations that commute with a module: all of them tried, or those that can.

Axes: P permutations, N tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import torch
from torch import Tensor

from tokennet.audit.symmetry.elements import Group, Permutation, closed, compose, cycles
from tokennet.audit.symmetry.module import Trial
from tokennet.audit.symmetry.search import automorphisms, pair_colours, usual_suspects

MORE = (
    0.01,
    0.1,
    1.0,
    1.0,
    2.0,
    4.0,
    10.0,
    30.0,
)  # sizes of inputs on which generators are retried


class Judge:
    """Which permutations commute in every trial, and how clear that was."""

    def __init__(self, trials: list[Trial]):
        self.trials = trials
        self.error, self.gap = 0.0, math.inf

    def __call__(self, orders: Tensor) -> Tensor:
        """Which of the permutations `[P, N]` commute."""
        alive = torch.arange(len(orders))
        for trial in self.trials:
            if not len(alive):
                break
            errors = trial.errors(orders[alive])
            good = errors <= trial.tolerance
            self.gap = min([self.gap, *errors[~good].tolist()])
            alive = alive[good]
            self.error = max([self.error, *errors[good].tolist()])
        accepted = torch.zeros(len(orders), dtype=torch.bool)
        accepted[alive] = True
        return accepted

    def harder(self, generators: Sequence[Permutation], seed: int) -> bool:
        """Whether other inputs, with one token far from the rest, break what seemed to commute.

        The inputs that do become trials.
        """
        if not generators:
            return False
        orders = torch.tensor(generators)
        rng = torch.Generator().manual_seed(86_028_121 + seed + len(self.trials))
        breaking = []
        for k, scale in enumerate(MORE):
            old = self.trials[k % len(self.trials)]
            x = scale * torch.randn(old.x.shape, generator=rng, dtype=torch.float64).to(old.x)
            x[..., k % x.shape[-2], :] *= 3
            y = old.subject(x[None])[0]
            if not bool(y.isfinite().all()):
                continue
            new = Trial(old.subject, x, y, old.floor, old.response)
            if bool((new.errors(orders) > new.tolerance).any()):
                new = replace(new, floor=old.subject.floor(x, y))
                if bool((new.errors(orders) > new.tolerance).any()):
                    breaking.append(new)
        if breaking:
            self.trials = [*breaking, *self.trials]
            self.error, self.gap = 0.0, math.inf
        return bool(breaking)

    def commutes(self, p: Permutation) -> bool:
        """Whether one permutation does."""
        return bool(self(torch.tensor([p]))[0])


def exhaustive(judge: Judge) -> tuple[Group, bool]:
    """Every permutation is tried."""
    first = judge.trials[0]
    n = first.subject.setting.num_tokens
    orders = torch.tensor(list(permutations(range(n))))
    members = {tuple(p) for p in orders[judge(orders)].tolist()}
    members.add(tuple(range(n)))
    # Of a function that is not the same everywhere, inputs may accept what is no group: then only
    # those count that keep the set of all of them, and these are a group.
    group = {p for p in members if all(compose(p, q) in members for q in members)}
    return Group(_few(group, n), n), group == members


def _few(members: set[Permutation], n: int) -> list[Permutation]:
    """A few of the members that generate all."""
    moved = lambda p: sum(i != j for i, j in enumerate(p))  # noqa: E731
    longest = sorted(members, key=lambda p: (-max(map(len, cycles(p)), default=0), moved(p), p))
    chosen: list[Permutation] = []
    known: frozenset[Permutation] = frozenset({tuple(range(n))})
    for p in [*longest[:1], *sorted(members, key=lambda p: (moved(p), p))]:
        if p not in known:
            chosen.append(p)
            known = closed(chosen, n) or known
        if len(known) == len(members):
            break
    return chosen


def searched(judge: Judge, seed: int) -> tuple[Group, bool]:
    """Those that keep what can't change are tried, and the usual suspects in any case."""
    first = judge.trials[0]
    n = first.subject.setting.num_tokens
    colours = torch.zeros(n, n, dtype=torch.int64)
    for trial in judge.trials[:3]:
        rng = torch.Generator().manual_seed(6_700_417 + seed)
        seen = pair_colours(trial.subject, trial.floor, rng)
        if seen is not None:
            colours = colours * n * n + seen
    found = automorphisms(colours, judge.commutes)
    group, complete = Group(found.generators, n), found.complete
    for p in usual_suspects(n):
        if not group.contains(p) and judge.commutes(p):
            group, complete = Group([*group.generators, p], n), False
    return group, complete
