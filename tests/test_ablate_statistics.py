"""Statistics agree with scipy, statsmodels and (where installed) rliable, and have the symmetries
that they must have."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tokennet.ablate import statistics
from tokennet.ablate.power import least_seeds, power, seeds_needed
from tokennet.ablate.statistics import (
    effect_size,
    holm,
    improvement,
    interquartile_mean,
    interval,
    least_p,
    paired,
    sample_deviation,
    sign_flip,
)

finite = st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-3)
samples = st.lists(finite, min_size=2, max_size=10)
ties = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=10)


def draw(n: int, seed: int = 0, *, tied: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-3, 4, n).astype(float) if tied else rng.normal(0.5, 1, n)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("n", [2, 3, 5, 9, 10])
def test_sign_flip_agrees_with_scipy(n: int, tied: bool) -> None:
    for seed in range(5):
        first, second = draw(n, seed, tied=tied), draw(n, seed + 50, tied=tied)
        theirs = scipy.stats.permutation_test(
            (first, second),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            n_resamples=np.inf,
            vectorized=True,
        )
        found = sign_flip(first - second)
        assert found.exact
        assert found.p == pytest.approx(theirs.pvalue, abs=1e-12)


def test_sign_flip_of_signed_ranks_is_wilcoxon() -> None:
    for n, seed in itertools.product((3, 6, 12), range(5)):
        differences = draw(n, seed)
        ranks = np.sign(differences) * scipy.stats.rankdata(np.abs(differences))
        theirs = scipy.stats.wilcoxon(differences, method="exact").pvalue
        assert sign_flip(ranks).p == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_rows_are_flipped_as_a_whole(n: int) -> None:
    rows = np.random.default_rng(n).normal(0.7, 1, (n, 6))
    flips = [np.array(s)[:, None] for s in itertools.product((1, -1), repeat=n)]
    size = np.linalg.norm(rows.mean(0))
    hits = sum(np.linalg.norm((s * rows).mean(0)) >= size * (1 - 1e-9) for s in flips)
    assert sign_flip(rows).p == hits / 2**n


def test_sampled_flips_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, k in itertools.product(range(4), (1, 3)):
        rows = np.random.default_rng(seed).normal(0.25, 1, (14, k))
        monkeypatch.setattr(statistics, "EXACT_UP_TO", 16)
        exact = sign_flip(rows)
        monkeypatch.setattr(statistics, "EXACT_UP_TO", 10)
        sampled = sign_flip(rows)
        assert exact.exact
        assert not sampled.exact
        error = math.sqrt(exact.p * (1 - exact.p) / 65_535)
        assert abs(sampled.p - exact.p) < 4 * error + 2e-5


def test_the_least_p_is_reached_and_never_zero() -> None:
    for n in (1, 2, 5, 16, 40):
        assert sign_flip(np.full(n, 0.1) + np.arange(n) / 1e3).p == least_p(n)
    assert least_p(5) == 1 / 16
    assert least_p(16) == 2**-15
    assert least_p(40) == 2**-16
    assert sign_flip(np.full(40, 1.0), samples=999).p == 1 / 1_000


def test_no_difference_is_no_difference() -> None:
    assert sign_flip(np.zeros(8)) == (1.0, True)
    assert sign_flip(np.zeros((30, 4))) == (1.0, False)
    assert sign_flip(np.array([1.0, -1.0, 2.0, -2.0])).p == 1.0
    assert not paired([0.1 + 0.2, 1e9 + 0.1], [0.3, 1e9 + 0.1]).any()


@pytest.mark.parametrize("bad", [[math.nan, 1.0], [math.inf, 1.0], []])
def test_what_is_no_number_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        sign_flip(np.array(bad))


def by_hand(p: list[float]) -> list[float]:
    """The smallest level at which Holm's procedure rejects, found by trying every level."""
    steps = sorted(range(len(p)), key=lambda i: p[i])
    return [
        min(1.0, max((len(p) - r) * p[steps[r]] for r in range(steps.index(i) + 1)))
        for i in range(len(p))
    ]


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 40):
        p = rng.random(n) ** 3
        assert np.allclose(holm(p), multitest.multipletests(p, method="holm")[1])


@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.3, 1.0]), min_size=1, max_size=9))
def test_holm_is_an_ordered_correction(p: list[float]) -> None:
    found = holm(p)
    assert found.tolist() == pytest.approx(by_hand(p))
    assert all(found >= np.array(p))
    assert all(found <= np.minimum(1, len(p) * np.array(p)) + 1e-12)
    for a, b in itertools.combinations(range(len(p)), 2):
        assert (p[a] <= p[b]) <= (found[a] <= found[b])


