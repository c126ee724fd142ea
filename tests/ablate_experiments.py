"""Experiments that can be watched: what they ran stands in a file, and they fail on demand."""

import multiprocessing
import os
import random
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch

AXES = {"a": [1, 2, 3], "b": {"plus": 1, "minus": -1}}


def note(log: str, *words: object) -> None:
    """Appends a line in one piece."""
    with Path(log).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def noted(log: str | Path) -> Counter[str]:
    """How often each line was written."""
    path = Path(log)
    return Counter(path.read_text().splitlines() if path.exists() else [])


def experiment(a: int, b: int, seed: int, log: str) -> dict[str, float]:
    note(log, a, b, seed)
    noise = random.random() + numpy.random.rand() + torch.rand(()).item()
    return {"loss": a * b + noise, "noise": noise}


def failing(a: int, b: int, seed: int, log: str, flag: str) -> dict[str, float]:
    """One seed of one choice fails, until there is a file `flag`."""
    found = experiment(a, b, seed, log)
    if (a, b, seed) == (2, 1, 3) and not Path(flag).exists():
        raise ArithmeticError("this seed fails")
    return found


def dying(a: int, b: int, seed: int, log: str) -> dict[str, float]:
    """One run ends its process, one is a segmentation fault, one never ends."""
    note(log, a, b, seed, os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads())
    if (a, b, seed) == (1, 1, 0):
        os._exit(3)
    if (a, b, seed) == (2, 1, 0):
        import ctypes

        ctypes.string_at(0)
    if (a, b, seed) == (3, 1, 0):
        time.sleep(600)
    return {"loss": float(a)}


def slow_steps(a: int, b: int, seed: int, run: Any, log: str, pause: float, save: bool) -> dict:
    """Twenty noisy steps, each noted; every other one is saved where `save` says so."""
    x, start = torch.zeros(8), 0
    state = run.load() if save else None
    if state is not None:
        x, start = state["x"], state["step"]
    for step in range(start, 20):
        note(log, a, b, seed, step)
        x = 0.9 * x + a * torch.randn(8) + b * random.random() * numpy.random.rand()
        run.log(step, norm=x.norm())
        time.sleep(pause)
        if save and step % 2:
            run.save({"x": x, "step": step + 1})
    note(log, a, b, seed, "end")
    return {"loss": x.sum().item()}


def contents(ablation: Any) -> list[tuple[Any, ...]]:
    """Everything of the runs that must not depend on when and where they were computed."""
    found = []
    for run in ablation.runs:
        out = run.outcome
        assert out is not None, run
        facts = (out.metrics, out.curves, out.parameters, out.flops, out.error, out.random_states)
        found.append((run.id, run.labels, run.seed, run.status, *facts))
    return found


class Forked(ProcessPoolExecutor):
    """In place of loky's: its worker is a copy of this process, at work in milliseconds."""

    def __init__(self, max_workers: int, env: dict[str, str]):
        super().__init__(max_workers, multiprocessing.get_context("fork"))

    def shutdown(self, wait: bool = True, *, kill_workers: bool = False, **_: Any) -> None:
        for process in list((self._processes or {}).values()) if kill_workers else []:
            process.kill()
        super().shutdown(wait=wait)


def main(store: str, log: str, pause: float, save: bool, seeds: int, forked: bool) -> None:
    """One ablation of `slow_steps` by two workers, in a process group of its own."""
    from tokennet.ablate.ablate import ablate

    os.setsid()
    if forked:
        import loky

        loky.ProcessPoolExecutor = Forked
    one = partial(slow_steps, log=log, pause=pause, save=save)
    ablate(
        one, AXES, seeds=seeds, minimise="loss", store=store, workers=2, name="steps", version="1",
        progress=False,
    )  # fmt: skip
