"""A module under examination: called on permuted tokens, one by one or many at once.

Axes: P permuted copies, N tokens, F output numbers of a token (or of the whole, where pooled).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from tokennet.checks import type_error, value_error
from tokennet.mixers import Mixer
from tokennet.net import TokenNet
from tokennet.structure import Tokens
from tokennet.structure.transform import concatenate
from tokennet.verify.check import REFUTED, relative_error
from tokennet.verify.noise import noise
from tokennet.verify.prepare import prepared

ROWS = 4096  # tokens at most in one call


def ready(module: nn.Module, seed: int, dtype: torch.dtype, randomise: bool) -> nn.Module:
    """A copy in eval mode, with random weights or its own."""
    for name, p in module.named_parameters():
        if isinstance(p, UninitializedParameter):
            hint = "call the module once, or say how many channels come in"
            raise value_error(name, "a lazy parameter", "initialised parameters", hint)
    if randomise:
        return prepared(module, seed, dtype).eval()
    return copy.deepcopy(module).to("cpu").to(dtype).eval()


def working_dtype(
    module: nn.Module, call: Callable[[nn.Module, torch.dtype], object]
) -> torch.dtype:
    """float64; the module's own where it can't be called in that."""
    own = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float64)
    try:
        with torch.no_grad():
            call(ready(module, 0, torch.float64, True), torch.float64)
    except RuntimeError:
        return own
    return torch.float64


def first_tensor(output: Any) -> Tensor:
    """The output, or the first tensor of several."""
    if isinstance(output, Tensor):
        return output
    values = output.values() if hasattr(output, "values") else output
    if isinstance(values, Sequence) or hasattr(values, "__iter__"):
        for value in values:
            if isinstance(value, Tensor):
                return value
    raise type_error("output", type(output).__name__, "a tensor, or several with one in front")


@dataclass(frozen=True, eq=False)
class Setting:
    """What the module is called with besides features: nothing, edges, or a structure.

    `tokens` holds the one sample of a mixer; `shape` is that of x, the tokens on its last axis but
    one.
    """

    shape: tuple[int, ...]
    tokens: Tokens | None = None
    index: Tensor | None = None

    @property
    def num_tokens(self) -> int:
        return self.shape[-2]

    def call(self, module: nn.Module, xs: Tensor) -> Tensor:
        """The outputs of copies `[P, *shape]`, stacked; raises where they can't go in one call."""
        count = len(xs)
        if self.tokens is not None:
            structure = self.tokens.structure
            fresh = structure.with_facts(edges=structure.edges)  # nothing remembered
            many = concatenate([Tokens(x, fresh) for x in xs])
            y = first_tensor(getattr(module, "mix", module)(many.x, many.structure))
            return y.unflatten(0, (count, -1))
        if self.index is None:
            if len(self.shape) == 2 and count > 1:
                raise ValueError("no axis to stack copies on")
            x = xs.flatten(0, 1) if len(self.shape) > 2 else xs[0]
            return self._split(first_tensor(module(x)), count)
        if len(self.shape) > 2:
            return self._split(first_tensor(module(xs.flatten(0, 1), self.index)), count)
        starts = torch.arange(count) * self.num_tokens
        index = (self.index[:, None] + starts[:, None]).flatten(1)
        return self._split(first_tensor(module(xs.flatten(0, 1), index)), count)

    @staticmethod
    def _split(y: Tensor, count: int) -> Tensor:
        """The output of each copy."""
        if count == 1:
            return y[None]
        return y.unflatten(0, (count, -1))


