"""A small store, for the tests of stores and claims."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokennet.ablate import lease
from tokennet.ablate.ablation import Plan
from tokennet.ablate.record import Outcome
from tokennet.ablate.store import Planned, Store

PLAN = Plan("toy", {"a": ("x", "y")}, ({"a": "x"}, {"a": "y"}), (0, 1), "loss", False)
RUNS = [Planned(f"{a}{s}", {"a": a}, s) for a in "xy" for s in (0, 1)]
OUTCOME = Outcome(
    {"loss": 0.1, "nan": math.nan, "high": math.inf, "low": -math.inf},
    {"loss": ((0.0, 2.0), (1.0, math.nan)), "other": ((0.0, 1.0),)},
    parameters=7, flops=2**40, seconds=1.5, memory=2**33, versions={"python": "3"},
    commit="abc", machine="here", random_states=b"states",
)  # fmt: skip


@contextmanager
def at_work(store: Store, **changes: Any) -> Iterator[lease.Coordinator]:
    """A coordinator that is signed in; with changes it is somebody else."""
    me = replace(lease.new_coordinator(), **changes)
    if not changes:
        lease.MINE.add(me.id)
    store.sign_in(me)
    yield me
    lease.MINE.discard(me.id)


def filled(path: Path) -> None:
    with Store(path) as store, at_work(store) as me:
        store.add(PLAN, "code", RUNS, ["a note"])
        assert store.claim("x0", me)
        assert store.finish("x0", me, OUTCOME)
        store.sign_out(me)
