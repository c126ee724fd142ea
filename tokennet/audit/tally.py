"""What a search has seen of one law so far."""

from dataclasses import dataclass, field

from tokennet.audit.compare import Finding
from tokennet.audit.trial import Trial
from tokennet.laws import Law


@dataclass(eq=False)
class Tally:
    """What has been seen of one law so far."""

    law: Law
    promised: bool
    cases: int = 0
    bites: int = 0
    worst: Finding | None = None
    broken: Trial | None = None
    doubts: list[str] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        self.cases += 1
        self.bites += trial.bites
        finding = trial.finding
        if (
            self.worst is None
            or finding.error / finding.floor > self.worst.error / self.worst.floor
        ):
            self.worst = finding
        if finding.undecided and not finding.short:  # exact dtypes decide
            self.doubt("differences of 10 to 64 times the rounding noise")

    def doubt(self, words: str) -> None:
        if words not in self.doubts:
            self.doubts.append(words)
