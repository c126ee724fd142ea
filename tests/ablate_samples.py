"""Ablations that nobody ran: planted runs, so that a test knows what a report has to say."""

import hashlib
import itertools
import math
import random
from dataclasses import dataclass, replace

from tokennet.ablate.ablation import Ablation, Plan
from tokennet.ablate.record import DONE, FAILED, MISSING, RUNNING, Outcome, RunRecord

EVIL = "<script>alert('x')</script>&\""
AXES = {"mixer": ("attention", "MLP"), "position": ("none", "learned")}
ERROR = (
    'Traceback (most recent call last):\n  File "train.py", line 7\nRuntimeError: out of <memory>'
)


@dataclass(frozen=True)
class Wish:
    """What the runs measure: `score(labels, seed)`, and what is wrong with some of them.

    `status` and `score` are by (cell's place, seed); a score that is not planted has noise.
    """

    status: dict
    score: dict
    noise: float = 0.01
    level: float = 0.9
    step: float = 0.02
    curves: tuple[str, ...] = ()
    costs: bool = True
    errors: bool = False


def outcome(wish: Wish, metric: str, value: float, place: int, seed: int) -> Outcome:
    chance = random.Random(1000 * place + seed)
    metrics = {metric: value}
    if wish.errors:
        metrics["equivariance_error"] = 10.0 ** (chance.uniform(-8, -6) if place % 2 else -1)
    curves = {
        name: tuple(
            (float(step), value * (1 - math.exp(-step / 3)) + chance.gauss(0, wish.noise))
            for step in range(1, 13)
        )
        for name in wish.curves
    }
    costs = (12_345 + 4_321 * place, 2_000_000 * (place + 1)) if wish.costs else (None, None)
    return Outcome(
        metrics=metrics, curves=curves, parameters=costs[0], flops=costs[1],
        seconds=2.0 + place + chance.random(), memory=250_000_000 + 1_000_000 * place,
        versions={"python": "3.11.9", "torch": "2.11.0"}, commit="0a1b2c3d4e5f",
        machine="host, CPU",
    )  # fmt: skip


def planted(
    axes=AXES,
    seeds=6,
    *,
    name="digits",
    metric="accuracy",
    higher=True,
    baseline=None,
    design="grid",
    cells=None,
    notes=(),
    store="runs.sqlite",
    **wishes,
):
    """An ablation of which every run is known; `wishes` are the fields of `Wish`."""  # fmt: skip
    wish = Wish(**{"status": {}, "score": {}, **wishes})
    seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if cells is None:
        cells = [
            dict(zip(axes, labels, strict=True)) for labels in itertools.product(*axes.values())
        ]
    runs = []
    for place, labels in enumerate(cells):
        for seed in seeds:
            chance = random.Random(7919 * place + 31 * seed)
            shared = random.Random(seed).gauss(0, wish.noise)  # a seed's luck is that of all cells
            value = wish.level + wish.step * place + shared + chance.gauss(0, wish.noise / 2)
            value = wish.score.get((place, seed), wish.score.get(place, value))
            status = wish.status.get((place, seed), wish.status.get(place, DONE))
            runs.append(record(wish, metric, labels, place, seed, status, value))
    settings = {"epochs": 12, "task": {"name": name, "batch": 64}}
    plan = Plan(
        name, {a: tuple(x) for a, x in axes.items()}, tuple(cells), seeds, metric, higher, design,
        baseline, settings,
    )  # fmt: skip
    return Ablation(plan, tuple(runs), store, tuple(notes))


def record(wish, metric, labels, place, seed, status, value) -> RunRecord:
    key = hashlib.sha256(repr((labels, seed)).encode()).hexdigest()[:32]
    if status in (MISSING, RUNNING):
        return RunRecord(key, labels, seed, status)
    found = outcome(wish, metric, value, place, seed)
    if status == FAILED:
        found = replace(found, metrics={}, curves={}, error=ERROR)
    return RunRecord(key, labels, seed, status, found, "2026-01-02T03:04:05+00:00")


WIDE = {"mixer": tuple(f"operator {i}" for i in range(40))}
LONG = "a very long name of a choice that no table has the room for " * 3


def difficult() -> dict[str, Ablation]:
    """Ablations at the edges of what can happen, by name; no report may stumble over one."""
    nan, inf = math.nan, math.inf
    three = {**AXES, "norm": ("before", "after")}
    return {
        "plain": planted(curves=("loss", "accuracy")),
        "one seed": planted(seeds=1, curves=("loss",)),
        "two seeds": planted(seeds=2),
        "all failed": planted(status=dict.fromkeys(range(4), FAILED)),
        "all missing": planted(status=dict.fromkeys(range(4), MISSING)),
        "all running": planted(status=dict.fromkeys(range(4), RUNNING)),
        "one complete": planted(status={0: FAILED, 1: MISSING, (2, 3): RUNNING}),
        "one failed": planted(status={(1, 2): FAILED, (1, 4): FAILED}, curves=("loss",)),
        "nan": planted(score={(0, 1): nan}, curves=("loss",)),
        "all nan": planted(score=dict.fromkeys(range(4), nan), curves=("loss",)),
        "inf": planted(score={(3, 1): inf, (2, 0): -inf}, curves=("loss",)),
        "forty": planted(WIDE, seeds=3, step=0.002, curves=("loss",),
                         baseline={"mixer": "operator 3"}),
        "found": planted(seeds=10, step=0.008, curves=("loss",), errors=True,
                         baseline={"mixer": "attention", "position": "none"}),
        "three axes": planted(three, curves=("loss",), errors=True),
        "three axes, incomplete": planted(three, status={(5, 1): FAILED}),
        "evil": planted({EVIL: (EVIL, "a_b%$#{}~^\\|*`[x]"), "größe": ("Ähre", "ß")}, name=EVIL,
                        metric=EVIL, notes=(EVIL,), store=EVIL, curves=(EVIL, "_loss$x$")),
        "long": planted({"mixer": (LONG + "1", LONG + "2"), "position": (LONG, "short")},
                        curves=("loss",)),
        "lines": planted({"mixer": ("two\nlines", "a\ttab"), "sign": ("日本", "e\u0301 🙂")}),
        "tiny": planted(level=1e-12, step=2e-14, noise=1e-14, higher=False, metric="loss"),
        "huge": planted(level=1e12, step=2e10, noise=1e10, higher=False, metric="loss"),
        "gigantic": planted(level=1e307, step=2e305, noise=1e305),
        "no spread": planted(noise=0.0),
        "no difference": planted(noise=0.0, step=0.0, curves=("loss",)),
        "all zero": planted(noise=0.0, step=0.0, level=0.0, curves=("loss",), errors=True),
        "errors": planted(errors=True, curves=("loss",)),
        "no costs": planted(costs=False),
        "list": planted(design="list", cells=[{"mixer": "MLP", "position": "none"},
                                              {"mixer": "attention", "position": "learned"}]),
        "one at a time": planted(
            three, design="one at a time",
            baseline={"mixer": "MLP", "position": "none", "norm": "after"},
            cells=[{"mixer": "MLP", "position": "none", "norm": "after"},
                   {"mixer": "attention", "position": "none", "norm": "after"},
                   {"mixer": "MLP", "position": "learned", "norm": "after"},
                   {"mixer": "MLP", "position": "none", "norm": "before"}]),
        "outlier": planted(score={0: 1e9}),
        "no store": planted(store=None),
    }  # fmt: skip
