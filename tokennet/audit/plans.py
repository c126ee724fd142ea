"""Which inputs are tried: sizes one by one, many samples, ragged ones, values of every kind.

Real defects are conditional: a path for one sample, above a window, for an all-valid mask, in one
mode or dtype. So each condition takes its turn, beside all the others.
"""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tokennet.audit.session import Session
from tokennet.verify.plans import GRAPHS, Plan
from tokennet.verify.spread import turns

FIRST_SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 66)
LATER_SIZES = (100, 127, 128, 129, 130)
BATCHES = (2, 3, 1, 5, 17, 8, 33, 4, 16, 65, 9, 6, 7, 32, 12, 13, 15, 64, 10, 18, 24, 31, 34)
VALUES = (
    "normal", "normal", "ties", "large", "zeros", "small", "mixed", "spike", "normal", "constant",
    "positive", "tiny", "negative", "coarse",
)  # fmt: skip
WIDE = ("large", "mixed", "spike", "tiny")  # ordinary sums of these leave the range of float16
SHORT = 7
MEMORIES = (7, 8, 15, 16, 17, 31, 33, 65)


def layouts_of(session: Session) -> tuple[str, ...]:
    """The layouts that the module's arguments can carry, the plainest first."""
    roles = session.roles
    if roles.packed:
        return ("packed",)
    if roles.mask is None:
        return ("dense",)
    if roles.mask.kind == "lengths":
        return ("dense", "right")
    return ("dense", "right", "left", "holes")


def stream(session: Session, rng: random.Random) -> Iterator[Plan]:
    """Plans without end: one is small, one scans sizes, one numbers of samples, one is ragged."""
    domain, roles = session.domain, session.roles
    low, high = domain.num_tokens
    few, many = (1, 1) if roles.single else domain.batch
    step = max(domain.multiple_of, 1)
    sizes = _sizes(max(low, 1), high, step, rng)
    short = [n for n in sizes if n <= max(SHORT, low)] or [min(sizes)]
    middle = [n for n in sizes if n <= 21] or short
    alike = sizes[:1] if len(sizes) == 1 else []  # as many samples as tokens
    batches = _cycle([b for b in (*alike, *BATCHES) if few <= b <= many] or [max(few, 1)])
    scan = _cycle(sizes)
    layouts = layouts_of(session)
    turn: dict[str, Iterator[Any]] = {
        name: turns(options, rng)
        for name, options in {
            "kind": (0, 1, 2, 3),
            "layout": [*layouts, *layouts[1:]] if len(layouts) > 1 else list(layouts),
            "values": VALUES,
            "graph": GRAPHS,
            "train": (False, False, True) if domain.train else (False,),
            "no_grad": (False, True),
            "strided": (False, False, False, True),
            "dtype": _dtypes(session.dtypes),
            "memory": ("equal", "ragged", "one", "long"),
        }.items()
    }
    while True:
        layout, kind = next(turn["layout"]), next(turn["kind"])
        if kind == 0:
            batch, pool = rng.randint(few, max(few, min(many, 5))), short
        elif kind == 1:
            batch, pool = min(max(few, rng.choice((1, 1, 2, 3))), many), [next(scan)]
        elif kind == 2:
            batch, pool = next(batches), short
        else:
            batch, pool = rng.randint(few, max(few, min(many, 4))), middle
        batch = max(batch, 1)
        if layout == "dense":
            lengths = (rng.choice(pool),) * batch
            if kind == 2 and rng.random() < 0.3 and batch in sizes:
                lengths = (batch,) * batch  # as many tokens as samples
        else:
            lengths = tuple(rng.choice(pool) for _ in range(batch))
            if kind == 1 and batch > 1:  # the scanned size, and shorter ones beside it
                shorter = [n for n in sizes if n <= pool[0]]
                lengths = (pool[0], *(rng.choice(shorter) for _ in lengths[1:]))
            if domain.empty_samples and rng.random() < 0.25 and batch > 1:
                gone = rng.randrange(batch)
                lengths = (*lengths[:gone], 0, *lengths[gone + 1 :])
        grid = roles.grid
        if grid is not None:
            lengths = (math.prod(grid),) * batch
        values, dtype = next(turn["values"]), next(turn["dtype"])
        if dtype == torch.float16 and values in WIDE and not session.half:
            dtype = session.dtypes[0]
        yield Plan(
            lengths,
            layout,
            values=values,
            graph=next(turn["graph"]) if roles.edges is not None else "",
            weighted=roles.edge_weight is not None,
            grid=grid,
            memory=_memory(next(turn["memory"]), batch, session, rng),
            train=next(turn["train"]),
            no_grad=next(turn["no_grad"]),
            strided=next(turn["strided"]),
            dtype=dtype,
            seed=rng.randint(0, 7),
            change=rng.randint(0, 10_000),
        )


def _sizes(low: int, high: int, step: int, rng: random.Random) -> list[int]:
    """All sizes of the domain up to 66 and a few more; those where paths change come first."""
    allowed = [n for n in range(low, min(high, 66) + 1) if n % step == 0]
    allowed += [n for n in (*LATER_SIZES, high) if max(low, 67) <= n <= high and n % step == 0]
    if not allowed:
        return [max(low, 1)]
    first = [n for n in allowed if n in FIRST_SIZES or n == high]
    rest = [n for n in allowed if n not in first]
    return rng.sample(first, len(first)) + rng.sample(rest, len(rest))


def _dtypes(found: Sequence[torch.dtype]) -> tuple[torch.dtype, ...]:
    """Mostly the first, which is the most exact."""
    return tuple(found[:1]) * 4 + tuple(found[:2]) + tuple(found)


def _memory(kind: str, batch: int, session: Session, rng: random.Random) -> tuple[int, ...] | None:
    if session.roles.memory is None:
        return None
    if kind == "ragged" and session.roles.memory_mask is not None:
        return tuple(rng.randint(1, 9) for _ in range(batch))
    if kind == "long":
        return (rng.choice(MEMORIES),) * batch
    return (1 if kind == "one" else rng.randint(2, 5),) * batch


def _cycle(options: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from options
