"""Numbers as a reader wants them: as many digits as their deviation justifies."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

NOTHING = "—"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN = range(-3, 6)  # powers of ten of numbers that need no exponent
_WITHOUT = 4  # significant digits of a number whose deviation nobody knows


@dataclass(frozen=True)
class Digits:
    """How numbers that belong together are written: decimals, and a power of ten left out."""

    decimals: int
    exponent: int = 0

    def scaled(self, value: float) -> float:
        """`value` without the power of ten."""
        return value * 10.0**-self.exponent if self.exponent else value

    def number(self, value: float | None) -> str:
        """`value` without the power of ten, as text."""
        if value is None or math.isnan(value):
            return NOTHING
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        text = f"{self.scaled(value):.{self.decimals}f}"
        return text.removeprefix("-") if not float(text) else text

    @property
    def power(self) -> str:
        """The power of ten as it follows a number: `·10⁻¹²`, or nothing."""
        return f"·10{str(self.exponent).translate(_RAISED)}" if self.exponent else ""

    def alone(self, value: float | None) -> str:
        """`0.93` or `1.2·10⁻¹²`."""
        text = self.number(value)
        return text if text in (NOTHING, "∞", "-∞") else text + self.power

    def with_deviation(self, mean: float | None, deviation: float | None) -> str:
        """`0.931 ± 0.012` or `(1.23 ± 0.04)·10⁻¹²`; without a deviation the mean alone."""
        if not finite(deviation) or not finite(mean):
            return self.alone(mean)
        both = f"{self.number(mean)} ± {self.number(deviation) if deviation else 0}"
        return f"({both}){self.power}" if self.exponent else both

    def interval(self, interval: tuple[float, float] | None) -> str:
        """`[0.92, 0.94]`; a dash where there is none."""
        if interval is None or not all(map(finite, interval)):
            return NOTHING
        return f"[{self.number(interval[0])}, {self.number(interval[1])}]{self.power}"


def finite(value: float | None) -> TypeGuard[float]:
    """Whether there is a number that can be drawn."""
    return value is not None and math.isfinite(value)


def digits_for(values: Iterable[float | None], deviation: float | None) -> Digits:
    """Two significant digits of the deviation, and a power of ten for the very small or large."""
    known = [abs(v) for v in values if finite(v)]
    largest = max([*known, deviation if finite(deviation) else 0.0])
    place = _place(largest)
    exponent = 0 if place in _PLAIN else max(-300, min(place, 300))
    inside = place - exponent
    if deviation is None or not math.isfinite(deviation):
        return Digits(max(0, _WITHOUT - 1 - inside), exponent)
    if deviation == 0:
        return Digits(max(map(_needed, (v * 10.0**-exponent for v in known)), default=0), exponent)
    least = _place(deviation) - exponent
    return Digits(max(0, min(1 - least, 14 - inside)), exponent)


def _needed(value: float) -> int:
    """Decimals of six significant digits, without zeros at the end."""
    digits = max(0, 5 - _place(value))
    return len(f"{value:.{digits}f}".rstrip("0").partition(".")[2])


def _place(value: float) -> int:
    """The power of ten of the first digit, as it is once two digits are left."""
    return int(f"{value:.1e}".partition("e")[2])


def chance(p: float | None) -> str:
    """A p-value: `0.021`, `3.1·10⁻⁵`."""
    if p is None or math.isnan(p):
        return NOTHING
    if p >= 0.001:
        return "1" if p > 0.995 else f"{p:.2g}"
    digits, _, exponent = f"{p:.1e}".partition("e")
    return f"{digits}·10{str(int(exponent)).translate(_RAISED)}" if p else "0"


def count(value: float | None) -> str:
    """`12,345`, and from ten millions on `12.3 M`."""
    if value is None or not math.isfinite(value):
        return NOTHING
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= size and value >= 1e7:
            return f"{value / size:.4g} {unit}"
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """`0.4 ms`, `3.2 s`, `12 min`, `5.1 h`."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    for size, unit in ((7200, "h"), (120, "min"), (1, "s")):
        if seconds >= size:
            each = {"h": 3600, "min": 60, "s": 1}[unit]
            return f"{seconds / each:.1f} {unit}"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def size(number: float | None) -> str:
    """Bytes: `250 MB`."""
    if number is None or not math.isfinite(number):
        return NOTHING
    return f"{number / 1e9:.2f} GB" if number >= 1e10 else f"{number / 1e6:.0f} MB"


def share(value: float | None) -> str:
    """A share as a percentage: `31 %`."""
    return NOTHING if not finite(value) else f"{100 * value:.0f} %"
