"""What a built-in task is: data, a common net whose parts are choices, a recipe, a score."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.laws import Causality
from tokennet.mixers import Attention, Mixer, Pointwise
from tokennet.net import Block, PreNorm, Tokenizer, TokenNet
from tokennet.tasks.parts import make
from tokennet.tasks.samples import Batch, Samples
from tokennet.tasks.training import Recipe, fit

# of each score: the sum over answers, and what it is divided by: how many there are
Sums = dict[str, tuple[float, float]]


class Own(Enum):
    """What stands for a choice that is left to the task, where None is a choice too."""

    OWN = "the task's own"


OWN: Final = Own.OWN
Part = Callable[..., Mixer] | Literal[Own.OWN]
Size = int | Literal[Own.OWN]


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


COMMON: Mapping[str, Any] = {
    "mixer": attention, "position": None, "residual": PreNorm,
    "dim": 32, "depth": 2, "num_heads": 4, "dropout": 0.0,
}  # fmt: skip


def channel_mlp(dim: int, mlp_dim: int, *, dropout: float) -> Mixer:
    """The channel MLP of a task's blocks where none is chosen."""
    return Pointwise(dim, mlp_dim, dropout=dropout)


class Task(ABC):
    """A learning problem that is an experiment: `tn.ablate(Digits(), axes={"mixer": {...}})`.

    `task(mixer=..., position=..., seed=0)` builds the common net with these choices, trains it and
    returns metrics. Choices that make modules are called with the facts that they ask for: `dim`,
    `num_tokens` (the most there are, None where nothing bounds it), `num_heads`, `mlp_dim`, and the
    task's own.
    `task.experiment(build)` is the same for nets of any other kind.

    Args:
        recipe: how it is trained; None: the task's own.
        epochs: in place of the recipe's.
    """

    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    reference: ClassVar[Reference]
    recipe: ClassVar[Recipe] = Recipe()
    fine_width: ClassVar[str] = "mlp_dim"  # what `match` may change besides `dim`
    causal: bool = False  # whether a net must not see later tokens
    own: ClassVar[Mapping[str, Any]] = {}  # the choices where the task's net is not `COMMON`

    def __init__(self, recipe: Recipe | None = None, *, epochs: int | None = None):
        chosen = type(self).recipe if recipe is None else recipe
        if epochs is not None:
            chosen = replace(chosen, epochs=positive("epochs", epochs))
        self.recipe = chosen  # type: ignore[misc]  # the class has the default
        self.__signature__ = _signature(self.net, {**COMMON, **self.own})

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

    def metrics(self, scores: dict[str, float]) -> dict[str, float]:
        """What a run reports of the mean scores, e.g. the root of a mean square."""
        return scores

    def net(
        self,
        *,
        mixer: Part = OWN,
        position: Part | None = OWN,
        residual: Part = OWN,
        mlp: Callable[..., Mixer] | None = None,
        tokenizer: Callable[..., Tokenizer] | None = None,
        readout: Callable[..., Mixer] | None = None,
        dim: Size = OWN,
        mlp_dim: int | None = None,
        depth: Size = OWN,
        num_heads: Size = OWN,
        dropout: float | Literal[Own.OWN] = OWN,
    ) -> nn.Module:
        """The common net: tokenizer, position code, `depth` blocks around the mixer, readout."""
        given = {
            "mixer": mixer, "position": position, "residual": residual, "dim": dim,
            "depth": depth, "num_heads": num_heads, "dropout": dropout,
        }  # fmt: skip
        use = {**COMMON, **self.own, **{k: v for k, v in given.items() if v is not OWN}}
        dim, code = positive("dim", use["dim"]), use["position"]
        facts = {"dim": dim, **self.facts, "num_heads": use["num_heads"]}
        facts["mlp_dim"] = 4 * dim if mlp_dim is None else mlp_dim
        inner = self.own.get("mlp", channel_mlp) if mlp is None else mlp
        begin = self.tokenizer(dim) if tokenizer is None else make("tokenizer", tokenizer, facts)
        codes = [] if code is None else [make("position", code, facts)]
        blocks = [
            Block(
                dim,
                *self.mixers(make("mixer", use["mixer"], facts), facts),
                mlp=make("mlp", inner, facts | {"dropout": use["dropout"]}),
                residual=use["residual"],
                dropout=use["dropout"],
            )
            for _ in range(positive("depth", use["depth"]))
        ]
        end = self.readout(dim) if readout is None else make("readout", readout, facts)
        return TokenNet(begin, [*codes, *blocks], end)

    def mixers(self, mixer: Mixer, facts: Mapping[str, Any]) -> Sequence[Mixer]:
        """The mixers of a block: the chosen one, and those that the task adds."""
        return [mixer]

    def check(self, net: nn.Module) -> None:
        """Raises where a net would see what it must not."""
        if self.causal and Causality() not in getattr(net, "claims", ()):
            hint = "e.g. mixer=lambda dim: tn.Attention(dim, 4, tn.Causal()); readout by token"
            shown = f"of a net that claims {sorted(map(str, getattr(net, 'claims', ())))}"
            raise value_error("mixer", shown, f"one that claims Causality for {self.name}", hint)

    def __call__(self, *, seed: int, run: Any = None, **choice: Any) -> dict[str, float]:
        """Builds, trains and tests a net; choices as in `net`, metrics of the test part."""
        torch.manual_seed(seed)
        return fit(self, self.net(**choice), seed, run)

    def example(self) -> tuple[Any, ...]:
        """What a net is called with for one sample."""
        one = self.data(0).fit.first()
        return (one.inputs,) if one.structure is None else (one.inputs, one.structure)

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
        self.__signature__ = _signature(build)

    def example(self) -> tuple[Any, ...]:
        """What a net is called with for one sample."""
        return self.task.example()

    def __call__(self, *, seed: int, run: Any = None, **choice: Any) -> dict[str, float]:
        torch.manual_seed(seed)
        return fit(self.task, self.net(**choice), seed, run)


def _signature(
    build: Callable[..., Any], defaults: Mapping[str, Any] | None = None
) -> inspect.Signature:
    """What an experiment takes whose nets `build` makes: its choices, a seed and a run."""
    given = [
        p.replace(default=(defaults or {})[p.name]) if p.default is OWN else p
        for p in inspect.signature(build).parameters.values()
    ]
    own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("seed", "run")]
    rest = [p for p in given if p.kind is p.VAR_KEYWORD]
    return inspect.Signature([*(p for p in given if p not in rest), *own, *rest])


def counted(answer: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The rows of the answer that count, and their targets; one answer a token: all in a row."""
    targets = batch.targets
    if batch.counts is not None:
        return answer[batch.counts], targets[batch.counts]
    if targets.ndim > 1 and targets.ndim == answer.ndim - 1:
        return answer.flatten(0, -2), targets.flatten()
    return answer, targets
