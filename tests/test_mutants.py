"""The tester is tested: every planted bug is caught, by the right law; every twin passes."""

import mutants_graphs
import mutants_hidden
import mutants_tokens
import pytest
from mutants import PLANTED, Planted

import tokennet as tn

assert mutants_graphs
assert mutants_hidden
assert mutants_tokens
each = pytest.mark.parametrize("planted", PLANTED, ids=lambda p: p.name)


@each
def test_bug_is_caught(planted: Planted) -> None:
    report = tn.verify(planted.make(True))
    assert not report.ok
    assert set(report.broken) & set(planted.laws), report
    with pytest.raises(tn.LawBrokenError, match="NOT as promised"):
        report.raise_if_broken()


@each
def test_twin_passes(planted: Planted) -> None:
    tn.verify(planted.make(False)).raise_if_broken()


def test_there_are_enough() -> None:
    assert len(PLANTED) >= 25
    assert len({p.name for p in PLANTED}) == len(PLANTED)
