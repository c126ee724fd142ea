"""What an audit found, to read, to ask and to raise."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tokennet.verify.report import LawBrokenError, Witness

AuditStatus = Literal["holds", "broken", "not applicable", "undecided"]


@dataclass(frozen=True)
class AuditVerdict:
    """What was found for one property.

    `error` is the largest difference seen, relative to the size of the output's channel; `floor`
    the rounding noise measured beside it. `cases` were tried, of which `bites` could have failed.
    Of a broken property: the smallest `witness`, the `blame`d submodule in which it enters, and a
    `reproduction` in a few lines of Python. `statement` says what the property is, `note` why
    nothing can be said of it.
    """

    name: str
    status: AuditStatus
    promised: bool = True
    error: float = 0.0
    floor: float = 0.0
    cases: int = 0
    bites: int = 0
    witness: Witness | None = None
    blame: str = ""
    reproduction: str = ""
    note: str = ""
    statement: str = ""

    @property
    def ok(self) -> bool:
        """False where a promise is broken."""
        return not (self.promised and self.status == "broken")


@dataclass(frozen=True)
class AuditReport:
    """All verdicts on one module, by name. `print(report)` is a table.

    `facts`: what the output depends on ("tokens": on other tokens than its own).
    `refusals`: inputs that the module refused with an error, and how often.
    """

    module: str
    verdicts: Mapping[str, AuditVerdict]
    facts: Mapping[str, bool] = field(default_factory=dict)
    refusals: Mapping[str, int] = field(default_factory=dict)
    inputs: int = 0
    seconds: float = 0.0
    seed: int = 0
    source: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing that was promised is broken."""
        return not self.broken

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of what was promised and is broken; where nothing was promised, of all broken."""
        return tuple(name for name, v in self.verdicts.items() if not v.ok)

    @property
    def stated(self) -> bool:
        """Whether it was said what the module promises: then all else is information."""
        return any(not v.promised for v in self.verdicts.values())

    @property
    def holding(self) -> tuple[str, ...]:
        """Names of the properties that were not refuted."""
        return tuple(name for name, v in self.verdicts.items() if v.status == "holds")

    def __getitem__(self, name: str) -> AuditVerdict:
        if name not in self.verdicts:
            raise KeyError(f"no verdict on {name!r}; there are {', '.join(self.verdicts)}")
        return self.verdicts[name]

    def __contains__(self, name: str) -> bool:
        return name in self.verdicts

    def raise_if_broken(self) -> "AuditReport":
        """Raises `LawBrokenError` with the whole report unless `ok`; returns the report."""
        if not self.ok:
            raise LawBrokenError(str(self), self)
        return self

    def as_dict(self) -> dict[str, Any]:
        """The report in plain types, for JSON."""
        verdicts = {
            name: {
                **{k: getattr(v, k) for k in _FIELDS},
                "witness": None if v.witness is None else str(v.witness),
            }
            for name, v in self.verdicts.items()
        }
        own = {k: getattr(self, k) for k in ("module", "ok", "inputs", "seconds", "seed", "source")}
        return {
            **own, "broken": list(self.broken), "facts": dict(self.facts),
            "refusals": dict(self.refusals), "verdicts": verdicts,
        }  # fmt: skip

    def __str__(self) -> str:
        words = "nothing broken" if self.ok else f"BROKEN: {', '.join(self.broken)}"
        lines = [
            f"audit {self.module}: {words}" + (f" ({self.source})" if self.source else ""),
            f"  {'property':27} {'found':14} {'error':>9} {'noise':>9}  cases biting",
        ]
        for v in self.verdicts.values():
            if v.status != "not applicable":
                lines += _lines(v, self.stated)
        left = [f"{n} ({v.note})" for n, v in self.verdicts.items() if v.status == "not applicable"]
        lines += [f"  not applicable: {', '.join(left)}"] if left else []
        lines += [f"  {_heard(self.facts)}"] if self.facts else []
        for words, count in self.refusals.items():
            lines.append(f"  refused {count} inputs: {words}")
        lines.append(
            f"  not refuted within {self.inputs} inputs, seed {self.seed} ({self.seconds:.1f} s);"
            " errors are relative to the channel"
        )
        return "\n".join(lines)


_FIELDS = (
    "status", "promised", "error", "floor", "cases", "bites", "blame", "reproduction", "note",
    "statement",
)  # fmt: skip


def _lines(v: AuditVerdict, stated: bool) -> list[str]:
    mark = "!" if not v.ok else " "
    status = v.status if v.promised or not stated else f"({v.status})"
    counts = f"{v.error:9.1e} {v.floor:9.1e} {v.cases:6} {v.bites:6}"
    lines = [f"{mark} {v.name:27} {status:14} {counts}"]
    pad = " " * 6
    if v.status == "broken":
        lines.append(f"{pad}{v.statement}")
    elif v.note and v.status != "holds":
        lines.append(f"{pad}{v.note}")
    if not v.ok and v.witness is not None:
        lines.append(f"{pad}smallest witness: {v.witness.change}, seen in the {v.witness.what}")
        lines.append(f"{pad}  {v.witness.plan}")
        if v.blame:
            lines.append(f"{pad}enters at {v.blame}")
    return lines


_WORDS = {"tokens": "other tokens", "order": "their order", "mask": "the mask"}


def _heard(facts: Mapping[str, bool]) -> str:
    yes = [_WORDS.get(name, name) for name, on in facts.items() if on]
    no = [_WORDS.get(name, name) for name, on in facts.items() if not on]
    heard = f"the output depends on {', '.join(yes)}" if yes else "the output depends on the input"
    return heard + (f"; not on {', '.join(no)}" if no else "")
