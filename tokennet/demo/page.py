"""The page: one HTML file that needs nothing beside itself."""

import base64
import inspect
import math
from pathlib import Path
from typing import Any

from tokennet.demo import nets
from tokennet.demo.broken import MaxOfAll, MaxOfSample
from tokennet.demo.results import Results, Row, percent, power

FOLDER = Path(__file__).parent


def render(results: Results, pictures: dict[tuple[bool, bool], bytes]) -> str:
    """The page as HTML. `pictures` are PNGs by (dark, narrow)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    env = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(scientific=scientific, percent=percent, net_name=net_name)
    examples = {e.name: e for e in results.examples}
    return env.get_template("page.html").render(
        results=results,
        css=(FOLDER / "page.css").read_text(),
        pictures={key: base64.b64encode(png).decode() for key, png in pictures.items()},
        seen=what_you_see(results),
        model_code=inspect.getsource(nets.image_net).strip(),
        broken=(inspect.getsource(MaxOfAll).strip(), examples["MaxOfAll"]),
        repaired=(inspect.getsource(MaxOfSample).strip(), examples["MaxOfSample"]),
        kept=sum(r.certificate.ok for r in results.rows),
        cases=sum(r.certificate.cases for r in results.rows),
        trainings=sum(len(r.runs) for r in results.rows),
        seeds=len(results.rows[0].runs),
        bars=bars(results),
    )


def net_name(row: Row) -> str:
    """The operator, and on digits whether the net has a position code."""
    if row.variant.task != "digits":
        return row.variant.operator
    return f"{row.variant.operator}, {'with' if row.variant.position else 'no'} code"


def scientific(value: float) -> str:
    """1.9, or 2.1e-15 with a real minus and a raised exponent, where it is small."""
    if not math.isfinite(value):
        return "∞"
    if value >= 0.01 or value == 0:
        return f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"
    digits, exponent = power(value)
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits}·10{raised}"


def bars(results: Results) -> dict[str, float]:
    """How wide the bar behind each accuracy is, in percent of its cell."""
    return {str(row.variant): round(row.mean, 1) for row in results.rows}


def what_you_see(results: Results) -> list[dict[str, Any]]:
    """The findings in words; every number in them is computed from the results."""
    claimed = [
        r
        for r in results.image_rows
        if (r.certificate.role, r.certificate.status) == ("claim", "held")
    ]
    laws = [_exact(results, claimed), _shuffled(results, claimed)] if claimed else []
    return [_codes(results), *laws, _graph(results)]


def _codes(results: Results) -> dict[str, str]:
    gains = {}
    for row in results.image_rows:
        if not row.variant.position:
            coded = results.row("digits", row.variant.operator, True)
            gains[row.variant.operator] = coded.mean - row.mean
    said = ", ".join(f"{name} {gain:+.1f}" for name, gain in gains.items())
    return {
        "title": "A position code matters to those that can't tell places apart",
        "text": f"What it adds, in points: {said}. Attention and 1x1 treat every place alike, so "
        "without a code the digit is a bag of patches. Sparse attention knows its neighbours from "
        "the grid. The token MLP has weights of its own for every place, and needs no code.",
    }


def _exact(results: Results, claimed: list[Row]) -> dict[str, str]:
    errors = " and ".join(
        f"{scientific(r.certificate.error)} ({r.variant.operator})" for r in claimed
    )
    after = " and ".join(
        scientific(results.row("digits", r.variant.operator, True).certificate.error)
        for r in claimed
    )
    return {
        "title": "Equivariance is exact, or it is gone",
        "text": f"Nets that claim Permutation change by {errors} when their patches are permuted: "
        f"rounding of float64. With a position code it is {after}, as large as the output itself. "
        "The claim goes away on its own: a net claims what all of its parts claim.",
    }


def _shuffled(results: Results, claimed: list[Row]) -> dict[str, str]:
    others = [r for r in results.image_rows if r not in claimed]
    same = ", ".join(
        f"{r.variant.operator} {r.mean:.1f}\u00a0→\u00a0{r.shuffled:.1f}\u00a0%" for r in claimed
    )
    fell = [r.shuffled or 0.0 for r in others]
    return {
        "title": "The law shows in the data",
        "text": "Cut every test image into its patches and lay them out at random. Without a code: "
        f"{same}. All other nets fall to between {min(fell):.0f} and {max(fell):.0f} % "
        "(guessing: 10 %).",
    }


def _graph(results: Results) -> dict[str, str]:
    kept = sum(r.certificate.ok for r in results.graph_rows)
    readers = [r for r in results.graph_rows if "edges" in r.certificate.reads]
    blind = [r for r in results.graph_rows if "edges" not in r.certificate.reads]
    said = ", ".join(f"{r.variant.operator} {r.mean:.1f} %" for r in readers)
    rest = ", ".join(f"{r.variant.operator} {r.mean:.1f} %" for r in blind)
    return {
        "title": "A law kept is not a task solved",
        "text": f"On the {results.graph} graph {kept} of {len(results.graph_rows)} operators keep "
        f"what they promise. Those that read the edges: {said}. The one that does not: {rest}. So "
        "the report also says what an operator reads, and whether that matters to its output.",
    }
