"""Weights in: a state dict of theirs into the net that their configuration describes."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import value_error
from tokennet.interop.draft import Draft, draft_of, plan_of
from tokennet.interop.origin import Origin
from tokennet.interop.shapes import check_shapes
from tokennet.interop.translation import Line
from tokennet.net import TokenNet


def bring(
    library: str,
    kind: str,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    frozen: Collection[str] = (),
    shared: Collection[Sequence[str]] = (),
) -> TokenNet:
    """The net with the weights of the state dict, on their device and in their dtype.

    `frozen`: names of weights that shall get no gradients. `shared`: names of the same weights,
    which must be the same ones in the net too.

    Raises:
        ValueError: an option that is not known, a tensor that is missing, left over or of another
            shape; all by name.
    """
    plan = plan_of(library, kind, config)
    if plan is not None:
        check_shapes(plan, tensors(plan.net), _renamed(plan, state, kind), kind)
    with torch.random.fork_rng(devices=[]):  # the first weights are thrown away
        draft = draft_of(library, kind, config)
    state = _renamed(draft, state, kind)
    used = _used(draft, state, kind)
    floats = [t for name, t in state.items() if t.is_floating_point() and name in used]
    if floats:
        dtypes = {t.dtype for t in floats}
        if len(dtypes) > 1:
            found = ", ".join(sorted(map(str, dtypes)))
            raise value_error(f"dtypes of the weights of {kind}", found, "one dtype")
        draft.net.to(floats[0].device, floats[0].dtype)
    load(draft.net, draft.lines, state, kind)
    own = tensors(draft.net)
    _check_shared(draft, shared, own)
    for line in draft.lines:
        if line.theirs in frozen:
            for name in line.ours:
                own[name].requires_grad_(False)
    kept = {n: t.detach().clone() for n, t in state.items() if n not in used}
    tied = [n.theirs for n in draft.lines if n.again and n.ours and n.theirs not in state]
    names = (*state, *tied)  # files leave out what the original has under two names
    draft.net.origin = Origin(library, kind, dict(config), names, kept)
    return draft.net


def load(net: TokenNet, lines: Sequence[Line], state: Mapping[str, Tensor], kind: str) -> None:
    """Writes the state dict's numbers into the net; every parameter of it gets some."""
    own = tensors(net)
    filled: set[int] = set()
    for line in sorted(lines, key=lambda line: line.again):  # what is compared comes last
        if line.theirs not in state:
            continue  # a second name: `_used` has seen to it
        theirs, mine = state[line.theirs], [own[name] for name in line.ours]
        try:
            parts = mine if line.rows is None else [t.detach()[line.rows] for t in mine]
            values = line.read(theirs, [t.shape for t in parts])
            fit = len(values) == len(mine) and all(
                v.shape == t.shape for v, t in zip(values, parts, strict=True)
            )
        except RuntimeError:  # of torch.split and reshape
            fit = False
        if not fit or line.write(mine).shape != theirs.shape:
            shape = list(line.write(mine).shape)
            allowed = f"{shape} as the options of {kind} say"
            raise value_error(f"shape of {line.theirs}", list(theirs.shape), allowed)
        if mine and theirs.is_floating_point() != mine[0].is_floating_point():
            hint = "quantised weights mean nothing without their scales"
            raise value_error(f"dtype of {line.theirs}", theirs.dtype, f"{mine[0].dtype}", hint)
        if line.again:
            back = line.write(mine).to(theirs.device)
            if not torch.equal(theirs, back.to(theirs.dtype)):
                what = "the weights that it is tied to" if mine else "what the options say"
                raise value_error(f"numbers of {line.theirs}", "others", f"those of {what}")
            continue
        with torch.no_grad():
            for t, part, value in zip(mine, parts, values, strict=True):
                part.copy_(value)
                filled.add(id(t))
    left = [n for n, p in net.named_parameters() if id(p) not in filled]
    if left:  # a fault of the reader, not of the caller
        raise AssertionError(f"{kind}: nothing is read into {left[0]}")


def _check_shared(
    draft: Draft, shared: Collection[Sequence[str]], own: Mapping[str, Tensor]
) -> None:
    """Raises where weights that are one in the original would part in training."""
    lines = {line.theirs: line for line in draft.lines}
    for names in shared:
        read = [name for name in names if name in lines]
        places = {tuple(id(own[n]) for n in lines[name].ours) for name in read}
        if len(places) > 1:
            raise value_error(
                f"weights of {read[1]}", f"those of {read[0]}", "weights of their own",
                "the options don't say that they are shared; copy them first",
            )  # fmt: skip


def tensors(net: TokenNet) -> dict[str, Tensor]:
    """Parameters and buffers by name, those that are shared under every name."""
    return {
        **dict(net.named_buffers(remove_duplicate=False)),
        **dict(net.named_parameters(remove_duplicate=False)),
    }


def _renamed(draft: Draft, state: Mapping[str, Tensor], kind: str) -> Mapping[str, Tensor]:
    """The state dict with the names of today."""
    if not draft.older:
        return state
    known = {line.theirs for line in draft.lines}
    found: dict[str, Tensor] = {}
    for name, t in state.items():
        new = name
        if name not in known and not is_kept(draft, name):
            for pattern, replacement in draft.older:
                new = re.sub(pattern, replacement, new)
        if new in found:
            hint = "an older name of the same weights"
            raise value_error(f"the state dict of {kind}", f"twice with {new!r}", "one of it", hint)
        found[new] = t
    return found


def _used(draft: Draft, state: Mapping[str, Tensor], kind: str) -> set[str]:
    """The names of the state dict that have a line; raises where some are missing or left."""
    names = {line.theirs for line in draft.lines}
    missing = [n.theirs for n in draft.lines if n.theirs not in state and not n.again]
    if missing:
        raise value_error(
            f"the state dict of {kind}", f"without {missing[0]!r}",
            "a tensor for every weight", f"{len(missing)} are missing",
        )  # fmt: skip
    left = [n for n in state if n not in names and not is_kept(draft, n)]
    if left:
        raise value_error(
            f"the state dict of {kind}", f"with {left[0]!r}", "only weights that its options name",
            f"{len(left)} are left over; is it the state dict of another class?",
        )  # fmt: skip
    return names


def is_kept(draft: Draft, name: str) -> bool:
    """Whether the net has no use for these weights, and says so."""
    return any(name.startswith(k) if k.endswith(".") else name == k for k in draft.kept)
