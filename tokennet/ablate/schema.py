"""The store's file: its tables, how it is opened, and the errors that a file can give."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

APPLICATION = 0x746E6162  # "tnab", in the header of every store
VERSION = 1
PATIENCE = 30.0  # seconds to wait for another program that writes
# Whatever is lost in a power failure, the file stays whole; results wait for the disk (`Store`).
SETTINGS = ("PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON")
TABLES = """
CREATE TABLE ablations (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, code TEXT NOT NULL, plan TEXT NOT NULL,
    notes TEXT NOT NULL, created TEXT NOT NULL
);
CREATE TABLE runs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, code TEXT NOT NULL, labels TEXT NOT NULL,
    seed INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('missing', 'running', 'done', 'failed')),
    owner TEXT, attempt INTEGER NOT NULL DEFAULT 0, started TEXT, ended TEXT, seconds REAL,
    parameters INTEGER, flops INTEGER, memory INTEGER, error TEXT, versions TEXT,
    "commit" TEXT, machine TEXT, random_states TEXT REFERENCES random_states,
    CHECK ((status = 'running') = (owner IS NOT NULL))
);
CREATE INDEX runs_by_owner ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_by_name ON runs (name);
CREATE TABLE members (
    ablation TEXT NOT NULL REFERENCES ablations, position INTEGER NOT NULL,
    run TEXT NOT NULL REFERENCES runs, PRIMARY KEY (ablation, position)
) WITHOUT ROWID;
CREATE TABLE metrics (
    run TEXT NOT NULL REFERENCES runs, name TEXT NOT NULL, value REAL, UNIQUE (run, name)
);
CREATE TABLE curves (
    run TEXT NOT NULL REFERENCES runs, name TEXT NOT NULL, step REAL, value REAL
);
CREATE INDEX curves_by_run ON curves (run);
CREATE TABLE random_states (hash TEXT PRIMARY KEY, states BLOB NOT NULL);
CREATE TABLE coordinators (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT,
    heartbeat REAL NOT NULL, lease REAL NOT NULL
);
"""
TOLD = {
    "SQLITE_FULL": "the disk is full; make room and call again",
    "SQLITE_BUSY": "is locked by another program; close that one and call again",
    "SQLITE_LOCKED": "is locked by another program; close that one and call again",
    "SQLITE_READONLY": "can't be written; check who may write the file and its folder",
    "SQLITE_CANTOPEN": "can't be opened; check that its folder exists and may be written",
    "SQLITE_PERM": "can't be opened; check who may read and write it",
    "SQLITE_NOTADB": "is no SQLite file; choose another name for the store",
    "SQLITE_CORRUPT": "is damaged; move it away and use a copy of it, or start a new store",
    "SQLITE_IOERR": "can't be read or written; check the disk and whether it is a network folder",
}


class StoreError(RuntimeError):
    """The store can't be used: which file, why, and what to do. What it holds is unchanged."""


def store_error(path: Path, problem: str) -> StoreError:
    """`the store runs.sqlite: is damaged; ...`"""
    return StoreError(f"the store {path}: {problem}")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tells SQLite's errors in words, each with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        kind = next((kind for kind in TOLD if name.startswith(kind)), None)
        if kind is None:
            raise
        raise store_error(path, f"{TOLD[kind]} (SQLite: {error})") from error


def open_store(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """A connection to the store at `path`, which is made if there is none.

    Raises:
        StoreError: for a file that is no store, of another version, damaged, or not to be written.
    """
    path = Path(path)
    new = _is_new(path)
    if not new:
        _recognise(path)
        _writable(path)
    with told(path):
        connection = connect(path, new=new)
        try:
            if new:
                _create(connection)
            _check(path, connection)
            connection.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            connection.close()
            raise
    return connection


def connect(path: Path, *, new: bool = False) -> sqlite3.Connection:
    """A connection for one thread, the file not looked at; transactions begin where we say so."""
    address = f"file:{quote(str(path.absolute()))}?mode={'rwc' if new else 'rw'}"
    connection = sqlite3.connect(address, timeout=PATIENCE, isolation_level=None, uri=True)
    for setting in SETTINGS:
        connection.execute(setting)
    return connection


def open_to_read(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """A connection that only reads; the file must be there."""
    path = Path(path)
    if _is_new(path):
        raise store_error(path, "does not exist; tn.ablate(..., store=...) makes one")
    _recognise(path)
    # SQLite needs a file beside the store even to read it: in a read-only folder there is nobody
    # who writes at the same time, and it may do without.
    beside = path.with_name(path.name + "-wal")
    alone = not os.access(path.parent, os.W_OK) and not beside.exists()
    address = f"file:{quote(str(path.absolute()))}?{'immutable=1' if alone else 'mode=ro'}"
    with told(path):
        connection = sqlite3.connect(address, timeout=PATIENCE, isolation_level=None, uri=True)
        try:
            _check(path, connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _is_new(path: Path) -> bool:
    """Whether there is no file, or an empty one; the folder must exist."""
    if path.is_dir():
        raise store_error(path, "is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise store_error(path, f"the folder {path.parent} does not exist; make it first")
    return not path.exists() or path.stat().st_size == 0


def _recognise(path: Path) -> None:
    """Looks at the header before SQLite touches a file that may be somebody else's."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise store_error(path, f"can't be read: {error}") from error
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise store_error(path, "is no SQLite file; choose another name for the store")
    if int.from_bytes(header[68:72], "big") != APPLICATION:
        raise store_error(path, "belongs to another program; choose another name for the store")
    version = int.from_bytes(header[60:64], "big")
    if version != VERSION:
        age = "a newer" if version > VERSION else "an older"
        raise store_error(
            path,
            f"was written by {age} version of tokennet (format {version}, this one reads "
            f"{VERSION}); use that version, or another file",
        )


def _writable(path: Path) -> None:
    for place in (path, path.parent):
        if not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise store_error(path, f"{place} is read-only; the store must be written")


def _create(connection: sqlite3.Connection) -> None:
    """All or nothing, so that a file without our mark is never ours."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # else another was faster
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _check(path: Path, connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise store_error(path, f"{TOLD['SQLITE_CORRUPT']} (SQLite: {found})")
