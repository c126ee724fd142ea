"""What all pictures share: paper and ink for light and dark, wide and narrow, and plain panels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokennet.ablate.report.extras import require
from tokennet.ablate.report.numbers import Digits, digits_for, finite
from tokennet.ablate.report.words import one_line, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

MARKERS = "os^DvPX*"
_WIDE, _NARROW = 11.0, 4.0  # inches; the page makes a letter of 10 points about 13 and 12 px
_FAR = 1000.0  # largest / smallest value of an axis that is logarithmic


@dataclass(frozen=True)
class Palette:
    """Colours of paper, letters and lines. Series differ for every kind of colour vision."""

    paper: str
    ink: str
    quiet: str
    line: str
    faint: str
    series: tuple[str, ...]

    @property
    def accent(self) -> str:
        """What is meant to be seen first."""
        return self.series[0]

    def named(self) -> dict[str, str]:
        """Every colour by the name that it has in the page's style."""
        found = {"paper": self.paper, "ink": self.ink, "quiet": self.quiet, "line": self.line}
        series = {f"series-{i}": colour for i, colour in enumerate(self.series)}
        return {**found, "faint": self.faint, **series}


LIGHT = Palette(
    "#ffffff", "#1a1f2b", "#5c677a", "#e3e7ee", "#a5afbf",
    ("#2458d3", "#b84a00", "#0c7a55", "#8a3ab0", "#8f6a00", "#c2296b", "#00788f", "#54606f"),
)  # fmt: skip
DARK = Palette(
    "#161a22", "#e9edf4", "#98a3b5", "#2b323e", "#677287",
    ("#7ba7ff", "#ff9a4d", "#4fd1a0", "#cf9cf5", "#e0bd4a", "#ff85b3", "#52c7dd", "#b3bdcc"),
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How a picture is drawn: for dark paper, for a phone, and with `links` to the page's parts."""

    dark: bool = False
    narrow: bool = False
    links: bool = False

    @property
    def colours(self) -> Palette:
        return DARK if self.dark else LIGHT

    @property
    def width(self) -> float:
        """Inches."""
        return _NARROW if self.narrow else _WIDE

    @property
    def letters(self) -> int:
        """How many letters of a name there is room for."""
        return 46 if self.narrow else 44


PLAIN = Look()


def new_figure(height: float, look: Look, width: float | None = None) -> "Figure":
    """Empty paper, of no window and of no global state."""
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (look.width if width is None else width, height)
    figure = Figure(figsize=size, facecolor=look.colours.paper, layout="constrained")
    FigureCanvasAgg(figure)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.08, h_pad=0.06)
    return figure


def write(
    axes: "Axes", x: float, y: float, text: str, *, colour: str, size: float = 10.0, link: str = "",
    look: Look = PLAIN, **style: Any,
) -> "Text":  # fmt: skip
    """Letters as they are: no dollar of a label is maths."""
    made = axes.text(
        x, y, one_line(text), color=colour, size=size, parse_math=False, **style
    )  # fmt: skip
    if link and look.links:
        made.set_url(link)
    return made


def plain(axes: "Axes", look: Look, *, across: bool = True, up: bool = False) -> None:
    """Paper without a frame; faint lines at the ticks of the axes that count."""
    colours = look.colours
    axes.set_facecolor(colours.paper)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelcolor=colours.quiet, labelsize=9, pad=5, which="both")
    if across:
        axes.grid(axis="x", color=colours.line, lw=0.8, zorder=0)
    if up:
        axes.grid(axis="y", color=colours.line, lw=0.8, zorder=0)
    axes.set_axisbelow(True)


