"""A loss between sets: predictions and targets are matched first, so no order counts.

Axes: B samples, Q predictions, M targets.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tokennet.checks import kind_of, type_error, value_error


def set_matching(
    cost: Float[Tensor, "B Q M"], valid: Bool[Tensor, "B M"] | None = None
) -> Int[Tensor, "B Q"]:
    """The target of each prediction, each target taken once, at the smallest sum of costs; else -1.

    The Hungarian algorithm (Kuhn 1955), by scipy: O(Q M^2). `valid`: which targets are real; the
    costs of others are not read. A sample has at most Q real targets.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        hint = "set_matching needs scipy: pip install 'tokennet[matching]'"
        raise ImportError(hint) from error

    _check(cost, valid)
    match = torch.full(cost.shape[:2], -1, dtype=torch.int64)
    for b, values in enumerate(cost.detach().double().cpu()):
        real = torch.arange(cost.shape[2]) if valid is None else valid[b].cpu().nonzero()[:, 0]
        values = values[:, real]
        if len(real) > cost.shape[1]:
            allowed = f"at most {cost.shape[1]}, the number of predictions"
            raise value_error(f"real targets of sample {b}", len(real), allowed)
        if not values.isfinite().all():
            bad = float(values[~values.isfinite()][0])
            raise value_error("cost", f"{bad:g} somewhere", "finite numbers at real targets")
        rows, columns = linear_sum_assignment(values.numpy())
        match[b, torch.from_numpy(rows)] = real[torch.from_numpy(columns)]
    return match.to(cost.device)


def set_loss(
    cost: Float[Tensor, "B Q M"],
    unmatched: Float[Tensor, "B Q"] | None = None,
    *,
    valid: Bool[Tensor, "B M"] | None = None,
    match: Int[Tensor, "B Q"] | None = None,
) -> Float[Tensor, " B"]:
    """sum_q cost[q, match(q)] + sum of `unmatched` over the predictions without a target.

    Carion et al. 2020, "End-to-end object detection with transformers" (equations 1 and 2). The
    order of predictions and targets changes nothing. Gradients go through the costs, not through
    the matching.

    Args:
        cost: of predicting target m by prediction q, e.g. -log p + |box - box'|.
        unmatched: what a prediction without target costs, e.g. -log p(no object); None: nothing.
        match: from `set_matching`, of another cost perhaps; None: of `cost`.
    """
    _check(cost, valid)
    match = set_matching(cost, valid) if match is None else match
    if match.shape != cost.shape[:2]:
        raise value_error("match.shape", tuple(match.shape), f"{tuple(cost.shape[:2])}")
    if unmatched is not None and unmatched.shape != cost.shape[:2]:
        raise value_error("unmatched.shape", tuple(unmatched.shape), f"{tuple(cost.shape[:2])}")
    chosen = match >= 0
    if cost.shape[2]:
        picked = cost.gather(2, match.clamp_min(0)[..., None])[..., 0]
        loss = picked.masked_fill(~chosen, 0).sum(1)
    else:
        loss = cost.sum((1, 2))
    if unmatched is None:
        return loss
    return loss + unmatched.masked_fill(chosen, 0).sum(1)


def _check(cost: Tensor, valid: Tensor | None) -> None:
    if not isinstance(cost, Tensor) or cost.ndim != 3:
        shape = tuple(cost.shape) if isinstance(cost, Tensor) else kind_of(cost)
        raise value_error("cost", shape, "a tensor [B, Q, M]")
    if valid is None:
        return
    if not isinstance(valid, Tensor) or valid.dtype != torch.bool:
        kind = valid.dtype if isinstance(valid, Tensor) else kind_of(valid)
        raise type_error("valid", kind, "a bool tensor [B, M]")
    expected = (cost.shape[0], cost.shape[2])
    if tuple(valid.shape) != expected:
        raise value_error("valid.shape", tuple(valid.shape), f"{expected}")
