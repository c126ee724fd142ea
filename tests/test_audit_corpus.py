"""Planted bugs of every property are found and called by name, and their twins pass.

A part of the corpus in `benchmarks/corpus`; `benchmarks/detector.py` runs all of it.
"""

import sys
from pathlib import Path

import pytest
import torch

import tokennet as tn

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from corpus import DIFFICULT, ENTRIES, Entry

BUDGET = 5.0


def _chosen() -> list[Entry]:
    """One bug for each property, and one for each difficulty."""
    found: dict[str, Entry] = {}
    for entry in ENTRIES:
        for key in (*entry.broken, entry.difficulty):
            if key not in found and entry not in found.values():
                found[key] = entry
    return list(found.values())


CHOSEN = _chosen()


def _audit(entry: Entry, bug: bool) -> tn.AuditReport:
    torch.manual_seed(0)
    domain = tn.Domain(**entry.domain) if entry.domain else None
    return tn.audit(
        entry.make(bug), entry.example(), properties=entry.promises, domain=domain,
        budget=BUDGET, **entry.arguments,
    )  # fmt: skip


def test_every_property_has_its_bug() -> None:
    named = {name for entry in CHOSEN for name in entry.broken}
    conduct = {"TrainEval", "MemoryLayout", "Repeatability", "NoState", "Purity", "Finite", "Cache"}
    assert conduct <= named
    assert {"Permutation", "Padding", "BatchIndependence", "Causality", "Locality"} <= named
    assert sum(name.startswith("GradientOf") for name in named) >= 4
    assert len(CHOSEN) >= 25


@pytest.mark.parametrize("entry", CHOSEN, ids=lambda e: e.name)
def test_bug_is_found(entry: Entry) -> None:
    report = _audit(entry, True)
    assert set(report.broken) & set(entry.broken), report
    assert not any(words.startswith("in the audit") for words in report.refusals)


@pytest.mark.parametrize("entry", CHOSEN[::3], ids=lambda e: e.name)
def test_twin_passes(entry: Entry) -> None:
    assert _audit(entry, False).ok


@pytest.mark.parametrize("entry", DIFFICULT[::4], ids=lambda e: e.name)
def test_difficult_modules_pass(entry: Entry) -> None:
    assert _audit(entry, False).ok
