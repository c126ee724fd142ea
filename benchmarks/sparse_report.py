"""What is asked of the sparse CPU kernels, and tables of what was measured beside it."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from measure import markdown
from sparse_steps import LAYERS, Case

MIB = 2**20


class Target(NamedTuple):
    """So many times faster than the other, and smaller; None: nothing is asked."""

    forward: float | None = None
    both: float | None = None
    memory: float | None = None


def target_of(case: Case, variant: str, against: str) -> Target:
    if case.operator == "ragged":
        return Target(4.5, 4)
    if case.operator == "propagate":
        if variant == "bag":
            return Target(8, 5, 5) if against == "eager" else Target()
        return Target(35, 20, 25) if against == "eager" else Target(4.5, 3, 5)
    if case.graph == "cora":
        return Target(both=2) if against == "eager" else Target()
    if case.operator == "TransformerConv":
        return Target(13, 10, 10) if against == "eager" else Target()
    if case.operator in ("GATConv", "GATv2Conv"):
        return Target(12, 10, 10) if against == "eager" else Target(3, 3)
    return Target(12, 8, 3) if against == "eager" else Target(1.5, 1.5)


@dataclass(frozen=True)
class Result:
    """One of ours beside one of theirs: seconds of runs, bytes at the peak."""

    case: Case
    variant: str
    against: str
    ran: str
    forward: tuple[float, float]
    both: tuple[float, float]
    memory: tuple[int | None, int | None]
    maps: tuple[float, float] | None = None
    """Seconds of a layer's linear maps alone, forward, and forward and backward."""

    @property
    def ratios(self) -> Target:
        """How many times faster, and smaller."""
        own, other = self.memory
        smaller = None if own is None or other is None else other / max(own, MIB)
        return Target(self.forward[1] / self.forward[0], self.both[1] / self.both[0], smaller)

    @property
    def limits(self) -> Target:
        """The ratios that it would have if its edges cost nothing."""
        if self.maps is None:
            return Target()
        return Target(self.forward[1] / self.maps[0], self.both[1] / self.maps[1])

    @property
    def target(self) -> Target:
        return target_of(self.case, self.variant, self.against)


def medians(own: str, other: str, seconds: Mapping[str, list[float]]) -> tuple[float, float]:
    return statistics.median(seconds[own]), statistics.median(seconds[other])


def score(ratio: float | None, target: float | None, limit: float | None = None) -> str:
    """A ratio and what is asked of it, in bold where it falls short; the limit where it's lower."""
    if ratio is None:
        return "-"
    shown = _down(ratio)
    if target is None:
        return shown
    shown = shown if ratio >= target else f"**{shown}**"
    at_most = f"; at most {_down(limit)}" if limit is not None and limit < target else ""
    return f"{shown} ({target:g}{at_most})"


def _down(ratio: float) -> str:
    digits = 10 if ratio >= 2 else 100
    return f"{math.floor(ratio * digits) / digits:g}"  # rounded down: 7.99 is not 8


def _times(pair: tuple[float, float]) -> str:
    return " / ".join(f"{1e3 * t:.3g}" if t < 1 else f"{1e3 * t:.0f}" for t in pair)


def _sizes(pair: tuple[int | None, int | None]) -> str:
    return " / ".join("-" if b is None else f"{b / MIB:.0f}" for b in pair)


def _row(result: Result) -> list[str]:
    case, ratios, target = result.case, result.ratios, result.target
    return [
        case.operator,
        case.graph,
        f"{case.width}, {case.heads}",
        result.ran,
        result.against,
        _times(result.forward),
        score(ratios.forward, target.forward),
        _times(result.both),
        score(ratios.both, target.both),
        "-" if result.maps is None else ", ".join(_down(v) for v in result.limits if v is not None),
        _sizes(result.memory),
        score(ratios.memory, target.memory),
    ]


HEAD = [
    "operator", "graph", "H D, H", "ours ran", "PyG", "forward, ms", "times faster",
    "and backward, ms", "times faster", "at most", "peak, MiB", "times smaller",
]  # fmt: skip


def table(results: Iterable[Result]) -> str:
    return markdown(HEAD, [_row(r) for r in results])


def summary(results: list[Result]) -> tuple[str, bool]:
    """The least ratio of each kind beside its target, and whether all reach theirs."""
    kinds: dict[tuple[str, str, Target], list[Result]] = {}
    for r in results:
        if any(t is not None for t in r.target):
            kinds.setdefault((_title(r), r.against, r.target), []).append(r)
    rows, good = [], True
    for (title, against, target), some in kinds.items():
        cells = []
        for i, asked in enumerate(target):
            least, limit = _least(r.ratios[i] for r in some), _least(r.limits[i] for r in some)
            cells.append(score(least, asked, limit) if asked is not None else "-")
            good &= asked is None or (least or 0.0) >= asked
        rows.append([title, against, str(len(some)), *cells])
    head = ["ours against PyG's", "run", "cases", "forward", "forward + backward", "peak memory"]
    return markdown(head, rows), good


def _least(values: Iterable[float | None]) -> float | None:
    return min((v for v in values if v is not None), default=None)


def _title(result: Result) -> str:
    case = result.case
    if case.operator == "propagate":
        what = "propagate of TransformerConv, the same q, k, v"
        return f"{what}, our fallback in torch" if result.variant == "bag" else what
    if case.operator == "ragged":
        return "to_dense_batch and attention of GPSConv, ragged sets"
    assert case.operator in LAYERS
    return f"{case.operator}, whole layer" + (", Cora-sized" if case.graph == "cora" else "")
