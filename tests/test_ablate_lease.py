"""Claims: a run belongs to one coordinator, as long as that one is there."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ablate_stores import OUTCOME, PLAN, RUNS, at_work

from tokennet.ablate import lease
from tokennet.ablate.record import MISSING, RUNNING
from tokennet.ablate.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def test_a_run_is_claimed_once(path: Path) -> None:
    with Store(path) as one, Store(path) as two, at_work(one) as me, at_work(two) as other:
        ablation = one.add(PLAN, "code", RUNS, [])
        assert one.claim("x0", me)
        assert not two.claim("x0", other)
        assert not one.claim("x0", me)
        assert not two.finish("x0", other, OUTCOME), "only the owner writes"
        assert one.records(ablation)[0].status == RUNNING
        assert one.finish("x0", me, OUTCOME)
        assert not one.finish("x0", me, replace(OUTCOME, metrics={"loss": 9.0})), "and once"
        assert not two.claim("x0", other)
        assert two.records(ablation)[0].metrics["loss"] == 0.1


@pytest.mark.parametrize(
    ("who", "void"),
    [
        ({"pid": 2**22 + 1}, True),  # above the highest pid
        ({"started": "1"}, True),  # the pid belongs to another process by now
        ({"id": "an earlier call of this process"}, True),
        ({"pid": os.getppid(), "started": lease.process_start(os.getppid())}, False),
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "heartbeat": 1e9}, True),
    ],
)
def test_claims_of_the_dead_are_void(path: Path, who: dict[str, object], void: bool) -> None:
    with Store(path) as store, at_work(store, **who) as other, at_work(store) as me:
        ablation = store.add(PLAN, "code", RUNS, [])
        assert store.claim("x0", other)
        shown = store.records(ablation)[0].status
        store.free_dead_claims()
        assert store.claim("x0", me) == void
        assert store.finish("x0", other, OUTCOME) != void, "who lost the claim writes nothing"
        assert shown == (MISSING if void else RUNNING)


def test_a_killed_process_that_nobody_waited_for_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        start = lease.process_start(child.pid)
        assert start is not None
        who = replace(lease.new_coordinator(), pid=child.pid, started=start)
        assert lease.alive(who)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not lease.alive(who)
    finally:
        child.communicate()


def test_heartbeat_signs_in_again(path: Path) -> None:
    with Store(path) as store:
        me = replace(lease.new_coordinator(), lease=0.06)
        with lease.Heartbeat(path, me):
            for _ in range(500):
                if lease.read(store.connection):
                    break
                torch.rand(200_000)
        (found,) = lease.read(store.connection)
        assert found.heartbeat >= me.heartbeat
