"""Equal budgets: widths that give every variant the same number of parameters or FLOPs."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tokennet.ablate.design import Cell, Labels, name_of
from tokennet.checks import kind_of, positive, type_error, value_error

PARAMETERS, FLOPS = "parameters", "flops"


@dataclass(frozen=True)
class Budget:
    """Which cost shall be equal, and which arguments of the experiment may change for it.

    `Budget("parameters", build=make_net)`: `make_net(**choice, dim=...)` makes the net that the
    experiment would train; for FLOPs it returns `(net, inputs)`, `inputs` a tuple of arguments.
    A built-in task says all that itself: `match="parameters"`.

    Args:
        of: "parameters" or "flops" (of one call on the inputs).
        build: makes the net of a choice and its widths; None: the experiment's own `net`.
        width: the argument that is chosen first, in steps of `step`, at least `step`.
        fine: an argument for what remains (the MLP's hidden width), in steps of 1; None: none.
        start: the width of the first variant (or the baseline), whose cost is the target.
        within: the largest relative difference of cost that is accepted.
    """

    of: str = PARAMETERS
    build: Callable[..., Any] | None = None
    width: str = "dim"
    fine: str | None = None
    step: int = 4
    start: int | None = None
    within: float = 0.02

    def __post_init__(self) -> None:
        if self.of not in (PARAMETERS, FLOPS):
            raise value_error("of", repr(self.of), f"{PARAMETERS!r} or {FLOPS!r}")
        positive("step", self.step)
        if self.build is not None and (
            isinstance(self.build, nn.Module) or not callable(self.build)
        ):
            raise type_error(
                "build", kind_of(self.build), "a function that makes a net of a choice"
            )
        if not 0 < self.within < 1:
            raise value_error("within", self.within, "a share, e.g. 0.02")


def count_parameters(net: nn.Module) -> int:
    """Trainable numbers; a shared one counts once."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def count_flops(net: nn.Module, *inputs: Any) -> int:
    """Of one forward call in eval mode: attention and sparse products counted, two for a
    multiplication with an addition. What a structure keeps (degrees, position codes) is not."""
    from tokennet.ops.backend import sparse_flops  # half of a worker's start, where no net is ours

    was = net.training
    net.eval()
    plain = sdpa_kernel(SDPBackend.MATH)  # the fused kernels are not counted on every device
    try:
        with torch.no_grad(), torch.random.fork_rng():
            net(*inputs)  # fills what the structure keeps
            with FlopCounterMode(display=False) as dense, sparse_flops() as sparse, plain:
                net(*inputs)
    finally:
        net.train(was)
    return dense.get_total_flops() + sum(sparse)


def match_widths(
    match: Any, experiment: Any, cells: Sequence[Cell], baseline: Labels | None
) -> tuple[list[Cell], list[str]]:
    """The cells with widths among their values, and a note that says which were chosen.

    Raises:
        ValueError: if a variant can't come within the accepted difference; it says how near.
    """
    if match is None:
        return list(cells), []
    budget = _resolve(match, experiment)
    for cell in cells:
        for name in (budget.width, budget.fine):
            if name in cell.labels:
                raise value_error("match", budget.of, f"no axis {name!r}", "the match chooses it")
    first = next((cell for cell in cells if cell.labels == baseline), cells[0])
    cost = _costs(budget, experiment)
    start = budget.start or first.values.get(budget.width) or _default(experiment, budget.width)
    target = cost(first, start, None)
    found, words = [], []
    for cell in cells:
        widths, reached = _search(budget, cell, target, start, cost, exact=cell is first)
        found.append(replace(cell, values={**cell.values, **widths}))
        chosen = ", ".join(f"{name} {value}" for name, value in widths.items())
        words.append(f"{name_of(cell.labels)}: {chosen} ({reached:,})")
    unit = budget.of if budget.of == PARAMETERS else "FLOPs"
    note = f"{unit} matched within {budget.within:.0%} of {target:,}: " + "; ".join(words)
    return found, [note]


def _resolve(match: Any, experiment: Any) -> Budget:
    if isinstance(match, str):
        if match not in (PARAMETERS, FLOPS):
            allowed = f"{PARAMETERS!r}, {FLOPS!r} or a Budget"
            raise value_error("match", repr(match), allowed)
        match = Budget(match)
    if not isinstance(match, Budget):
        raise type_error("match", kind_of(match), f"{PARAMETERS!r}, {FLOPS!r} or a Budget")
    if match.build is not None:
        return match
    if not callable(getattr(experiment, "net", None)):
        hint = "the experiment must say how a net is made: match=tn.Budget(..., build=make_net)"
        raise value_error("match", match.of, "a Budget with build=", hint)
    fine = match.fine or getattr(experiment, "fine_width", None)
    return replace(match, build=experiment.net, fine=fine)


def _default(experiment: Any, width: str) -> int:
    """The width that the experiment has by itself."""
    for function in (experiment, getattr(experiment, "net", None)):
        if callable(function):
            parameter = inspect.signature(function).parameters.get(width)
            if parameter is not None and isinstance(parameter.default, int):
                return parameter.default
    hint = f"say which {width} the first variant has: Budget(..., start=32)"
    raise value_error("start", None, f"a number, as the experiment has no default {width}", hint)


Cost = Callable[[Cell, int, int | None], int]


def _costs(budget: Budget, experiment: Any) -> Cost:
    """The cost of a cell at given widths; each is built once."""

    @cache
    def cost(key: tuple[str, ...], width: int, fine: int | None) -> int:
        values: dict[str, Any] = {**by_key[key].values, budget.width: width}
        if fine is not None and budget.fine is not None:
            values[budget.fine] = fine
        assert budget.build is not None
        with torch.random.fork_rng():
            made = budget.build(**values)
        net, inputs = made if isinstance(made, tuple) else (made, None)
        if budget.of == PARAMETERS:
            return count_parameters(net)
        if inputs is None:
            inputs = _example(experiment)
        return count_flops(net, *inputs)

    by_key: dict[tuple[str, ...], Cell] = {}

    def of(cell: Cell, width: int, fine: int | None) -> int:
        key = tuple(cell.labels.values())
        by_key[key] = cell
        return cost(key, width, fine)

    return of


def _example(experiment: Any) -> tuple[Any, ...]:
    example = getattr(experiment, "example", None)
    if example is None:
        allowed = "a build that returns (net, inputs)"
        raise value_error("match", FLOPS, allowed, "FLOPs depend on what the net is called with")
    return example()


def _search(
    budget: Budget, cell: Cell, target: int, start: int, cost: Cost, *, exact: bool
) -> tuple[dict[str, int], int]:
    """The widths of a cell whose cost is near enough, and that cost."""
    if exact:
        return {budget.width: start}, target
    widths = _bracket(lambda width: cost(cell, width, None), target, budget.step, start)
    nearest: tuple[float, dict[str, int], int] | None = None
    for width in widths:
        options: list[int | None] = [None]
        if budget.fine is not None:
            options += _bracket(partial(cost, cell, width), target, 1, 4 * width)
        for fine in options:
            reached = cost(cell, width, fine)
            chosen = {budget.width: width}
            if fine is not None and budget.fine is not None:
                chosen[budget.fine] = fine
            error = abs(reached / target - 1)
            if nearest is None or error < nearest[0]:
                nearest = error, chosen, reached
        if nearest is not None and nearest[0] <= budget.within:
            return nearest[1], nearest[2]
    assert nearest is not None
    error, chosen, reached = nearest
    hint = "a smaller step, another start, or fine= with an argument for the rest"
    raise value_error(
        f"the {budget.of} of {cell.name}", f"{reached:,} at best ({chosen})",
        f"within {budget.within:.0%} of {target:,}", hint,
    )  # fmt: skip


def _bracket(cost: Callable[[int], int], target: int, step: int, start: int) -> list[int]:
    """Multiples of `step` around the one whose cost is the target, nearest first.

    Assumes that the cost does not fall with the width.
    """
    low, high = 1, max(1, start // step)
    while cost(high * step) < target and high * step < 2**16:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if cost(middle * step) < target:
            low = middle + 1
        else:
            high = middle
    near = [n * step for n in (low - 1, low, low + 1, low - 2) if n >= 1]
    return sorted(near, key=lambda width: abs(cost(width) - target))
