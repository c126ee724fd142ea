"""A net that learns to do what another one does, layer by layer."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.net import TokenNet
from tokennet.surgery.places import Where, find
from tokennet.surgery.record import arguments, modes
from tokennet.surgery.report import SurgeryReport


def distill(
    student: TokenNet,
    teacher: TokenNet,
    batches: Iterable[Any],
    *,
    steps: int,
    lr: float = 1e-3,
    hidden: float = 1.0,
    answers: float = 1.0,
    only: Where | SurgeryReport | None = None,
) -> list[float]:
    """Trains the student to give the teacher's tokens after every mixer, and its answers.

    The loss is hidden * the mean over the mixers of |s - t|^2 / |t|^2, t the teacher's tokens, and
    answers * the same of the answers: 1 is as bad as zeros. Adam, its rate falling to 0 in even
    steps; the student is in train mode, and afterwards in the modes that it was in. The teacher
    runs in eval mode and is left as it is; gradients of the student are cleared.

    Args:
        batches: inputs, `(inputs, structure)` or `Tokens`, no targets; begun anew when they are
            through, until there were `steps`.
        only: what is trained: the report of the swap, or parts as in `swap`; None: all that
            requires gradients.

    Returns:
        the loss of every step.
    """
    _check(student, teacher, lr, hidden, answers)
    chosen = _chosen(student, only)
    rest = [p for p in student.parameters() if p.requires_grad and id(p) not in chosen]
    trained = [p for p in student.parameters() if id(p) in chosen]
    optimizer = torch.optim.Adam(trained, lr=lr)
    count = positive("steps", steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / count)
    found = []
    with modes(student, teacher):
        student.train()
        teacher.eval()
        try:
            for p in rest:
                p.requires_grad_(False)
            for batch in _endless(batches, steps):
                loss = _loss(student, teacher, arguments(batch), hidden, answers)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                found.append(float(loss.detach()))
        finally:
            for p in rest:
                p.requires_grad_(True)
            student.zero_grad(set_to_none=True)
    return found


def _check(student: Any, teacher: Any, lr: float, hidden: float, answers: float) -> None:
    for name, net in (("student", student), ("teacher", teacher)):
        if not isinstance(net, TokenNet):
            raise type_error(name, kind_of(net), "a TokenNet")
    for name, value in (("lr", lr), ("hidden", hidden), ("answers", answers)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise type_error(name, repr(value), "a number, at least 0")
    if not hidden + answers:
        raise value_error("hidden + answers", 0, "more than 0", "nothing would be learned")
    own = {id(p) for p in teacher.parameters()}
    if any(id(p) in own for p in student.parameters()):
        hint = "swap without in_place gives a copy"
        raise value_error("student", "parameters of the teacher", "a net with its own", hint)
    if hidden and len(student.mixers) != len(teacher.mixers):
        raise value_error(
            "mixers of student", len(student.mixers), f"{len(teacher.mixers)} as of the teacher",
            "or hidden=0",
        )  # fmt: skip


def _chosen(student: TokenNet, only: Any) -> set[int]:
    """Which parameters are trained."""
    if only is None:
        parts: list[nn.Module] = [student]
    elif isinstance(only, SurgeryReport):
        parts = [student.get_submodule(path) for path in only.paths]
    else:
        parts = [found.module for found in find(student, only)]
    chosen = {id(p) for part in parts for p in part.parameters() if p.requires_grad}
    if not chosen:
        raise value_error("only", only, "parts with parameters that require gradients")
    return chosen


def _endless(batches: Iterable[Any], steps: int) -> Iterator[Any]:
    count = 0
    while count < steps:
        start = count
        for batch in batches:
            yield batch
            count += 1
            if count == steps:
                return
        if count == start:
            hint = "a list can be begun anew, a generator can't"
            raise value_error(
                "batches", f"through after {count}", f"enough for {steps} steps", hint
            )


def _loss(
    student: TokenNet, teacher: TokenNet, args: tuple[Any, ...], hidden: float, answers: float
) -> Tensor:
    with torch.no_grad():
        goals, goal = _states(teacher, args)
    states, answer = _states(student, args)
    loss = answers * _distance(answer, goal) if answers else answer.new_zeros(())
    if hidden and states:
        each = [_distance(s, t) for s, t in zip(states, goals, strict=True)]
        loss = loss + hidden * torch.stack(each).mean()
    return loss


def _states(net: TokenNet, args: tuple[Any, ...]) -> tuple[list[Tensor], Tensor]:
    """The tokens after every mixer and the answer, zeros at padding."""
    x, structure = net.tokens(*args)
    states = []
    for mixer in net.mixers:
        x = mixer(x, structure)
        states.append(structure.layout.clear(x))
    answer = net.readout(x, structure)
    return states, answer if net.pooled else structure.layout.clear(answer)


def _distance(found: Tensor, goal: Tensor) -> Tensor:
    if found.shape != goal.shape:
        allowed = f"{list(goal.shape)} as of the teacher"
        raise value_error("shape of what the student gives", list(found.shape), allowed)
    size = goal.square().sum().clamp_min(torch.finfo(goal.dtype).tiny)
    return (found - goal).square().sum() / size
