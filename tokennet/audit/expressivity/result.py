"""Which pairs of graphs were told apart, to read and to ask."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

Status = Literal["separated", "not separated", "not invariant"]
LISTED = 30  # pairs that are shown one by one


@dataclass(frozen=True)
class PairFinding:
    """What was found for one pair of graphs.

    `difference` of the two outputs, relative to their size, beside the rounding noise `floor` and
    beside the most that relabelling one graph changed, `control`; of the weights that show most.
    `separating`: how many of the `seeds` sets of weights told them apart. "not invariant":
    relabelling changes more than rounding could.
    """

    name: str
    status: Status
    difference: float
    floor: float
    control: float
    separating: int
    seeds: int

    def __str__(self) -> str:
        words = {
            "separated": f"separated by {self.separating} of {self.seeds} random weights",
            "not separated": f"not separated by any of {self.seeds} random weights",
            "not invariant": "not invariant: relabelled copies differ",
        }[self.status]
        sizes = f"{self.difference:.1e} (relabelled {self.control:.1e}, noise {self.floor:.1e})"
        return f"{self.name}: {words}, {sizes}"


@dataclass(frozen=True)
class Distinguished:
    """All pairs. `print(found)` is a table; `found["hexagon and two triangles"]` one pair.

    `reads_edges`: whether the output moves when an edge of the first graph is left out.
    """

    module: str
    findings: tuple[PairFinding, ...]
    reads_edges: bool
    seeds: int
    seed: int = 0

    @property
    def invariant(self) -> bool:
        """Whether relabelled copies of all graphs gave the same."""
        return all(f.status != "not invariant" for f in self.findings)

    @property
    def separated(self) -> tuple[str, ...]:
        """The pairs that were told apart; none where labels matter anywhere."""
        if not self.invariant:
            return ()
        return tuple(f.name for f in self.findings if f.status == "separated")

    def __getitem__(self, name: str) -> PairFinding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"no pair {name!r}; there are {', '.join(f.name for f in self.findings)}")

    def __contains__(self, name: str) -> bool:
        return any(f.name == name for f in self.findings)

    def __str__(self) -> str:
        total = len(self.findings)
        lines = [f"distinguishes {self.module}: {len(self.separated)} of {total} pairs separated"]
        if not self.invariant:
            count = sum(f.status == "not invariant" for f in self.findings)
            lines[0] = (
                f"distinguishes {self.module}: NOT INVARIANT on {count} of {total} pairs, "
                "so no pair is credited"
            )
        if total <= LISTED:
            lines += [f"  {f}" for f in self.findings]
        else:
            lines += _by_group(self.findings)
        if not self.reads_edges:
            lines.append("  with these features the output does not depend on the edges")
        lines.append(f"  no bound from above: only {self.seeds} random weights were tried")
        return "\n".join(lines)


def _by_group(findings: tuple[PairFinding, ...]) -> list[str]:
    """Counts of pairs whose names are alike but for a number at the end."""
    counts: dict[str, Counter[str]] = {}
    for f in findings:
        counts.setdefault(f.name.rstrip("0123456789 "), Counter())[f.status] += 1
    return [
        f"  {name}: " + ", ".join(f"{k} {status}" for status, k in count.items())
        for name, count in counts.items()
    ]
