"""How often an ablation without any difference is told that there is one.

python benchmarks/null_ablations.py [--simulations 10000] [--only NAME]

Each simulated ablation passes through the decisions of `tokennet.ablate` (questions, sign-flip
tests, Holm); wrong is one in which anything that is not there is called distinguishable. Exits with
1 where that happens in more than 6 % of them at level 5 %, where the page's claims don't hold
(the same without Holm must exceed, planted effects must be found), or where `analyse` itself
decides otherwise than what was simulated.
"""

import argparse
import math
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import scipy
from measure import markdown, write_whole

from tokennet.ablate.ablation import Ablation, Plan
from tokennet.ablate.analysis import analyse
from tokennet.ablate.family import Question, ask, decide
from tokennet.ablate.power import power, seeds_needed
from tokennet.ablate.record import DONE, Outcome, RunRecord
from tokennet.ablate.statistics import holm

RESULTS = Path(__file__).parent / "results" / "null_ablations.md"
ALPHA, MOST = 0.05, 0.06
Random = np.random.Generator
Draw = Callable[[Random, int, int], np.ndarray]  # seeds, cells -> [seeds, cells]
Correction = Callable[[Sequence[float]], np.ndarray]


@dataclass(frozen=True)
class Case:
    """Ablations of one shape. `sizes`: labels of each axis. `real`: the cells with an effect.

    `exact`: whether the test's condition holds (see `sign_flip`); the others are limits, measured
    but not judged.
    """

    name: str
    sizes: tuple[int, ...]
    n: int
    draw: Draw
    baseline: bool = False
    exact: bool = True
    real: frozenset[str] = frozenset()

    @property
    def plan(self) -> Plan:
        letters = "abc"[: len(self.sizes)]
        axes = {
            a: tuple(f"{a}{i}" for i in range(size))
            for a, size in zip(letters, self.sizes, strict=True)
        }
        cells = tuple(dict(zip(axes, labels, strict=True)) for labels in product(*axes.values()))
        first = cells[0] if self.baseline else None
        return Plan("null", axes, cells, tuple(range(self.n)), "score", True, baseline=first)

    def nothing_there(self, question: Question) -> bool:
        return not self.real & {question.first, question.second}


def normal(rng: Random, n: int, cells: int) -> np.ndarray:
    return rng.normal(size=(n, cells))


def heavy(rng: Random, n: int, cells: int) -> np.ndarray:
    return rng.standard_t(2, (n, cells))


def skewed(rng: Random, n: int, cells: int) -> np.ndarray:
    return rng.lognormal(0, 1, (n, cells))


def shared(rng: Random, n: int, cells: int) -> np.ndarray:
    """What a seed does to all cells is three times what it does to one."""
    return normal(rng, n, cells) + 3 * rng.normal(size=(n, 1))


def related(rng: Random, n: int, cells: int) -> np.ndarray:
    """Neighbouring cells are correlated by 0.9, the others less."""
    return np.linalg.cholesky(0.9 ** np.abs(np.subtract.outer(*[np.arange(cells)] * 2))).dot(
        rng.normal(size=(cells, n))
    ).T  # fmt: skip


def uneven(rng: Random, n: int, cells: int) -> np.ndarray:
    """Deviations from 1 to 10."""
    return normal(rng, n, cells) * np.geomspace(1, 10, cells)


def accuracy(rng: Random, n: int, cells: int) -> np.ndarray:
    """Right of 50: many ties."""
    return rng.binomial(50, 0.9, (n, cells)) / 50


def saturated(rng: Random, n: int, cells: int) -> np.ndarray:
    """Mostly all right."""
    return rng.binomial(20, 0.99, (n, cells)) / 20


def outlier(rng: Random, n: int, cells: int) -> np.ndarray:
    """Every tenth run collapses."""
    return normal(rng, n, cells) - 30 * (rng.random((n, cells)) < 0.1)


def one_better(rng: Random, n: int, cells: int) -> np.ndarray:
    """The last cell is better by two deviations; nothing else differs."""
    return normal(rng, n, cells) + 2 * (np.arange(cells) == cells - 1)


