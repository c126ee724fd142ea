"""Plans spread evenly over a domain, and how a plan that breaks a law is made small.

A search that learns from what it saw stays close to it, and 40 inputs are too few for that: here
every kind of layout, value, graph and size comes about equally often.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tokennet.verify.plans import GRAPHS, LAYOUTS, SIZES, VALUES, Domain, Plan

SHRINK_TRIES = 120


def spread_plans(
    domain: Domain, layouts: Sequence[str], count: int, rng: random.Random
) -> Iterator[Plan]:
    """`count` plans; of each choice all options come round before one comes again."""
    low, high = domain.num_tokens
    few, many = domain.batch
    sizes = [n for n in (1, *SIZES, high - 1, high, high) if max(low, 1) <= n <= high]
    sides = turns([1, 2, 3, 4, 5, 6], rng)
    turn = {
        name: turns(options, rng)
        for name, options in {
            "layout": list(layouts),
            "values": ["normal", *VALUES],
            "graph": GRAPHS,
            "weighted": (False, True),
            "train": (False, True) if domain.train else (False,),
            "no_grad": (False, False, True),
            "strided": (False, False, True),
            "dtype": (domain.dtypes[0],) * 3 + domain.dtypes[1:],
            "kind": ("one", "one", "ragged", "ragged", "equal", "many"),
            "size": sizes or [high],
            "memory": ("equal", "ragged", "one", "hole"),
            "axes": domain.grids,
        }.items()
    }
    short = (max(low, 1), max(low, 1, min(high, 7)))
    for _ in range(count):
        layout, kind, size = next(turn["layout"]), next(turn["kind"]), next(turn["size"])
        batch = {"one": 1, "ragged": rng.randint(2, 4), "equal": rng.randint(2, 5)}.get(kind, many)
        if kind == "many" and rng.random() < 0.7:
            batch = rng.randint(5, 9)
        batch = max(few, min(batch, many))
        grid = None
        if "grid" in domain.facts:
            grid = tuple(next(sides) for _ in range(next(turn["axes"])))
            grid = grid[:1] * len(grid) if rng.random() < 0.25 else grid  # a square
            if math.prod(grid) > high:
                grid = (min(high, grid[0]),) + (1,) * (len(grid) - 1)
            lengths = (math.prod(grid),) * batch
        elif kind == "one":
            lengths = (size,) * batch
        elif kind == "equal" or layout == "dense":
            lengths = (rng.randint(*short),) * batch
        else:
            lengths = tuple(rng.randint(*short) for _ in range(batch))
            if kind == "ragged" and rng.random() < 0.5:
                lengths = (*lengths[:-1], min(size, 17))
            if domain.empty_samples and low <= 1 and rng.random() < 0.5:
                gone = rng.randrange(batch)
                lengths = (*lengths[:gone], 0, *lengths[gone + 1 :])
        yield Plan(
            lengths,
            layout,
            values=next(turn["values"]),
            graph=next(turn["graph"]) if "edges" in domain.facts else "",
            weighted=next(turn["weighted"]) and "edges" in domain.facts,
            grid=grid,
            memory=_memory(next(turn["memory"]), batch, domain, rng),
            train=next(turn["train"]),
            no_grad=next(turn["no_grad"]),
            strided=next(turn["strided"]),
            dtype=next(turn["dtype"]),
            seed=rng.randint(0, 7),
            change=rng.randint(0, 31),
        )


def turns(options: Sequence[Any], rng: random.Random) -> Iterator[Any]:
    """All options in a random order, again and again."""
    while True:
        yield from rng.sample(list(options), len(options))


def _memory(kind: str, batch: int, domain: Domain, rng: random.Random) -> tuple[int, ...] | None:
    if "memory" not in domain.facts:
        return None
    if kind == "ragged":
        low = 0 if domain.empty_samples else 1
        return tuple(rng.randint(low, 5) for _ in range(batch))
    lengths = [1 if kind == "one" else rng.randint(2, 5)] * batch
    if kind == "hole" and domain.empty_samples:
        lengths[rng.randrange(batch)] = 0
    return tuple(lengths)


def shrunk(plan: Plan, breaks: Callable[[Plan], bool], layouts: Sequence[str]) -> Plan:
    """A smaller and plainer plan that breaks the law too: steps are taken while one does."""
    tries = 0
    while True:
        for simpler in _simpler(plan, layouts):
            tries += 1
            if tries > SHRINK_TRIES:
                return plan
            if breaks(simpler):
                plan = simpler
                break
        else:
            return plan


def _shorter(n: int) -> list[int]:
    """Fewer tokens, the fewest first."""
    return sorted({1, 2, 3, n // 2, n - n // 4, n - n // 8, n - 1} - {0, -1})


def _simpler(plan: Plan, layouts: Sequence[str]) -> Iterator[Plan]:
    """Plans a step simpler, the largest steps first."""
    lengths, memory, batch = plan.lengths, plan.memory, len(plan.lengths)
    kept = [[b] for b in range(batch)] if batch > 2 else []
    kept += [[c for c in range(batch) if c != b] for b in range(batch)] if batch > 1 else []
    for keep in kept:
        heard = None if memory is None else tuple(memory[b] for b in keep)
        yield replace(plan, lengths=tuple(lengths[b] for b in keep), memory=heard)
    if plan.grid is not None:
        for axis, n in enumerate(plan.grid):
            if n > 1:
                grid = (*plan.grid[:axis], n - 1, *plan.grid[axis + 1 :])
                yield replace(plan, grid=grid, lengths=(math.prod(grid),) * batch)
    elif plan.layout == "dense" or len(set(lengths)) == 1:
        for n in _shorter(lengths[0]):
            if n < lengths[0]:
                yield replace(plan, lengths=(n,) * batch)
    else:
        for b, old in enumerate(lengths):
            for n in _shorter(old):
                if n < old:
                    yield replace(plan, lengths=(*lengths[:b], n, *lengths[b + 1 :]))
    plain = Plan(())
    for name in ("values", "weighted", "train", "no_grad", "strided", "dtype", "seed"):
        if getattr(plan, name) != getattr(plain, name):
            yield replace(plan, **{name: getattr(plain, name)})
    if plan.graph and plan.graph != "none":
        yield replace(plan, graph="none")
    even = len(set(lengths)) == 1 and lengths[0] > 0
    for layout in LAYOUTS[: LAYOUTS.index(plan.layout)]:
        if layout in layouts and (even or layout != "dense"):
            yield replace(plan, layout=layout)
    if plan.change > 3:
        yield from (replace(plan, change=n) for n in range(4))
