"""What an ablation found: its runs, and what they say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokennet.ablate.design import Labels
from tokennet.ablate.record import DONE, FAILED, RunRecord

if TYPE_CHECKING:
    from tokennet.ablate.analysis import Analysis


@dataclass(frozen=True)
class Plan:
    """What was asked for: which choices, which seeds, which metric decides.

    `axes` are the labels of each axis, `cells` the choices that were tried, `settings` the rest of
    the resolved configuration (widths that were matched, the task, the file that was read).
    """

    name: str
    axes: Mapping[str, tuple[str, ...]]
    cells: tuple[Labels, ...]
    seeds: tuple[int, ...]
    metric: str
    higher_is_better: bool
    design: str = "grid"
    baseline: Labels | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """What `tn.ablate` returns; `print` it. One run for every cell and seed of the plan, in order.

    `notes`: what a reader should know besides: widths that were matched, runs of other versions.
    """

    plan: Plan
    runs: tuple[RunRecord, ...]
    store: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[RunRecord, ...]:
        """The runs that raised or died; `run.outcome.error` is the traceback."""
        return tuple(run for run in self.runs if run.status == FAILED)

    @property
    def complete(self) -> bool:
        """Whether every run is done."""
        return all(run.status == DONE for run in self.runs)

    @cached_property
    def analysis(self) -> "Analysis":
        """Cells, comparisons and effects of the metric that decides, at level 0.05."""
        from tokennet.ablate.analysis import analyse

        return analyse(self)

    def __str__(self) -> str:
        from tokennet.ablate.report.text import as_text

        return as_text(self)

    def to_markdown(self) -> str:
        """Ranking, differences and notes as Markdown."""
        from tokennet.ablate.report.tables import as_markdown

        return as_markdown(self)

    def to_latex(self) -> str:
        """The ranking and the differences as two LaTeX tables (booktabs)."""
        from tokennet.ablate.report.tables import as_latex

        return as_latex(self)

    def to_csv(self) -> str:
        """One line for each run, with everything that it measured."""
        from tokennet.ablate.report.tables import as_csv

        return as_csv(self)

    def to_html(self, path: str | Path) -> Path:
        """Writes one page that needs nothing beside itself, and returns its path."""
        from tokennet.ablate.report.page import write_page

        return write_page(self, path)
