"""Small demonstrations by hand: by how much a module breaks a property, on one chosen input.

They share nothing with the detector. Each returns a function of `make`, whose value is near zero
for the twin and large for the bug: the largest difference over the largest output, infinite where
shapes differ or only one side is finite. Everything runs in float64 unless told otherwise.

Axes: B samples, N tokens, D channels.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from corpus.entry import Build, Shows
from corpus.tasks import features

Change = Callable[[Tensor], Tensor]


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference over the largest value of `a`; infinite where they can't be compared.

    Values that are NaN on both sides agree.
    """
    if a.shape != b.shape or not torch.equal(a.isnan(), b.isnan()):
        return math.inf
    a, b = (t.detach().double().nan_to_num(0, 1e300, -1e300) for t in (a, b))
    if a.numel() == 0:
        return 0.0
    scale = max(a.abs().max().item(), 1e-30)
    return (a - b).abs().max().item() / scale


def built(make: Build, *, train: bool = False, dtype: torch.dtype = torch.float64) -> nn.Module:
    return make().to(dtype).train(train)


def cast(args: tuple[Tensor, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Copies, so that a module that writes into its arguments does not spoil the comparison."""
    return tuple(a.to(dtype, copy=True) if a.is_floating_point() else a.clone() for a in args)


def call(module: nn.Module, *args: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    return module(*cast(args, dtype))


def future(
    x: Tensor | None = None, *, at: int = -1, dtype: torch.dtype = torch.float64, by: float = 1.0
) -> Shows:
    """Outputs before token `at` move when it and those after it do."""

    def shows(make: Build) -> float:
        one = features() if x is None else x
        n = at % one.shape[1]
        two = one.clone()
        two[:, n:] = two[:, n:] + by if one.is_floating_point() else 1 + (two[:, n:] % 9)
        module = built(make, dtype=dtype)
        a, b = (call(module, t, dtype=dtype)[:, :n] for t in (one, two))
        return difference(a, b)

    return shows


def prefix(x: Tensor | None = None, *, length: int = 4) -> Shows:
    """The first tokens alone give another output than in front of others."""

    def shows(make: Build) -> float:
        whole = features() if x is None else x
        module = built(make)
        return difference(call(module, whole[:, :length]), call(module, whole)[:, :length])

    return shows


def rows(y: Tensor, mask: Tensor) -> Tensor:
    """The outputs that count: at real tokens, or one for each sample."""
    return y[mask] if y.ndim == 3 else y


def content(
    x: Tensor,
    mask: Tensor,
    *,
    value: float = 3.0,
    ignored: bool = False,
    dtype: torch.dtype = torch.float64,
    train: bool = False,
) -> Shows:
    """Other values where no token is real change the outputs that count."""

    def shows(make: Build) -> float:
        fill = value if x.is_floating_point() else 7
        other = torch.where(mask[..., None] if x.ndim == 3 else mask, x, fill)
        module = built(make, dtype=dtype, train=train)
        given = ~mask if ignored else mask
        a, b = (rows(call(module, t, given, dtype=dtype), mask) for t in (x, other))
        return difference(a, b)

    return shows


def amount(x: Tensor, mask: Tensor, *, extra: int = 3, ignored: bool = False) -> Shows:
    """More padding after the last token changes the outputs that count."""

    def shows(make: Build) -> float:
        more = torch.zeros_like(x[:, :1]).repeat_interleave(extra, 1)
        longer = torch.cat([x, more], 1)
        wider = torch.nn.functional.pad(mask, (0, extra))
        module = built(make)
        a = rows(call(module, x, ~mask if ignored else mask), mask)
        b = rows(call(module, longer, ~wider if ignored else wider), wider)
        return difference(a, b)

    return shows


def left(x: Tensor, mask: Tensor) -> Shows:
    """The same tokens with the padding in front of them give other outputs."""

    def shows(make: Build) -> float:
        order = mask.long().argsort(dim=1, stable=True)  # padding first, tokens in their order
        moved = torch.stack([t[o] for t, o in zip(x, order, strict=True)])
        there = mask.gather(1, order)
        module = built(make)
        a, b = rows(call(module, x, mask), mask), rows(call(module, moved, there), there)
        return difference(a, b)

    return shows


def permuted(x: Tensor, *others: Tensor, pooled: bool = False) -> Shows:
    """Tokens in another order give outputs that are not just in that order."""

    def shows(make: Build) -> float:
        n = x.shape[1]
        order = torch.cat([torch.arange(2, n), torch.tensor([1, 0])])
        module = built(make)
        a = call(module, x, *others)
        b = call(module, x[:, order], *(o[:, order] for o in others))
        return difference(a if pooled else a[:, order], b)

    return shows


def alone(x: Tensor, *others: Tensor, sample: int = 0, dtype: torch.dtype = torch.float64) -> Shows:
    """A sample by itself gives another output than among the others."""

    def shows(make: Build) -> float:
        module = built(make, dtype=dtype)
        one = slice(sample, sample + 1)
        together = call(module, x, *others, dtype=dtype)
        apart = call(module, x[one], *(o[one] for o in others), dtype=dtype)
        return difference(together[one], apart) if together.ndim else math.inf

    return shows


def neighbours(x: Tensor, *others: Tensor, sample: int = 0) -> Shows:
    """A sample's output moves when the other samples do."""

    def shows(make: Build) -> float:
        changed = x + 1 if x.is_floating_point() else 1 + (x % 9)
        changed[sample] = x[sample]
        module = built(make)
        a, b = call(module, x, *others), call(module, changed, *others)
        return difference(a[sample], b[sample])

    return shows


def gradient(
    args: tuple[Tensor, ...],
    allowed: Callable[[Tensor], Tensor],
    forbidden: Callable[[Tensor], Tensor],
) -> Shows:
    """The gradient of `allowed(output)` at `forbidden(input)`, over its largest anywhere."""

    def shows(make: Build) -> float:
        first, *rest = cast(args)
        first.requires_grad_()
        out = built(make)(first, *rest)
        (g,) = torch.autograd.grad(allowed(out).sin().sum(), first, allow_unused=True)
        if g is None or not g.isfinite().all():
            return math.inf
        return forbidden(g).abs().max().item() / max(g.abs().max().item(), 1e-30)

    return shows


def infinite(*args: Tensor, dtype: torch.dtype = torch.float64, backward: bool = False) -> Shows:
    """How many values of the output, or of the input's gradient, are not finite."""

    def shows(make: Build) -> float:
        first, *rest = cast(args, dtype)
        first.requires_grad_(backward)
        out = built(make, dtype=dtype)(first, *rest)
        if backward:
            (out,) = torch.autograd.grad(out.sum(), first)
        return float((~out.isfinite()).sum().item())

    return shows


def repeated(*args: Tensor, train: bool = False) -> Shows:
    """The same call twice gives two outputs."""

    def shows(make: Build) -> float:
        module = built(make, train=train)
        return difference(call(module, *args), call(module, *args))

    return shows


def after(before: tuple[Tensor, ...], *args: Tensor) -> Shows:
    """A call with other arguments, made before, changes the output."""

    def shows(make: Build) -> float:
        fresh, used = built(make), built(make)
        call(used, *before)
        return difference(call(fresh, *args), call(used, *args))

    return shows


def modes(*args: Tensor) -> Shows:
    """Training and evaluation give two outputs."""

    def shows(make: Build) -> float:
        outs = [call(built(make, train=train), *args) for train in (True, False)]
        return difference(*outs)

    return shows


def changed(*args: Tensor) -> Shows:
    """What was passed in, the module's own tensors and the random state differ after the call."""

    def shows(make: Build) -> float:
        module, given = built(make), cast(args)
        kept = [t.clone() for t in (*given, *module.state_dict().values())]
        random = torch.get_rng_state()
        module(*given)
        moved = [
            difference(a, b)
            for a, b in zip(kept, (*given, *module.state_dict().values()), strict=True)
        ]
        return max(*moved, 0.0, float(not torch.equal(random, torch.get_rng_state())))

    return shows


def steps(x: Tensor | None = None) -> Shows:
    """One token at a time gives other outputs than the whole sequence."""

    def shows(make: Build) -> float:
        whole = features() if x is None else x
        module, state, outs = built(make), None, []
        (given,) = cast((whole,))
        for t in range(whole.shape[1]):
            y, state = module.step(given[:, t : t + 1], state)
            outs.append(y)
        return difference(call(module, whole), torch.cat(outs, 1))

    return shows


def layouts(*args: Tensor) -> Shows:
    """The same values, laid out otherwise in memory, give another output."""

    def shows(make: Build) -> float:
        module = built(make)
        first, *rest = cast(args)
        turned = first.mT.contiguous().mT
        return difference(module(first.clone(), *rest), module(turned, *rest))

    return shows