@dataclass
class Subject:
    """One module with one set of weights, called as its setting says."""

    module: nn.Module
    setting: Setting
    pooled: bool
    together: bool = field(default=False)

    def __call__(self, xs: Tensor) -> Tensor:
        """Output rows `[P, N, F]` of copies `[P, *shape]`; `[P, 1, F]` where pooled."""
        if not self.together:
            return torch.cat([self.alone(x[None]) for x in xs])
        step = max(1, ROWS // self.setting.num_tokens)
        return torch.cat([self.alone(part) for part in xs.split(step)])

    def alone(self, xs: Tensor) -> Tensor:
        """The same, all copies in one call."""
        with torch.no_grad():
            y = self.setting.call(self.module, xs)
        return rows_of(y, len(self.setting.shape), self.setting.num_tokens, self.pooled)

    def try_together(self, xs: Tensor, tolerance: float) -> None:
        """Many copies in one call from now on, if the first and the last come out as alone."""
        try:
            y = self.alone(xs)
            ends = torch.stack([self.alone(xs[i : i + 1])[0] for i in (0, len(xs) - 1)])
        except Exception:  # it takes one at a time; what is wrong with that shows there
            return
        if y.shape[0] == len(xs) and y.shape[1:] == ends.shape[1:]:
            pairs = zip(ends, (y[0], y[-1]), strict=True)
            self.together = all(
                relative_error(a, b, by_channel=True) <= tolerance for a, b in pairs
            )

    def floor(self, x: Tensor, y: Tensor) -> float:
        """The rounding noise of the output y `[N, F]` at x, at least that of a long sum."""
        measure: Callable[[], list[Tensor]] = lambda: [self.alone(x[None])[0]]  # noqa: E731
        seen = noise(
            self.module, [y], measure, lambda a, b: [relative_error(a[0], b[0], by_channel=True)]
        )
        return max(16 * torch.finfo(x.dtype).eps, *seen)


def rows_of(y: Tensor, axes: int, num_tokens: int, pooled: bool) -> Tensor:
    """Outputs `[P, ...]` as `[P, N, F]`, or `[P, 1, F]`; `axes` those of one input."""
    if pooled:
        return y.flatten(1)[:, None]
    y = y.unsqueeze(-1) if y.ndim == axes else y  # a number for each token
    return y.movedim(axes - 1, 1).flatten(2)


def says_pooled(y: Tensor, shape: tuple[int, ...], pooled: bool | None) -> bool:
    """Whether the output y of an input of this shape has no row for each token."""
    lead, n = shape[:-1], shape[-2]
    by_token = tuple(y.shape[: len(lead)]) == lead
    if pooled is not None:
        if not pooled and not by_token:
            raise value_error(
                "output.shape", tuple(y.shape), f"{(*lead, '...')}, a row for each token"
            )
        return pooled
    if by_token and y.ndim == len(lead):
        hint = (
            f"pooled=False if that is one number for each of {n} tokens, pooled=True if one answer"
        )
        raise value_error("pooled", None, f"a decision for an output {tuple(y.shape)}", hint)
    if not by_token and y.ndim > len(lead):
        hint = "return tokens alone, or pass pooled=True if the output is one answer"
        raise value_error("output.shape", tuple(y.shape), f"{(*lead, '...')} or one answer", hint)
    return not by_token


@dataclass(frozen=True, eq=False)
class Trial:
    """One set of weights and one input: what commutes here, and how exactly that can be said."""

    subject: Subject
    x: Tensor
    y: Tensor
    floor: float
    response: float

    @property
    def tolerance(self) -> float:
        return REFUTED * self.floor

    @property
    def answers(self) -> bool:
        """Whether the output moves with the input by far more than rounding."""
        return self.response > REFUTED * self.tolerance

    def turned(self, count: int) -> Tensor:
        """Copies of the input, the tokens turned round by 0, 1, 2, ... places."""
        return torch.stack([self.x.roll(k, -2) for k in range(count)])

    def errors(self, orders: Tensor) -> Tensor:
        """How far each permutation `[P, N]` is from commuting, relative to the channel."""
        axis = self.x.ndim - 2
        found = self.subject(torch.stack([self.x.index_select(axis, p) for p in orders]))
        expected = self.y.expand_as(found) if self.subject.pooled else self.y[orders]
        scale = self.y.abs().amax(0)
        scale = scale.maximum(1e-6 * scale.max()).clamp_min(1e-300)
        gap = ((found - expected).abs() / scale).flatten(1)
        return gap.amax(1).nan_to_num(nan=torch.inf)


def takes_structure(module: nn.Module) -> bool:
    """Whether it is called with a structure."""
    return isinstance(module, (Mixer, TokenNet))
