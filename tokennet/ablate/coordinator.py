"""Has the runs of a plan computed that nobody has computed yet, and stores each as it ends."""

import contextlib
import shutil
import sqlite3
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tokennet.ablate.lease import LEASE, MINE, Heartbeat, new_coordinator
from tokennet.ablate.pool import KILLED, Pool, Work
from tokennet.ablate.progress import Progress, Tally
from tokennet.ablate.record import DONE, FAILED, MISSING, Outcome, RunRecord
from tokennet.ablate.schema import StoreError
from tokennet.ablate.store import Planned, Store
from tokennet.ablate.worker import WorkerError

LOOK = 0.5  # seconds between two looks at what other coordinators do


@dataclass
class Job:
    """What one call of `tn.ablate` does. `works`: for each run what a worker gets, in the order
    in which they shall be computed."""

    store: Store
    pool: Pool
    ablation: str
    works: Mapping[str, Work]
    planned: Mapping[str, Planned]
    tally: Tally
    progress: Progress
    lease: float = LEASE
    _todo: deque[str] = field(default_factory=deque)
    _mine: set[str] = field(default_factory=set)
    _others: set[str] = field(default_factory=set)
    _killed: set[str] = field(default_factory=set)
    _ended: deque[tuple[str, Outcome]] = field(default_factory=deque)

    def work(self) -> None:
        """Returns when every run has ended, whoever computed it.

        Raises:
            StoreError, WorkerError, KeyboardInterrupt: with a note that says how far it came.
        """
        me = self._me = new_coordinator(self.lease)
        MINE.add(me.id)
        finished = False
        try:
            self.store.free_dead_claims()
            self.store.sign_in(me)
            self._commit = commit()
            self._sort(self.store.records(self.ablation))
            with Heartbeat(self.store.path, me):
                self._loop()
            finished = True
            self.progress.close(self.tally)
        except BaseException as error:
            self._keep_what_ended(error)
            raise
        finally:
            MINE.discard(me.id)
            self.pool.stop(kill=not finished)
            with contextlib.suppress(StoreError, sqlite3.Error) if not finished else _nothing():
                self.store.sign_out(me)

    def _sort(self, records: list[RunRecord]) -> None:
        by_id = {record.id: record for record in records}
        for run in self.works:
            record = self.view(by_id[run])
            if record.status in (DONE, FAILED):
                self._ended_elsewhere(record)
            elif record.status == MISSING:
                self._todo.append(run)
            else:
                self._others.add(run)
        self.progress.show(self.tally)

    def _loop(self) -> None:
        looked = time.monotonic()
        while self._todo or self._mine or self._others:
            self._fill()
            wait = LOOK if self._others or self._mine else 0.0
            if self._mine:
                self._ended.extend(self.pool.ended(wait))
                if self.pool.ahead:
                    self._fill()  # workers go on while the disk is waited for
                self._store_ended()
            elif self._others and not self._todo:
                time.sleep(wait)
            if self._others and time.monotonic() - looked > LOOK and not self._todo:
                looked = time.monotonic()
                self._look_at_others()
            self.progress.show(self.tally)

    def _fill(self) -> None:
        while self._todo and self.pool.has_room():
            self._start(self._todo.popleft())

    def _start(self, run: str) -> None:
        if not self.store.claim(run, self._me):
            self._others.add(run)
            return
        try:
            self.pool.submit(run, self.works[run])
        except WorkerError:
            raise
        except Exception as error:
            raise WorkerError(
                f"the executor takes no runs: {type(error).__name__}: {error}"
            ) from error
        self._mine.add(run)

    def _store_ended(self) -> None:
        while self._ended:  # taken out after it is stored: Ctrl-C may come in between
            self._end(*self._ended[0])
            self._ended.popleft()

    def _end(self, run: str, outcome: Outcome) -> None:
        outcome = replace(outcome, commit=self._commit)
        self._mine.discard(run)
        if (outcome.error or "").startswith(KILLED) and run not in self._killed:
            self._killed.add(run)  # once may be an accident: it starts again
            self.store.give_back(run, self._me)
            self._todo.appendleft(run)
            return
        if not self.store.finish(run, self._me, outcome):
            self._others.add(run)  # another thought us dead and has taken it
            return
        if outcome.error is None:
            drop_checkpoint(self.works[run].checkpoint)
        planned = self.planned[run]
        status = DONE if outcome.error is None else FAILED
        record = RunRecord(run, planned.labels, planned.seed, status, outcome)
        self.tally.add(self.view(record))

    def _look_at_others(self) -> None:
        self.store.free_dead_claims()
        for record in self.store.records(self.ablation, sorted(self._others)):
            if record.status in (DONE, FAILED):
                self._ended_elsewhere(self.view(record))
                self._others.discard(record.id)
            elif record.status == MISSING:
                self._others.discard(record.id)
                self._todo.append(record.id)

    def _ended_elsewhere(self, record: RunRecord) -> None:
        """Counts a run that another call stored, which may have been killed before it tidied up."""
        self.tally.add(record)
        if record.status == DONE:
            drop_checkpoint(self.works[record.id].checkpoint)

    def view(self, record: RunRecord) -> RunRecord:
        """The run as this plan sees it."""
        return seen(record, self.tally.plan.metric)

    def _keep_what_ended(self, error: BaseException) -> None:
        """Stores what has ended meanwhile, and notes how far it came."""
        if not isinstance(error, StoreError):
            with contextlib.suppress(StoreError, WorkerError, sqlite3.Error):
                self._ended.extend(self.pool.ended(0.0))
                self._store_ended()
        tally = self.tally
        word = f"stopped: {tally.ended} of {tally.total} runs are stored; the same call goes on"
        error.add_note(word)
        self.progress.close(tally, word=word)


def seen(record: RunRecord, metric: str) -> RunRecord:
    """A run that is done but has not the metric that decides counts as failed, and says so."""
    if record.status != DONE or record.outcome is None or metric in record.outcome.metrics:
        return record
    names = ", ".join(map(repr, record.outcome.metrics))
    text = f"the experiment returned no metric {metric!r}, only {names}"
    return replace(record, status=FAILED, outcome=replace(record.outcome, error=text))


def drop_checkpoint(path: str | None) -> None:
    """Removes the checkpoint of a run that is done, and the folder after the last one."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        Path(path).unlink(missing_ok=True)
        Path(path).parent.rmdir()


def commit() -> str | None:
    """The working directory's git commit, with "+changes" where files differ from it."""
    if shutil.which("git") is None:
        return None
    head = _git("rev-parse", "HEAD")
    if not head:
        return None
    return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    try:
        found = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


@contextlib.contextmanager
def _nothing():
    yield
