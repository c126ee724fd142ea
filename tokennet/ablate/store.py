"""The store: one row a run, claimed before it is computed and written in one transaction."""

import contextlib
import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokennet.ablate import lease
from tokennet.ablate.ablation import Plan
from tokennet.ablate.record import DONE, FAILED, MISSING, RUNNING, Curve, Outcome, RunRecord
from tokennet.ablate.schema import open_store, open_to_read, store_error, told

COLUMNS = (
    "id, labels, seed, status, owner, started, seconds, parameters, flops, memory, error, "
    'versions, "commit", machine, states'
)
FREE = f"UPDATE runs SET status = '{MISSING}', owner = NULL WHERE owner = ?"


@dataclass(frozen=True)
class Planned:
    """A run before it is computed: its identity and what it is."""

    id: str
    labels: Mapping[str, str]
    seed: int


@dataclass(frozen=True)
class StoredAblation:
    """An ablation that a store knows. `created`: when it was last asked for (UTC, ISO 8601)."""

    id: str
    name: str
    plan: Plan
    notes: tuple[str, ...]
    code: str
    created: str
    runs: int
    done: int
    failed: int


class Store:
    """A store that is open, for one thread.

    Raises:
        StoreError: whenever the file can't be used; what it holds is unchanged.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False):
        self.path = Path(path)
        self.connection = (open_to_read if read_only else open_store)(path)
        self._file = self.path.stat().st_ino

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def add(self, plan: Plan, code: str, runs: Sequence[Planned], notes: Sequence[str]) -> str:
        """Keeps the plan and a row for each run that is not there yet; gives the plan's id."""
        asked = (plan.name, code, plan.metric, plan.higher_is_better, plan.design, plan.baseline)
        key = json.dumps([*asked, [run.id for run in runs]])
        ablation = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        labels = [json.dumps(dict(run.labels), ensure_ascii=False) for run in runs]
        with self._transaction():
            self.connection.execute(
                "INSERT INTO ablations (id, name, code, plan, notes, created) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET plan = excluded.plan, notes = excluded.notes, created = excluded.created",
                (ablation, plan.name, code, _plan_text(plan), json.dumps(list(notes)), now()),
            )
            self.connection.executemany(
                "INSERT INTO runs (id, name, code, labels, seed, status) "
                f"VALUES (?, ?, ?, ?, ?, '{MISSING}') ON CONFLICT (id) DO NOTHING",
                [(r.id, plan.name, code, x, r.seed) for r, x in zip(runs, labels, strict=True)],
            )
            self.connection.executemany(
                "INSERT INTO members VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [(ablation, position, run.id) for position, run in enumerate(runs)],
            )
        return ablation

    def ablations(self) -> list[StoredAblation]:
        """All that were asked for, the newest last."""
        with told(self.path):
            rows = self.connection.execute(
                "SELECT a.id, a.name, a.plan, a.notes, a.code, a.created, count(r.id), "
                f"sum(r.status = '{DONE}'), sum(r.status = '{FAILED}') FROM ablations a "
                "JOIN members m ON m.ablation = a.id JOIN runs r ON r.id = m.run "
                "GROUP BY a.id ORDER BY a.created, a.rowid"
            ).fetchall()
        return [
            StoredAblation(row[0], row[1], _plan(row[2]), tuple(json.loads(row[3])), *row[4:])
            for row in rows
        ]

    def other_code(self, name: str, code: str) -> int:
        """How many runs of this name were made by other code."""
        query = "SELECT count(*) FROM runs WHERE name = ? AND code <> ? AND status = ?"
        with told(self.path):
            return self.connection.execute(query, (name, code, DONE)).fetchone()[0]

    def sign_in(self, me: lease.Coordinator) -> None:
        """Makes claims of this coordinator possible."""
        with self._transaction():
            lease.write(self.connection, me, me.heartbeat)

    def sign_out(self, me: lease.Coordinator) -> None:
        """Gives back what the coordinator has claimed and not finished."""
        with self._transaction():
            self._forget(me.id)

    def free_dead_claims(self) -> None:
        """Gives back what was claimed by coordinators that are not there any more."""
        with told(self.path):
            if all(lease.alive(c) for c in lease.read(self.connection)):
                return  # no lock where there is nothing to do
        with self._transaction():
            for coordinator in lease.read(self.connection):
                if not lease.alive(coordinator):
                    self._forget(coordinator.id)

    def give_back(self, run: str, me: lease.Coordinator) -> None:
        """Makes a run that this coordinator has claimed anybody's again."""
        with self._transaction():
            self.connection.execute(f"{FREE} AND id = ?", (me.id, run))

    def _forget(self, coordinator: str) -> None:
        self.connection.execute(FREE, (coordinator,))
        self.connection.execute("DELETE FROM coordinators WHERE id = ?", (coordinator,))

    def claim(self, run: str, me: lease.Coordinator) -> bool:
        """Whether the run is now this coordinator's to compute: nobody has it, or has had it."""
        with self._transaction():
            changed = self.connection.execute(
                f"UPDATE runs SET status = '{RUNNING}', owner = ?, attempt = attempt + 1, "
                f"started = ? WHERE id = ? AND status = '{MISSING}'",
                (me.id, now(), run),
            )
        return changed.rowcount == 1

    def retry(self, runs: Iterable[str]) -> None:
        """Makes failed runs missing again, and runs whose metrics were no use."""
        with self._transaction():
            for run in runs:
                changed = self.connection.execute(
                    f"UPDATE runs SET status = '{MISSING}', error = NULL "
                    f"WHERE id = ? AND status IN ('{DONE}', '{FAILED}')",
                    (run,),
                )
                if changed.rowcount:
                    self._clear(run)

    def _clear(self, run: str) -> None:
        self.connection.execute("DELETE FROM metrics WHERE run = ?", (run,))
        self.connection.execute("DELETE FROM curves WHERE run = ?", (run,))

    def finish(self, run: str, me: lease.Coordinator, outcome: Outcome) -> bool:
        """Writes all of a result, or nothing where the claim was lost meanwhile."""
        states = hashlib.blake2b(outcome.random_states, digest_size=16).hexdigest()
        with self._transaction(lasting=True):
            self.connection.execute(  # the same for every run of a seed: kept once
                "INSERT INTO random_states VALUES (?, ?) ON CONFLICT DO NOTHING",
                (states, outcome.random_states),
            )
            changed = self.connection.execute(
                "UPDATE runs SET status = ?, owner = NULL, ended = ?, seconds = ?, "
                "parameters = ?, flops = ?, memory = ?, error = ?, versions = ?, "
                '"commit" = ?, machine = ?, random_states = ? WHERE id = ? AND owner = ?',
                (
                    DONE if outcome.error is None else FAILED, now(), outcome.seconds,
                    outcome.parameters, outcome.flops, outcome.memory, outcome.error,
                    json.dumps(dict(outcome.versions)), outcome.commit, outcome.machine,
                    states, run, me.id,
                ),
            )  # fmt: skip
            if changed.rowcount == 0:
                return False
            self._clear(run)
            self.connection.executemany(
                "INSERT INTO metrics VALUES (?, ?, ?)",
                [(run, name, value) for name, value in outcome.metrics.items()],
            )
            self.connection.executemany(
                "INSERT INTO curves VALUES (?, ?, ?, ?)",
                [
                    (run, name, *point)
                    for name, points in outcome.curves.items()
                    for point in points
                ],
            )
        return True

    def records(self, ablation: str, only: Sequence[str] = ()) -> list[RunRecord]:
        """The runs in the order of the plan, or only some of them."""
        chosen = "SELECT run FROM members WHERE ablation = ?"
        values: list[Any] = [ablation]
        if only:
            chosen += " AND run IN (SELECT value FROM json_each(?))"
            values.append(json.dumps(list(only)))
        with told(self.path):
            living = {c.id for c in lease.read(self.connection) if lease.alive(c)}
            rows = self.connection.execute(
                f"SELECT {COLUMNS} FROM members m JOIN runs r ON r.id = m.run "
                "LEFT JOIN random_states s ON s.hash = r.random_states "
                f"WHERE m.ablation = ? AND r.id IN ({chosen}) ORDER BY m.position",
                [ablation, *values],
            ).fetchall()
            metrics = self._by_run("metrics", "name, value", chosen, values)
            curves = self._by_run("curves", "name, step, value", chosen, values)
        return [
            _record(row, metrics.get(row[0], []), curves.get(row[0], []), living) for row in rows
        ]

    def _by_run(
        self, table: str, columns: str, chosen: str, values: Sequence[Any]
    ) -> dict[str, list[tuple[Any, ...]]]:
        found: dict[str, list[tuple[Any, ...]]] = {}
        for run, *row in self.connection.execute(
            f"SELECT run, {columns} FROM {table} WHERE run IN ({chosen}) ORDER BY rowid", values
        ):
            found.setdefault(run, []).append(tuple(row))
        return found

    @contextlib.contextmanager
    def _transaction(self, *, lasting: bool = False) -> Iterator[None]:
        """All or nothing, nobody else writes meanwhile; `lasting`: safe from a power failure."""
        if not self.path.exists() or self.path.stat().st_ino != self._file:
            raise store_error(self.path, "was moved or deleted while runs were being stored in it")
        with told(self.path):
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise


