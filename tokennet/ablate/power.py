"""How many seeds a question needs."""

import math

POWER = 0.8
MOST = 1_000  # seeds: beyond, nobody asks


def least_seeds(questions: int, alpha: float) -> int:
    """Fewer seeds cannot pass Holm's correction: the least p of n seeds is 2^(1-n)."""
    n = 1
    while questions * 2.0 ** (1 - n) > alpha:
        n += 1
    return n


def power(effect: float, n: int, level: float, *, directions: int = 1) -> float:
    """Chance of finding an effect: of the paired t-test for one direction.

    `effect`: size of the mean / deviation in one direction. With more directions (an interaction)
    it is the F-test of repeated measures, whose one-dimensional case is that t-test.
    """
    from scipy.stats import f, ncf

    spare = directions * (n - 1)
    least = f.isf(level, directions, spare)
    found = float(ncf.sf(least, directions, spare, n * effect**2))
    return found if math.isfinite(found) else 1.0  # beyond scipy's range nothing is left to find


def seeds_needed(
    effect: float, level: float, *, least: int, directions: int = 1, wanted: float = POWER
) -> int | None:
    """The smallest number of seeds, at least `least`, that finds the effect with that chance.

    None: more than 1,000, or the effect is 0 or unknown.
    """
    effect = abs(effect)
    low = max(least, 2)
    if math.isnan(effect) or effect == 0 or low > MOST:
        return None

    def enough(n: int) -> bool:
        return effect > 1e3 or power(effect, n, level, directions=directions) >= wanted

    if enough(low):
        return low
    if not enough(MOST):
        return None
    high = MOST  # low is too few, high is enough: the power grows with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
