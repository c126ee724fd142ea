"""What a module takes, found by asking: how many tokens, and what its mask means."""

from dataclasses import replace

import torch

from tokennet.audit.compare import gap, least_floor
from tokennet.audit.roles import Mask, Roles
from tokennet.audit.session import Session
from tokennet.structure import Tokens
from tokennet.verify.plans import Domain

_AMBIGUOUS = ("padding_mask", "pad_mask", "x_mask", "masked")  # said of both meanings


def narrowed(session: Session) -> Domain:
    """The domain with no number of tokens that the module refuses."""
    domain, roles = session.domain, session.roles
    low, high = domain.num_tokens
    if roles.grid is not None or low >= high:
        return domain
    start = min(max(roles.size()[1], low, 1), high)
    if not _takes(session, start):
        return domain
    step = next((d for d in range(1, start + 1) if _takes(session, start + d)), 0)
    if not step:  # one size only, or the example is the longest
        shorter = next((d for d in range(1, start) if _takes(session, start - d)), 0)
        return replace(domain, num_tokens=(low if shorter else start, start),
                       multiple_of=max(shorter, domain.multiple_of))  # fmt: skip
    if start % step:
        return domain
    most = _most(session, start, high, step)
    least = start
    while least - step >= max(low, 1) and _takes(session, least - step):
        least -= step
    return replace(
        domain,
        num_tokens=(low if least - step < max(low, 1) else least, most),
        multiple_of=max(step, domain.multiple_of),
    )


def _takes(session: Session, n: int) -> bool:
    low, high = session.domain.num_tokens
    if not low <= n <= high:
        return False
    batch = 1 if session.roles.single else max(session.roles.size()[0], session.domain.batch[0], 1)
    return session.accepts(session.plain((n,) * batch))


def _most(session: Session, start: int, high: int, step: int) -> int:
    """The largest number of tokens that is taken, if all below it are."""
    good, bad = start // step, high // step + 1
    if _takes(session, (bad - 1) * step):
        return high
    while bad - good > 1:
        middle = (good + bad) // 2
        if _takes(session, middle * step):
            good = middle
        else:
            bad = middle
    return good * step


def told_polarity(session: Session) -> Mask | None:
    """The mask with the other meaning, if the module hears what is padding now, and not then.

    None where the name's meaning stands: where both or neither fit what the module does.
    """
    mask = session.roles.mask
    if mask is None or mask.kind not in ("keep", "ignore"):
        return None
    if session.roles.adapter.mask_kind is not None or mask.name not in _AMBIGUOUS:
        return None
    other = replace(mask, kind="ignore" if mask.kind == "keep" else "keep")
    heard = [_hears_padding(session, m) for m in (mask, other)]
    return other if heard == [True, False] else None


def _hears_padding(session: Session, mask: Mask) -> bool | None:
    """Whether real tokens' outputs move with the content of padding; None: it can't be said."""
    trial = Session(
        session.module, replace(session.roles, mask=mask), session.domain, session.seed,
        session.randomise, session.form, session.dtypes, session.variants,
    )  # fmt: skip
    low, high = session.domain.num_tokens
    n = min(max(5, low), high)
    short = max(min(n - 2, 3), 1)
    found = []
    for seed in (0, 1):
        plan = replace(session.plain((n, n)), lengths=(n, short), layout="right", seed=seed)
        try:
            tokens = trial.tokens(plan)
            valid = tokens.structure.layout.valid
            x = torch.where(valid[..., None], tokens.x, tokens.x.flip(-1) * 3 + 1)
            module = trial.copy(plan)
            one = trial.rows(module, tokens)
            two = trial.rows(module, Tokens(x, tokens.structure))
        except Exception:
            return None
        keep = slice(None) if trial.pooled else valid.flatten()
        if not bool(one[keep].isfinite().all()):
            return None
        found.append(gap(one[keep], two[keep]) > 1e3 * least_floor(plan.dtype))
    return any(found)


def told_direction(session: Session) -> Roles:
    """The roles with the direction in which a matrix of edges is read, told from behaviour.

    One edge joins two tokens. The end that hears the other far more is the target; where both hear
    alike, edges lead both ways.
    """
    roles = session.roles
    plain = session.plain((2,))
    if roles.edges is None or roles.edges_form == "index" or session.pooled:
        return roles
    plan = replace(plain, graph="path")
    try:
        tokens = session.tokens(plan)
        module = session.copy(plan)
        layout = tokens.structure.layout
        before, heard = session.rows(module, tokens), []
        for moved, listener in ((0, 1), (1, 0)):
            flat = layout.flat(tokens.x).clone()
            flat[moved] = flat[moved].flip(-1) * 2 + 1
            after = session.rows(module, Tokens(layout.unflat(flat), tokens.structure))
            heard.append(gap(before[listener : listener + 1], after[listener : listener + 1]))
    except Exception:
        return replace(roles, directed=False)
    along, against = heard
    clear = max(heard) > 20 * min(heard)
    return replace(roles, directed=clear, turned=clear and against > along)
