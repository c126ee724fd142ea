"""The pictures of an ablation: what they draw is what was measured, and none stumbles."""

import math
import warnings
from dataclasses import replace

import pytest
from ablate_samples import EVIL, difficult, planted
from matplotlib import rcParams
from matplotlib.figure import Figure

from tokennet.ablate.record import FAILED
from tokennet.ablate.report import figures
from tokennet.ablate.report.costs import ERROR, cost_names, errors_of, rounding_of
from tokennet.ablate.report.figures import (
    Look,
    draw_costs,
    draw_curves,
    draw_differences,
    draw_errors,
    draw_grid,
    draw_ranking,
)  # fmt: skip
from tokennet.ablate.report.grid import grid_of, grids
from tokennet.ablate.report.series import bands, curve_names
from tokennet.ablate.report.sketch import DARK, LIGHT, limits, power_of_ten

CASES = difficult()
DRAW = [getattr(figures, name) for name in figures.__all__ if name.startswith("draw_")]


def words_of(figure) -> list[str]:
    found = [text for axes in figure.axes for text in axes.texts]
    return [text.get_text() for text in found if text.get_text()]


@pytest.mark.parametrize("name", ["all failed", "evil", "gigantic", "outlier", "one seed", "lines"])
def test_every_picture_is_drawn(name: str) -> None:
    before = dict(rcParams)
    for draw in DRAW:
        figure = draw(CASES[name], look=Look(dark=True, narrow=True))
        assert isinstance(figure, Figure)
        assert figure.axes
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            figure.canvas.draw()
    assert dict(rcParams) == before


@pytest.mark.parametrize("draw", [d for d in DRAW if d is not draw_costs])
def test_pictures_go_on_given_axes(draw) -> None:
    for name in ("errors", "all failed"):
        figure = Figure()
        axes = figure.subplots()
        assert draw(CASES[name], axes) is figure
        assert figure.axes == [axes]


def test_ranking_shows_the_complete_best_first() -> None:
    names = [w for w in words_of(draw_ranking(CASES["one failed"])) if w[0].isdigit()]
    assert [w for w in names if "±" not in w] == [
        "1. MLP, learned", "2. MLP, none", "3. attention, none",
    ]  # fmt: skip
    dots = draw_ranking(CASES["one failed"]).axes[0].collections
    best = CASES["one failed"].analysis.ranking[0]
    assert sorted(dots[0].get_offsets()[:, 0]) == pytest.approx(sorted(best.values))
    wrong = planted(status={(1, 2): FAILED})
    cells = wrong.analysis.cells
    wrong.__dict__["analysis"] = replace(wrong.analysis, ranking=cells)
    assert "attention, learned" in " ".join(words_of(draw_ranking(wrong)))  # the test can fail
    lower = planted(higher=False)
    assert "1. attention, none" in words_of(draw_ranking(lower))


def test_differences_have_a_line_at_zero_and_fill_what_is_distinguishable() -> None:
    axes = draw_differences(CASES["found"]).axes[0]
    zero = [line for line in axes.lines if set(line.get_xdata()) == {0.0}]
    assert len(zero) == 1
    faces = [tuple(c.get_facecolor()[0][:3]) for c in axes.collections]
    assert len(faces) == 5  # the interaction has no sign
    assert len(set(faces)) == 1
    hollow = draw_differences(CASES["plain"]).axes[0].collections
    assert {tuple(c.get_facecolor()[0][:3]) for c in hollow} == {(1.0, 1.0, 1.0)}
    low, high = axes.get_xlim()
    assert low < 0 < high


def test_long_pictures_say_that_they_are_short() -> None:
    many = planted({"mixer": tuple(f"m{i}" for i in range(10))}, seeds=2)
    text = [a.get_text() for a in draw_differences(many).axes[0].texts]
    assert any("the first 40 of 45" in t for t in text)


def test_labels_are_not_maths() -> None:
    figure = draw_grid(CASES["evil"])
    labels = [t for axes in figure.axes for t in (*axes.texts, *axes.get_xticklabels())]
    labels += [t for axes in figure.axes for t in axes.get_yticklabels()]
    assert not [t for t in labels if t.get_text() and t.get_parse_math()]
    legend = draw_curves(CASES["evil"]).legends[0]
    assert EVIL.replace(" ", "")[:8] in "".join(t.get_text() for t in legend.get_texts())
    assert not [t for t in legend.get_texts() if t.get_parse_math()]


def test_grid_is_of_means_and_its_colour_of_what_is_better() -> None:
    ablation = CASES["plain"]
    grid = grid_of(ablation, "mixer", "position")
    means = [cell.mean for cell in ablation.analysis.cells]
    assert [float(s.says) for row in grid.squares for s in row] == pytest.approx(means, abs=1e-3)
    assert [s.shade for row in grid.squares for s in row][::3] == [0.0, 1.0]
    lower = grid_of(planted(higher=False), "mixer", "position")
    assert [s.shade for row in lower.squares for s in row][::3] == [1.0, 0.0]


