"""The examples for several devices: the loss does not depend on the number of processes."""

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import distributed

pytest.importorskip("safetensors")
EXAMPLES = Path(__file__).parents[1] / "examples"
TOKENS = int(torch.randint(2, 9, (64,), generator=torch.Generator().manual_seed(0)).sum())
SHARDED = ("train_ddp", "train_fsdp")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """An example as it is when another one is imported by it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return lambda name: runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="example")


def test_shares_of_a_batch_add_up(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over processes of their parts is the loss of the whole; a mean of means is not."""
    module = load("train_ddp")
    net, device = module["make_net"]().double(), torch.device("cpu")
    whole = module["loss_of"](net, 0, device)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    plain = F.cross_entropy
    for world in (2, 3, 8):
        monkeypatch.setattr(distributed, "get_world_size", lambda w=world: w)
        shares, means = [], []
        for rank in range(world):
            monkeypatch.setattr(distributed, "get_rank", lambda r=rank: r)
            shares.append(module["loss_of"](net, 0, device))
            with monkeypatch.context() as patch:
                patch.setattr(F, "cross_entropy", lambda y, t, reduction: plain(y, t))
                means.append(module["loss_of"](net, 0, device) / world)
        assert (torch.stack(shares).mean() - whole).abs() < 1e-12
        weighed = torch.stack(means).mean() * TOKENS
        assert 1e-6 < (weighed - whole).abs() < 0.1


@pytest.mark.parametrize("name", SHARDED)
def test_one_process(name: str, load: Any, tmp_path: Path) -> None:
    """It learns; stopped and resumed it ends where it would have; both kinds are the same."""
    main, other = load(name)["main"], load(SHARDED[name == "train_ddp"])["main"]
    whole = main(steps=12)
    assert abs(whole - other(steps=12)) < 1e-5
    half = main(steps=6, save=str(tmp_path))
    assert half - whole > 0.1
    assert abs(main(steps=12, resume=str(tmp_path)) - whole) < 1e-6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors", "optimizer.pt"]


def _run(name: str, *arguments: str) -> float:
    """The loss that two processes print."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = subprocess.run(
        [sys.executable, *launcher, str(EXAMPLES / f"{name}.py"), *arguments],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2000:]
    lines = re.findall(r"^loss (\S+) after", found.stdout, re.MULTILINE)
    assert len(lines) == 1, "the first process prints, the others don't"
    return json.loads(lines[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDED)
def test_two_processes(name: str, load: Any, tmp_path: Path) -> None:
    """The loss of one process, whatever part of the way two went."""
    main = load(name)["main"]
    assert abs(_run(name, "--steps", "6", "--save", str(tmp_path)) - main(steps=6)) < 1e-5
    whole = main(steps=12)
    assert abs(_run(name, "--steps", "12", "--resume", str(tmp_path)) - whole) < 1e-5
    assert abs(main(steps=12, resume=str(tmp_path)) - whole) < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of theirs
@pytest.mark.parametrize("name", ["train_lightning", "train_accelerate"])
def test_other_trainers(name: str, load: Any, tmp_path: Path) -> None:
    """The same net with the same loss, there and when resumed."""
    pytest.importorskip(name.removeprefix("train_"))
    main, expected = load(name)["main"], load("train_ddp")["main"](steps=12)
    assert abs(main(steps=12) - expected) < 1e-5
    main(steps=6, save=str(tmp_path / "folder"))
    assert abs(main(steps=12, resume=str(tmp_path / "folder")) - expected) < 1e-5