def title(axes: "Axes", words: str, under: str, look: Look) -> None:
    """What is shown, and below it in small letters how to read it; flush with the panel's left."""
    style: dict[str, Any] = {
        "xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom",
        "parse_math": False, "annotation_clip": False,
    }  # fmt: skip
    lift = 18 if under else 5
    room = 42 if look.narrow else 90
    made = [
        axes.annotate(shortened(words, room), (0, 1), (0, lift), size=11, weight="bold", **style)
    ]
    made[0].set_color(look.colours.ink)
    if under:
        made.append(axes.annotate(shortened(under, room + 16), (0, 1), (0, 5), size=9, **style))
        made[1].set_color(look.colours.quiet)
    for text in made:  # panels are as wide as they are, whatever is above them
        text.set_in_layout(False)
    axes.set_title(" ", size=31 if under else 16, pad=2)  # keeps the room


def scale_of(values: Iterable[float | None]) -> tuple[Digits, bool]:
    """The power of ten that an axis leaves out, and whether it is logarithmic."""
    known = [v for v in values if v is not None and finite(v)]
    far = bool(known) and min(known) > 0 and max(known) / min(known) > _FAR
    return (Digits(0) if far else Digits(0, digits_for(known, None).exponent)), far


def limits(
    values: Sequence[float], *, log: bool = False, room: float = 0.05
) -> tuple[float, float]:
    """An axis around `values` that is never empty."""
    if not values:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = min(values), max(values)
    if log:
        low, high = math.log10(low), math.log10(high)
        edge = max(room * (high - low), 0.15)
        return 10.0 ** (low - edge), 10.0 ** (high + edge)
    edge = room * (high - low)
    if edge <= 1e-12 * max(abs(low), abs(high)):
        edge = 0.05 * max(abs(low), abs(high)) or 1.0
    return low - edge, high + edge


def set_scale(axis: Any, log: bool) -> None:
    """A logarithmic axis with powers of ten for marks, or a linear one with few marks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    which = axis.axis_name
    getattr(axis.axes, f"set_{which}scale")("log" if log else "linear")
    if log:
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    else:
        axis.set_major_locator(MaxNLocator(5))


def power_of_ten(value: float) -> str:
    """`10⁻⁵`, `0.1`, `100`; nothing between the powers."""
    if value <= 0:
        return ""
    place = round(math.log10(value))
    if not math.isclose(value, 10.0**place, rel_tol=1e-6):
        return f"{value:.3g}" if -3 < place < 5 else ""
    return f"{value:,.10g}" if -3 < place < 5 else Digits(0, place).power.replace("·", "")


def message(words: str, look: Look, axes: "Axes | None" = None) -> "Figure":
    """A picture that says why there is none."""
    if axes is None:
        axes = new_figure(0.8, look).subplots()
    axes.set_axis_off()
    style: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "look": look}
    write(axes, 0.0, 0.5, words, colour=look.colours.quiet, size=11, **style)
    return root(axes)


def root(axes: "Axes") -> "Figure":
    """The figure that panels are on."""
    figure: Any = axes.get_figure(root=True)
    return figure


def legend_columns(names: Sequence[str], width: float) -> int:
    """How many names stand side by side on paper of so many inches."""
    longest = max(map(len, names), default=0)
    return max(1, min(len(names), 4, int(72 * width / (6.2 * longest + 60))))


def legend_height(names: Sequence[str], width: float) -> float:
    """Inches."""
    return 0.21 * math.ceil(len(names) / legend_columns(names, width)) + 0.1


def legend(
    figure: "Figure", names: Sequence[str], styles: Sequence[dict[str, Any]], look: Look
) -> None:
    """Which line or mark is which choice, below all panels; labels are written as they are."""
    from matplotlib.lines import Line2D

    columns = legend_columns(names, figure.get_figwidth())
    made = figure.legend(
        [Line2D([], [], **style) for style in styles], [str(i) for i in range(len(names))],
        loc="outside lower left", ncols=columns, frameon=False, fontsize=9.5, handlelength=2.4,
        columnspacing=2.2,
    )  # fmt: skip
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(one_line(name))
        text.set_color(look.colours.ink)
