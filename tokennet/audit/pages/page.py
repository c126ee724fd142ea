"""The page of one audit or of several: one HTML file that needs nothing beside itself."""

import math
import os
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from tokennet.audit.pages.matrix import SIGNS, cell_id, checked, kinds_of, rows_of, svg
from tokennet.audit.report import AuditReport, AuditVerdict
from tokennet.files import write_atomically

_STYLE = Path(__file__).with_name("page.css")
_OPEN = 4  # more modules are folded: a click on a cell of the picture leads into them


def write_page(reports: Mapping[str, AuditReport], path: str | os.PathLike[str]) -> Path:
    """Writes reports, by the name of the module, as one HTML page; returns its path.

    The page has no scripts and loads nothing, and the same reports give the same page. A reader of
    the file sees the old page or the new one, whole.
    """
    return write_atomically(path, page(reports).encode())


def page(reports: Mapping[str, AuditReport]) -> str:
    """The page as text."""
    checked(reports)
    broken = [name for name, report in reports.items() if not report.ok]
    names = list(reports)
    title = f"Audit of {names[0]}" if len(names) == 1 else f"Audit of {len(names)} modules"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE.read_text()}</style></head><body>",
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="lead {"bad" if broken else "good"}">{_summary(reports, broken)}</p></header>',
        f"<main><section><h2>Overview</h2>{_overview(reports)}</section>",
        *(
            _module(place, name, report, len(reports) <= _OPEN)
            for place, (name, report) in enumerate(reports.items())
        ),
        "</main><footer><p>Written by <code>tokennet.audit</code>. A property that holds was not "
        "refuted by the inputs tried, which is no proof. Errors are relative to the size of the "
        "output's channel; the noise is the rounding measured beside them.</p></footer>",
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _summary(reports: Mapping[str, AuditReport], broken: list[str]) -> str:
    if len(reports) == 1:
        (report,) = reports.values()
        return _found(report)
    if not broken:
        return f"Nothing broken in {len(reports)} modules."
    return f"Something is broken in {len(broken)} of {len(reports)} modules."


def _found(report: AuditReport) -> str:
    words = ", ".join(report.broken)
    return f"Broken: {escape(words)}." if words else "Nothing broken."


def _overview(reports: Mapping[str, AuditReport]) -> str:
    rows = rows_of(reports)
    if not rows:
        return "<p>No property says anything of these modules.</p>"
    kinds = "".join(
        f'<li><span class="key {k.status.split()[0]}{"" if k.promised else " pale"}">'
        f"{SIGNS[k.status]}</span> {escape(k.words)}</li>"
        for k in kinds_of(reports)
    )
    silent = {n: None for r in reports.values() for n in r.verdicts if n not in rows}
    words = f"Left out, as they say nothing here: {', '.join(silent)}." if silent else ""
    return (
        f'<div class="scroll">{svg(reports)}</div><ul class="legend">{kinds}</ul>'
        f'<p class="quiet">{escape(words)}</p>'
    )


def _module(place: int, name: str, report: AuditReport, unfolded: bool) -> str:
    verdicts = [v for v in report.verdicts.values() if v.status != "not applicable"]
    kind = f' <span class="quiet">{escape(report.module)}</span>' if name != report.module else ""
    head = "".join(
        f"<th{' class=number' if number else ''}>{words}</th>"
        for words, number in (
            ("property", False), ("found", False), ("error", True), ("noise", True),
            ("cases", True), ("biting", True),
        )
    )  # fmt: skip
    return "\n".join(
        [
            f'<section id="m{place}"><details{" open" if unfolded else ""}>',
            f"<summary><h2>{escape(name)}{kind}</h2> "
            f'<span class="{"good" if report.ok else "bad"}">{_found(report)}</span></summary>',
            f'<p class="quiet">{_about(report)}</p>',
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>',
            *(_verdict(cell_id(place, v.name), v) for v in verdicts),
            "</tbody></table></div>",
            _rest(report),
            "</details></section>",
        ]
    )


def _about(report: AuditReport) -> str:
    words = [report.source] if report.source else []
    words += [f"{report.inputs} inputs, seed {report.seed}, {report.seconds:.1f} s"]
    yes = [name for name, on in report.facts.items() if on]
    no = [name for name, on in report.facts.items() if not on]
    words += [f"the output depends on {', '.join(yes) or 'nothing'}"] if report.facts else []
    words += [f"not on {', '.join(no)}"] if no else []
    return escape("; ".join(words)) + "."


def _verdict(anchor: str, v: AuditVerdict) -> str:
    shade = "" if v.promised else " pale"
    mark = f'<span class="key {v.status}{shade}">{SIGNS[v.status]}</span> {v.status}'
    mark += "" if v.promised else ' <span class="quiet">(not promised)</span>'
    counts = f'<td class="number">{v.cases}</td><td class="number">{v.bites}</td>'
    row = (
        f'<tr id="{anchor}"><th scope="row">{escape(v.name)}</th><td>{mark}</td>'
        f'<td class="number">{number(v.error)}</td><td class="number">{number(v.floor)}</td>'
        f"{counts}</tr>"
    )
    told = _evidence(v)
    return f'{row}\n<tr class="more"><td colspan="6">{told}</td></tr>' if told else row


def _evidence(v: AuditVerdict) -> str:
    """What stands below a verdict that is more than a number."""
    lines = [("", v.note)] if v.note and v.status != "holds" else []
    if v.witness is not None:
        lines.append(("smallest witness", f"{v.witness.change}, seen in the {v.witness.what}"))
        lines.append(("on the input", str(v.witness.plan)))
    lines += [("enters at", v.blame)] if v.blame else []
    told = "".join(
        f"<p>{f'<b>{label}</b> ' if label else ''}{escape(words)}</p>" for label, words in lines
    )
    if v.reproduction:
        told += f"<pre><code>{escape(v.reproduction)}</code></pre>"
    return told


def _rest(report: AuditReport) -> str:
    reasons: dict[str, list[str]] = {}
    for v in report.verdicts.values():
        if v.status == "not applicable":
            reasons.setdefault(v.note or "no reason given", []).append(v.name)
    told = [f"<b>{escape(why)}</b>: {escape(', '.join(names))}" for why, names in reasons.items()]
    refused = [f"{count} x {escape(words)}" for words, count in report.refusals.items()]
    return _list("Not applicable", told) + _list("Inputs that the module refused", refused)


def _list(title: str, items: Iterable[str]) -> str:
    lines = "".join(f"<li>{item}</li>" for item in items)
    return f'<div class="quiet rest"><h3>{title}</h3><ul>{lines}</ul></div>' if lines else ""


def number(value: float) -> str:
    """0, 0.31, or 2.1·10⁻¹⁵ where it is small or large."""
    if not math.isfinite(value):
        return "∞" if value > 0 else str(value)
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
    digits, _, exponent = f"{value:.1e}".partition("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits}·10{raised}"
