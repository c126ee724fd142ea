"""What a module listens to: other tokens, edges, mask, memory, order; and how far it hears."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from tokennet.audit.compare import least_floor, noise_of
from tokennet.audit.session import Session
from tokennet.structure import Tokens
from tokennet.structure.transform import pad_into, permute
from tokennet.verify.check import REFUTED, relative_error
from tokennet.verify.facts import changed_memory, mixed_tokens
from tokennet.verify.plans import Plan, without_edges

PATH = 9
Question = Callable[[Session, Plan, Tokens], tuple[Tensor, Tensor] | None]


def heard_facts(session: Session) -> dict[str, bool]:
    """Which of tokens, edges, mask, memory and order the output depends on."""
    asked: dict[str, Question] = {
        "tokens": _others,
        "edges": _without_edges,
        "memory": _memory,
        "order": _order,
    }
    roles = session.roles
    known = {"tokens": True, "edges": roles.edges is not None, "memory": roles.memory is not None}
    found: dict[str, bool] = {}
    for name, question in asked.items():
        if known.get(name, True):
            found[name] = any(_ask(session, plan, question) for plan in _plans(session))
    if roles.mask is not None:
        found["mask"] = any(_ask(session, plan, _mask) for plan in _plans(session))
    return found


def _plans(session: Session) -> list[Plan]:
    low, high = session.domain.num_tokens
    batch = 1 if session.roles.single else max(1, session.domain.batch[0])
    wanted = (6, 4, 8, session.roles.size()[1], high)
    fits = [n for n in wanted if n >= max(low, 1) and session.within(batch, n)]
    sizes = list(dict.fromkeys(fits))[:4]
    listed = session.roles.edges is not None
    graphs = ("cycle", "star", "random", "complete")
    return [
        replace(session.plain((n,) * batch), graph=g if listed else "", seed=i)
        for i, (n, g) in enumerate(zip(sizes, graphs, strict=False))
    ]  # fmt: skip


def _ask(session: Session, plan: Plan, question: Question) -> bool:
    try:
        found = question(session, plan, session.tokens(plan))
    except Exception:
        return False  # outside what the module takes
    if found is None:
        return False
    a, b = found
    finite = a.isfinite() & b.isfinite()
    zero = torch.zeros((), dtype=a.dtype)
    error = relative_error(
        torch.where(finite, a, zero).double(),
        torch.where(finite, b, zero).double(),
        by_channel=False,
    )
    return error > 1e-6


def _rows(session: Session, plan: Plan, tokens: Tokens) -> Tensor:
    return session.rows(session.copy(plan), tokens)


def _others(session: Session, plan: Plan, tokens: Tokens) -> tuple[Tensor, Tensor] | None:
    """Outputs of tokens that stay, when others change; of a pooled output, all but the first."""
    new, kept = mixed_tokens(tokens, session.pooled)
    if tokens.structure.layout.rows < 2:
        return None
    a, b = _rows(session, plan, tokens), _rows(session, plan, new)
    return (a, b) if session.pooled else (a[kept], b[kept])


def _without_edges(session: Session, plan: Plan, tokens: Tokens) -> tuple[Tensor, Tensor]:
    return _rows(session, plan, tokens), _rows(session, plan, without_edges(tokens))


def _memory(session: Session, plan: Plan, tokens: Tokens) -> tuple[Tensor, Tensor]:
    return _rows(session, plan, tokens), _rows(session, plan, changed_memory(tokens))


def _order(session: Session, plan: Plan, tokens: Tokens) -> tuple[Tensor, Tensor]:
    order = torch.randperm(
        tokens.structure.layout.rows, generator=torch.Generator().manual_seed(plan.seed)
    )
    if tokens.structure.batch > 1:  # tokens stay in their sample
        order = torch.arange(len(order)).view(tokens.structure.batch, -1).flip(1).flatten()
    a, b = _rows(session, plan, tokens), _rows(session, plan, permute(tokens, order))
    return (a, b) if session.pooled else (a[order], b)


def _mask(session: Session, plan: Plan, tokens: Tokens) -> tuple[Tensor, Tensor] | None:
    """Outputs of real tokens, when one token of each sample is called padding."""
    layout = tokens.structure.layout
    valid = layout.valid.view(layout.shape).clone()
    if valid.shape[1] < 2:
        return None
    valid[:, -1] = False
    shorter = pad_into(
        Tokens(tokens.x[:, :-1], type(tokens.structure).dense(*tokens.x[:, :-1].shape[:2])), valid
    )
    kept = shorter.structure.layout.valid.flatten()
    structure = tokens.structure.with_facts()
    structure = replace(structure, layout=shorter.structure.layout)
    a, b = _rows(session, plan, tokens), _rows(session, plan, Tokens(tokens.x, structure))
    return (a, b) if session.pooled else (a[kept], b[kept])


def reach(session: Session) -> int | None:
    """How many edges away an output hears, measured on a directed path; None: no end was seen."""
    low, high = session.domain.num_tokens
    n = min(max(PATH, low), high)
    if session.roles.edges is None or session.pooled or n < 3 or not session.within(1, n):
        return None
    plan = replace(session.plain((n,)), graph="path")
    try:
        tokens = session.tokens(plan)
        layout = tokens.structure.layout
        flat = layout.flat(tokens.x)
        before = _rows(session, plan, tokens)[-1:]
        floor = max(
            least_floor(flat.dtype),
            noise_of(lambda: session.copy(plan), tokens, lambda m, t: session.rows(m, t)[-1:]),
        )
        far = 0
        for hops in range(1, n):
            moved = flat.clone()
            moved[n - 1 - hops] += 1 + torch.cos(torch.arange(flat.shape[1], dtype=flat.dtype))
            after = _rows(session, plan, Tokens(layout.unflat(moved), tokens.structure))[-1:]
            if relative_error(before.double(), after.double(), by_channel=True) > REFUTED * floor:
                far = hops
    except Exception:
        return None
    return None if far >= n - 1 else far
