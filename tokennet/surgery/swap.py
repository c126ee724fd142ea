"""One part of a net exchanged for another, with the weights that mean the same."""

import copy
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from tokennet.checks import kind_of, switch, type_error, value_error
from tokennet.mixers import Mixer
from tokennet.net import TokenNet
from tokennet.surgery.fit import Fit, UnfitError, can_fit, fit
from tokennet.surgery.keep import Rule, transplant
from tokennet.surgery.make import check, facts_of, make, settle
from tokennet.surgery.optimizer import carry_over, check_optimizer
from tokennet.surgery.places import Found, Where, find, put
from tokennet.surgery.record import Call, Record, run
from tokennet.surgery.report import Change, Facts, SurgeryReport, Swapped, Weights, title


def swap(
    net: TokenNet,
    where: Where,
    mixer: Mixer | Callable[..., Mixer],
    *,
    example: Any = None,
    optimizer: Optimizer | None = None,
    keep: bool | Rule = True,
    in_place: bool = False,
) -> SurgeryReport:
    """Exchanges the parts that `where` names; `report.net` is the net after it, a copy of `net`.

        report = tn.surgery.swap(net, "Attention", tn.surgery.over(tn.Window(3)), example=images)

    Weights are kept where they mean the same (`names_kept` has the rules). `TokenMLP`, alone or
    after or before a `Pointwise`, or several of these in `Parallel`, are fitted to the attention
    that they replace, on the example, by least squares. All else is fresh, and the report says so.

    Args:
        where: a path, in which `*` stands for anything between two dots and `**` for any names
            ("mixers.*.mixers.0.mixer"); the name of a class ("Attention"), or the class; or a
            function (path, mixer) -> bool.
        mixer: makes the new part from what it asks for, by the names of its arguments: `old`,
            `index`, `path`, `dim`, `num_tokens`, `num_heads` (`tn.LinearAttention`, `lambda dim,
            n: tn.TokenMLP(n)`). Or a ready module for a single place, which is taken as it is.
        example: inputs, or `(inputs, structure)`, or `Tokens`. With it the report says how far
            the answers move and what they cost, and the parts are checked against its facts.
        optimizer: goes on with the net, kept parameters with their state; needs `in_place`.
        keep: False: no weight is kept or fitted; or a rule (old, new) -> {name in the new part:
            name in the old one}, for parameters and buffers.
        in_place: the net itself is changed, and its kept parameters are the same objects. A net
            that is refused stays as it was.

    A net with other parts is no longer the model it was imported as: `origin` is None then.

    Raises:
        ValueError, TypeError: where nothing is found, and where a new part does not fit.
    """
    _check(net, mixer, keep, optimizer, in_place)
    target = net if in_place else copy.deepcopy(net)
    places = find(target, where)
    if isinstance(mixer, Mixer) and len(places) > 1:
        shown = ", ".join(f.path for f in places[:3])
        hint = "e.g. lambda dim: tn.Attention(dim, 4)"
        raise value_error("mixer", "one module", f"a function: {shown} are several places", hint)
    before = None if example is None else run(target, example, [f.module for f in places])
    facts = Facts.of(target, None if before is None else before.flops)
    made = [_made(target, found, i, mixer, before) for i, found in enumerate(places)]
    _check_made(places, made)
    told = []
    for found, new in zip(places, made, strict=True):
        call = None if before is None else before.calls.get(found.module)
        check(target, found, new, call)
        told.append(_filled(found, new, call, keep, ready=new is mixer))
    parameters = list(target.parameters())
    change, after = _exchange(target, places, made, example, before)
    carried = None
    if optimizer is not None:
        pairs = [(found.module, new) for found, new in zip(places, made, strict=True)]
        carried = carry_over(optimizer, parameters, list(target.parameters()), pairs)
    if any(place.weights != "unchanged" for place in told):
        target.origin = None
    return SurgeryReport(target, tuple(told), facts, after, change, carried)


