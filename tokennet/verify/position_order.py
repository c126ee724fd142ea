"""Codes of places: in order, or on a grid.

Axes: P places, D channels, A axes (1: an order, 2: a grid), T codes `[*size, D]`.
"""

import math

import torch
from torch import Tensor

from tokennet.mixers import Mixer
from tokennet.structure import Structure
from tokennet.verify.position_measure import (
    at_precision,
    difference,
    equality,
    measured,
    size_finding,
)
from tokennet.verify.position_report import PositionFinding

GROWTH_LIMIT = 0.05
NEAR = {torch.float32: 4 * 2.0**-23, torch.float64: 4 * 2.0**-52}
LINEAR = 1e-6
Size = tuple[int, ...]


def order_findings(
    position: Mixer, num_tokens: int, rng: torch.Generator
) -> tuple[int, list[PositionFinding]]:
    """How many places were looked at, and what was found."""
    n = num_tokens if position.max_tokens is None else min(num_tokens, position.max_tokens)
    size: Size = (n,)
    if "grid" in position.reads and getattr(position, "axes", 2) == 2:
        size = (math.isqrt(n), n // math.isqrt(n))
    exact, single = (at_precision(position, d) for d in (torch.float64, torch.float32))
    table = _table(exact, size)
    scale = float(table.abs().max())
    flat = table.flatten(0, -2)
    varies = bool((flat - flat[:1]).abs().max() > 1e-12 * max(scale, 1e-300))
    far = _far(exact, size)
    findings = [
        equality("repeatable", difference(_table(exact, size), table, scale), varies, "two calls"),
        equality("any length", _lengths(exact, table, scale), varies, "largest change"),
        equality("any layout", _layouts(exact, table, scale, rng), varies, "packed, padded, NaN"),
        equality("any input", _inputs(exact, table, scale, rng), varies, "random content"),
        _bounded(table, far),
        _injective(_table(single, size, torch.float32), table),
        size_finding(flat),
        _extrapolation(far, scale),
        _dot(table, varies),
        _linear(table, varies, rng),
        _distance(table, varies),
    ]
    return math.prod(size), findings


def _table(position: Mixer, size: Size, dtype: torch.dtype = torch.float64) -> Tensor:
    grid = size if "grid" in position.reads else None
    structure = Structure.dense(1, math.prod(size), grid=grid)
    return measured(position, structure, dtype=dtype).unflatten(0, size)


def _far(position: Mixer, size: Size) -> Tensor | None:
    """The codes of 128 times as many places (a grid: 16 times), None where they are refused."""
    try:
        return _table(position, tuple(n * (128 if len(size) == 1 else 4) for n in size))
    except (ValueError, IndexError, RuntimeError):
        return None


def _lengths(position: Mixer, table: Tensor, scale: float) -> float:
    """How far a place's code depends on how many places there are."""
    full = tuple(table.shape[:-1])
    sizes: list[Size]
    if len(full) == 1:
        sizes = [(m,) for m in (1, 2, 3, full[0] // 3, full[0] // 2, full[0] - 1)]
    else:
        h, w = full
        sizes = [(h // 2, w), (h, w // 2), (h - 1, w - 1), (2, 2)]
    errors = []
    for size in sizes:
        part = table[tuple(slice(m) for m in size)]
        errors.append(difference(_table(position, size), part, scale))
    return max(errors)


def _layouts(position: Mixer, table: Tensor, scale: float, rng: torch.Generator) -> float:
    """How far it depends on packing, on padding anywhere (which holds NaN), on other samples."""
    flat = table.flatten(0, -2)
    n, grid = len(flat), None
    lengths = [n // 2, n, 3]
    if "grid" in position.reads:
        lengths, grid = [n, n], tuple(table.shape[:-1])
    expected = torch.cat([flat[:m] for m in lengths])
    packed = measured(position, Structure.packed(lengths, grid=grid), dtype=torch.float64)
    errors = [difference(packed, expected, scale)]
    left = torch.arange(n + 3).flip(0)[None] < torch.tensor(lengths)[:, None]
    holes = torch.stack([row[torch.randperm(n + 3, generator=rng)] for row in left])
    for valid in (left, holes):
        x = torch.zeros(*valid.shape, position.dim or 1, dtype=torch.float64)
        x[~valid] = torch.nan
        codes = measured(position, Structure.padded(valid, grid=grid), x, dtype=x.dtype)
        errors.append(difference(codes, expected, scale))
    return max(errors)


def _inputs(position: Mixer, table: Tensor, scale: float, rng: torch.Generator) -> float:
    """How far it depends on the content."""
    size = tuple(table.shape[:-1])
    grid = size if "grid" in position.reads else None
    structure = Structure.dense(1, math.prod(size), grid=grid)
    x = 3 * torch.randn(1, math.prod(size), table.shape[-1], generator=rng, dtype=table.dtype)
    codes = measured(position, structure, x, dtype=x.dtype)
    return difference(codes, table.flatten(0, -2), max(scale, 1e-3))


def _bounded(table: Tensor, far: Tensor | None) -> PositionFinding:
    """The exponent g of |code_i| ~ i^g, over octaves of places."""
    codes = table if far is None else far
    if not bool(codes.isfinite().all()):
        return PositionFinding("bounded", "required", "broken", math.inf, "not finite")
    if far is None:
        largest = float(codes.abs().max())
        return PositionFinding(
            "bounded", "required", "held", 0.0, f"a table, {largest:.2g} at most"
        )
    axes = codes.ndim - 1
    places = torch.stack(torch.meshgrid(*map(torch.arange, codes.shape[:-1]), indexing="ij"), -1)
    octave = places.amax(-1).clamp_min(1).double().log2().floor().flatten()
    power = codes.square().mean(-1).flatten()
    last = int(octave.max())
    means = torch.stack([power[octave == k].mean() for k in range(max(last - 5 + axes, 0), last)])
    heights = means.clamp_min(1e-60).log2() / 2
    steps = torch.arange(len(heights), dtype=heights.dtype)
    steps = steps - steps.mean()
    growth = float((steps * heights).sum() / steps.square().sum())
    status = "held" if growth <= GROWTH_LIMIT else "broken"
    note = f"size ~ i^{growth:.2f}, up to {places.shape[0]} places" + " an axis" * (axes == 2)
    return PositionFinding("bounded", "required", status, growth, note)  # type: ignore[arg-type]


def _injective(single: Tensor, table: Tensor) -> PositionFinding:
    """The smallest distance between two codes, and the first two that rounding can't tell apart."""
    nearest, places = _collision(single.flatten(0, -2))
    _, exact = _collision(table.flatten(0, -2))
    count = table.flatten(0, -2).shape[0]
    if places is None:
        note = f"smallest distance of {count} codes beside the largest code"
        return PositionFinding("injective", "required", "held", nearest, note)
    also = f"in float64 {exact[0]} and {exact[1]}" if exact else "in float64 none"
    note = f"first collision: places {places[0]} and {places[1]} in float32, {also}"
    return PositionFinding("injective", "required", "broken", nearest, note)


def _collision(codes: Tensor) -> tuple[float, tuple[int, int] | None]:
    """The smallest distance beside the largest code, and the first pair within rounding."""
    scale = max(float(codes.norm(dim=-1).max()), 1e-300)
    least, first = math.inf, None
    exactly = "donot_use_mm_for_euclid_dist"
    for start in range(0, len(codes), 512):
        rows = codes[start : start + 512]
        before = torch.cdist(rows, codes[: start + len(rows)], compute_mode=exactly) / scale
        number = torch.arange(start, start + len(rows))[:, None]
        before.masked_fill_(torch.arange(before.shape[1]) >= number, math.inf)
        least = min(least, float(before.min()))
        close = (before <= NEAR[codes.dtype]).nonzero()
        if first is None and len(close):
            first = (int(close[0, 1]), start + int(close[0, 0]))
    return least, first


def _extrapolation(far: Tensor | None, scale: float) -> PositionFinding:
    """What happens at up to 16 times as many places."""
    if far is None:
        return PositionFinding("extrapolation", "information", "refused", 0.0, "no code beyond")
    far = far[: len(far) // 8] if far.ndim == 2 else far
    flat = (far.flatten(0, -2) / max(scale, 1e-300) * 1e5).round()
    distinct = len(flat.unique(dim=0)) / len(flat)
    larger = float(far.abs().max()) / max(scale, 1e-300)
    good = distinct == 1 and larger <= 1.5
    note = f"of {len(flat)} places distinct; {larger:.2g} times as large"
    status = "held" if good else "broken"
    return PositionFinding("extrapolation", "information", status, distinct, note)  # type: ignore[arg-type]


def _offsets(size: Size) -> list[Size]:
    steps = [s for s in (1, 2, 5, min(size) // 4, min(size) // 2) if 0 < s < min(size)]
    if len(size) == 1:
        return [(s,) for s in steps]
    return [o for s in steps for o in ((s, 0), (0, s), (s, s))]


def _shifted(table: Tensor, offset: Size) -> tuple[Tensor, Tensor]:
    """code_i and code_(i + offset), `[P, D]` each."""
    near = tuple(slice(n - o) for n, o in zip(table.shape, offset, strict=False))
    away = tuple(slice(o, None) for o in offset)
    return table[near].flatten(0, -2), table[away].flatten(0, -2)


def _dot(table: Tensor, varies: bool) -> PositionFinding:
    """Whether <code_i, code_j> is a function of j - i."""
    name, scale = "dot by offset", float(table.square().sum(-1).mean())
    if not varies:
        return PositionFinding(name, "information", "untested", 0.0, "all codes are equal")
    spread = 0.0
    for offset in _offsets(tuple(table.shape[:-1])):
        near, away = _shifted(table, offset)
        dots = (near * away).sum(-1)
        spread = max(spread, float(dots.max() - dots.min()) / 2 / scale)
    note = "how far <c_i, c_j> varies at one offset"
    status = "held" if spread <= LINEAR else "broken"
    return PositionFinding(name, "information", status, spread, note)  # type: ignore[arg-type]


def _linear(table: Tensor, varies: bool, rng: torch.Generator) -> PositionFinding:
    """Whether one affine map takes code_i to code_(i + s), judged at places held out."""
    name, worst = "linear shift", 0.0
    dim = table.shape[-1]
    for offset in _offsets(tuple(table.shape[:-1]))[:3]:
        near, away = _shifted(table, offset)
        order = torch.randperm(len(near), generator=rng)
        fit, held = order[: 2 * len(order) // 3], order[2 * len(order) // 3 :]
        if not varies or len(fit) < 2 * (dim + 1):
            note = "too few places" if varies else "all codes are equal"
            return PositionFinding(name, "information", "untested", 0.0, note)
        wide = torch.cat([near, torch.ones_like(near[:, :1])], 1)
        matrix = torch.linalg.lstsq(wide[fit], away[fit], driver="gelsd").solution
        error = (wide[held] @ matrix - away[held]).square().mean().sqrt()
        worst = max(worst, float(error / away.std().clamp_min(1e-300)))
    note = "error of one map for all places, held out"
    status = "held" if worst <= LINEAR else "broken"
    return PositionFinding(name, "information", status, worst, note)  # type: ignore[arg-type]


def _distance(table: Tensor, varies: bool) -> PositionFinding:
    """Rank correlation of nearness with the mean dot product at each distance."""
    name = "distance"
    if not varies:
        return PositionFinding(name, "information", "untested", 0.0, "all codes are equal")
    size = table.shape[:-1]
    places = torch.stack(torch.meshgrid(*map(torch.arange, size), indexing="ij"), -1)
    places = places.flatten(0, -2)[:512].double()
    codes = table.flatten(0, -2)[:512]
    apart = torch.cdist(places, places).round().long().flatten()
    total = torch.zeros(int(apart.max()) + 1, dtype=codes.dtype)
    dots = total.index_add(0, apart, (codes @ codes.T).flatten())
    mean = dots / torch.bincount(apart).clamp_min(1)
    rank = mean.argsort().argsort().double()
    nearness = -torch.arange(len(mean), dtype=torch.float64)
    value = float(torch.corrcoef(torch.stack([rank, nearness]))[0, 1])
    status = "held" if value > 0.5 else "broken"
    note = "rank correlation of <c_i, c_j> with nearness"
    return PositionFinding(name, "information", status, value, note)  # type: ignore[arg-type]
