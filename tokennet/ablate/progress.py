"""What a user sees while runs are computed: how many, the best so far, failures, time left."""

import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from tokennet.ablate.ablation import Plan
from tokennet.ablate.design import name_of
from tokennet.ablate.record import DONE, FAILED, RunRecord

EVERY = 10.0  # seconds between two lines where the output is no terminal


@dataclass
class Tally:
    """What is known so far of the runs of a plan."""

    plan: Plan
    workers: int
    done: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, run: RunRecord) -> None:
        """Counts a run that has ended."""
        if run.status not in (DONE, FAILED) or run.outcome is None:
            return
        if run.outcome.seconds:
            self.seconds.append(run.outcome.seconds)
        if run.status == FAILED:
            self.failed += 1
            return
        self.done += 1
        self.values.setdefault(name_of(run.labels), []).append(run.metrics[self.plan.metric])

    @property
    def total(self) -> int:
        return len(self.plan.cells) * len(self.plan.seeds)

    @property
    def ended(self) -> int:
        return self.done + self.failed

    def best(self) -> str:
        """The choice whose mean is best at the moment; no judgement, that is the report's."""
        means = {name: fmean(values) for name, values in self.values.items()}
        finite = {name: mean for name, mean in means.items() if abs(mean) < float("inf")}
        if not finite:
            return ""
        name = (max if self.plan.higher_is_better else min)(finite, key=lambda n: finite[n])
        count = len(self.values[name])
        seeds = "1 seed" if count == 1 else f"{count} seeds"
        return f"best so far {name}: {self.plan.metric} {finite[name]:.4g} ({seeds})"

    def time_left(self) -> str:
        """Of the runs that are left, by the mean of those that ended and the number of workers."""
        if not self.seconds or self.ended == self.total:
            return ""
        left = fmean(self.seconds) * (self.total - self.ended) / self.workers
        return f"{_duration(left)} left"

    def words(self) -> str:
        """Best, time left and failures, those that there are."""
        failures = f"{self.failed} failed" if self.failed else ""
        return ", ".join(part for part in (self.best(), self.time_left(), failures) if part)

    def line(self) -> str:
        """All of it in one line: `37 of 100 runs, best so far ...`."""
        words = self.words()
        return f"{self.ended} of {self.total} runs" + (f", {words}" if words else "")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class Progress(ABC):
    """Shows a tally whenever it changed."""

    @abstractmethod
    def show(self, tally: Tally) -> None:
        """Called after every run and about once a second."""

    @abstractmethod
    def close(self, tally: Tally, *, word: str = "") -> None:
        """Called at the end, with what there is to say of it."""


class Silent(Progress):
    """Says nothing."""

    def show(self, tally: Tally) -> None:
        pass

    def close(self, tally: Tally, *, word: str = "") -> None:
        pass


class Lines(Progress):
    """A plain line about every ten seconds: for files, and where nothing can be drawn."""

    def __init__(self, every: float = EVERY):
        self._every, self._last = every, time.monotonic()

    def show(self, tally: Tally) -> None:
        if time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self._print(tally.line())

    def close(self, tally: Tally, *, word: str = "") -> None:
        self._print(word or tally.line())

    def _print(self, text: str) -> None:
        print(f"ablate: {text}", file=sys.stderr, flush=True)


class Bar(Progress):
    """A bar by rich, on the terminal."""

    def __init__(self) -> None:
        from rich import progress as rich
        from rich.console import Console

        columns: list[Any] = [
            rich.BarColumn(24),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.description}"),
        ]
        self._console = Console(stderr=True)
        self._bar = rich.Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("starting", total=None)
        self._bar.start()

    def show(self, tally: Tally) -> None:
        from rich.markup import escape

        text = escape(tally.words()) or "starting"
        self._bar.update(self._task, total=tally.total, completed=tally.ended, description=text)

    def close(self, tally: Tally, *, word: str = "") -> None:
        self._bar.stop()
        self._console.print(f"ablate: {word or tally.line()}", highlight=False, markup=False)


def make_progress(wanted: bool) -> Progress:
    """A bar on a terminal, lines elsewhere, nothing where it isn't wanted."""
    if not wanted:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()
