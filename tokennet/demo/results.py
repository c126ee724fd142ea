"""What the demo measured: runs, certificates, and rows that put both together."""

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Variant:
    """One net: the task, the operator inside, and whether it has a position code."""

    task: str
    operator: str
    position: bool = False

    def __str__(self) -> str:
        code = (", with code" if self.position else ", no code") if self.task == "digits" else ""
        return f"{self.task}: {self.operator}{code}"


@dataclass(frozen=True)
class Run:
    """One training: test accuracy in percent, and that on images with shuffled patches."""

    variant: Variant
    seed: int
    accuracy: float
    shuffled: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Certificate:
    """What `tn.verify` found for one net; `status` and `error` are those of `Permutation`."""

    variant: Variant
    parameters: int
    claims: tuple[str, ...]
    implied: tuple[str, ...]
    reads: tuple[str, ...]
    ok: bool
    role: str
    status: str
    error: float
    cases: int
    report: str
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All but the variant; JSON knows no infinity, so an error that is infinite is None."""
        found = {k: v for k, v in asdict(self).items() if k != "variant"}
        return {**found, "error": self.error if math.isfinite(self.error) else None}

    @property
    def strongest(self) -> tuple[str, ...]:
        """The claims that don't follow from another one."""
        return tuple(c for c in self.claims if c not in self.implied)


@dataclass(frozen=True, order=True)
class Example:
    """What `tn.verify` found for an operator that the page shows with its code."""

    name: str
    ok: bool
    broken: tuple[str, ...]
    report: str


@dataclass(frozen=True)
class Row:
    """A net, its runs over seeds and its certificate."""

    variant: Variant
    runs: tuple[Run, ...]
    certificate: Certificate

    @property
    def accuracies(self) -> list[float]:
        return [r.accuracy for r in self.runs]

    @property
    def mean(self) -> float:
        return statistics.mean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation over seeds; None for a single one."""
        return statistics.stdev(self.accuracies) if len(self.runs) > 1 else None

    @property
    def shuffled(self) -> float | None:
        """The mean accuracy on shuffled patches."""
        values = [r.shuffled for r in self.runs if r.shuffled is not None]
        return statistics.mean(values) if values else None

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.variant),
            "accuracy_mean": self.mean,
            "accuracy_std": self.deviation,
            "n": len(self.runs),
            "shuffled_mean": self.shuffled,
            "accuracies": self.accuracies,
            "verify": self.certificate.as_dict(),
        }


@dataclass(frozen=True)
class Results:
    """All that the page and the figure show."""

    image_rows: tuple[Row, ...]
    graph_rows: tuple[Row, ...]
    examples: tuple[Example, ...]
    versions: dict[str, str]
    quick: bool
    seconds: float

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.image_rows + self.graph_rows

    @property
    def graph(self) -> str:
        """The name of the graph task."""
        return self.graph_rows[0].variant.task

    def row(self, task: str, operator: str, position: bool = False) -> Row:
        wanted = Variant(task, operator, position)
        return next(r for r in self.rows if r.variant == wanted)

    def as_dict(self) -> dict[str, Any]:
        return {
            "quick": self.quick,
            "seconds": self.seconds,
            "versions": self.versions,
            "nets": [row.as_dict() for row in self.rows],
            "examples": [asdict(e) for e in self.examples],
        }


def percent(row: Row) -> str:
    """Mean and deviation to one digit: "95.1 ± 1.0"."""
    spread = "" if row.deviation is None else f" ± {row.deviation:.1f}"
    return f"{row.mean:.1f}{spread}"


def finding(found: Certificate) -> str:
    """What came of `Permutation`, in a few letters: "held 2e-15", "broken 1.9"."""
    error = f"{found.error:.1f}" if found.error > 0.1 else f"{found.error:.0e}"
    return f"{found.status} {error}"


def power(value: float) -> tuple[str, int]:
    """A number as digits and a power of ten: 2.1e-15 is ("2.1", -15)."""
    digits, exponent = f"{value:.1e}".split("e")
    return digits, int(exponent)
