"""What was found out about a position code, to read, to ask and to raise."""

from dataclasses import dataclass
from typing import Literal

from tokennet.verify.report import LawBrokenError


@dataclass(frozen=True)
class PositionFinding:
    """One property of a code: `value` is measured, `note` says in which unit.

    "required" of every code; "information" differs between good codes. `untested`: too few tokens,
    or codes that are all equal, of which every law of equality holds.
    """

    name: str
    role: Literal["required", "information"]
    status: Literal["held", "broken", "refused", "untested", "idle"]
    value: float
    note: str

    @property
    def ok(self) -> bool:
        return self.role == "information" or self.status in ("held", "idle")


@dataclass(frozen=True)
class PositionReport:
    """The certificate of a position code. `print(report)` is a table; `report["injective"]` one
    finding, with `status`, `value` and `note`.

    `kind`: "order", "grid" or "graph"; `num_tokens`: places that were looked at.
    """

    code: str
    kind: str
    num_tokens: int
    findings: tuple[PositionFinding, ...]
    seed: int = 0

    @property
    def ok(self) -> bool:
        """Whether all that is required of a code was tested and held."""
        return not self.broken

    @property
    def broken(self) -> tuple[str, ...]:
        """What is required and did not hold, or could not be tested."""
        return tuple(f.name for f in self.findings if not f.ok)

    def __getitem__(self, name: str) -> PositionFinding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        names = ", ".join(f.name for f in self.findings)
        raise KeyError(f"no finding on {name!r}; there are {names}")

    def __contains__(self, name: str) -> bool:
        return any(f.name == name for f in self.findings)

    def raise_if_broken(self) -> "PositionReport":
        """Raises `LawBrokenError` with the whole report unless `ok`; returns the report."""
        if not self.ok:
            raise LawBrokenError(str(self), self)
        return self

    def __str__(self) -> str:
        verdict = "fit for use" if self.ok else f"NOT fit: {', '.join(self.broken)}"
        lines = [f"position code {self.code} ({self.kind}, {self.num_tokens} tokens): {verdict}"]
        for f in self.findings:
            mark = " " if f.ok else "!"
            lines.append(
                f"{mark} {f.role:11} {f.name:21} {f.status:8} {f.value:9.2g}  {f.note}".rstrip()
            )
        return "\n".join(lines)
