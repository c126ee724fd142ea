"""One run: the handle that an experiment may take, and what is measured around the call."""

import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokennet.ablate.record import Curve
from tokennet.checks import kind_of, type_error


class Run:
    """What an experiment that has an argument `run` gets: a place for curves, costs, checkpoints.

    All of it is optional. An experiment that saves its state continues where it was after a kill:

        def experiment(mixer, seed, run):
            net, optimiser, start = ...
            state = run.load()
            if state is not None:
                net.load_state_dict(state["net"])
                ...
            for epoch in range(start, 10):
                ...
                run.log(epoch, loss=loss, accuracy=accuracy)
                run.save({"net": net.state_dict(), ...})
            return {"accuracy": accuracy}
    """

    def __init__(self, seed: int, device: str = "cpu", checkpoint: Path | None = None):
        self.seed = seed
        self.device = torch.device(device)
        self.parameters: int | None = None
        self.flops: int | None = None
        self._checkpoint = checkpoint
        self._curves: dict[str, list[tuple[float, float]]] = {}

    def log(self, step: float, **values: float) -> None:
        """Adds a point to the curve of each name: `run.log(epoch, loss=0.3)`."""
        _number("step", step)
        for name, value in values.items():
            _number(name, value)
        for name, value in values.items():
            self._curves.setdefault(name, []).append((float(step), float(value)))

    def describe(self, net: nn.Module, *inputs: Any) -> None:
        """Keeps the net's number of parameters and, with inputs, the FLOPs of a call on them."""
        if not isinstance(net, nn.Module):
            raise type_error("net", kind_of(net), "an nn.Module")
        from tokennet.ablate.budget import count_flops, count_parameters

        self.parameters = count_parameters(net)
        if inputs:
            self.flops = count_flops(net, *inputs)

    def save(self, state: Any) -> None:
        """Keeps tensors, numbers, texts, lists and dicts, wholly or not at all, until the run ends.

        The curves and the random states are kept with it.
        """
        if self._checkpoint is None:
            return
        from tokennet.ablate.randomness import states

        content = io.BytesIO()
        torch.save({"state": state, "curves": self._curves, "random": states()}, content)
        from tokennet.files import write_atomically

        for attempt in (1, 2, 3):
            self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_atomically(self._checkpoint, content.getvalue())
            except FileNotFoundError:  # another run ended, and took the folder with it
                if attempt == 3:
                    raise
            else:
                return

    def load(self) -> Any:
        """What the run saved last before it was killed, random states set as they were; or None."""
        if self._checkpoint is None or not self._checkpoint.exists():
            return None
        from tokennet.ablate.randomness import restore

        found = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
        self._curves = {name: list(map(tuple, points)) for name, points in found["curves"].items()}
        restore(found["random"])
        return found["state"]

    @property
    def curves(self) -> dict[str, Curve]:
        return {name: tuple(points) for name, points in self._curves.items()}


def _number(name: str, value: Any) -> None:
    try:
        if isinstance(value, bool | str):
            raise TypeError
        float(value)  # NumPy's numbers and tensors of one number pass
    except (TypeError, ValueError, RuntimeError):
        raise type_error(name, kind_of(value), "a number") from None


def read_metrics(found: Any) -> dict[str, float]:
    """What the experiment returned, if it is a dict of numbers."""
    if not isinstance(found, dict) or not found:
        allowed = 'a dict of metrics, e.g. {"accuracy": 0.9}'
        raise type_error("the experiment's answer", repr(found)[:80], allowed)
    for name, value in found.items():
        if not isinstance(name, str):
            raise type_error("a metric's name", repr(name), "a text")
        _number(f"the metric {name!r}", value)
    return {name: float(value) for name, value in found.items()}


def call(experiment: Callable[..., Any], values: dict[str, Any], run: Run) -> dict[str, float]:
    """The metrics of one call; `run` is passed where the experiment takes it."""
    given = {**values, "seed": run.seed}
    if takes_run(experiment):
        given["run"] = run
    return read_metrics(experiment(**given))


def takes_run(experiment: Callable[..., Any]) -> bool:
    """Whether the experiment has an argument of this name."""
    return "run" in inspect.signature(experiment).parameters
