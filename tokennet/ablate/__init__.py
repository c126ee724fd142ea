"""Ablations: which choice matters, and is the difference real?"""

from tokennet.ablate.ablate import ablate
from tokennet.ablate.ablation import Ablation, Plan
from tokennet.ablate.budget import Budget
from tokennet.ablate.load import list_ablations, load_ablation
from tokennet.ablate.record import Outcome, RunRecord
from tokennet.ablate.report.figures import (
    draw_costs,
    draw_curves,
    draw_differences,
    draw_errors,
    draw_grid,
    draw_ranking,
)
from tokennet.ablate.run import Run
from tokennet.ablate.schema import StoreError
from tokennet.ablate.worker import WorkerError

__all__ = [
    "Ablation",
    "Budget",
    "Outcome",
    "Plan",
    "Run",
    "RunRecord",
    "StoreError",
    "WorkerError",
    "ablate",
    "draw_costs",
    "draw_curves",
    "draw_differences",
    "draw_errors",
    "draw_grid",
    "draw_ranking",
    "list_ablations",
    "load_ablation",
]
