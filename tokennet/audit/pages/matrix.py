"""Properties x modules as one picture: in SVG for the page, with matplotlib for the docs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from tokennet.audit.properties import every_law
from tokennet.audit.report import AuditReport, AuditVerdict
from tokennet.checks import type_error, value_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue and orange differ for every kind of colour vision; the sign says the same without colour.
SIGNS = {"holds": "✓", "broken": "✗", "undecided": "?", "not applicable": "·"}
_FILLS = {"holds": "#0b5fa5", "broken": "#b84a00", "undecided": "#6f6f6f"}
_PALE = {"holds": "#d3e5f5", "broken": "#fbdcc4", "undecided": "#e6e6e6"}
_LETTER = 8.2  # px of a letter of 12 px, of the widest of the page's fonts, and some room
_ROW = 24
_WIDE, _NARROW = 22, 22  # letters of the widest column; px of one with an upright name
_UPRIGHT = 32  # letters
_FEW = 4  # columns of matplotlib's picture whose names lie flat


@dataclass(frozen=True)
class Legend:
    """A kind of cell, and what it means."""

    status: str
    promised: bool
    words: str


LEGEND = (
    Legend("holds", True, "holds: not refuted"),
    Legend("broken", True, "broken"),
    Legend("undecided", True, "undecided: the table says why"),
    Legend("holds", False, "holds, not promised"),
    Legend("broken", False, "broken, not promised"),
    Legend("undecided", False, "undecided, not promised"),
    Legend("not applicable", True, "says nothing of this module"),
)


def checked(reports: Mapping[str, AuditReport]) -> None:
    """Raises unless these are reports by name, one at least."""
    hint = "e.g. {'net': tn.audit(net, example)}"
    if not isinstance(reports, Mapping):
        raise type_error("reports", type(reports).__name__, "a mapping of names to reports", hint)
    if not reports:
        raise value_error("reports", "{}", "one report at least", hint)
    for name, report in reports.items():
        if not isinstance(report, AuditReport):
            raise type_error(f"reports[{name!r}]", type(report).__name__, "an AuditReport", hint)


def rows_of(reports: Mapping[str, AuditReport]) -> tuple[str, ...]:
    """Properties that say something of one module at least, in the order of the library."""
    told = {
        v.name: None
        for report in reports.values()
        for v in report.verdicts.values()
        if v.status != "not applicable"
    }
    known = [law.name for law in every_law() if law.name in told]
    return (*known, *(name for name in told if name not in known))


def kinds_of(reports: Mapping[str, AuditReport]) -> tuple[Legend, ...]:
    """The kinds of cells that the picture has."""
    found = {_kind(r.verdicts.get(name)) for r in reports.values() for name in rows_of(reports)}
    return tuple(kind for kind in LEGEND if (kind.status, kind.promised) in found)


def _kind(verdict: AuditVerdict | None) -> tuple[str, bool]:
    if verdict is None or verdict.status == "not applicable":
        return "not applicable", True
    return verdict.status, verdict.promised


def _class(status: str, promised: bool) -> str:
    return f"{status.split()[0]}{'' if promised else ' pale'}"


def _shortened(words: str, room: int) -> str:
    """The beginning and the end of a name of too many letters: the end tells more."""
    if len(words) <= room:
        return words
    head = (room - 1) // 3
    return f"{words[:head]}…{words[len(words) - (room - 1 - head) :]}"


def cell_id(column: int, row: str) -> str:
    """The anchor of a verdict on the page."""
    return f"m{column}-{escape(row, quote=True)}"


def svg(reports: Mapping[str, AuditReport]) -> str:
    """The picture as inline SVG; colours come from the page's style, so that it has a dark form."""
    names, rows = list(reports), rows_of(reports)
    left = max(len(row) for row in rows) * _LETTER + 14
    letters = max(len(name) for name in names)
    column = max(min(letters, _WIDE) * _LETTER + 10, 56)
    upright = column * len(names) > 900
    column, room = (_NARROW, _UPRIGHT) if upright else (column, _WIDE)
    top = min(letters, room) * _LETTER + 16 if upright else 34
    width, height = left + column * len(names) + 2, top + _ROW * len(rows) + 2
    parts = [
        f'<svg class="matrix" role="img" aria-label="properties and modules" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">'
    ]
    for i, name in enumerate(names):
        x, words = left + column * (i + 0.5), escape(_shortened(name, room))
        place = (
            f'transform="translate({x + 4.5:.1f} {top - 8:.1f}) rotate(-90)"'
            if upright
            else f'x="{x:.1f}" y="{top - 10:.1f}" text-anchor="middle"'
        )
        parts.append(
            f'<a href="#m{i}"><text class="name" {place}>{words}<title>{escape(name)}</title>'
            "</text></a>"
        )
    for j, row in enumerate(rows):
        y = top + _ROW * j
        parts.append(
            f'<text class="name" x="{left - 10:.1f}" y="{y + 16.5:.1f}" text-anchor="end">'
            f"{escape(row)}</text>"
        )
        for i, name in enumerate(names):
            verdict = reports[name].verdicts.get(row)
            parts.append(_cell(left + column * i, y, column, cell_id(i, row), name, row, verdict))
    return "\n".join([*parts, "</svg>"])


