"""What the runs of an ablation say: every cell, and the differences that are real."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokennet.ablate.design import Labels

if TYPE_CHECKING:
    from tokennet.ablate.ablation import Ablation

Interval = tuple[float, float]  # low, high
CELLS, LEVELS, INTERACTION = "cells", "levels", "interaction"


@dataclass(frozen=True)
class CellSummary:
    """One cell of the plan. `values` of the metric that decides, one for each of `seeds`.

    `missing` (or still running), `failed` and `not_finite` (NaN, infinite, beyond 1e150, or without
    the metric) are the other seeds; statistics of a cell that is not `complete` describe the rest.
    What needs more values than there are is None: all of them without any, `deviation` and
    `interval` with one. `deviation`: the sample's (n - 1). `interval`: of the mean, BCa bootstrap,
    95 %. `iqm`: the mean of the middle half. `others`: mean and deviation of the other metrics,
    NaN where they have none. The costs are medians.
    """

    labels: Labels
    name: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    missing: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    not_finite: tuple[int, ...] = ()
    mean: float | None = None
    deviation: float | None = None
    interval: Interval | None = None
    iqm: float | None = None
    median: float | None = None
    others: Mapping[str, tuple[float, float]] | None = None
    parameters: float | None = None
    flops: float | None = None
    seconds: float | None = None
    memory: float | None = None
    run_ids: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every seed of the plan has a value."""
        return bool(self.values) and not (self.missing or self.failed or self.not_finite)


@dataclass(frozen=True)
class Comparison:
    """`first` minus `second`, paired by seed; `print` it for a sentence.

    `kind` is "cells" (names of cells), "levels" (two labels of `axis`, averaged over the others) or
    "interaction" (`first` and `second` are axes; `difference` is the root mean square of what the
    two do beyond their sum, and has neither sign nor interval: NaN).

    `p`: paired sign-flip test, `exact` or by sampled flips; `p_holm`: corrected over the family.
    `effect_size`: mean difference / deviation of the differences; infinite or 0 where that is 0.
    `improvement`: how probably a run of the first is better than an independent one of the second.
    `least_p`: the smallest p that n seeds can give, `least_p_holm` after the correction,
    `least_seeds`: with fewer no comparison of this family can be distinguishable.
    `seeds_needed`: for a power of 80 % at the strictest level of the correction, if the effect is
    as large as it looks; None: more than 1,000, or the difference is 0, or n is 1.
    """

    kind: str
    axis: str | None
    first: str
    second: str
    n: int
    difference: float
    deviation: float
    interval: Interval
    p: float
    p_holm: float
    exact: bool
    effect_size: float
    improvement: float | None
    least_p: float
    least_p_holm: float
    least_seeds: int
    seeds_needed: int | None
    distinguishable: bool
    higher_is_better: bool

    def __str__(self) -> str:
        from tokennet.ablate.sentences import comparison_sentence

        return comparison_sentence(self)


@dataclass(frozen=True)
class Level:
    """A label of an axis: the metric's mean over all cells with it, and its 95 % interval (None
    with one seed)."""

    label: str
    mean: float
    interval: Interval | None


@dataclass(frozen=True)
class Effect:
    """What an axis of a complete grid does, or two axes beyond their sum.

    `share` of the variance between the cells' means (eta squared), 0 where they are all equal; the
    shares of all axes and pairs make 1 but for what three axes do together. `levels` of a single
    axis, in the plan's order.
    """

    axes: tuple[str, ...]
    share: float
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """What an ablation says about the metric that decides.

    `cells`: all, in the plan's order. `ranking`: the complete ones, best mean first. `comparisons`:
    everything that is called distinguishable or not, corrected together at level `alpha`; `family`
    says in a sentence what that is. `notes`: what is left out and why.
    """

    cells: tuple[CellSummary, ...]
    ranking: tuple[CellSummary, ...]
    comparisons: tuple[Comparison, ...]
    effects: tuple[Effect, ...]
    alpha: float
    family: str
    notes: tuple[str, ...] = ()


def analyse(
    ablation: "Ablation", *, alpha: float = 0.05, baseline: Labels | None = None
) -> Analysis:
    """Summaries, comparisons and effects; a `baseline` here takes the place of the plan's.

    Raises:
        ValueError: for a level outside 0 .. 1, or a baseline that is no cell of the plan.
    """
    raise NotImplementedError
