"""The corpus that judges the audit: every bug bites, every twin doesn't, by hand and without audit.

Also: twins and difficult modules obey the simplest of what they promise, and the bugs spread over
all properties and conditions.
"""

import copy
import re
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

from corpus import DIFFICULT, ENTRIES, Entry  # noqa: E402
from corpus.entry import DIFFICULTIES, PROPERTIES  # noqa: E402
from detector import Tool, line, outcomes, page, passes  # noqa: E402

BITES, QUIET = 1e-4, 1e-9
every = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
correct = pytest.mark.parametrize("entry", [*ENTRIES, *DIFFICULT], ids=lambda e: e.name)


@every
def test_the_bug_bites_and_its_twin_does_not(entry: Entry) -> None:
    assert entry.shows is not None
    bites, quiet = (entry.shows(lambda b=b: entry.make(b)) for b in (True, False))
    assert bites > BITES, "the planted bug shows nothing"
    assert quiet < QUIET, "the twin breaks what it promises"


@correct
def test_the_example_fits(entry: Entry) -> None:
    """It runs, forward and backward, in both modes; the arguments are those of forward."""
    module, args = entry.make(False), entry.example()
    names = module.forward.__code__.co_varnames[1 : module.forward.__code__.co_argcount]
    assert len(names) == len(args)
    roles = {k: v for k, v in entry.arguments.items() if isinstance(v, str) and k != "cache"}
    assert set(roles.values()) == set(names)
    if "cache" in entry.arguments:
        assert callable(getattr(module, entry.arguments["cache"]))
    for train in (True, False):
        copied = copy.deepcopy(module).train(train)
        out = copied(*entry.example())
        assert out.isfinite().all()
        assert len(out) == len(args[0]) or out.ndim == 2
        out.sum().backward()
        assert any(p.grad is not None for p in copied.parameters())


@correct
def test_a_copy_gives_the_same(entry: Entry) -> None:
    if "Repeatability" not in entry.promises:
        pytest.skip("random by design")
    module = entry.make(False).eval()
    a, b = copy.deepcopy(module)(*entry.example()), entry.make(False).eval()(*entry.example())
    assert torch.equal(a, b)


@correct
def test_names_are_known(entry: Entry) -> None:
    known = {*PROPERTIES, *(f"GradientOf({p})" for p in PROPERTIES)}
    assert set(entry.promises) <= known
    assert set(entry.broken) <= set(entry.promises)
    assert len(set(entry.promises)) == len(entry.promises)
    assert entry.difficulty in DIFFICULTIES
    assert len(entry.echo) > 15
    assert re.fullmatch(r"[a-z0-9-]+", entry.name)


def test_the_corpus_is_wide() -> None:
    names = [e.name for e in (*ENTRIES, *DIFFICULT)]
    assert len(set(names)) == len(names)
    assert len(ENTRIES) >= 70
    assert len(DIFFICULT) >= 32
    assert all(e.broken == () for e in DIFFICULT)
    by_property = {p: sum(p in e.broken for e in ENTRIES) for p in PROPERTIES}
    assert {p for p, n in by_property.items() if n == 0} == set()
    assert sum("GradientOf" in b for e in ENTRIES for b in e.broken[:1]) >= 5
    by_difficulty = {d: sum(e.difficulty == d for e in ENTRIES) for d in DIFFICULTIES}
    assert min(by_difficulty.values()) >= 4, by_difficulty


def test_the_page_is_up_to_date() -> None:
    from corpus.table import README, page

    assert README.read_text() == page(), "run python benchmarks/corpus/table.py"
    assert sum(e.echo.startswith("https://") for e in ENTRIES) >= 60


def test_the_benchmark_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Tools that know all, nothing, cry wolf, misname, or raise."""
    entries = [*ENTRIES[:3], *DIFFICULT[:2]]

    def fails(entry: Entry, bug: bool) -> tuple[str, ...]:
        raise RuntimeError("no idea")

    tools = {
        "oracle": lambda entry, bug: entry.broken if bug else (),
        "silent": lambda entry, bug: (),
        "wolf": lambda entry, bug: entry.promises,
        "otherwise": lambda entry, bug: ("Purity",) if bug else (),
        "raises": fails,
    }
    found = {name: outcomes(Tool(name, judge), entries) for name, judge in tools.items()}
    assert {name: passes(o) for name, o in found.items()} == {
        "oracle": True, "silent": False, "wolf": False, "otherwise": True, "raises": False,
    }  # fmt: skip
    counted = {name: line(Tool(name, tools[name]), o)[1:5] for name, o in found.items()}
    assert counted == {
        "oracle": ["3 of 3", "3 of 3", "0 of 5", "0 of 8"],
        "silent": ["0 of 3", "0 of 3", "0 of 5", "0 of 8"],
        "wolf": ["3 of 3", "3 of 3", "5 of 5", "0 of 8"],
        "otherwise": ["3 of 3", "0 of 3", "0 of 5", "0 of 8"],
        "raises": ["0 of 3", "0 of 3", "0 of 5", "8 of 8"],
    }
    text = page([(Tool("wolf", tools["wolf"]), found["wolf"])], 1.0)
    assert f"* False alarms: {ENTRIES[0].name} (" in text
    assert "no idea" in capsys.readouterr().err
