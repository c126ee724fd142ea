"""Who works on a run, and whether that process is still there."""

import contextlib
import os
import socket
import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokennet.ablate.schema import connect

LEASE = 60.0  # seconds after which a coordinator on another machine that shows no life is gone
MINE: set[str] = set()  # the coordinators of this process that work at the moment


@dataclass(frozen=True)
class Coordinator:
    """One call of `tn.ablate`. `host` names the machine, its boot and the namespace of its pids;
    `started` is the process's start in the system's own ticks; `heartbeat` is in seconds of UTC."""

    id: str
    host: str
    pid: int
    started: str | None
    heartbeat: float
    lease: float = LEASE


def new_coordinator(lease: float = LEASE) -> Coordinator:
    """A coordinator of this process."""
    pid = os.getpid()
    return Coordinator(uuid.uuid4().hex, host(), pid, process_start(pid), time.time(), lease)


@lru_cache(maxsize=1)
def host() -> str:
    """A pid says something only on the same machine, since its start, in the same container."""
    boot, namespace = "", ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()} {boot} {namespace}".strip()


def process_start(pid: int) -> str | None:
    """When the process started, in ticks since the boot; None if it is gone or can't be asked."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in "ZX" else fields[18]  # a killed process stays until it is waited for


def alive(coordinator: Coordinator, now: float | None = None) -> bool:
    """Whether its claims hold: asked of the system on the same machine, else of the heartbeat."""
    if coordinator.host == host():
        if coordinator.pid == os.getpid():
            return coordinator.id in MINE
        if coordinator.started is not None and process_start(coordinator.pid) is not None:
            return process_start(coordinator.pid) == coordinator.started
        if not _may_exist(coordinator.pid):
            return False
    return (time.time() if now is None else now) - coordinator.heartbeat < coordinator.lease


def _may_exist(pid: int) -> bool:
    """Whether a process that can't be looked at may be there: another user's, or no /proc."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not Path("/proc/self/stat").exists()  # where /proc shows our own, it hid a dead one


class Heartbeat:
    """A thread that says, on a connection of its own, that the coordinator lives."""

    def __init__(self, path: Path, coordinator: Coordinator):
        self._path, self._coordinator = path, coordinator
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="tokennet heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(connect(self._path)) as connection,
        ):
            while not self._stopped.wait(self._coordinator.lease / 6):
                # A beat that fails (a full disk, a lock) harms nobody: the next one comes soon.
                with contextlib.suppress(sqlite3.Error):
                    write(connection, self._coordinator, time.time())


def write(connection: sqlite3.Connection, coordinator: Coordinator, now: float) -> None:
    """Signs the coordinator in, or again: another may have thought it dead while it slept."""
    connection.execute(
        "INSERT INTO coordinators VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat",
        (
            coordinator.id,
            coordinator.host,
            coordinator.pid,
            coordinator.started,
            now,
            coordinator.lease,
        ),
    )


def read(connection: sqlite3.Connection) -> list[Coordinator]:
    """All coordinators that signed in and not out."""
    columns = "id, host, pid, started, heartbeat, lease"
    return [Coordinator(*row) for row in connection.execute(f"SELECT {columns} FROM coordinators")]
