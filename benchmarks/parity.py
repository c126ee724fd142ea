"""Every import beside its original: largest differences, claims, audits. Writes results/parity.md.

make timm && python benchmarks/parity.py [--seeds 5] [--only WORD] [--no-audit]

Each row: random weights and random small configurations by the seeds, in float32 and float64, in
eval mode and in train mode without dropout. Differences are relative to the larger of one and the
largest number: of outputs, of hidden states, of the gradients of all parameters; the state dict
that is given back must be the original's, bit by bit, or there is no row. timm lies in the
folder .timm, where `make timm` puts it, since torchvision beside it would break transformers: its
rows come from a process of their own. Without it they are left out, and that is said.
"""

import argparse
import importlib
import importlib.util
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import distributions
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from parity import TOLERANCE, Case, Errors, compare
from parity_laws import assert_claims_hold, audits

from tokennet.files import write_atomically

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "parity.md"
TIMM = ROOT / ".timm"
HAS_TIMM = importlib.util.find_spec("timm") is not None
LIBRARIES = {
    "torch": "torch", "torch-geometric": "PyG", "transformers": "transformers", "timm": "timm",
    "x-transformers": "x-transformers",
}  # fmt: skip


def cases() -> list[Case]:
    """All cases of tests/parity_*.py that can run in this process."""
    found: list[Case] = []
    for path in sorted((ROOT / "tests").glob("parity_*.py")):
        timm = path.stem == "parity_timm"
        if timm == HAS_TIMM and path.stem != "parity_laws":
            found += getattr(importlib.import_module(path.stem), "CASES", {}).values()
    order = ["torch", "pyg", "transformers", "timm", "x_transformers"]
    return sorted(found, key=lambda c: order.index(c.library))


def timm_rows(seeds: int) -> tuple[list[str], int]:
    """The rows of timm from a process that has it, and its exit status."""
    command = [sys.executable, __file__, "--seeds", str(seeds), "--only", ""]
    environment = {**os.environ, "PYTHONPATH": str(TIMM)}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in found.stdout.splitlines() if line.startswith("| timm")]
    if not lines:
        raise RuntimeError(found.stderr[-2000:])
    return lines, found.returncode


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
    found = {d.name: d.version for d in distributions(path=[*sys.path, str(TIMM)])}
    words = [f"{name} {found.get(package, 'not there')}" for package, name in LIBRARIES.items()]
    return ", ".join([*words, f"Python {platform.python_version()}"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--no-audit", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines, bad, start = [], [], time.time()
    for case in cases():
        if given.only not in f"{case.library} {case.name}":
            continue
        line, fine = row(case, given.seeds, not given.no_audit)
        print(line, flush=True)
        lines.append(line)
        if not fine:
            bad.append(case.name)
    if HAS_TIMM or given.only:
        sys.exit(bool(bad))
    words = ""
    if TIMM.is_dir():
        more, status = timm_rows(given.seeds)
        lines += more
        bad += ["a row of timm"] if status else []
    else:
        words = " timm is left out: it is not installed (`make timm`)."
    libraries = len({line.split("|")[1] for line in lines})
    allowed = "all within the bounds, all differences of audits named"
    verdict = f"{len(bad)} out of bounds or not named: {', '.join(bad)}" if bad else allowed
    summary = f"{len(lines)} models of {libraries} libraries, {verdict}."
    text = "\n".join([
        "# Imported models beside their originals", "",
        f"`python benchmarks/parity.py --seeds {given.seeds}`; {versions()}; one thread; "
        f"{time.time() - start:.0f} s.", "",
        f"{summary}{words} Bounds: 1e-5 in float32 (first three columns of numbers), 1e-10 in "
        "float64 (the next three). Audits: where the two disagree, the original is the one that "
        "breaks the property, and what it does is named.", "",
        f"| library | model |{' output | hidden | gradients |' * 2} claims | audits |",
        "|---|---|" + "---:|" * 6 + "---|---|", *lines, "",
    ])  # fmt: skip
    write_atomically(RESULTS, text.encode())
    print(summary)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
