"""`audit`: the properties that any module has, or should have."""

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from tokennet.audit.adapter import Adapter, Argument, Preset
from tokennet.audit.evidence import evidence_of
from tokennet.audit.facts import heard_facts, reach
from tokennet.audit.limits import narrowed, told_direction, told_polarity
from tokennet.audit.own import plain
from tokennet.audit.presets import recognise
from tokennet.audit.properties import every_law, fitted, laws_of, why_not
from tokennet.audit.report import AuditReport, AuditVerdict
from tokennet.audit.resolve import resolve
from tokennet.audit.roles import Roles
from tokennet.audit.search import Search
from tokennet.audit.session import DTYPES, Session
from tokennet.audit.tally import Tally
from tokennet.checks import kind_of, type_error, value_error
from tokennet.laws import Law
from tokennet.verify.plans import Domain
from tokennet.verify.report import Witness

Properties = Iterable[str | Law | type[Law]]
ROUNDS, MOST, QUICK = 64, 320, 10  # inputs: at least, where the budget allows; at most; a look
LOOK = 6  # inputs on what is not promised
EASY = 0.6  # of the budget is not used where `ROUNDS` inputs were tried
FEWEST = 3  # biting cases without which nothing is said to hold


def audit(
    module: nn.Module,
    example: Any = None,
    *,
    tokens: Argument | None = None,
    mask: Argument | None = None,
    edges: Argument | None = None,
    batch: Argument | None = None,
    properties: Properties | None = None,
    domain: Domain | None = None,
    adapter: Adapter | None = None,
    budget: float = 10.0,
    seed: int = 0,
    quick: bool = False,
    randomise: bool = True,
    **roles: Any,
) -> AuditReport:
    """Looks for inputs on which a module breaks properties; it is never called itself, copies are.

    Each property is searched by changing inputs and by gradients, over sizes, masks, values,
    graphs, numbers of samples, dtypes, train and eval, autograd on and off. A difference counts
    beyond 64 times the rounding noise measured on the same input. What breaks is made small, and
    blamed on the first submodule in which it shows.

    Args:
        module: any `nn.Module`.
        example: arguments of one call: a tensor, a tuple, or a mapping by name. None: for the known
            modules of torch, PyG, transformers and timm.
        tokens, mask, edges, batch: the arguments that carry them, by name or place; see `Adapter`,
            whose other fields can be given by name too. None: told from names and shapes.
        properties: what the module promises, by name or as laws; only this can fail. None: what is
            known of its kind; else all that the arguments allow is reported, and counts.
        domain: what the module may be given; nothing outside is tried.
        adapter: how it is called, in place of the arguments above.
        budget: seconds of computing for the search; at its end fewer inputs have been tried.
        seed: the same seed tries the same inputs in the same order.
        quick: a few inputs only.
        randomise: weights that are all the same number (zero-initialised gates) are drawn anew, and
            one of two copies has all weights drawn anew.

    Returns:
        an `AuditReport`: `ok`, `broken`, `verdicts`; `print` it, or call `raise_if_broken()`.

    Raises:
        TypeError, ValueError: no module, no example, an argument or property that there is not.
    """
    if not isinstance(module, nn.Module):
        raise type_error("module", kind_of(module), "an nn.Module", "pass an instance")
    if not budget > 0:
        raise value_error("budget", budget, "seconds, more than 0")
    start = time.perf_counter()
    given = {"tokens": tokens, "mask": mask, "edges": edges, "batch": batch, **roles}
    name = type(module).__name__
    module, own = plain(module)
    preset = own or _preset(module, example, adapter, given)
    with untouched(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = resolve(module, preset.example, preset.adapter)
        limits = _domain(found, domain, preset)
        session = _opened(Session(module, found, limits, seed, randomise), quick)
        session.half = domain is not None and torch.float16 in domain.dtypes
        promises = properties if properties is not None else (preset.promises or None)
        deadline = time.thread_time() + budget
        search = _search(session, promises, seed)
        others = LOOK if promises is not None else MOST
        search.quick = quick
        rounds = (QUICK, QUICK) if quick else (ROUNDS, MOST)
        search.run(rounds, min(others, rounds[1]), deadline - EASY * budget, deadline)
        facts = {} if quick else heard_facts(session)
        verdicts = _verdicts(search, promises is not None, quick)
    seconds = time.perf_counter() - start
    words = [preset.source] if preset.source else []
    if (
        session.roles.mask is not None
        and session.roles.mask.kind != (found.mask or session.roles.mask).kind
    ):
        words.append(f"in the mask True means {session.roles.mask.kind}, as the module behaves")
    return AuditReport(
        name, verdicts, facts, dict(session.refusals), search.inputs, seconds,
        seed, "; ".join(words),
    )  # fmt: skip


@contextmanager
def untouched() -> Iterator[None]:
    """Leaves Python's and numpy's random generators as they were."""
    import numpy as np

    state, kept = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(kept)


def _opened(session: Session, quick: bool) -> Session:
    """The session with what a few calls tell."""
    session.opened()
    mask = told_polarity(session)
    roles = told_direction(session)
    roles = roles if mask is None else replace(roles, mask=mask)
    if roles is not session.roles:
        session = Session(
            session.module, roles, session.domain, session.seed, session.randomise
        ).opened()
    session.domain = narrowed(session)
    if quick:
        low, high = session.domain.num_tokens
        few, many = session.domain.batch
        sizes, batches = (low, max(low, min(high, 9))), (few, max(few, min(many, 4)))
        session.domain = replace(session.domain, num_tokens=sizes, batch=batches)
    session.refusals.clear()
    return session


def _preset(
    module: nn.Module, example: Any, adapter: Adapter | None, given: dict[str, Any]
) -> Preset:
    """The example and the adapter: the user's own, or those known for this kind of module."""
    known = {f.name for f in fields(Adapter)}
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else ""
            raise type_error("argument", repr(name), "one of audit, or a field of Adapter", hint)
    stated = {k: v for k, v in given.items() if v is not None}
    if example is not None:
        return Preset(example, replace(adapter or Adapter(), **stated), ())
    found = recognise(module)
    if found is None:
        hint = "e.g. audit(module, torch.randn(2, 5, 16)), or a tuple or mapping of arguments"
        raise value_error("example", None, f"arguments of a call of {kind_of(module)}", hint)
    return replace(found, adapter=replace(adapter or found.adapter, **stated))


def _domain(roles: Roles, given: Domain | None, preset: Preset) -> Domain:
    """The user's domain, or the preset's, with the channels of the example."""
    limits = given
    if limits is None:
        settings = {"num_tokens": (1, 130), "batch": (1, 66), **preset.domain}
        limits = Domain(**settings)
    facts = {n for n in ("edges", "grid", "memory") if getattr(roles, n) is not None}
    return replace(
        limits,
        dim=roles.width,
        memory_dim=None if roles.memory is None else roles.memory.dim,
        edge_dim=roles.edge_dim,
        facts=frozenset(facts),
        dtypes=limits.dtypes or DTYPES,
    )


def _search(session: Session, promises: Properties | None, seed: int) -> Search:
    promised = laws_of(promises) if promises is not None else ()
    names = {law.name for law in promised}
    roles = session.roles
    listed = roles.edges is not None and roles.edges_form == "index" and not session.pooled
    if "BatchIndependence" in names and roles.single and roles.packed and listed:
        session.recast(replace(roles, united=True))  # components of a graph are samples too
    others = [law for law in every_law() if law.name not in names]
    hops = reach(session)
    tallies = {
        law.name: Tally(law, promises is None or law.name in names)
        for law in fitted([*promised, *others], session, hops)
    }
    possible = {n: t for n, t in tallies.items() if not why_not(t.law, session)}
    search = Search(session, possible, seed)
    search.left_out = {n: t for n, t in tallies.items() if n not in possible}
    return search


def _verdicts(search: Search, stated: bool, quick: bool) -> dict[str, AuditVerdict]:
    found = {name: _verdict(t, search, stated, quick) for name, t in search.tallies.items()}
    for name, tally in search.left_out.items():
        note = why_not(tally.law, search.session)
        found[name] = AuditVerdict(
            name, "not applicable", tally.promised, note=note, statement=tally.law.statement
        )
    return found


def _verdict(tally: Tally, search: Search, stated: bool, quick: bool) -> AuditVerdict:
    worst, name = tally.worst, tally.law.name
    error, floor = (0.0, 0.0) if worst is None else (worst.error, worst.floor)
    found = AuditVerdict(
        name, "holds", tally.promised, error, floor, tally.cases, tally.bites,
        statement=tally.law.statement,
    )  # fmt: skip
    if tally.broken is not None:
        trial = tally.broken
        blame, code = "", ""
        if not quick and (tally.promised or not stated):
            blame, code = evidence_of(search.session, tally.law, trial)
        witness = Witness(trial.plan, trial.change, trial.finding.what)
        return replace(
            found, status="broken", error=trial.finding.error, floor=trial.finding.floor,
            witness=witness, blame=blame, reproduction=code,
        )  # fmt: skip
    fewest = 1 if quick or not tally.promised else FEWEST
    if search.spent and tally.bites < fewest:
        note = "the budget was spent before it was searched"
        return replace(found, status="undecided", note=note)
    if not tally.cases:
        note = "no input of the domain says anything of it"
        return replace(found, status="not applicable", note=note)
    if tally.bites < fewest:
        few = tally.cases < fewest
        note = "too few inputs" if few else "the output does not answer to its inputs"
        return replace(found, status="undecided", note=f"{note}: nothing could have broken it")
    if tally.doubts:
        return replace(found, status="undecided", note="; ".join(tally.doubts))
    return found
