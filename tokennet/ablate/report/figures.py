"""The pictures of an ablation as matplotlib figures: `draw_ranking(found).savefig("ranking.png")`.

Each draws on paper of its own and touches no global state. `look=Look(dark=True)` is for dark
paper, `Look(narrow=True)` for a phone.
"""

from tokennet.ablate.report.costs import draw_costs, draw_errors
from tokennet.ablate.report.grid import draw_grid
from tokennet.ablate.report.rows import draw_differences, draw_ranking
from tokennet.ablate.report.series import draw_curves
from tokennet.ablate.report.sketch import Look

__all__ = [
    "Look",
    "draw_costs",
    "draw_curves",
    "draw_differences",
    "draw_errors",
    "draw_grid",
    "draw_ranking",
]