def _check(net: Any, mixer: Any, keep: Any, optimizer: Any, in_place: Any) -> None:
    if not isinstance(net, TokenNet):
        raise type_error("net", kind_of(net), "a TokenNet")
    if not isinstance(mixer, Mixer) and (isinstance(mixer, nn.Module) or not callable(mixer)):
        hint = "e.g. lambda dim: tn.Attention(dim, 4)"
        raise type_error("mixer", kind_of(mixer), "a Mixer or a function that makes one", hint)
    if not callable(keep):
        switch("keep", keep)
    if switch("in_place", in_place) or optimizer is None:
        if optimizer is not None:
            check_optimizer(optimizer, net)
        return
    hint = "the optimizer holds the parameters of this net, not those of a copy"
    raise value_error("in_place", False, "True with an optimizer", hint)


def _made(target: TokenNet, found: Found, index: int, mixer: Any, before: Record | None) -> Mixer:
    if isinstance(mixer, Mixer):
        return mixer
    call = None if before is None else before.calls.get(found.module)
    new = make(mixer, facts_of(target, found, index, call))
    settle(new, target, found.module)
    return new


def _check_made(places: list[Found], made: list[Mixer]) -> None:
    """Raises where one module would stand in two places: it would have to hold both's weights."""
    first: dict[int, str] = {}
    for found, new in zip(places, made, strict=True):
        if id(new) in first:
            allowed = f"another module than for {first[id(new)]}"
            raise value_error(f"mixer for {found.path}", "the same module", allowed)
        first[id(new)] = found.path


def _filled(found: Found, new: Mixer, call: Call | None, keep: Any, *, ready: bool) -> Swapped:
    """Brings over what can be kept, or fits; says what came of it."""
    old, note, fitted = found.module, "", None
    names = (title(old), title(new))
    if new is old:
        kept = tuple(name for name, _ in old.named_parameters())
        return Swapped(found.paths, *names, "unchanged", kept)
    if not ready:
        transplant(old, new, keep)
    theirs = {id(p) for p in old.parameters()}
    kept = tuple(name for name, p in new.named_parameters() if id(p) in theirs)
    fresh = tuple(name for name, p in new.named_parameters() if id(p) not in theirs)
    if not ready and keep is True and not kept and can_fit(old, new):
        fitted, note = _fitted(old, new, call)
    ours = {id(p) for p in new.parameters()}
    dropped = tuple(name for name, p in old.named_parameters() if id(p) not in ours)
    status: Weights = "kept in part" if kept else "fresh"
    if ready:
        status = "given"
    elif fitted is not None:
        status, fresh = "fitted", ()
    elif not fresh:
        status = "kept" if kept else "none"
    return Swapped(found.paths, *names, status, kept, fresh, dropped, fitted, note)


def _fitted(old: Mixer, new: Mixer, call: Call | None) -> tuple[Fit | None, str]:
    if call is None:
        return None, "not fitted: no example"
    try:
        return fit(old, new, call), ""
    except UnfitError as reason:
        return None, f"not fitted: {reason}"


def _exchange(
    target: TokenNet, places: list[Found], made: list[Mixer], example: Any, before: Record | None
) -> tuple[Change | None, Facts]:
    """Puts the new parts in and runs the example; where that fails, the old ones are back."""
    try:
        for found, new in zip(places, made, strict=True):
            put(target, found.paths, new)
        if before is None:
            return None, Facts.of(target, None)
        after = run(target, example)
        if after.answer.shape != before.answer.shape:
            shape = list(after.answer.shape)
            raise value_error(
                "shape of the answer", shape, f"{list(before.answer.shape)} as before"
            )
        old, moved = before.answer.double(), (after.answer - before.answer).double()
        size = old.square().mean().sqrt().clamp_min(1e-300)
        rms, largest = moved.square().mean().sqrt() / size, moved.abs().amax() / size
        return Change(float(rms), float(largest)), Facts.of(target, after.flops)
    except BaseException:
        for found in places:
            put(target, found.paths, found.module)
        raise
