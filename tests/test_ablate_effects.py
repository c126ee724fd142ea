"""Effects of axes agree with an analysis of variance, and comparisons say what is known."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from test_ablate_analysis import MIXER, POSITION, make, noise

from tokennet.ablate.analysis import Comparison
from tokennet.ablate.effects import interaction, interaction_effect, marginals, shares
from tokennet.ablate.family import samples_of
from tokennet.ablate.power import least_seeds, seeds_needed
from tokennet.ablate.sentences import number
from tokennet.ablate.statistics import least_p


def grid(*sizes: int, n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(sum(sizes))
    return rng.normal(size=(n, *sizes)) + 2 * rng.normal(size=sizes) + rng.normal(size=(n, 1, 1, 1))


def flat(values: np.ndarray):  # type: ignore[no-untyped-def]
    """One line a run, as statsmodels wants it."""
    pandas = pytest.importorskip("pandas")
    rows = [(value, *map(str, place)) for place, value in np.ndenumerate(values)]
    return pandas.DataFrame(rows, columns=["score", "seed", "a", "b", "c"])


def test_shares_are_those_of_an_analysis_of_variance() -> None:
    pytest.importorskip("statsmodels")
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    values = grid(2, 3, 4)
    theirs = anova_lm(ols("score ~ C(a) * C(b) * C(c)", flat(values)).fit())["sum_sq"]
    cells = theirs.drop("Residual").sum()
    found = shares(values)
    names = ["C(a)", "C(b)", "C(c)"]
    for key, share in found.items():
        assert share == pytest.approx(theirs[":".join(names[i] for i in key)] / cells)
    assert sum(found.values()) == pytest.approx(1 - theirs["C(a):C(b):C(c)"] / cells)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 4)])
def test_interactions_are_those_of_repeated_measures(sizes: tuple[int, int]) -> None:
    pytest.importorskip("statsmodels")
    from statsmodels.stats.anova import AnovaRM

    values = grid(*sizes, 1)
    theirs = AnovaRM(flat(values), "score", "seed", ["a", "b"]).fit().anova_table["F Value"]["a:b"]
    freedom = (sizes[0] - 1) * (sizes[1] - 1)
    rows = interaction(values, 0, 1).reshape(6, -1)
    size, deviation, effect = interaction_effect(rows, freedom)
    assert (effect**2 + (freedom - 1) / 6) * 6 / freedom == pytest.approx(theirs)
    assert size == pytest.approx(np.sqrt((rows.mean(0) ** 2).mean()))
    if freedom == 1:  # the difference of differences, of which each of the cells has a quarter
        corner = values[:, 0, 0] - values[:, 0, 1] - values[:, 1, 0] + values[:, 1, 1]
        assert size == pytest.approx(abs(corner.mean()) / 4)
        assert deviation == pytest.approx(corner[:, 0].std(ddof=1) / 4)


def test_margins_and_rests_make_the_table() -> None:
    values = grid(3, 4, 1)
    rest = interaction(values, 0, 1)
    assert np.allclose(rest.sum(1), 0)
    assert np.allclose(rest.sum(2), 0)
    mean = values.mean((1, 2, 3))[:, None, None]
    margins = marginals(values, 0)[:, :, None] + marginals(values, 1)[:, None] - mean
    assert np.allclose(rest + margins, values[..., 0])


@pytest.mark.parametrize("offset", [0.0, 0.1, 1e9])
def test_rounding_is_no_effect(offset: float) -> None:
    """Without any noise the same rounding error in each seed would be a certain effect."""
    axes = {"mixer": MIXER, "position": POSITION, "c": ("x", "y", "z")}
    parts = {label: 0.1 * i for i, label in enumerate((*MIXER, *POSITION))}
    exact = make(axes, lambda c, seed: offset + seed / 3 + parts[c[0]] + parts[c[1]]).analysis
    together = [c for c in exact.comparisons if c.kind == "interaction" or c.axis == "c"]
    assert len(together) == 6
    for comparison in together:
        assert not comparison.distinguishable
        assert comparison.difference == comparison.effect_size == 0
        assert comparison.p == 1
        assert str(comparison).endswith("no difference is visible at all")
    real = [c for c in exact.comparisons if c.axis in ("mixer", "position")]
    assert [c.distinguishable for c in real] == [True] * 4


def test_rounding_of_averages_is_no_effect() -> None:
    """The same three scores in another order: equal averages, but 0.1 + 0.2 + 0.3 is not 0.6."""
    order = {"attention": (0.1, 0.2, 0.3), "MLP": (0.3, 0.2, 0.1)}
    axes = {"mixer": MIXER, "position": POSITION}
    found = make(axes, lambda c, seed: order[c[0]][POSITION.index(c[1])]).analysis
    mixers, *positions, together = found.comparisons
    assert (mixers.p, mixers.difference, mixers.distinguishable) == (1.0, 0.0, False)
    assert [c.distinguishable for c in positions] == [False] * 3
    assert together.distinguishable


def test_seeds_and_least_p_count_the_family() -> None:
    found = make({"position": POSITION}, noise(lambda c: 0.2 * len(c[0])), n=8).analysis
    for c in found.comparisons:
        assert c.least_p == 2**-7
        assert c.least_p_holm == 3 * 2**-7
        assert c.least_seeds == least_seeds(3, 0.05) == 7
        least = 7 if c.distinguishable else 9
        assert c.seeds_needed == seeds_needed(c.effect_size, 0.05 / 3, least=least)
    assert len({c.seeds_needed for c in found.comparisons}) > 1
    assert least_p(17, samples=samples_of(5_000, 0.05)) * 5_000 <= 0.05


def test_it_never_asks_for_the_seeds_that_were_too_few() -> None:
    """A t-test would be content with these six; the sign-flip test is not."""
    gains = (1.0, 1.1, 0.9, 1.0, 1.0, -0.01)
    found = make({"mixer": MIXER}, lambda c, seed: gains[seed] * (c[0] == "MLP"), n=6).analysis
    assert found.comparisons[0].p == 2 / 32
    assert found.comparisons[0].seeds_needed == 7


def test_an_axis_that_matters_to_one_mixer() -> None:
    """Positions matter to attention only: both axes and their interaction are found."""
    score = noise(lambda c: 4.0 * (c[0] == "attention" and c[1] != "none"))
    found = make({"mixer": MIXER, "position": POSITION}, score, n=12).analysis
    said = {(c.first, c.second): c for c in found.comparisons}
    assert said["mixer", "position"].distinguishable
    assert said["none", "learned"].distinguishable
    assert not said["learned", "sine"].distinguishable
    by_axes = {effect.axes: effect for effect in found.effects}
    assert sum(e.share for e in found.effects) == pytest.approx(1)
    assert by_axes["mixer", "position"].share > 0.1
    none = by_axes["position",].levels[0]
    means = [c.mean for c in found.cells if c.labels["position"] == "none"]
    assert none.label == "none"
    assert none.mean == pytest.approx(np.mean(means))
    assert none.interval is not None
    assert none.interval[0] < none.mean < none.interval[1]


def test_nothing_has_no_share() -> None:
    for n, value in product((1, 5), (0.0, 0.1, -1e149)):
        found = make({"a": MIXER, "b": POSITION}, lambda c, seed, v=value: v, n=n).analysis
        assert [effect.share for effect in found.effects] == [0.0] * 3
        assert not any(c.distinguishable for c in found.comparisons)


PAIR = Comparison(
    kind="cells", axis=None, first="attention, learned", second="token MLP, learned", n=10,
    difference=2.1, deviation=1.2, interval=(1.4, 2.9), p=0.002, p_holm=0.004, exact=True,
    effect_size=1.75, improvement=0.9, least_p=2**-9, least_p_holm=2**-8, least_seeds=7,
    seeds_needed=7, distinguishable=True, higher_is_better=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "attention, learned is better than token MLP, learned by 2.1 [1.4, 2.9] "
            "(p = 0.004 after Holm, n = 10)",
        ),
        (
            {"higher_is_better": False},
            "token MLP, learned is better than attention, learned by 2.1 [1.4, 2.9] "
            "(p = 0.004 after Holm, n = 10)",
        ),
        (
            {"difference": -2.1, "interval": (-2.9, -1.4), "kind": "levels", "axis": "mixer"},
            "mixer: token MLP, learned is better than attention, learned by 2.1 [1.4, 2.9] "
            "(p = 0.004 after Holm, n = 10)",
        ),
        (
            {"distinguishable": False, "seeds_needed": 14},
            "attention, learned and token MLP, learned are not distinguishable at n = 10; "
            "about 14 seeds would be needed",
        ),
        (
            {"distinguishable": False, "seeds_needed": None},
            "attention, learned and token MLP, learned are not distinguishable at n = 10; "
            "more than 1,000 seeds would be needed",
        ),
        (
            {"distinguishable": False, "n": 7, "seeds_needed": 9},
            "attention, learned and token MLP, learned are not distinguishable at n = 7; "
            "about 9 seeds would be needed",
        ),
        (
            {"distinguishable": False, "n": 5, "least_p_holm": 0.1875, "least_seeds": 8},
            "attention, learned and token MLP, learned: 5 seeds cannot show anything here: the "
            "smallest possible p after Holm is 0.19; at least 8 are needed",
        ),
        (
            {"kind": "interaction", "first": "mixer", "second": "position", "deviation": 0.31},
            "mixer and position interact: 2.10 beyond the sum of both "
            "(root mean square; p = 0.004 after Holm, n = 10)",
        ),
    ],
)
def test_sentences(changes: dict[str, object], sentence: str) -> None:
    assert str(replace(PAIR, **changes)) == sentence  # type: ignore[arg-type]


def test_the_seeds_that_it_asks_for_are_enough() -> None:
    """Not distinguishable at n = 8, told how many would tell, distinguishable with those."""
    axes, score = {"mixer": MIXER}, noise(lambda c: 0.3 * (c[0] == "MLP"))
    few = make(axes, score, n=8).analysis.comparisons[0]
    assert not few.distinguishable
    assert few.seeds_needed is not None
    assert few.seeds_needed > 8
    assert f"about {few.seeds_needed} seeds would be needed" in str(few)
    more = make(axes, score, n=few.seeds_needed).analysis.comparisons[0]
    assert more.distinguishable


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (93.2146, 0.31, "93.21"),
        (93.2146, 12.0, "93"),
        (0.000123456, 0.00001, "0.000123"),
        (1.5e12, 1e9, "1.5e+12"),
        (0.1, None, "0.100"),
        (0.0, None, "0"),
        (-2.0, 0.0, "-2.00"),
        (math.nan, 1.0, "nan"),
    ],
)
def test_numbers(value: float, spread: float | None, text: str) -> None:
    assert number(value, spread) == text
