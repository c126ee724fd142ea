"""A comparison in words, numbers with as many digits as their spread justifies."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokennet.ablate.analysis import Comparison


def number(value: float, spread: float | None = None) -> str:
    """`value` with two digits of its spread; three of its own where none is known: `93.2`."""
    if not math.isfinite(value):
        return str(value)
    known = spread is not None and math.isfinite(spread) and spread > 0
    unit = min(abs(spread), abs(value) or math.inf) if known and spread else abs(value)
    if unit == 0:
        return "0"
    decimals = (1 if known else 2) - math.floor(math.log10(unit))
    largest = max(abs(value), unit)
    if decimals > 6 or largest >= 1e7:
        return f"{value:.3g}"
    return f"{value:.{max(decimals, 0)}f}"


def p_value(p: float) -> str:
    """Two digits: `0.0039`."""
    return f"{p:.2g}"


def comparison_sentence(comparison: "Comparison") -> str:
    """Which is better and by how much; or that it is not known, and how many seeds would tell."""
    c = comparison
    if c.kind == "interaction":
        names, verb = f"{c.first} and {c.second}", "interact"
    else:
        names, verb = f"{_named(c, c.first)} and {c.second}", ""
    if c.distinguishable:
        facts = f"p = {p_value(c.p_holm)} after Holm, n = {c.n}"
        if verb:
            size = number(c.difference, c.deviation)
            return f"{names} {verb}: {size} beyond the sum of both (root mean square; {facts})"
        return f"{_better(c)} ({facts})"
    seeds = "1 seed" if c.n == 1 else f"{c.n} seeds"
    if c.n < c.least_seeds:
        return (
            f"{names}: {seeds} cannot show anything here: the smallest possible p after Holm is "
            f"{p_value(c.least_p_holm)}; at least {c.least_seeds} are needed"
        )
    said = "do not interact visibly" if verb else "are not distinguishable"
    return f"{names} {said} at n = {c.n}; {_needed(c)}"


def _named(c: "Comparison", label: str) -> str:
    return f"{c.axis}: {label}" if c.axis else label


def _better(c: "Comparison") -> str:
    first_wins = (c.difference > 0) == c.higher_is_better
    winner, loser = (c.first, c.second) if first_wins else (c.second, c.first)
    low, high = sorted(c.interval) if c.difference > 0 else sorted(-x for x in c.interval)
    spread = high - low
    found = f"[{number(low, spread)}, {number(high, spread)}]"
    return (
        f"{_named(c, winner)} is better than {loser} by {number(abs(c.difference), spread)} {found}"
    )


def _needed(c: "Comparison") -> str:
    if c.seeds_needed is not None:
        return f"about {c.seeds_needed} seeds would be needed"
    if c.difference == 0 or c.effect_size == 0:
        return "no difference is visible at all"
    return "more than 1,000 seeds would be needed"
