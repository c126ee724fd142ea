"""Every import beside its original: largest differences, claims, audits. Writes results/parity.md.

PYTHONPATH=.timm python benchmarks/parity.py [--seeds 5] [--only WORD] [--no-audit]

Each row: random weights and random small configurations by the seeds, in float32 and float64, in
eval mode and in train mode without dropout. Differences are relative to the larger of one and the
largest number: of outputs, of hidden states, of the gradients of all parameters; the state dict
that is given back must be the original's, bit by bit, or there is no row. `make timm` puts timm
into the folder .timm; without it its rows are left out, and that is said.
"""

import argparse
import importlib
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from parity import TOLERANCE, Case, Errors, compare
from parity_laws import assert_claims_hold, audits

from tokennet.files import write_atomically

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "parity.md"
LIBRARIES = {
    "torch": "torch", "torch-geometric": "PyG", "transformers": "transformers", "timm": "timm",
    "x-transformers": "x-transformers",
}  # fmt: skip


def cases() -> tuple[list[Case], list[str]]:
    """All cases of tests/parity_*.py, and the names of the files that can't be imported here."""
    found: list[Case] = []
    missing = []
    for path in sorted((ROOT / "tests").glob("parity_*.py")):
        if path.stem in ("parity_laws",):
            continue
        try:
            module = importlib.import_module(path.stem)
        except BaseException as error:  # pytest's skip is no Exception
            if type(error).__name__ not in ("Skipped", "ModuleNotFoundError"):
                raise
            missing.append(f"{path.stem.removeprefix('parity_')} ({error})")
            continue
        found += getattr(module, "CASES", {}).values()
    order = ["torch", "pyg", "transformers", "timm", "x_transformers"]
    return sorted(found, key=lambda c: order.index(c.library)), missing


def row(case: Case, seeds: int, audit: bool) -> tuple[str, bool]:
    """A line of the table, and whether all is within the bounds."""
    worst = {dtype: Errors() for dtype in case.dtypes}
    for dtype, total in worst.items():
        for seed in range(seeds):
            for train in (False, True):
                one = compare(case, seed, dtype, train=train)
                for kind in ("output", "hidden", "gradient"):
                    setattr(total, kind, max(getattr(total, kind), getattr(one, kind)))
                total.where |= one.where
    fine = all(e.worst <= TOLERANCE[d] for d, e in worst.items())
    cells = [case.library.replace("_", "-"), case.name]
    for dtype in TOLERANCE:
        if dtype not in worst:
            cells += ["-", "-", "-"]
            continue
        errors = worst[dtype]
        hidden = f"{errors.hidden:.0e}" if "hidden" in errors.where else "-"
        cells += [f"{errors.output:.0e}", hidden, f"{errors.gradient:.0e}"]
    claims = ", ".join(sorted(assert_claims_hold(case))) or "none"
    words = ""
    if audit and case.audit is not None:
        found = audits(case)
        fine = fine and set(found) == set(case.differs)
        words = "; ".join(f"{n}: {case.differs.get(n, 'NOT NAMED')}" for n in found) or "agree"
    elif case.audit is None:
        words = "not called alike"
    if case.imprecise:
        words += f"; no float32: {case.imprecise}"
    return f"| {' | '.join([*cells, claims, words])} |", fine


def versions() -> str:
    found = []
    for package, name in LIBRARIES.items():
        try:
            found.append(f"{name} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join([*found, f"Python {platform.python_version()}"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--no-audit", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    every, missing = cases()
    chosen = [c for c in every if given.only in f"{c.library} {c.name}"]
    lines, bad, start = [], [], time.time()
    for case in chosen:
        line, fine = row(case, given.seeds, not given.no_audit)
        print(line, flush=True)
        lines.append(line)
        if not fine:
            bad.append(case.name)
    libraries = len({c.library for c in chosen})
    head = f"| library | model |{' output | hidden | gradients |' * 2} claims | audits |"
    allowed = "all within the bounds, all differences of audits named"
    verdict = f"{len(bad)} out of bounds or not named: {', '.join(bad)}" if bad else allowed
    summary = f"{len(chosen)} models of {libraries} libraries, {verdict}."
    text = "\n".join([
        "# Imported models beside their originals", "",
        f"`python benchmarks/parity.py --seeds {given.seeds}`; {versions()}; one thread; "
        f"{time.time() - start:.0f} s.", "",
        f"{summary} Bounds: 1e-5 in float32 (first three columns of numbers), 1e-10 in float64 "
        "(the next three). Audits: where the two disagree, the original is the one that breaks "
        "the property, and what it does is named.", "",
        *([f"Left out here: {'; '.join(missing)}.", ""] if missing else []),
        head, "|---|---|" + "---:|" * 6 + "---|---|", *lines, "",
    ])  # fmt: skip
    if not given.only:
        write_atomically(RESULTS, text.encode())
    print(summary)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
