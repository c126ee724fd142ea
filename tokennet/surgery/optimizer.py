"""An optimizer that goes on after parameters have gone and others have come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from tokennet.checks import kind_of, type_error, value_error
from tokennet.mixers import Mixer


@dataclass(frozen=True)
class Carried:
    """How many tensors of parameters the optimizer kept with their state, dropped and added."""

    kept: int
    dropped: int
    added: int


def check_optimizer(optimizer: Optimizer, net: nn.Module) -> None:
    """Raises unless the optimizer trains parameters of this very net."""
    if not isinstance(optimizer, Optimizer):
        raise type_error("optimizer", kind_of(optimizer), "a torch.optim.Optimizer")
    own = {id(p) for p in net.parameters()}
    if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
        hint = "pass the optimizer that was built from net.parameters()"
        raise value_error("optimizer", kind_of(optimizer), "one that holds parameters of net", hint)


def carry_over(
    optimizer: Optimizer,
    before: Sequence[nn.Parameter],
    after: Sequence[nn.Parameter],
    pairs: Sequence[tuple[Mixer, Mixer]],
) -> Carried:
    """Drops what has left the net with its state, adds what is new; all others keep their state.

    A new parameter joins the group that held the one of its name in the part that it replaces, or
    one with as many axes, or else any of that part. Where the part had none, it joins the first
    group; where it had, but the optimizer trained none of them, it stays outside. A group in the
    order of the net stays in that order, so that saved states can be loaded.
    """
    place = {id(p): i for i, p in enumerate(after)}
    gone = {id(p) for p in before} - place.keys()
    groups = [group["params"] for group in optimizer.param_groups]
    held = {id(p): i for i, group in enumerate(groups) for p in group}
    ordered = [_in_order(group, before) for group in groups]
    added = 0
    for old, new in pairs:
        own = {name: p for name, p in old.named_parameters() if id(p) in held}
        names = [(name, p) for name, p in new.named_parameters() if id(p) not in held]
        for name, p in names:
            if id(p) not in place or (not own and any(True for _ in old.parameters())):
                continue
            at = held[id(_like(name, p, own))] if own else 0
            groups[at].append(p)
            held[id(p)] = at
            added += 1
    dropped = 0
    for i, group in enumerate(groups):
        stay = [p for p in group if id(p) not in gone]
        dropped += len(group) - len(stay)
        for p in group:
            if id(p) in gone:
                optimizer.state.pop(p, None)
        if ordered[i]:
            stay.sort(key=lambda p: place.get(id(p), len(place)))
        group[:] = stay  # in place: some optimizers hold this very list
    return Carried(len(held) - added - dropped, dropped, added)


def _like(name: str, p: nn.Parameter, own: Mapping[str, nn.Parameter]) -> nn.Parameter:
    """The old parameter whose group a new one joins."""
    if name in own:
        return own[name]
    return next((old for old in own.values() if old.ndim == p.ndim), next(iter(own.values())))


def _in_order(group: Sequence[nn.Parameter], before: Sequence[nn.Parameter]) -> bool:
    place = {id(p): i for i, p in enumerate(before)}
    order = [place[id(p)] for p in group if id(p) in place]
    return order == sorted(order)
