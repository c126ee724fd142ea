"""Statistics of few numbers, paired by seed: intervals, the sign-flip test, Holm, effect sizes.

Axes: n seeds, k components of one question (1 for a difference). Nothing here depends on the order
of the seeds, and swapping the two sides mirrors every answer.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tokennet.checks import value_error

Values = Sequence[float] | np.ndarray
EXACT_UP_TO = 16  # seeds: 2^16 sign flips
SAMPLES = 2**EXACT_UP_TO - 1  # sampled flips beyond; (1 + hits) / (1 + samples) can be 2^-16
RESAMPLES = 9_999
TIE = 1e-9  # of the sum of all sizes: statistics that are so near are equal
ROUNDING = 1e-12  # of the numbers that went in: differences below are rounding


class SignFlip(NamedTuple):
    """A p value, and whether all flips were tried."""

    p: float
    exact: bool


def without_rounding(differences: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`differences [n, ...]`, 0 where only rounding made them out of `values [n, ...]`.

    A deterministic experiment gives the same rounding error for every seed, which every test
    would take for a small and very certain effect.
    """
    scale = np.abs(values).reshape(len(values), -1).max(1)
    scale = scale.reshape(-1, *[1] * (differences.ndim - 1))
    return np.where(np.abs(differences) <= ROUNDING * scale, 0.0, differences)


def paired(first: Values, second: Values) -> np.ndarray:
    """First minus second, seed by seed."""
    both = np.stack([np.asarray(first, float), np.asarray(second, float)], 1)
    return without_rounding(both[:, 0] - both[:, 1], both)


def sample_deviation(values: Values) -> float | None:
    """With n - 1; None for a single value; exactly 0 where the values differ by rounding."""
    if len(values) < 2:
        return None
    unit, scale = _unit(values)
    found = float(np.std(unit, ddof=1))
    return 0.0 if found <= ROUNDING else found * scale


def _unit(values: Values) -> tuple[np.ndarray, float]:
    """Values of at most 1 and what they were divided by, a power of two: squares stay in range."""
    array = np.asarray(values, float)
    largest = float(np.abs(array).max(initial=0.0))
    scale = math.ldexp(1.0, min(math.frexp(largest)[1], 1023)) if largest else 1.0
    return array / scale, scale


