"""What a built-in task is: data, a common net whose parts are choices, a recipe, a score."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error
from tokennet.mixers import Attention, Mixer
from tokennet.net import Block, PreNorm, Tokenizer, TokenNet
from tokennet.tasks.parts import make
from tokennet.tasks.samples import Batch, Samples
from tokennet.tasks.training import Recipe, fit

Sums = dict[str, tuple[float, int]]  # of each score: the sum over answers, and how many there are


@dataclass(frozen=True)
class Reference:
    """What others reach, in the units of the task's metric, and where that stands."""

    value: float
    source: str
    spread: float | None = None


@dataclass(frozen=True, eq=False)
class Data:
    """The parts of a data set. With `choose`, the epoch is the best one there; `test` decides."""

    fit: Samples
    test: Samples
    choose: Samples | None = None


def attention(dim: int, num_heads: int) -> Mixer:
    """The mixer of a task's net where none is chosen."""
    return Attention(dim, num_heads)


class Task(ABC):
    """A learning problem that is an experiment: `tn.ablate(Digits(), axes={"mixer": {...}})`.

    `task(mixer=..., position=..., seed=0)` builds the common net with these choices, trains it and
    returns metrics. Choices that make modules are called with the facts that they ask for: `dim`,
    `num_tokens` (None where samples differ in it), `num_heads`, and those of the task.
    `task.experiment(build)` is the same for nets of any other kind.

    Args:
        recipe: how it is trained; None: the task's own.
        epochs: in place of the recipe's.
    """

    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    reference: ClassVar[Reference]
    recipe: ClassVar[Recipe] = Recipe()
    causal: ClassVar[bool] = False  # whether a net must not see later tokens

    def __init__(self, recipe: Recipe | None = None, *, epochs: int | None = None):
        chosen = type(self).recipe if recipe is None else recipe
        if epochs is not None:
            chosen = replace(chosen, epochs=positive("epochs", epochs))
        self.recipe = chosen  # type: ignore[misc]  # the class has the default

    @property
    def name(self) -> str:
        return type(self).__name__

    @abstractmethod
    def data(self, seed: int) -> Data:
        """The data of a run; most tasks have one split for all seeds."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What parts may ask for besides `dim` and `num_heads`; always `num_tokens`."""

    @abstractmethod
    def tokenizer(self, dim: int) -> Tokenizer:
        """From the data to tokens."""

    @abstractmethod
    def readout(self, dim: int) -> Mixer:
        """From tokens to the answer."""

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        """What is minimised; cross-entropy unless the task says otherwise."""
        answer, targets = counted(answer, batch)
        return F.cross_entropy(answer, targets)

    def scores(self, answer: Tensor, batch: Batch) -> Sums:
        """Metrics as sums; accuracy and loss unless the task says otherwise."""
        answer, targets = counted(answer, batch)
        right = int((answer.argmax(-1) == targets).sum())
        loss = float(F.cross_entropy(answer, targets, reduction="sum"))
        return {"accuracy": (right, len(targets)), "loss": (loss, len(targets))}

    def net(
        self,
        *,
        mixer: Callable[..., Mixer] = attention,
        position: Callable[..., Mixer] | None = None,
        residual: Callable[..., Mixer] = PreNorm,
        mlp: Callable[..., Mixer] | None = None,
        tokenizer: Callable[..., Tokenizer] | None = None,
        readout: Callable[..., Mixer] | None = None,
        dim: int = 32,
        depth: int = 2,
        num_heads: int = 4,
        dropout: float = 0.0,
    ) -> nn.Module:
        """The common net: tokenizer, position code, `depth` blocks around the mixer, readout."""
        facts = {"dim": dim, **self.facts, "num_heads": num_heads}
        begin = self.tokenizer(dim) if tokenizer is None else make("tokenizer", tokenizer, facts)
        code = [] if position is None else [make("position", position, facts)]
        blocks = [
            Block(
                dim,
                make("mixer", mixer, facts),
                mlp=None if mlp is None else make("mlp", mlp, facts),
                residual=residual,
                dropout=dropout,
            )
            for _ in range(positive("depth", depth))
        ]
        end = self.readout(dim) if readout is None else make("readout", readout, facts)
        return TokenNet(begin, [*code, *blocks], end)

    def __call__(
        self,
        *,
        seed: int,
        run: Any = None,
        mixer: Callable[..., Mixer] = attention,
        position: Callable[..., Mixer] | None = None,
        residual: Callable[..., Mixer] = PreNorm,
        mlp: Callable[..., Mixer] | None = None,
        tokenizer: Callable[..., Tokenizer] | None = None,
        readout: Callable[..., Mixer] | None = None,
        dim: int = 32,
        depth: int = 2,
        num_heads: int = 4,
        dropout: float = 0.0,
    ) -> dict[str, float]:
        """Builds, trains and tests a net; arguments as in `net`, metrics of the test part."""
        torch.manual_seed(seed)
        net = self.net(
            mixer=mixer, position=position, residual=residual, mlp=mlp, tokenizer=tokenizer,
            readout=readout, dim=dim, depth=depth, num_heads=num_heads, dropout=dropout,
        )  # fmt: skip
        return fit(self, net, seed, run)

    def experiment(self, build: Callable[..., nn.Module]) -> "TaskExperiment":
        """An experiment with a net of your own: `build(**choice)` makes it, the task trains it."""
        return TaskExperiment(self, build)


class TaskExperiment:
    """What `task.experiment(build)` gives: called with a choice and a seed, it trains and tests."""

    def __init__(self, task: Task, build: Callable[..., nn.Module]):
        if isinstance(build, nn.Module) or not callable(build):
            allowed = "a function that makes a net of the choices"
            raise type_error(
                "build", kind_of(build), allowed, "e.g. def build(mixer, position): ..."
            )
        self.task, self.net = task, build
        self.metric, self.higher_is_better = task.metric, task.higher_is_better
        given = inspect.signature(build).parameters.values()
        extra = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("seed", "run")
        ]
        keep = [p for p in given if p.kind is not p.VAR_KEYWORD]
        last = [p for p in given if p.kind is p.VAR_KEYWORD]
        self.__signature__ = inspect.Signature([*keep, *extra, *last])

    def __call__(self, *, seed: int, run: Any = None, **choice: Any) -> dict[str, float]:
        torch.manual_seed(seed)
        return fit(self.task, self.net(**choice), seed, run)


def counted(answer: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The rows of the answer that count, and their targets."""
    if batch.counts is None:
        return answer, batch.targets
    return answer[batch.counts], batch.targets[batch.counts]
