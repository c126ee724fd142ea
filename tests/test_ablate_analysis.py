"""What an analysis compares, what it leaves out, what it says; and that it is quiet on nothing."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tokennet.ablate.ablation import Ablation, Plan
from tokennet.ablate.analysis import Analysis, Comparison, analyse
from tokennet.ablate.record import DONE, FAILED, MISSING, RUNNING, Outcome, RunRecord
from tokennet.ablate.statistics import holm, sign_flip

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MIXER, POSITION = ("attention", "MLP"), ("none", "learned", "sine")
Score = Callable[[tuple[str, ...], int], float]


def make(
    axes: dict[str, tuple[str, ...]],
    score: Score,
    *,
    n: int = 10,
    spoilt: dict[tuple[int, int], str | float] | None = None,
    higher_is_better: bool = True,
    baseline: dict[str, str] | None = None,
    design: str = "grid",
    cells: Sequence[tuple[str, ...]] | None = None,
) -> Ablation:
    """An ablation with these scores. `spoilt` (cell, seed): another status or another score."""
    labels = list(itertools.product(*axes.values())) if cells is None else cells
    choices = tuple(dict(zip(axes, each, strict=True)) for each in labels)
    plan = Plan("test", axes, choices, tuple(range(n)), "score", higher_is_better, design, baseline)
    runs = []
    for (i, each), seed in itertools.product(enumerate(labels), range(n)):
        found = (spoilt or {}).get((i, seed), score(each, seed))
        status = found if isinstance(found, str) else DONE
        value = math.nan if isinstance(found, str) else found
        outcome = Outcome({"score": value, "loss": 2.0 * value}, parameters=10 * i, seconds=1.5)
        known = outcome if status in (DONE, FAILED) else None
        runs.append(RunRecord(f"{i}-{seed}", choices[i], seed, status, known))
    return Ablation(plan, tuple(runs))


def noise(shift: Callable[[tuple[str, ...]], float] = lambda labels: 0.0) -> Score:
    """Normal noise of deviation 1 around the shift of the cell, 100 times as much of the seed."""
    table: dict[tuple[object, ...], float] = {}
    rng = np.random.default_rng(0)

    def score(labels: tuple[str, ...], run: int) -> float:
        common = table.setdefault((run,), 100 * rng.normal())
        return common + table.setdefault((labels, run), rng.normal()) + shift(labels)

    return score


def asked(analysis: Analysis) -> list[tuple[str, str | None, str, str]]:
    return [(c.kind, c.axis, c.first, c.second) for c in analysis.comparisons]


def only(analysis: Analysis, first: str, second: str) -> Comparison:
    return next(c for c in analysis.comparisons if (c.first, c.second) == (first, second))


def test_one_axis_compares_all_pairs() -> None:
    ablation = make({"position": POSITION}, noise(lambda c: 5.0 * (c[0] == "sine")))
    found = ablation.analysis
    assert asked(found) == [
        ("cells", None, "none", "learned"),
        ("cells", None, "none", "sine"),
        ("cells", None, "learned", "sine"),
    ]
    assert [c.distinguishable for c in found.comparisons] == [False, True, True]
    assert found.ranking[0].name == "sine"
    assert "3 comparisons, corrected together (Holm) at level 0.05: all pairs" in found.family
    assert found.effects == ()
    pair = found.comparisons[1]
    a, b = (np.array(cell.values) for cell in (found.cells[0], found.cells[2]))
    assert pair.difference == pytest.approx(np.mean(a - b))
    assert pair.deviation == pytest.approx(np.std(a - b, ddof=1))
    assert pair.interval[0] < pair.difference < pair.interval[1] < -3
    assert (pair.p, pair.exact) == sign_flip(a - b)
    assert pair.effect_size == pytest.approx(pair.difference / pair.deviation)
    assert [c.p_holm for c in found.comparisons] == list(holm([c.p for c in found.comparisons]))


def test_a_baseline_is_what_the_others_are_compared_with() -> None:
    axes = {"position": POSITION}
    planned = make(axes, noise(), baseline={"position": "learned"})
    given = analyse(make(axes, noise()), baseline={"position": "learned"})
    expected = [("cells", None, "none", "learned"), ("cells", None, "sine", "learned")]
    assert asked(planned.analysis) == asked(given) == expected
    assert "against the baseline (learned)" in given.family


def test_a_grid_asks_for_axes_and_interactions() -> None:
    axes = {"mixer": MIXER, "position": POSITION, "depth": ("2",)}
    found = make(axes, noise()).analysis
    levels = [("levels", "mixer", *MIXER)]
    levels += [("levels", "position", *pair) for pair in itertools.combinations(POSITION, 2)]
    together = [("interaction", None, "mixer", "position")]
    assert asked(found) == levels + together
    assert [e.axes for e in found.effects] == [("mixer",), ("position",), ("mixer", "position")]
    assert "single cells are compared where a baseline is given" in found.notes
    base = {"mixer": "MLP", "position": "none", "depth": "2"}
    first, *rest = asked(analyse(make(axes, noise()), baseline=base))
    assert first == ("cells", None, "attention, none, 2", "MLP, none, 2")
    assert rest[4:] == levels + together


def test_a_list_compares_its_cells() -> None:
    axes = {"mixer": MIXER, "position": POSITION}
    cells = [("attention", "none"), ("MLP", "sine"), ("MLP", "none")]
    found = make(axes, noise(), design="list", cells=cells).analysis
    assert {kind for kind, *_ in asked(found)} == {"cells"}
    assert len(found.comparisons) == 3


@pytest.mark.parametrize(
    ("what", "where"),
    [
        (FAILED, "failed"),
        (MISSING, "missing"),
        (RUNNING, "missing"),
        (math.nan, "not_finite"),
        (-math.inf, "not_finite"),
        (1e200, "not_finite"),
    ],
)
def test_an_incomplete_cell_is_in_nothing(what: str | float, where: str) -> None:
    """One seed of ten, of the cell that would win by far."""
    axes = {"mixer": MIXER, "position": POSITION}
    best = noise(lambda c: 50.0 * (c == ("MLP", "sine")))
    found = make(axes, best, spoilt={(5, 3): what}).analysis
    cell = found.cells[5]
    assert not cell.complete
    assert getattr(cell, where) == (3,)
    assert cell.missing + cell.failed + cell.not_finite == (3,)
    assert cell.seeds == (0, 1, 2, 4, 5, 6, 7, 8, 9)
    assert len(cell.values) == 9
    assert cell.mean == pytest.approx(np.mean(cell.values))
    assert "MLP, sine" not in {c.name for c in found.ranking}
    assert len(found.ranking) == 5
    assert len(found.comparisons) == 10, "all pairs of the others"
    assert not any("MLP, sine" in (c.first, c.second) for c in found.comparisons)
    assert found.effects == ()
    assert (
        "incomplete, so in no ranking and no comparison: MLP, sine (9 of 10 seeds)" in found.notes
    )
    assert "the grid is incomplete: no axis and no interaction is judged" in found.notes
    base = analyse(
        make(axes, best, spoilt={(5, 3): what}), baseline={"mixer": "MLP", "position": "sine"}
    )
    assert base.comparisons == ()
    assert base.family == "nothing was compared"
    assert "the baseline (MLP, sine) is incomplete: nothing is compared with it" in base.notes


def test_a_run_without_the_metric_has_no_value() -> None:
    ablation = make({"mixer": MIXER}, noise())
    bare = RunRecord("0-0", {"mixer": "attention"}, 0, DONE, Outcome({"loss": 1.0}))
    found = analyse(Ablation(ablation.plan, (bare, *ablation.runs[1:])))
    assert found.cells[0].not_finite == (0,)
    assert found.comparisons == ()
    assert analyse(Ablation(ablation.plan, ablation.runs[1:])).cells[0].missing == (0,)


def test_seeds_are_paired_in_any_order() -> None:
    """What a seed does to both is 100 times the noise, and the runs come in as they end."""
    ablation = make({"mixer": MIXER}, noise(lambda c: 3.0 * (c[0] == "MLP")))
    found = ablation.analysis
    assert found.comparisons[0].distinguishable
    assert found.comparisons[0].deviation < 5
    mixed = tuple(ablation.runs[i] for i in np.random.default_rng(0).permutation(20))
    assert analyse(Ablation(ablation.plan, mixed)) == found
    moved = {"attention": 0, "MLP": 3}
    wrong = tuple(replace(r, seed=(r.seed + moved[r.labels["mixer"]]) % 10) for r in mixed)
    found = analyse(Ablation(ablation.plan, wrong))
    assert not found.comparisons[0].distinguishable, "the pairs matter"


def test_less_is_better() -> None:
    score = noise(lambda c: 4.0 * (c[0] == "MLP"))
    more = make({"mixer": MIXER}, score).analysis
    less = make({"mixer": MIXER}, score, higher_is_better=False).analysis
    assert [c.name for c in more.ranking] == ["MLP", "attention"]
    assert [c.name for c in less.ranking] == ["attention", "MLP"]
    up, down = more.comparisons[0], less.comparisons[0]
    assert up.difference == down.difference < -2
    assert str(up).startswith("MLP is better than attention by 4")
    assert str(down).startswith("attention is better than MLP by 4")
    assert up.improvement == pytest.approx(1 - (down.improvement or 0))
    assert (up.improvement or 0) < 0.5


def test_cells_are_summed_up() -> None:
    cell = make({"mixer": MIXER}, lambda c, seed: 1.0 + seed).analysis.cells[1]
    assert (cell.name, cell.labels, cell.run_ids[:2]) == ("MLP", {"mixer": "MLP"}, ("1-0", "1-1"))
    assert (cell.mean, cell.median, cell.iqm) == (5.5, 5.5, 5.5)
    assert cell.deviation == pytest.approx(3.0277, abs=1e-4), "the sample's"
    assert cell.others == {"loss": pytest.approx((11.0, 6.0553), abs=1e-4)}
    assert (cell.parameters, cell.seconds, cell.flops, cell.memory) == (10, 1.5, None, None)
    assert cell.complete


def test_nothing_breaks_it() -> None:
    one = make({"mixer": MIXER}, noise(), n=1).analysis
    assert one.cells[0].deviation is one.cells[0].interval is None
    assert math.isnan(one.comparisons[0].effect_size)
    assert one.comparisons[0].seeds_needed is None
    assert one.notes == (
        "1 seed cannot show any difference here, however large: at least 6 are needed",
    )
    lost = dict.fromkeys(itertools.product(range(2), range(10)), FAILED)
    none = make({"mixer": MIXER}, noise(), spoilt=lost).analysis
    assert none.ranking == none.comparisons == ()
    assert none.cells[0].mean is none.cells[0].iqm is none.cells[0].seconds is None
    single = make({"mixer": MIXER}, noise(), spoilt={(0, 0): FAILED}).analysis
    assert [c.name for c in single.ranking] == ["MLP"]
    assert single.comparisons == ()
    many = make({"a": tuple(f"a{i}" for i in range(20))}, noise(), n=3).analysis
    assert len(many.comparisons) == 190
    huge = make({"a": MIXER, "b": POSITION}, lambda c, seed: 1e149 * (-1) ** seed * len(c[1]))
    assert all(math.isfinite(c.p_holm) for c in huge.analysis.comparisons)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan, True, "0.05"])
def test_levels_are_checked(alpha: object, no_typecheck: None) -> None:
    with pytest.raises((TypeError, ValueError), match="alpha is"):
        analyse(make({"mixer": MIXER}, noise()), alpha=alpha)  # type: ignore[arg-type]


def test_it_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    ablation = make({"mixer": MIXER}, noise())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"scipy: pip install 'tokennet\[ablate\]'"):
        analyse(ablation)


def test_baselines_are_checked() -> None:
    ablation = make({"mixer": MIXER}, noise(), design="list")
    with pytest.raises(ValueError, match="did you mean 'attention'"):
        analyse(ablation, baseline={"mixer": "atention"})
    axes = {"mixer": MIXER, "position": POSITION}
    some = make(axes, noise(), design="list", cells=[("MLP", "none"), ("MLP", "sine")])
    with pytest.raises(ValueError, match="baseline is attention, sine, expected a cell"):
        analyse(some, baseline={"mixer": "attention", "position": "sine"})


@pytest.mark.parametrize("name", ["4 cells", "2 x 3 grid", "3 x 4 grid", "accuracies with ties"])
def test_quiet_on_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 ablations without a difference 15 may find one; uncorrected p values do far worse."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from null_ablations import CASES, uncorrected, wrong

    case = next(c for c in CASES if c.name == name)
    assert wrong(case, 300) <= 15 + 3 * 3.8, "three binomial deviations"
    assert wrong(case, 300, correct=uncorrected) > 15 + 3 * 3.8
