"""What is known of one run: what it was, how it ended, what it measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

DONE, FAILED, RUNNING, MISSING = "done", "failed", "running", "missing"
Curve = tuple[tuple[float, float], ...]  # (step, value), in the order of the steps


@dataclass(frozen=True)
class Outcome:
    """What a worker sends back of one run; of a failed one `error` is the traceback.

    `memory` is the peak in bytes: on a GPU what torch had allocated there, else of the process.
    `random_states`: those of Python, NumPy and torch right after seeding, as compressed JSON.
    """

    metrics: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    parameters: int | None = None
    flops: int | None = None
    seconds: float = 0.0
    memory: int | None = None
    error: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    machine: str = ""
    random_states: bytes = b""


@dataclass(frozen=True)
class RunRecord:
    """One run of the store. `labels`: one label on each axis. `status`: done, failed, running or
    missing; only a run that is done has metrics. `started`: UTC, ISO 8601."""

    id: str
    labels: Mapping[str, str]
    seed: int
    status: str = MISSING
    outcome: Outcome | None = None
    started: str | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it measured; nothing unless it is done."""
        return self.outcome.metrics if self.status == DONE and self.outcome else {}
