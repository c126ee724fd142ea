"""Two calls that a law says agree: how far they differ, and how far rounding can move them.

Axes: R compared rows, C channels of the output.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tokennet.audit.outputs import RowsMissingError
from tokennet.laws import Case
from tokennet.structure import Tokens
from tokennet.verify.check import (
    REFUTED,
    UNDECIDED,
    Relation,
    differences,
    flat_output,
    measure,
    part_name,
    relative_error,
)
from tokennet.verify.noise import Rounding, disturbed, disturbed_weights

Measured = list[Tensor]
ROUNDINGS = (12.9898e3, 78.233e3, 37.719e3)
CLEAR = 1e6  # times the noise: no third measurement would change the verdict


@dataclass(frozen=True)
class Finding:
    """How far two calls differ, relative to the channel, beside the rounding noise of both.

    `what` differs: "output", or which gradient. `short`: numbers of two bytes.
    """

    error: float
    floor: float
    what: str = "output"
    short: bool = False

    @property
    def refuted(self) -> bool:
        return self.error > (REFUTED / 8 if self.short else REFUTED) * self.floor

    @property
    def undecided(self) -> bool:
        return not self.refuted and self.error > self.doubtful * self.floor

    @property
    def doubtful(self) -> float:
        return UNDECIDED / 4 if self.short else UNDECIDED


def is_short(dtype: torch.dtype) -> bool:
    """Whether numbers are of two bytes: 64 times their rounding would be all there is."""
    return dtype.itemsize == 2


def least_floor(dtype: torch.dtype) -> float:
    """What a sum of a few hundred terms may lose, which numbers of two bytes add up in four."""
    return (2 if is_short(dtype) else 16) * torch.finfo(dtype).eps


def output(module: nn.Module, tokens: Tokens, pooled: bool, *, no_grad: bool) -> Tensor:
    """Rows of the output, computed with autograd on or off as a user would."""
    if no_grad:
        with torch.no_grad():
            return flat_output(module, tokens, pooled)
    leaf = tokens.x.detach().requires_grad_(tokens.x.is_floating_point())
    return flat_output(module, Tokens(leaf, tokens.structure), pooled).detach()


def gap(a: Tensor, b: Tensor) -> float:
    """The relative error of what is finite; inf where one is finite and the other is not."""
    if a.shape != b.shape:
        raise ShapesDifferError(f"outputs {tuple(a.shape)} and {tuple(b.shape)}")
    finite = a.isfinite()
    if not torch.equal(finite, b.isfinite()):
        return float("inf")
    zero = torch.zeros((), dtype=a.dtype)
    a, b = torch.where(finite, a, zero), torch.where(finite, b, zero)
    return relative_error(a.double(), b.double(), by_channel=True)


class ShapesDifferError(Exception):
    """Two outputs that should agree row by row have rows of different sizes."""


def rows_of(case: Case, pooled: bool) -> tuple[Tensor, Tensor] | None:
    """The rows to compare before and after; None where the law has nothing to say of them."""
    rows, image = (case.samples, case.sample_image) if pooled else (case.rows, case.image)
    return None if rows is None or image is None or not len(rows) else (rows, image)


def compare_outputs(
    module: nn.Module, tokens: Tokens, case: Case, before: Tensor, *, pooled: bool, no_grad: bool
) -> Finding | None:
    """The outputs of a case; `before` is the output for the unchanged tokens."""
    found = rows_of(case, pooled)
    if found is None:
        return None
    rows, image = found
    floor = least_floor(tokens.x.dtype)
    try:
        one, two = before[rows], output(module, case.tokens, pooled, no_grad=no_grad)[image]
        error = gap(one, two)
    except (ShapesDifferError, RowsMissingError) as problem:
        if tokens.structure.layout.max_length != case.tokens.structure.layout.max_length:
            raise  # the size of a row may depend on the number of tokens
        return Finding(float("inf"), floor, f"shape of the output: {problem}")
    short = is_short(tokens.x.dtype)
    if error > Finding(0, 1, short=short).doubtful * floor:
        sides = ((tokens, rows), (case.tokens, image))
        for side, place in sides:
            again = lambda m, t, at=place: output(m, t, pooled, no_grad=no_grad)[at]  # noqa: E731
            floor = max(floor, noise_of(lambda: module, side, again, error))
    return Finding(error, floor, short=short)


def noise_of(
    made: Callable[[], nn.Module],
    tokens: Tokens,
    again: Callable[[nn.Module, Tokens], Tensor],
    error: float = 0.0,
) -> float:
    """How far the output moves when everything, the input too, is rounded a little differently.

    Three times at most: once is enough where the error to judge is a million times the noise.
    Equal values are rounded equally, so that ties stay ties; once more they are not, which counts
    where the output follows smoothly (a norm of constant tokens), not where it jumps. Random
    generators start alike: what they decide is no rounding.
    """
    least, largest = least_floor(tokens.x.dtype), 0.0
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        plain = again(made(), tokens)
        torch.default_generator.manual_seed(0)
        if gap(plain, again(made(), tokens)) > least:
            return least  # no rounding: the same call does not give the same
        for k in ROUNDINGS:
            # inf where rounding alone leaves the range
            largest = max(largest, gap(plain, _rounded(made(), tokens, again, k, by_place=False)))
            if error > CLEAR * max(largest, least):
                return largest
        moved = gap(plain, _rounded(made(), tokens, again, ROUNDINGS[0], by_place=True))
    smooth = moved < torch.finfo(tokens.x.dtype).eps ** 0.5
    return max(largest, moved) if smooth else largest


def _rounded(
    module: nn.Module,
    tokens: Tokens,
    again: Callable[[nn.Module, Tokens], Tensor],
    k: float,
    *,
    by_place: bool,
) -> Tensor:
    """The output with all operations, the weights and the input rounded differently."""
    moved = _disturbed_tokens(tokens, k, by_place)
    torch.default_generator.manual_seed(0)
    try:
        with disturbed_weights(module, k), Rounding(k, by_place=by_place):
            return again(module, moved)
    except Exception:  # an operation that no mode can follow: the input alone is disturbed
        return again(module, moved)


def _disturbed_tokens(tokens: Tokens, k: float, by_place: bool = False) -> Tokens:
    structure = tokens.structure
    memory = structure.memory
    if memory is not None:
        other = disturbed(memory.x, k, by_place=by_place)
        structure = structure.with_facts(memory=Tokens(other, memory.structure))
    return Tokens(disturbed(tokens.x, k, by_place=by_place), structure)


def compare_gradients(
    module: nn.Module, tokens: Tokens, case: Case, *, pooled: bool
) -> tuple[Finding, Measured, Measured] | None:
    """The gradients of a case, and what was measured before and after the change.

    None where gradients are not finite before the change.
    """
    found = rows_of(case, pooled)
    if found is None or not case.gradients:
        return None
    sources = case.rows if case.sources is None else case.sources
    source_image = case.image if case.source_image is None else case.source_image
    before = Relation(tokens, found[0], sources, case.padding)
    after = Relation(case.tokens, found[1], source_image, case.padding)
    plain = output(module, tokens, pooled, no_grad=True)
    cotangent = _cotangent(plain, len(found[0]))
    one = measure(module, before, cotangent, pooled)
    two = measure(module, after, cotangent, pooled)
    if len(one) < 2 or len(two) < 2 or not all(bool(t.isfinite().all()) for t in one):
        return None
    one, two = _double(one), _double(two)
    errors = differences(one, two)[1:]
    floors = [least_floor(tokens.x.dtype)] * len(errors)
    if any(e > UNDECIDED * f for e, f in zip(errors, floors, strict=True)):
        for side, side_plain in ((before, one), (after, two)):
            seen = _gradient_noise(module, side, side_plain, cotangent, pooled, max(errors))
            floors = [max(pair) for pair in zip(floors, seen, strict=True)]
    worst = max(range(len(errors)), key=lambda i: errors[i] / floors[i])
    return Finding(errors[worst], floors[worst], part_name(worst + 1)), one, two


def _gradient_noise(
    module: nn.Module,
    side: Relation,
    plain: Measured,
    cotangent: Tensor,
    pooled: bool,
    error: float,
) -> list[float]:
    largest = [0.0] * (len(plain) - 1)
    dtype = side.tokens.x.dtype
    ways = [(k, False) for k in ROUNDINGS] + [(ROUNDINGS[0], True)]
    for k, by_place in ways:
        moved_side = replace(side, tokens=_disturbed_tokens(side.tokens, k, by_place))
        try:
            with disturbed_weights(module, k), Rounding(k, by_place=by_place):
                moved = measure(module, moved_side, cotangent, pooled)
        except Exception:
            moved = measure(module, moved_side, cotangent, pooled)
        found = differences(plain, _double(moved))[1:]
        if by_place:  # counts where the gradient follows smoothly, not where it jumps
            found = [e if e < torch.finfo(dtype).eps ** 0.5 else 0.0 for e in found]
        finite = [e if e != float("inf") else 0.0 for e in found]
        largest = [max(pair) for pair in zip(largest, finite, strict=True)]
        if error > CLEAR * max(*largest, least_floor(dtype)):
            break
    largest[1] = 0.0  # what is out of reach is out of reach, however one rounds
    return largest


def _double(parts: Measured) -> Measured:
    return [t.double() for t in parts]


def _cotangent(like: Tensor, count: int) -> Tensor:
    rng = torch.Generator().manual_seed(15_485_863)
    return torch.randn(count, like.shape[-1], generator=rng, dtype=torch.float64).to(like)


def out_of_reach(case: Case) -> Tensor:
    """Flat rows of the changed tokens which the compared outputs must not hear."""
    layout = case.tokens.structure.layout
    image = case.image if case.source_image is None else case.source_image
    rest = torch.ones(layout.rows, dtype=torch.bool) if case.padding else layout.valid.flatten()
    rest = rest.clone()
    rest[image] = False
    return rest


def unchanged(case: Case, tokens: Tokens) -> Case:
    """The case that changes nothing: the same rows of the tokens as they were."""
    return replace(
        case, tokens=tokens, image=case.rows, sample_image=case.samples, source_image=case.sources
    )


def pushed(case: Case, gradient: Tensor) -> Case | None:
    """The case with the rows out of reach moved along their gradient."""
    rest = out_of_reach(case)
    if not gradient.numel() or len(gradient) != int(rest.sum()):
        return None
    largest = gradient.abs().max()
    if not bool(largest.isfinite()) or not bool(largest > 0):
        return None
    layout = case.tokens.structure.layout
    flat = layout.flat(case.tokens.x).clone()
    flat[rest] += (gradient / largest).to(flat)
    return replace(case, tokens=Tokens(layout.unflat(flat), case.tokens.structure))