def interval(values: Values, *, confidence: float = 0.95) -> tuple[float, float] | None:
    """BCa bootstrap interval of the mean; a point where all values are equal; None for one value.

    Efron, Better Bootstrap Confidence Intervals, JASA 1987; the same each time. Too narrow for few
    seeds. What is distinguishable is decided by `sign_flip`, never by an interval.
    """
    from scipy.stats import bootstrap

    if len(values) < 2:
        return None
    unit, scale = _unit(values)
    unit = np.sort(unit)
    if unit[-1] - unit[0] <= ROUNDING:
        mean = float(unit.mean()) * scale
        return mean, mean
    # The resamples are drawn by place, so a mirrored sample gets mirrored ones.
    other = -unit[::-1]
    mirrored, symmetric = tuple(other) > tuple(unit), bool((other == unit).all())
    if mirrored:
        unit = other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of degenerate data, told by NaN
        found = bootstrap(
            (unit,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=confidence,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = float(unit[0]), float(unit[-1])  # wider than any bootstrap interval
    if symmetric:
        low, high = min(low, -high), max(high, -low)
    return (-high * scale, -low * scale) if mirrored else (low * scale, high * scale)


def sign_flip(differences: np.ndarray, *, samples: int = SAMPLES) -> SignFlip:
    """Tests whether differences `[n]` or `[n, k]`, a row for each seed, are centred at 0.

    Statistic: the norm of the mean row, so two-sided; each row's sign is flipped as a whole. The p
    value is exact if, without an effect, a row is as likely as its negative: that holds for two
    cells with the same distribution, however skewed, since their difference is symmetric.
    """
    rows = np.asarray(differences, float)
    if not rows.size or not np.isfinite(rows).all():
        raise value_error("differences", rows.tolist(), "finite numbers, at least one")
    rows, _ = _unit(rows.reshape(len(rows), -1))
    exact = len(rows) <= EXACT_UP_TO
    # Equal statistics come out of different sums: the identity must count itself.
    least = float(_norm(rows.sum(0, keepdims=True))[0] - TIE * _norm(rows).sum())
    rows = _canonical(rows)
    flips = _flips(len(rows), samples)
    hits = sum(int(np.count_nonzero(_norm(signs @ rows) >= least)) for signs in flips)
    p = hits / 2 ** (len(rows) - 1) if exact else (1 + hits) / (1 + samples)
    return SignFlip(p, exact)


def _norm(rows: np.ndarray) -> np.ndarray:
    return np.abs(rows[..., 0]) if rows.shape[-1] == 1 else np.sqrt((rows * rows).sum(-1))


def _canonical(rows: np.ndarray) -> np.ndarray:
    """The same rows up to sign and order: sampled flips then find the same p for each order."""
    first = np.argmax(rows != 0, axis=1)
    rows = rows * np.where(rows[np.arange(len(rows)), first] < 0, -1.0, 1.0)[:, None]
    return rows[np.lexsort(rows.T)]


@lru_cache(maxsize=4)
def _all_signs(n: int) -> np.ndarray:
    """Every choice of signs but for a common one, `[2^(n-1), n]`: a mirrored flip is as large."""
    bits = np.arange(2 ** (n - 1))[:, None] >> np.arange(n)
    signs = 1.0 - 2.0 * (bits & 1)
    signs.setflags(write=False)
    return signs


@lru_cache(maxsize=2)
def _some_signs(n: int, samples: int) -> np.ndarray:
    signs = 1 - 2 * np.random.default_rng(0).integers(0, 2, (samples, n), np.int8)
    signs.setflags(write=False)
    return signs


def _flips(n: int, samples: int) -> Iterator[np.ndarray]:
    """All flips, or the sampled ones in parts that fit into a cache."""
    if n <= EXACT_UP_TO:
        yield _all_signs(n)
        return
    signs = _some_signs(n, samples)
    most = max(1, 2**20 // n)
    for start in range(0, samples, most):
        yield signs[start : start + most].astype(float)


def least_p(n: int, *, samples: int = SAMPLES) -> float:
    """The smallest p value that `sign_flip` can give for n seeds."""
    return 2.0 ** (1 - n) if n <= EXACT_UP_TO else 1 / (1 + samples)


def holm(p: Values) -> np.ndarray:
    """The p values corrected for being asked together: any error at all has the level's rate.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Statistics 1979.
    """
    given = np.asarray(p, float)
    order = np.argsort(given, kind="stable")
    steps = np.maximum.accumulate((len(given) - np.arange(len(given))) * given[order])
    found = np.empty_like(given)
    found[order] = np.minimum(steps, 1.0)
    return found


def effect_size(differences: Values) -> float:
    """Mean difference / sample deviation of the differences; NaN for one, 0 or infinite for a
    deviation of 0."""
    if len(differences) < 2:
        return math.nan
    unit, _ = _unit(differences)
    mean, deviation = float(unit.mean()), sample_deviation(unit)
    if not deviation:
        return math.copysign(math.inf, mean) if abs(mean) > ROUNDING else 0.0
    return mean / deviation


def improvement(first: Values, second: Values, *, higher_is_better: bool) -> float:
    """How probably one run of the first is better than an independent one of the second; ties half.

    Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2021.
    """
    a, b = np.asarray(first, float)[:, None], np.asarray(second, float)[None]
    better = a > b if higher_is_better else a < b
    return float(np.mean(better + 0.5 * (a == b)))


def interquartile_mean(values: Values) -> float:
    """The mean of the middle half."""
    from scipy.stats import trim_mean

    return float(trim_mean(np.asarray(values, float), 0.25))
