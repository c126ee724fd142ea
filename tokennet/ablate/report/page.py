"""The page: one HTML file that needs nothing beside itself."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from tokennet.ablate.report import words
from tokennet.ablate.report.costs import cost_names, draw_costs, draw_errors, errors_of
from tokennet.ablate.report.extras import require
from tokennet.ablate.report.grid import MOST_SHADE, grids
from tokennet.ablate.report.inline import both, variables
from tokennet.ablate.report.numbers import finite
from tokennet.ablate.report.rows import draw_differences, draw_ranking
from tokennet.ablate.report.series import band_words, bands, curve_names, draw_curves
from tokennet.ablate.report.sketch import DARK, LIGHT
from tokennet.ablate.report.tables import as_csv
from tokennet.ablate.report.view import View
from tokennet.files import write_atomically

if TYPE_CHECKING:
    from tokennet.ablate.ablation import Ablation

FOLDER = Path(__file__).parent


def write_page(ablation: "Ablation", path: str | Path) -> Path:
    """Writes the page and returns its path; a reader sees the old page or the new one, whole.

    It has no scripts and loads nothing, and the same runs give the same page.
    """
    return write_atomically(path, page(ablation).encode(errors="replace"))


def page(ablation: "Ablation") -> str:
    """The page as text."""
    require("jinja2", "matplotlib")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    env = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["short"] = words.shortened
    return env.get_template("page.html").render(
        view=View(ablation),
        plan=ablation.plan,
        analysis=ablation.analysis,
        lead=words.lead(ablation),
        asked=words.asked(ablation),
        state=words.state(ablation.runs),
        direction=words.direction(ablation),
        notes=words.notes(ablation),
        css=(FOLDER / "page.css").read_text(),
        light=variables(LIGHT),
        dark=variables(DARK),
        pictures=pictures(ablation),
        curves=[name for name in curve_names(ablation) if _drawn(ablation, name)],
        band=band_words(len(ablation.plan.seeds)),
        grids=grids(ablation),
        most_shade=MOST_SHADE,
        csv=base64.b64encode(as_csv(ablation).encode(errors="replace")).decode(),
    )


def _drawn(ablation: "Ablation", name: str) -> bool:
    return any(band.steps for band in bands(ablation, name))


def pictures(ablation: "Ablation") -> dict[str, str]:
    """Those that there is something for, as SVG; the tables say the same in numbers."""
    metric = words.one_line(ablation.plan.metric)
    found = {}
    if ablation.analysis.ranking:
        about = f"Means of {metric} with 95 % intervals, best first, as in the table below."
        found["ranking"] = both("ranking", about, lambda look: draw_ranking(ablation, look=look))
    if any(finite(c.difference) and c.kind != "interaction" for c in ablation.analysis.comparisons):
        about = f"Paired differences in {metric} with 95 % intervals, as in the table below."
        found["differences"] = both(
            "differences", about, lambda look: draw_differences(ablation, look=look)
        )
    if any(_drawn(ablation, name) for name in curve_names(ablation)):
        about = "Learning curves: means over the seeds with their bands, for each logged value."
        found["curves"] = both("curves", about, lambda look: draw_curves(ablation, look=look))
    if cost_names(ablation):
        about = f"{metric} against what it costs; the table of the ranking has the numbers."
        found["costs"] = both("costs", about, lambda look: draw_costs(ablation, look))
    if any(map(finite, errors_of(ablation))):
        about = f"{metric} against the equivariance error; the ranking has the numbers."
        found["errors"] = both("errors", about, lambda look: draw_errors(ablation, look=look))
    return found
