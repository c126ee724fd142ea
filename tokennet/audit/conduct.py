"""The laws of calls, checked: the same call in other circumstances."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from tokennet.audit.compare import Finding, gap, is_short, least_floor, noise_of
from tokennet.audit.rendering import Adapted, Call, NotRepresentableError
from tokennet.audit.session import Session
from tokennet.audit.stepwise import stepped
from tokennet.structure import Tokens
from tokennet.verify.plans import Plan
from tokennet.verify.report import Witness


@dataclass(frozen=True)
class Seen:
    """What one circumstance showed, and the words for it."""

    finding: Finding
    change: str


Check = Callable[[Session, Plan, Tokens], Iterator[Seen]]


def _same(
    session: Session, plan: Plan, tokens: Tokens, one: Tensor, two: Tensor, change: str
) -> Seen:
    """Two outputs whose rows of real tokens should be equal, beside the noise of the first."""
    one, two = _real(session, tokens, one), _real(session, tokens, two)
    error, floor = gap(one, two), least_floor(tokens.x.dtype)
    if error > floor:
        new = lambda: session.copy(plan, fresh=True)  # noqa: E731
        rows = lambda m, t: _real(session, t, session.rows(m, t))  # noqa: E731
        floor = max(floor, noise_of(new, tokens, rows, error))
    return Seen(Finding(error, floor, short=is_short(tokens.x.dtype)), change)


def _real(session: Session, tokens: Tokens, y: Tensor) -> Tensor:
    """The rows of real tokens; of a pooled output, all."""
    return y if session.pooled else y[tokens.structure.layout.valid.flatten()]


def _rows(session: Session, module: Adapted, tokens: Tokens) -> Tensor:
    """The output, with the random generators where they always stand."""
    torch.default_generator.manual_seed(session.seed)
    return session.rows(module, tokens)


def repeatability(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """The same again; with other seeds; with autograd on, off, and in inference mode."""
    module = session.copy(plan)
    torch.default_generator.manual_seed(session.seed)
    first = session.rows(module, tokens)
    yield _same(session, plan, tokens, first, session.rows(module, tokens), "the same call again")
    if plan.train not in session.random_modes or not plan.train:
        torch.default_generator.manual_seed(session.seed + 1 + plan.change)
        random.seed(plan.change)
        two = session.rows(module, tokens)
        yield _same(session, plan, tokens, first, two, "another seed of the random generators")
    kept = first.clone()
    with_grad = session.rows(module, tokens, no_grad=False)
    yield _same(session, plan, tokens, with_grad, first, "autograd on, and off")
    with torch.inference_mode():
        inferred = session.rows(module, tokens)
    yield _same(session, plan, tokens, with_grad, inferred.clone(), "inference mode")
    if not torch.equal(kept.nan_to_num(), first.nan_to_num()):
        yield Seen(Finding(gap(kept, first), 0.0, "earlier output"), "a later call overwrote it")


def no_state(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """The same call to a copy that never ran, and to one that ran on others."""
    if plan.train and (session.has_batch_norm or True in session.random_modes):
        return
    module, later = session.copy(plan, fresh=True), session.copy(plan, fresh=True)
    first = _rows(session, module, tokens)
    size = max(plan.lengths, default=1)
    others = [
        replace(plan, seed=plan.seed + 2, change=plan.change + 1),
        replace(plan, lengths=plan.lengths[:1]),
        replace(plan, lengths=tuple(reversed(plan.lengths)), seed=plan.seed + 2),
        replace(plan, lengths=tuple(n + 3 for n in plan.lengths)),
        replace(plan, lengths=(max(size - 1, 1),) * (len(plan.lengths) + 1)),
        replace(plan, values="large"),
    ]
    for other in others:
        if not session.within(len(other.lengths), max(other.lengths, default=0)):
            continue
        try:
            given = session.tokens(other)
            session.rows(module, given, no_grad=False)
            session.rows(later, given, no_grad=False)
        except Exception:
            continue  # outside what the module takes
    again = _rows(session, module, tokens)
    yield _same(session, plan, tokens, first, again, "calls with other tokens in between")
    late = _rows(session, later, tokens)
    yield _same(session, plan, tokens, first, late, "calls with other tokens before the first")
    yield from _same_storage(session, plan, tokens, module)


def _same_storage(session: Session, plan: Plan, tokens: Tokens, module: Adapted) -> Iterator[Seen]:
    """New values in the very tensors of an earlier call, as the buffers of a loop have them."""
    other = session.tokens(replace(plan, values="positive", change=plan.change + 7))
    if other.x.shape != tokens.x.shape or other.x.dtype != tokens.x.dtype:
        return
    other = Tokens(other.x, tokens.structure)
    torch.default_generator.manual_seed(session.seed)
    with torch.no_grad():
        held = module.call(tokens.x, tokens.structure)
        module.run(held, tokens.x)
        for now, new in zip(
            held.tensors(), module.call(other.x, other.structure).tensors(), strict=True
        ):
            now.copy_(new)
        torch.default_generator.manual_seed(session.seed)
        found = module.read(module.run(held, tokens.x), tokens.structure)
    found = found if session.pooled else tokens.structure.layout.flat(found)
    fresh = _rows(session, session.copy(plan, fresh=True), other)
    yield _same(session, plan, other, fresh, found, "new values in the same tensor")


def memory_layout(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """Every tensor of the call with other strides, an offset, or in memory turned round."""
    module = session.copy(plan)
    first = _rows(session, module, tokens)
    for name, change in _PLACINGS:
        with _changed(module, partial(Call.mapped, change=change)):
            two = _rows(session, module, tokens)
        yield _same(session, plan, tokens, first, two, name)


def _strided(t: Tensor) -> Tensor:
    return torch.stack([t, t], -1)[..., 0] if t.ndim else t


def _turned(t: Tensor) -> Tensor:
    if t.ndim < 2:
        return t
    axes = list(range(t.ndim))[::-1]
    return t.permute(axes).contiguous().permute(axes)


def _narrow(t: Tensor) -> Tensor:
    if t.ndim < 2 or not t.numel():
        return t
    return torch.cat([t, t], -1)[..., : t.shape[-1]]


def _offset(t: Tensor) -> Tensor:
    flat = torch.cat([t.reshape(-1)[:1], t.reshape(-1)])
    return flat[1:].view(t.shape) if t.numel() else t


_PLACINGS: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("every other number in memory", _strided),
    ("axes in memory the other way round", _turned),
    ("the first channels of a wider tensor", _narrow),
    ("a view into a longer tensor", _offset),
)


@contextmanager
def _changed(module: Adapted, change: Callable[[Call], Call]) -> Iterator[None]:
    module.change = change
    try:
        yield
    finally:
        module.change = None


def train_eval(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """The same call in both modes."""
    one = _rows(session, session.copy(replace(plan, train=False)), tokens)
    two = _rows(session, session.copy(replace(plan, train=True), fresh=True), tokens)
    floors = [least_floor(tokens.x.dtype)] * 2
    error = gap(_real(session, tokens, one), _real(session, tokens, two))
    if (
        error > floors[0]
    ):  # of the two modes the one that rounds less: the other is another function
        for i, train in enumerate((False, True)):
            new = partial(session.copy, replace(plan, train=train), fresh=True)
            rows = lambda m, t: _real(session, t, session.rows(m, t))  # noqa: E731
            floors[i] = max(floors[i], noise_of(new, tokens, rows, error))
    yield Seen(Finding(error, min(floors), short=is_short(plan.dtype)), "train and eval mode")


def interleaving(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """All rows in another order, with their sample numbers and edges."""
    if tokens.structure.batch < 2:
        return
    module = session.copy(plan)
    first = _rows(session, module, tokens)
    count = tokens.structure.layout.rows
    order = torch.randperm(count, generator=torch.Generator().manual_seed(plan.change))
    roles = session.roles
    place = torch.empty_like(order)
    place[order] = torch.arange(count)

    def change(call: Call) -> Call:
        positional, named = list(call.positional), dict(call.named)
        carriers = [roles.tokens, *roles.alongside]
        keys = [c.key for c in carriers] + [*roles.ties, roles.batch]
        for key in keys:
            holder = positional if isinstance(key, int) else named
            holder[key] = holder[key][order]  # type: ignore[index]
        if roles.edges is not None:
            holder = positional if isinstance(roles.edges, int) else named
            holder[roles.edges] = place[holder[roles.edges]]  # type: ignore[index]
        return Call(tuple(positional), named)

    with _changed(module, change):
        two = _rows(session, module, tokens)
    if not session.pooled:
        two = two[place]
    yield _same(session, plan, tokens, first, two, "rows of all samples shuffled")


def finite(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """The output at real tokens, at samples without any, and of pooled samples."""
    if plan.dtype == torch.float16 and not session.half:
        return  # ordinary sums leave its range
    module = session.copy(plan)
    for no_grad in (True, False):
        y = session.rows(module, tokens, no_grad=no_grad)
        layout = tokens.structure.layout
        if not session.pooled:
            judged = layout.valid.flatten().clone()
            if session.domain.empty_samples:
                judged |= (layout.lengths == 0)[layout.sample] if layout.rows else judged
            y = y[judged]
        wrong = int((~y.isfinite()).sum())
        mode = "with autograd off" if no_grad else "with autograd on"
        error = float("inf") if wrong else 0.0
        yield Seen(Finding(error, least_floor(tokens.x.dtype)), f"{wrong} numbers, {mode}")


def finite_gradient(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """The gradients of a loss over real tokens."""
    module = session.copy(plan)
    leaf = tokens.x.detach().clone().requires_grad_()
    y = module(leaf, tokens.structure)
    layout = tokens.structure.layout
    judged = y if session.pooled else layout.flat(y)[layout.valid.flatten()]
    if session.pooled and not session.domain.empty_samples:
        judged = y[layout.lengths > 0]
    if not judged.requires_grad or not judged.numel() or not bool(judged.isfinite().all()):
        return
    weights = [p for p in module.parameters() if p.requires_grad]
    found = torch.autograd.grad(judged.square().sum(), [leaf, *weights], allow_unused=True)
    wrong = [g for g in found if g is not None and not bool(g.isfinite().all())]
    where = (
        "gradient of the input"
        if found[0] is not None and not bool(found[0].isfinite().all())
        else "gradient of the weights"
    )
    error = float("inf") if wrong else 0.0
    finding = Finding(error, least_floor(tokens.x.dtype), where if wrong else "gradient")
    yield Seen(finding, f"{len(wrong)} gradients hold NaN or infinity")


def cache(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """All tokens at once, against one by one or in pieces with what was kept."""
    layout = tokens.structure.layout
    if not bool(layout.valid.all()) or plan.train or layout.max_length < 2:
        raise NotRepresentableError("a cache takes whole samples, in eval mode")
    module = session.copy(plan)
    first = session.rows(module, tokens)
    chunks = [(1,)] if isinstance(session.roles.adapter.cache, str) else [(1,), (2,), (3, 1)]
    for pieces in chunks:
        two = stepped(session, module, tokens, pieces)
        yield _same(session, plan, tokens, first, two, f"tokens in pieces of {pieces}")


def witness(plan: Plan, seen: Seen) -> Witness:
    """What was tried and what it showed."""
    return Witness(plan, seen.change, seen.finding.what)