def one_axis(rng: Random, n: int, cells: int) -> np.ndarray:
    """The second half of the cells, so the first axis of two labels, by two deviations."""
    return normal(rng, n, cells) + 2 * (np.arange(cells) >= cells // 2)


def asymmetric(rng: Random, n: int, cells: int) -> np.ndarray:
    """Equal means, one skewed to the right beside normal ones."""
    values = normal(rng, n, cells)
    values[:, 0] = rng.exponential(3, n) - 3
    return values


def failing(rng: Random, n: int, cells: int) -> np.ndarray:
    """Some runs have no value: their cells are left out, and cells are compared, not axes."""
    return np.where(rng.random((n, cells)) < 0.01, np.nan, normal(rng, n, cells))


def drifting(rng: Random, n: int, cells: int) -> np.ndarray:
    """Seeds that are no fresh draws: each keeps 0.6 of the one before."""
    values = normal(rng, n, cells)
    for i in range(1, n):
        values[i] = 0.6 * values[i - 1] + 0.8 * values[i]
    return values


CASES = (
    Case("4 cells", (4,), 10, normal),
    Case("4 cells, baseline", (4,), 10, normal, baseline=True),
    Case("2 x 3 grid", (2, 3), 8, normal),
    Case("3 x 4 grid", (3, 4), 10, normal),
    Case("3 x 4 grid, baseline", (3, 4), 14, normal, baseline=True),
    Case("2 x 2 x 2 grid", (2, 2, 2), 10, normal),
    Case("sampled flips", (2,), 20, normal),
    Case("heavy tails (t, 2 degrees)", (4,), 10, heavy),
    Case("heavy tails, 3 x 4 grid", (3, 4), 10, heavy),
    Case("skewed (lognormal)", (4,), 10, skewed),
    Case("skewed, 2 x 3 grid", (2, 3), 10, skewed),
    Case("every tenth run collapses", (4,), 10, outlier),
    Case("seeds that matter", (4,), 10, shared),
    Case("seeds that matter, 2 x 3 grid", (2, 3), 10, shared),
    Case("correlated cells", (4,), 10, related),
    Case("unequal deviations", (4,), 10, uneven),
    Case("unequal deviations, 3 x 4 grid", (3, 4), 10, uneven),
    Case("accuracies with ties", (4,), 10, accuracy),
    Case("accuracies near 1", (2, 3), 10, saturated),
    Case("runs that fail", (2, 3), 10, failing),
    Case("one cell is better", (4,), 10, one_better, real=frozenset({"a3"})),
    Case("one axis matters", (2, 3), 10, one_axis, real=frozenset({"a0", "a1"})),
    Case("skewed, 3 x 4 grid", (3, 4), 10, skewed, exact=False),
    Case("collapses, 3 x 4 grid", (3, 4), 10, outlier, exact=False),
    Case("equal means, one cell skewed", (2,), 10, asymmetric, exact=False),
    Case("equal means, one cell skewed", (2,), 30, asymmetric, exact=False),
    Case("seeds that follow each other", (2,), 10, drifting, exact=False),
)


def wrong(case: Case, simulations: int, *, correct: Correction = holm, seed: int = 0) -> int:
    """In how many simulated ablations something that is not there is called distinguishable."""
    rng, plan = np.random.default_rng(seed), case.plan
    keys = [tuple(labels.values()) for labels in plan.cells]
    found = 0
    for i in range(simulations):
        drawn = case.draw(rng, case.n, len(keys))
        values = {k: v for k, v in zip(keys, drawn.T, strict=True) if np.isfinite(v).all()}
        questions = ask(plan, values, plan.baseline).questions
        decisions = decide(questions, ALPHA, correct=correct) if questions else []
        claims = [d.distinguishable for d in decisions]
        pairs = zip(questions, claims, strict=True)
        found += any(claim and case.nothing_there(q) for q, claim in pairs)
        if i < 2 and correct is holm:
            agree(plan, drawn, claims)
    return found


def agree(plan: Plan, drawn: np.ndarray, claims: list[bool]) -> None:
    """Raises if the whole analysis says something else than its decisions."""
    runs = tuple(
        RunRecord(f"{cell}-{seed}", labels, seed, DONE, Outcome({"score": drawn[seed, cell]}))
        for cell, labels in enumerate(plan.cells)
        for seed in plan.seeds
    )
    said = [c.distinguishable for c in analyse(Ablation(plan, runs), alpha=ALPHA).comparisons]
    if said != claims:
        raise RuntimeError(f"analyse says {said}, its decisions are {claims}")


def uncorrected(p: Sequence[float]) -> np.ndarray:
    """What a grid with a p value for each pair does; wrong, and must show here."""
    return np.asarray(p, float)


def share_found(effect: float, n: int, simulations: int) -> float:
    """Share of ablations of 4 cells and a baseline in which the better one is told apart."""
    plan = Case("power", (4,), n, normal, baseline=True).plan
    keys, rng = [tuple(labels.values()) for labels in plan.cells], np.random.default_rng(1)
    found = 0
    for _ in range(simulations):
        # Differences of two runs have the deviation 1, so that this is the effect size.
        drawn = normal(rng, n, 4) / math.sqrt(2) + effect * (np.arange(4) == 3)
        questions = ask(plan, dict(zip(keys, drawn.T, strict=True)), plan.baseline).questions
        found += decide(questions, ALPHA)[-1].distinguishable
    return found / simulations


def percent(count: int, simulations: int) -> str:
    share = count / simulations
    error = math.sqrt(max(share * (1 - share), 1 / simulations) / simulations)
    return f"{100 * share:.2f} ± {100 * error:.2f}"


def row(case: Case, simulations: int) -> tuple[list[str], bool]:
    count = wrong(case, simulations)
    naive = wrong(case, min(simulations, 1_000), correct=uncorrected)
    judged = count <= MOST * simulations
    verdict = ("yes" if judged else "NO") if case.exact else "a limit"
    sizes = " x ".join(map(str, case.sizes))
    line = [case.name, sizes, str(case.n), percent(count, simulations)]
    print("  ".join(line), file=sys.stderr, flush=True)
    return [*line, percent(naive, min(simulations, 1_000)), verdict], judged or not case.exact


def power_rows(simulations: int) -> tuple[list[list[str]], bool]:
    lines, good = [], True
    for effect in (0.8, 1.2, 2.0):
        n = seeds_needed(effect, ALPHA / 3, least=8) or 0
        for seeds in sorted({max(8, n // 2), n}):
            said = power(effect, seeds, ALPHA / 3)
            share = share_found(effect, seeds, simulations)
            good = good and (seeds < n or share >= 0.75)
            lines.append([f"{effect:g}", str(seeds), f"{100 * said:.0f}", f"{100 * share:.1f}"])
    return lines, good


def page(rows: list[list[str]], powers: list[list[str]], simulations: int) -> str:
    parts = [
        "# Ablations without a difference",
        f"{simulations:,} simulated ablations in each line, level {ALPHA:g}, by "
        f"`python benchmarks/null_ablations.py` (Python {platform.python_version()}, numpy "
        f"{np.__version__}, scipy {scipy.__version__}). Wrong: anything that is not there is "
        "called distinguishable, in percent ± the binomial standard error; at most 6 is asked. "
        "Without Holm: the same decisions, each p value taken by itself (1,000 ablations).",
        markdown(["data", "shape", "seeds", "wrong", "without Holm", "within 6 %"], rows),
        "Limits: the sign-flip test needs differences that are symmetric when nothing is there. "
        "Cells with the same distribution have those, however skewed it is; cells with equal means "
        "and different skewness do not. Nor need the interaction of two axes with three or more "
        "labels each, under skewed noise; the two 3 x 4 limits above are such. Seeds that depend "
        "on each other are no fresh draws, and no test that counts seeds can know.",
        "## Planted effects",
        "Four cells, three of them against a baseline, one better by so many deviations of the "
        "paired difference: the power that the report's `seeds_needed` reckons with (for the "
        "strictest step of Holm), and how often the effect was found, in percent.",
        markdown(["effect size", "seeds", "reckoned", "found"], powers),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--only", help="cases with this in their name; writes no results")
    options = parser.parse_args()
    cases = [c for c in CASES if options.only is None or options.only in c.name]
    done = [row(case, options.simulations) for case in cases]
    powers, found = power_rows(min(options.simulations, 2_000))
    text = page([line for line, _ in done], powers, options.simulations)
    print(text)
    bug_shows = wrong(CASES[0], 1_000, correct=uncorrected) > MOST * 1_000
    if options.only is None and options.simulations >= 10_000:
        write_whole(RESULTS, text)
    return int(not (found and bug_shows and all(good for _, good in done)))


if __name__ == "__main__":
    sys.exit(main())