def _cell(
    x: float, y: float, width: float, anchor: str, name: str, row: str, v: AuditVerdict | None
) -> str:
    status, promised = _kind(v)
    word = "no verdict" if v is None else f"{v.status}{'' if v.promised else ', not promised'}"
    title = f"<title>{escape(f'{name}: {row} {word}')}</title>"
    drawn = (
        f'<g class="{_class(status, promised)}">{title}'
        f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{width - 2:.1f}" height="{_ROW - 2}" '
        f'rx="3"/>'
        f'<text x="{x + width / 2:.1f}" y="{y + 17:.1f}" text-anchor="middle">{SIGNS[status]}'
        "</text></g>"
    )
    return drawn if status == "not applicable" else f'<a href="#{anchor}">{drawn}</a>'


def draw_matrix(reports: Mapping[str, AuditReport], ax: Any = None) -> "Axes":
    """The same picture on matplotlib's axes; None: on a new figure of the right size.

    Dark cells are of promised properties, pale ones of others. Returns the axes; the picture is
    `draw_matrix(reports).figure`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    checked(reports)
    names, rows = list(reports), rows_of(reports)
    upright = len(names) > _FEW
    if ax is None:
        size = (2.8 + (0.3 if upright else 1.5) * len(names), 1.6 + 0.22 * len(rows))
        figure = Figure(figsize=(max(size[0], 5.6), size[1]), layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.subplots()
    for i, name in enumerate(names):
        for j, row in enumerate(rows):
            _draw_cell(ax, i, j, _kind(reports[name].verdicts.get(row)))
    ax.set_xlim(-0.5, max(len(names), 1) - 0.5)
    ax.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    labels = [_shortened(name, _UPRIGHT if upright else _WIDE) for name in names]
    ax.set_xticks(range(len(names)), labels, rotation=90 if upright else 0, fontsize=8)
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    _draw_legend(ax, kinds_of(reports))
    return ax


def _colours(kind: tuple[str, bool]) -> tuple[str, str]:
    """Of the cell and of the sign on it."""
    status, promised = kind
    if status == "not applicable":
        return "white", "#8a8a8a"
    return (_FILLS[status], "white") if promised else (_PALE[status], _FILLS[status])


def _draw_cell(ax: "Axes", column: int, row: int, kind: tuple[str, bool]) -> None:
    from matplotlib.patches import Rectangle

    fill, ink = _colours(kind)
    ax.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, color=fill, linewidth=0))
    sign = SIGNS[kind[0]]
    ax.text(column, row, sign, color=ink, ha="center", va="center_baseline", fontsize=8)


def _draw_legend(ax: "Axes", kinds: Sequence[Legend]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(
            facecolor=_colours((kind.status, kind.promised))[0],
            edgecolor="#b0b0b0",
            linewidth=0.5,
            label=f"{SIGNS[kind.status]}  {kind.words}",
        )
        for kind in kinds
    ]
    columns = 2 if len(patches) > 3 else 1
    ax.legend(
        handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=columns,
        fontsize=7, frameon=False,
    )  # fmt: skip