def test_grid_of_three_axes_has_marginal_means() -> None:
    ablation = CASES["three axes"]
    assert [(g.down, g.across, g.over) for g in grids(ablation)] == [
        ("mixer", "position", ("norm",)),
        ("mixer", "norm", ("position",)),
        ("position", "norm", ("mixer",)),
    ]
    first = grids(ablation)[0].squares[0][0]
    means = [cell.mean for cell in ablation.analysis.cells[:2]]
    assert float(first.says) == pytest.approx(sum(means) / 2, abs=1e-3)
    assert first.places == (0, 1)
    broken = grids(CASES["three axes, incomplete"])[0]
    assert [s.why for row in broken.squares for s in row] == ["", "", "incomplete", ""]
    assert "incomplete" in words_of(draw_grid(CASES["one failed"]))
    assert grids(CASES["list"]) == []
    assert "A grid needs two" in words_of(draw_grid(CASES["forty"]))[0]


def curves(found, wanted):
    """`found` with other curves: {(place, seed): points}."""
    runs, seeds = [], len(found.plan.seeds)
    for i, run in enumerate(found.runs):
        points = wanted.get(divmod(i, seeds), ())
        runs.append(replace(run, outcome=replace(run.outcome, curves={"loss": tuple(points)})))
    return replace(found, runs=tuple(runs))


def test_bands_are_over_the_seeds_of_steps_that_all_have() -> None:
    wanted = {
        (0, 0): [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)],
        (0, 1): [(1.0, 3.0), (2.0, math.nan), (3.0, 5.0), (4.0, 9.0)],
    }
    (band,) = bands(curves(planted(seeds=2), wanted), "loss")
    assert (band.steps, band.mean) == ((1.0, 3.0), (2.0, 4.0))
    assert (band.low, band.high) == ((1.0, 3.0), (3.0, 5.0))
    ten = {(0, seed): [(0.0, float(seed))] for seed in range(11)}
    (band,) = bands(curves(planted(seeds=11), ten), "loss")
    assert (band.mean, band.low, band.high) == ((5.0,), (1.0,), (9.0,))
    apart = {(0, 0): [(1.0, 1.0)], (0, 1): [(2.0, 1.0)]}
    (band,) = bands(curves(planted(seeds=2), apart), "loss")
    assert band.steps == ()
    assert "all seeds" in words_of(draw_curves(curves(planted(seeds=2), apart)))[0]


def test_curves_of_incomplete_cells_are_dashed() -> None:
    found = bands(CASES["one failed"], "loss")
    assert [band.best for band in found] == [0, 1, 2, None]
    lines = draw_curves(CASES["one failed"]).axes[0].lines
    assert [line.get_linestyle() for line in lines].count("--") == 1
    assert curve_names(CASES["plain"]) == ["loss", "accuracy"]
    assert len(draw_curves(CASES["plain"], names=["accuracy"]).axes) == 1


def test_costs_are_those_that_are_known() -> None:
    assert cost_names(CASES["plain"]) == ["parameters", "flops", "seconds"]
    assert cost_names(CASES["no costs"]) == ["seconds"]
    assert len(draw_costs(CASES["no costs"]).axes) == 1
    axes = draw_costs(CASES["plain"]).axes[0]
    assert {x for line in axes.lines for x in line.get_xdata()} == {12345, 16666, 20987, 25308}


def test_equivariance_error_stands_beside_the_rounding() -> None:
    ablation = CASES["errors"]
    assert rounding_of(ablation) == {"float64": 2.0**-52, "float32": 2.0**-23}
    single = replace(ablation, plan=replace(ablation.plan, settings={"dtype": "torch.float32"}))
    assert rounding_of(single) == {"float32": 2.0**-23}
    axes = draw_errors(single).axes[0]
    assert axes.get_xscale() == "log"
    assert "float32" in words_of(axes.get_figure())
    assert [e is not None and e < 1e-5 for e in errors_of(ablation)] == [True, False, True, False]
    wrong = [replace(r, outcome=replace(r.outcome, metrics={**r.metrics, ERROR: -1.0}))
             for r in ablation.runs]  # fmt: skip
    assert errors_of(replace(ablation, runs=tuple(wrong))) == [None] * 4


def test_axes_are_never_empty() -> None:
    for values in ([], [0.0], [3.0, 3.0], [1e150, 1e150], [-2.0], [1.0, 1.0 + 1e-15]):
        low, high = limits(values)
        assert low < high
    assert limits([1e-3, 1e3], log=True)[0] > 0
    assert [power_of_ten(v) for v in (1e-7, 0.1, 1, 1e5, 0, 3e9)] == [
        "10⁻⁷", "0.1", "1", "10⁵", "", "",
    ]  # fmt: skip
    assert LIGHT.series != DARK.series
