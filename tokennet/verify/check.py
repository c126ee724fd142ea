"""Whether one case of a law holds for one module: outputs, gradients, and whether it bites.

Axes: R compared rows, Q sources, C channels of the output, D channels of the input.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from tokennet.checks import value_error
from tokennet.laws import Case
from tokennet.structure import Tokens
from tokennet.verify.noise import noise

REFUTED, UNDECIDED = 64.0, 10.0  # times the noise floor


@dataclass(frozen=True)
class Outcome:
    """What one case showed: `error` and noise `floor` in the part `what` that stands out most."""

    refuted: bool
    undecided: bool
    bites: bool
    error: float
    floor: float
    output_error: float
    output_floor: float
    what: str


@dataclass(frozen=True)
class Relation:
    """One side of a case: tokens, the output rows that count, the input rows that they may read.

    `padding`: whether rows of padding count as rows out of reach.
    """

    tokens: Tokens
    rows: Tensor
    sources: Tensor
    padding: bool


def call(module: nn.Module, tokens: Tokens) -> Tensor:
    """The module's output for tokens; of a net, that of mixers and readout."""
    forward = getattr(module, "mix", module)
    return forward(tokens.x, tokens.structure)


def flat_output(module: nn.Module, tokens: Tokens, pooled: bool) -> Tensor:
    """The output with one axis of rows: tokens of the flat view, or samples."""
    y = call(module, tokens)
    if pooled:
        return y.flatten(1) if y.ndim > 2 else y  # a row may be a set of answers, [Q, O]
    if y.shape[:-1] != tokens.x.shape[:-1]:
        rows = ", ".join(str(n) for n in tokens.x.shape[:-1])
        hint = "a row for each token; a readout sets pooled = True"
        raise value_error("output.shape", tuple(y.shape), f"[{rows}, ...]", hint)
    return tokens.structure.layout.flat(y)


def measure(module: nn.Module, side: Relation, cotangent: Tensor, pooled: bool) -> list[Tensor]:
    """Output rows; then, with a cotangent, gradients of the sources, of all else, of parameters."""
    x = side.tokens.x
    if cotangent.numel() == 0:
        with torch.no_grad():
            return [flat_output(module, side.tokens, pooled)[side.rows]]
    leaf = x.detach().requires_grad_()
    y = flat_output(module, Tokens(leaf, side.tokens.structure), pooled)[side.rows]
    wanted = [leaf, *(p for p in module.parameters() if p.requires_grad)]
    if not y.requires_grad:
        return [y]
    scale = y.detach().abs().amax().clamp_min(1e-30)
    found = torch.autograd.grad((y * (cotangent / scale)).sum(), wanted, allow_unused=True)
    grads = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
    flat = side.tokens.structure.layout.flat(grads[0])
    valid = side.tokens.structure.layout.valid.flatten()
    rest = torch.ones_like(valid) if side.padding else valid.clone()
    rest[side.sources] = False
    return [y.detach(), flat[side.sources], flat[rest], *grads[1:]]


def differences(one: list[Tensor], two: list[Tensor]) -> list[float]:
    """The relative error of each part: output, gradient, gradient out of reach, each weight's.

    Channels are judged by their own size, and by no less than 1e-6 of the largest; gradients of
    weights by the largest of all of them: some are zero but for rounding (a bias of keys).
    """
    errors = []
    largest = max((_largest(t) for t in (*one[3:], *two[3:])), default=0.0)
    for i, (a, b) in enumerate(zip(one, two, strict=True)):
        if i == 2:  # rows that must have no gradient at all
            scale = max(_largest(one[1]), _largest(two[1]), 1e-300)
            errors.append(max(_largest(a), _largest(b)) / scale)
        elif i < 2:
            errors.append(relative_error(a, b, by_channel=True))
        else:
            errors.append(relative_error(a, b, by_channel=False, least=largest))
    return errors


def part_name(i: int) -> str:
    """What the i-th part of a measurement is."""
    names = ("output", "gradient of the input", "gradient of rows out of reach")
    return names[i] if i < 3 else "gradient of the weights"


def _largest(t: Tensor) -> float:
    if not t.numel():
        return 0.0
    value = float(t.abs().max())
    return value if value == value else float("inf")