@pytest.mark.parametrize("n", [2, 4, 10, 30])
def test_interval_agrees_with_scipy(n: int) -> None:
    for seed in range(3):
        values = np.random.default_rng(seed).lognormal(size=n)
        theirs = scipy.stats.bootstrap(
            (values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(9)
        ).confidence_interval
        found = interval(values)
        assert found is not None
        assert found == pytest.approx(tuple(theirs), abs=0.06 * np.std(values))
        wider = interval(values, confidence=0.99)
        assert wider is not None
        assert wider[0] <= found[0] < values.mean() < found[1] <= wider[1]


@given(st.one_of(samples, ties), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_order_and_sides(values: list[float], random: object) -> None:
    """Seeds in another order change nothing; the other way round is the mirror image."""
    array = np.array(values)
    mixed = array.copy()
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert interval(mixed) == interval(array)
    low, high = interval(array) or (0, 0)
    assert interval(-array) == (-high, -low)
    assert low <= high
    assert sign_flip(mixed) == sign_flip(-array) == sign_flip(array)
    assert effect_size(-array) == pytest.approx(-effect_size(array))
    assert sample_deviation(mixed) == pytest.approx(sample_deviation(array))


def test_symmetric_values_have_a_symmetric_interval() -> None:
    """Neither side comes first, so the drawn resamples may favour none."""
    for half in ([1.0, 1.0, 1.0, 3.0], [1.0, 1.0, 3.0, 3.0], [2.0, 2.0, 3.0]):
        low, high = interval([*half, 0.0, *(-x for x in half)]) or (0, 0)
        assert -low == high > 0


@given(st.lists(finite, min_size=17, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=5)
def test_order_of_sampled_flips(values: list[float], random: object) -> None:
    array = np.array(values)
    mixed = array.copy()
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert sign_flip(mixed) == sign_flip(-array) == sign_flip(array)


@given(samples, st.sampled_from([2.0**-400, 0.25, 8.0, 2.0**400]))
@settings(max_examples=30)
def test_units_do_not_matter(values: list[float], factor: float) -> None:
    """Neither microseconds nor years: squares of tiny or huge numbers stay in range."""
    array = np.array(values)
    assert sign_flip(array * factor) == sign_flip(array)
    assert effect_size(array * factor) == effect_size(array)
    assert sample_deviation(array * factor) == (sample_deviation(array) or 0) * factor
    low, high = interval(array) or (0, 0)
    assert interval(array * factor) == (low * factor, high * factor)


@given(ties, ties, st.integers(-100, 100))
def test_a_common_shift_does_not_matter(a: list[float], b: list[float], shift: int) -> None:
    n = min(len(a), len(b))
    first, second = np.array(a[:n]) / 50, np.array(b[:n]) / 50
    moved = paired(first + shift, second + shift)
    assert sign_flip(moved) == sign_flip(paired(first, second))
    assert effect_size(moved) == pytest.approx(effect_size(paired(first, second)), abs=1e-9)


def test_few_and_equal_values() -> None:
    assert interval([3.0]) is None
    assert sample_deviation([3.0]) is None
    assert math.isnan(effect_size([3.0]))
    assert sign_flip(np.array([3.0])).p == 1.0
    assert interval([3.0] * 5) == (3.0, 3.0)
    assert sample_deviation([0.1 + 0.2, 0.3]) == 0.0
    assert effect_size([2.0, 2.0]) == math.inf
    assert effect_size([-2.0, -2.0]) == -math.inf
    assert effect_size([0.0, 0.0]) == 0.0
    assert interval([1.0, 2.0]) == (1.0, 2.0)


def test_means_deviations_and_effects() -> None:
    values = draw(11)
    assert sample_deviation(values) == pytest.approx(np.std(values, ddof=1))
    t = scipy.stats.ttest_1samp(values, 0).statistic
    assert effect_size(values) == pytest.approx(t / math.sqrt(11))
    assert interquartile_mean(values) == scipy.stats.trim_mean(values, 0.25)
    assert interquartile_mean([0.0, 1.0, 3.0, 100.0]) == 2.0


@pytest.mark.parametrize("tied", [False, True])
def test_improvement(tied: bool) -> None:
    first, second = draw(9, 1, tied=tied), draw(9, 2, tied=tied)
    theirs = scipy.stats.mannwhitneyu(first, second).statistic / 81
    assert improvement(first, second, higher_is_better=True) == pytest.approx(theirs)
    assert improvement(first, second, higher_is_better=False) == pytest.approx(1 - theirs)
    assert improvement([2.0, 2.0], [1.0, 2.0], higher_is_better=True) == 0.75


def test_rliable_agrees() -> None:
    metrics = pytest.importorskip("rliable.metrics")
    first, second = draw(9, 1), draw(9, 2)
    theirs = metrics.probability_of_improvement(first[:, None], second[:, None])
    assert improvement(first, second, higher_is_better=True) == pytest.approx(theirs)
    assert interquartile_mean(first) == pytest.approx(metrics.aggregate_iqm(first[:, None]))


def test_power() -> None:
    theirs = pytest.importorskip("statsmodels.stats.power").TTestPower()
    for effect, n, level in itertools.product((0.2, 0.8, 2.0), (3, 10, 60), (0.05, 0.0005)):
        assert power(effect, n, level) == pytest.approx(theirs.power(effect, n, level), abs=1e-6)
    for effect, level in itertools.product((0.15, 0.5, 1.3), (0.05, 0.005)):
        n = theirs.solve_power(effect, alpha=level, power=0.8)
        assert seeds_needed(effect, level, least=2) == math.ceil(n)


def test_seeds_needed() -> None:
    assert [least_seeds(m, 0.05) for m in (1, 2, 3, 10, 780)] == [6, 7, 7, 9, 15]
    assert seeds_needed(-0.5, 0.05, least=2) == seeds_needed(0.5, 0.05, least=2) == 34
    assert seeds_needed(0.5, 0.05, least=40) == 40
    assert seeds_needed(math.inf, 0.01, least=8) == 8
    assert seeds_needed(1e200, 0.01, least=8) == 8
    assert seeds_needed(0.05, 0.01, least=8) is None, "1,169 by the t-test"
    assert seeds_needed(0.0, 0.05, least=6) is None
    assert seeds_needed(math.nan, 0.05, least=6) is None
    needed = [seeds_needed(0.5, 0.05, least=2, directions=k) or 0 for k in (1, 2, 6)]
    assert needed == sorted(needed), "an interaction of more directions needs no fewer seeds"