def now() -> str:
    """The time in UTC as ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _record(
    row: tuple[Any, ...],
    metrics: list[tuple[Any, ...]],
    curves: list[tuple[Any, ...]],
    living: set[str],
) -> RunRecord:
    run, labels, seed, status, owner, started, seconds, *rest = row
    parameters, flops, memory, error, versions, commit, machine, states = rest
    if status == RUNNING and owner not in living:
        status = MISSING  # its coordinator is dead: the next call computes it again
    outcome = None
    if status in (DONE, FAILED):
        points: dict[str, list[tuple[float, float]]] = {}
        for name, step, value in curves:
            points.setdefault(name, []).append((_number(step), _number(value)))
        lines: dict[str, Curve] = {name: tuple(found) for name, found in points.items()}
        outcome = Outcome(
            {name: _number(value) for name, value in metrics}, lines, parameters, flops,
            seconds, memory, error, json.loads(versions), commit, machine, states or b"",
        )  # fmt: skip
    return RunRecord(run, json.loads(labels), seed, status, outcome, started)


def _number(value: float | None) -> float:
    return math.nan if value is None else value  # SQLite keeps NaN as NULL


def _plan_text(plan: Plan) -> str:
    return json.dumps(asdict(plan), ensure_ascii=False)


def _plan(text: str) -> Plan:
    found = json.loads(text)
    axes = {axis: tuple(labels) for axis, labels in found.pop("axes").items()}
    cells, seeds = tuple(found.pop("cells")), tuple(found.pop("seeds"))
    return Plan(axes=axes, cells=cells, seeds=seeds, **found)
