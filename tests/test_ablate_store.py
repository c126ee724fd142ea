"""The store: what it keeps, whom it lets write, and what it says of files that it can't use."""

import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from ablate_stores import OUTCOME, PLAN, RUNS, at_work, filled

from tokennet.ablate import lease, randomness, schema
from tokennet.ablate.load import list_ablations, load_ablation
from tokennet.ablate.record import DONE, FAILED, MISSING, RUNNING, Outcome
from tokennet.ablate.schema import StoreError
from tokennet.ablate.store import Planned, Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def test_what_is_written_is_read(path: Path) -> None:
    filled(path)
    found = load_ablation(path)
    assert found.plan == PLAN
    assert found.notes == ("a note",)
    assert [run.status for run in found.runs] == [DONE, MISSING, MISSING, MISSING]
    run = found.runs[0]
    assert run.outcome is not None
    assert run.labels == {"a": "x"}
    assert list(run.metrics) == list(OUTCOME.metrics)
    assert repr(run.outcome) == repr(OUTCOME)  # NaN differs from itself, its text does not
    only = replace(OUTCOME, metrics={"loss": 1.0}, curves={})
    assert replace(run.outcome, metrics={"loss": 1.0}, curves={}) == only


def test_several_ablations_share_runs(path: Path) -> None:
    filled(path)
    with Store(path) as store:
        more = replace(PLAN, seeds=(0, 1, 2))
        store.add(more, "code", [*RUNS, Planned("x2", {"a": "x"}, 2)], [])
        again = replace(PLAN, name="other")
        store.add(again, "code", [Planned("z", {"a": "x"}, 0)], [])
    assert [(a.name, a.runs, a.done) for a in list_ablations(path)] == [
        ("toy", 4, 1), ("toy", 5, 1), ("other", 1, 0),
    ]  # fmt: skip
    assert load_ablation(path, "toy").plan == more, "the one that was asked for last"
    with pytest.raises(StoreError, match="holds 'toy', 'other'; say which, by name="):
        load_ablation(path)
    with pytest.raises(StoreError, match=r"no ablation 'toi'.*did you mean 'toy'"):
        load_ablation(path, "toi")


def test_failed_runs_wait_for_a_retry(path: Path) -> None:
    with Store(path) as store, at_work(store) as me:
        ablation = store.add(PLAN, "code", RUNS, [])
        store.claim("x0", me)
        store.finish("x0", me, Outcome({}, OUTCOME.curves, error="boom"))
        assert store.records(ablation)[0].status == FAILED
        assert not store.claim("x0", me)
        store.retry(["x0"])
        assert store.claim("x0", me)
        store.finish("x0", me, OUTCOME)
        found = store.records(ablation)[0]
        assert (found.status, len(found.outcome.curves["loss"])) == (DONE, 2)


def text_file(path: Path) -> None:
    path.write_text("not a database, " * 100)


def others_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA application_id = 5")


def another_version(path: Path, version: int = schema.VERSION + 1) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def damaged(path: Path) -> None:
    filled(path)
    content = bytearray(path.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    filled(path)
    path.write_bytes(path.read_bytes()[: 3 * 4096])


def a_folder(path: Path) -> None:
    path.mkdir()


def no_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (text_file, "is no SQLite file; choose another name"),
        (others_database, "belongs to another program; choose another name"),
        (another_version, r"by a newer version of tokennet \(format 2, this one reads 1\)"),
        (lambda path: another_version(path, 0), "by an older version of tokennet"),
        (damaged, "is damaged; move it away"),
        (cut_off, "is damaged; move it away"),
        (a_folder, "is a folder; give the name of a file in it"),
        (no_folder, "the folder .* does not exist; make it first"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_files_that_are_no_store(path: Path, make, said: str, read_only: bool) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=said) as error:
        Store(path, read_only=read_only)
    assert str(path) in str(error.value)
    assert (path.read_bytes() if path.is_file() else None) == before, "it was touched"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may look into, and rights that count: root may do everything."""
    folder = Path(tempfile.mkdtemp(prefix="tokennet-test-"))
    folder.chmod(0o777)
    if os.geteuid() == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
        yield folder
        os.seteuid(0)
    else:
        yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


def test_read_only(open_folder: Path) -> None:
    path = open_folder / "runs.sqlite"
    filled(path)
    path.chmod(0o444)
    with pytest.raises(StoreError, match=r"runs\.sqlite is read-only"):
        Store(path)
    assert load_ablation(path).runs[0].status == DONE
    path.chmod(0o644)
    open_folder.chmod(0o555)
    with pytest.raises(StoreError, match="is read-only; the store must be written"):
        Store(path)
    with pytest.raises(StoreError, match=r"other\.sqlite: .* check"):
        Store(open_folder / "other.sqlite")
    if not list(open_folder.glob("*-*")):  # what reading left before
        assert load_ablation(path).runs[0].status == DONE
    open_folder.chmod(0o777)
    path.chmod(0o000)
    with pytest.raises(StoreError, match="can't be read"):
        Store(path)


def test_locked_too_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    monkeypatch.setattr(schema, "PATIENCE", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, Store(path) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked by another"):
            store.claim("x1", lease.new_coordinator())
        assert load_ablation(path).runs[0].status == DONE, "reading needs no lock"


def test_full_disk_keeps_what_is_stored(path: Path) -> None:
    filled(path)
    with Store(path) as store, at_work(store) as me:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count = {pages}")
        assert store.claim("x1", me)
        long = replace(OUTCOME, curves={"c": tuple((float(i), 0.5) for i in range(5000))})
        with pytest.raises(StoreError, match="the disk is full; make room and call again"):
            store.finish("x1", me, long)
        ablation = store.ablations()[0].id
        assert [r.status for r in store.records(ablation)][:2] == [DONE, RUNNING]
        store.connection.execute("PRAGMA max_page_count = 100000")
        assert store.finish("x1", me, long)
        assert store.records(ablation)[1].outcome.curves == long.curves


def test_a_store_that_was_deleted_takes_nothing(path: Path) -> None:
    filled(path)
    with Store(path) as store:
        path.unlink()
        with pytest.raises(StoreError, match="was moved or deleted"):
            store.claim("x1", lease.new_coordinator())
    assert not path.exists()


def test_random_states_survive() -> None:
    randomness.seed_all(3)
    found = randomness.states()
    read = randomness.expanded(randomness.compressed(found))
    first = (torch.rand(3).tolist(), random.random(), numpy.random.rand())
    randomness.restore(read)
    assert (torch.rand(3).tolist(), random.random(), numpy.random.rand()) == first
    assert torch.equal(read["torch"], found["torch"])
