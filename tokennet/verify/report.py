"""What a verification found, to read, to ask and to raise."""

from dataclasses import dataclass, field
from typing import Literal

from tokennet.verify.plans import Plan

Role = Literal["contract", "claim", "locality", "reads", "measured"]
Status = Literal["held", "broken", "raised", "untested", "undecided", "used", "idle", "undeclared"]

_GOOD: dict[str, frozenset[str]] = {
    "contract": frozenset({"held", "undecided"}),
    "claim": frozenset({"held", "undecided"}),
    "locality": frozenset({"held", "undecided"}),
    "reads": frozenset({"used"}),
    "measured": frozenset({"held", "broken", "untested", "undecided"}),
}


class LawBrokenError(AssertionError):
    """A module does not do what it promises; the message is the report, and `report` holds it."""

    def __init__(self, message: str, report: object = None):
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Witness:
    """The smallest input found on which a law broke."""

    plan: Plan
    change: str
    what: str

    def __str__(self) -> str:
        return f"{self.change}\n              seen in the {self.what}; {self.plan}"


@dataclass(frozen=True)
class Verdict:
    """What was found for one law.

    `role`: "contract" and "claim" must hold, "locality" too; "reads" are facts that must matter
    ("other samples": those of the batch, in train mode, of a module that couples samples);
    "measured" laws are not promised, and are reported whether they hold or not.
    `error` is the largest seen, relative to the size of the output's channel; `floor` the rounding
    noise measured beside it. `cases` were tried, of which `bites` could have failed.
    """

    law: str
    role: Role
    status: Status
    error: float = 0.0
    floor: float = 0.0
    cases: int = 0
    bites: int = 0
    witness: Witness | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.status in _GOOD[self.role]


@dataclass(frozen=True)
class Report:
    """All verdicts on one module. `print(report)` is a table; `report["Causality"]` one verdict.

    `mixes`: whether the output of a token depends on other tokens (a readout: on others than the
    first).
    """

    module: str
    verdicts: tuple[Verdict, ...]
    mixes: bool
    seconds: float = 0.0
    seed: int = 0
    examples: int = 0
    _index: dict[str, Verdict] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {v.law: v for v in self.verdicts})

    @property
    def ok(self) -> bool:
        """Whether everything promised was tested and held."""
        return all(v.ok for v in self.verdicts)

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of what was promised and did not hold, or could not be tested."""
        return tuple(v.law for v in self.verdicts if not v.ok)

    def __getitem__(self, law: str) -> Verdict:
        if law not in self._index:
            raise KeyError(f"no verdict on {law!r}; there are {', '.join(self._index)}")
        return self._index[law]

    def __contains__(self, law: str) -> bool:
        return law in self._index

    def raise_if_broken(self) -> "Report":
        """Raises `LawBrokenError` with the whole report unless `ok`; returns the report."""
        if not self.ok:
            raise LawBrokenError(str(self), self)
        return self

    def __str__(self) -> str:
        verdict = "all promises held" if self.ok else f"NOT as promised: {', '.join(self.broken)}"
        lines = [
            f"verify {self.module}: {verdict}",
            f"  {'':9} {'law':19} {'found':10} {'error':>9} {'noise':>9}  cases biting",
        ]
        for v in self.verdicts:
            mark = " " if v.ok else "!"
            error = f"{v.error:9.1e} {v.floor:9.1e}" if v.cases else " " * 19
            counts = f"{v.cases:6} {v.bites:6}" if v.cases else ""
            line = f"{mark} {v.role:9} {v.law:19} {v.status:10} {error} {counts}"
            lines.append(line.rstrip())
            if not v.ok and v.note:
                lines.append(f"            {v.note}")
            if not v.ok and v.witness is not None:
                lines.append(f"            smallest witness: {v.witness}")
        lines.append(f"  tokens {'hear' if self.mixes else 'do not hear'} each other")
        lines.append(
            f"  not refuted within {self.examples} examples a law, seed {self.seed}"
            f" ({self.seconds:.1f} s); errors are relative to the channel"
        )
        return "\n".join(lines)