def relative_error(a: Tensor, b: Tensor, *, by_channel: bool, least: float = 0.0) -> float:
    """max |a - b| / max |a|, |b|, in each channel (last axis) or overall; inf where not finite."""
    if not a.numel():
        return 0.0
    if not (bool(a.isfinite().all()) and bool(b.isfinite().all())):
        return float("inf")
    gap, scale = (a - b).abs(), torch.maximum(a.abs(), b.abs())
    if by_channel and a.ndim > 1:
        gap, scale = gap.flatten(0, -2).amax(0), scale.flatten(0, -2).amax(0)
        scale = scale.maximum(1e-6 * scale.max())
    else:
        gap, scale = gap.max(), scale.max()
    return float((gap / scale.clamp_min(max(least, 1e-300))).max())


def check_case(
    module: nn.Module, tokens: Tokens, case: Case, *, pooled: bool, gradients: bool
) -> Outcome | None:
    """The outcome of a case; None where the law says nothing of this kind of output."""
    rows, image = (case.samples, case.sample_image) if pooled else (case.rows, case.image)
    if rows is None or image is None or not len(rows):
        return None
    sources = case.rows if case.sources is None else case.sources
    source_image = case.image if case.source_image is None else case.source_image
    before = Relation(tokens, rows, sources, case.padding)
    after = Relation(case.tokens, image, source_image, case.padding)
    everything = flat_output_no_grad(module, tokens, pooled)
    cotangent = (
        _cotangent(everything, len(rows)) if gradients and case.gradients else everything[:0]
    )
    one = measure(module, before, cotangent, pooled)
    two = measure(module, after, cotangent, pooled)
    errors = differences(one, two)
    least = 16 * torch.finfo(tokens.x.dtype).eps  # what a sum of a few hundred terms may lose
    floors = [least] * len(errors)
    if UNDECIDED * least < max(errors):  # below, no noise could change the verdict
        for side, plain in ((before, one), (after, two)):
            again = partial(measure, module, _fresh(side), cotangent, pooled)
            seen = noise(module, plain, again, differences)
            floors = [max(pair) for pair in zip(floors, seen, strict=True)]
    worst = max(range(len(errors)), key=lambda i: errors[i] / floors[i])
    error, floor = errors[worst], floors[worst]
    bites = _bites(module, tokens, case, everything, pooled)
    refuted = error > REFUTED * floor
    undecided = not refuted and error > UNDECIDED * floor
    return Outcome(refuted, undecided, bites, error, floor, errors[0], floors[0], part_name(worst))


def flat_output_no_grad(module: nn.Module, tokens: Tokens, pooled: bool) -> Tensor:
    with torch.no_grad():
        return flat_output(module, tokens, pooled)


def _fresh(side: Relation) -> Relation:
    """The same with nothing remembered, so that what is kept with the edges is rounded anew too."""
    structure = side.tokens.structure
    if structure.edges is not None:
        structure = structure.with_facts(edges=structure.edges)
    return replace(side, tokens=Tokens(side.tokens.x, structure))


def _cotangent(like: Tensor, count: int) -> Tensor:
    rng = torch.Generator().manual_seed(15_485_863)
    return torch.randn(count, like.shape[-1], generator=rng, dtype=torch.float64).to(like)


def _bites(module: nn.Module, tokens: Tokens, case: Case, everything: Tensor, pooled: bool) -> bool:
    """Whether the case could have failed: the input differs, and the output answers to it."""
    if not everything.numel() or not tokens.x.numel():
        return False
    layout = tokens.structure.layout
    if case.tokens.structure.layout is layout and not torch.equal(case.rows, case.image):
        x = layout.flat(tokens.x)
        if relative_error(x[case.rows], x[case.image], by_channel=False) < 1e-6:
            return False  # equal tokens exchanged
    shifted = tokens.x + tokens.x.abs().amax().clamp_min(1e-3) * torch.cos(
        torch.arange(tokens.x.numel(), dtype=tokens.x.dtype).view(tokens.x.shape) + 0.5
    )
    other = flat_output_no_grad(module, Tokens(shifted, tokens.structure), pooled)
    valid = slice(None) if pooled else layout.valid.flatten()
    return relative_error(everything[valid], other[valid], by_channel=False) > 1e-6
