"""Where a broken law enters: the first submodule whose output breaks it while its input does not.

Axes: B samples, N tokens, T rows of the flat view, R compared rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.compare import gap
from tokennet.audit.rendering import Adapted
from tokennet.laws import Case
from tokennet.structure import Structure, Tokens

TOLERANCE = 1e-3  # of the difference that the whole module shows


@dataclass(frozen=True)
class Output:
    """What a submodule gave: its name, its kind, all tensors in its answer."""

    name: str
    kind: str
    tensors: list[Tensor]


def blamed(module: Adapted, tokens: Tokens, case: Case, error: float) -> str:
    """The name and kind of the first submodule that breaks the law; empty if none can be told.

    Submodules are asked in the order in which they finish. Only answers with an axis of tokens can
    be judged.
    """
    before = _record(module, tokens)
    after = _record(module, case.tokens)
    if [o.name for o in before] != [o.name for o in after]:
        return ""  # other parts ran: there is no pair to compare
    wanted = min(error, 1.0) * TOLERANCE
    for one, two in zip(before, after, strict=True):
        for a, b in zip(one.tensors, two.tensors, strict=False):
            found = _difference(a, b, tokens.structure, case)
            if found is not None and found > wanted:
                return f"{one.name or 'forward'} ({one.kind})"
    return ""


def blamed_for_gradient(module: Adapted, tokens: Tokens, case: Case, rest: Tensor) -> str:
    """The first submodule of whose answer a gradient arrives at rows out of reach."""
    x = tokens.x.detach().clone().requires_grad_()
    layout = tokens.structure.layout
    found = _record(module, Tokens(x, tokens.structure), keep_graph=True)
    for one in found:
        for t in one.tensors:
            rows = next(iter(_rows(t, tokens.structure).values()), None)
            if rows is None or not rows.requires_grad:
                continue
            (grad,) = torch.autograd.grad(
                rows[case.image].square().sum(), x, retain_graph=True, materialize_grads=True,
                allow_unused=True,
            )  # fmt: skip
            flat = layout.flat(grad).abs()
            if flat.numel() and float(flat[rest].amax()) > TOLERANCE * float(flat.amax()):
                return f"{one.name or 'forward'} ({one.kind})"
    return ""


def _record(module: Adapted, tokens: Tokens, *, keep_graph: bool = False) -> list[Output]:
    """The answers of all submodules, in the order in which they finish."""
    found: list[Output] = []

    def hook(name: str) -> Callable[..., None]:
        def keep(part: nn.Module, given: Any, answer: Any) -> None:
            held = answer if isinstance(answer, (tuple, list)) else (answer,)
            tensors = [t if keep_graph else t.detach().clone() for t in held if _judged(t)]
            found.append(Output(name, type(part).__name__, tensors))

        return keep

    hooks = [m.register_forward_hook(hook(n)) for n, m in module.module.named_modules()]
    try:
        with torch.set_grad_enabled(keep_graph):
            module(tokens.x, tokens.structure)
    finally:
        for handle in hooks:
            handle.remove()
    return found


def _judged(t: Any) -> bool:
    return isinstance(t, Tensor) and t.is_floating_point()


def _difference(a: Tensor, b: Tensor, before: Structure, case: Case) -> float | None:
    """How far rows that must agree differ; None where the tensors have no rows of tokens.

    Where several axes could be those of tokens (as many heads as tokens), the smallest counts.
    """
    one, two = _rows(a, before), _rows(b, case.tokens.structure)
    found = [
        gap(one[place][case.rows].double(), two[place][case.image].double())
        for place in one
        if place in two and one[place].shape[1:] == two[place].shape[1:]
    ]
    return min(found, default=None)


def _rows(t: Tensor, structure: Structure) -> dict[tuple[int, int], Tensor]:
    """The rows of the flat view in a tensor, for each place where the axes of tokens can be."""
    layout = structure.layout
    size = tuple(layout.shape)
    if t.ndim < 2:
        return {}
    if len(size) == 1 or t.shape[0] == layout.rows:
        return {(0, 0): t.flatten(1)} if t.shape[0] == layout.rows else {}
    b, n = size
    found = {}
    for samples, tokens in dict.fromkeys(((0, 1), (1, 0), (0, 2), (0, t.ndim - 1))):
        fits = tokens < t.ndim and samples != tokens and t.ndim > 2
        if fits and t.shape[samples] == b and t.shape[tokens] == n:
            found[samples, tokens] = t.movedim((samples, tokens), (0, 1)).flatten(0, 1).flatten(1)
    if b == 1 and t.shape[0] == n:
        found[0, 0] = t.flatten(1)
    return found
