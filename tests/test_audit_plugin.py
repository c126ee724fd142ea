"""The pytest fixture `tokennet_audit` in sessions of its own, and `assert_obeys`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import tokennet as tn

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "tokennet.pytest_plugin")
AUDITED = """
import sys

import pytest, torch
from torch import nn
import tokennet as tn

class Sum(nn.Module):
    def forward(self, x):
        return x + x.sum(1, keepdim=True)

X = torch.randn(2, 4, 3)

def test_holds(tokennet_audit):
    report = tokennet_audit(Sum(), X, properties=["Permutation"], quick=True)
    assert report["Permutation"].status == "holds"
    assert report.seed == 7

def test_fails(tokennet_audit):
    tokennet_audit(Sum(), X, properties=["Causality"], quick=True)

def test_raises(tokennet_audit):
    with pytest.raises(tn.LawBrokenError, match="BROKEN: Causality"):
        tokennet_audit(Sum(), X, properties=["Causality"], quick=True)

def test_looks(tokennet_audit):
    assert tokennet_audit(Sum(), X, check=False, quick=True, seed=3).seed == 3

def test_options(tokennet_audit, monkeypatch):
    given = []
    audit = lambda *a, **k: given.append((a, k))
    monkeypatch.setattr(sys.modules["tokennet.audit"], "audit", audit)
    tokennet_audit("module", check=False)
    tokennet_audit("module", "example", check=False, budget=2)
    assert given == [
        (("module", None), {"seed": 7, "budget": 0.5}),
        (("module", "example"), {"seed": 7, "budget": 2}),
    ]
"""


def test_import_of_the_plugin_is_cheap() -> None:
    code = "import sys, tokennet.pytest_plugin; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_the_fixture_audits_and_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(AUDITED)
    found = pytester.runpytest_subprocess(*PLUGIN, "--tokennet-seed=7", "--tokennet-budget=0.5")
    found.assert_outcomes(passed=4, failed=1)
    found.stdout.fnmatch_lines(["*LawBrokenError: audit Sum: BROKEN: Causality*"])
    found.stdout.fnmatch_lines(["*smallest witness: tokens after position*"])
    assert "raise LawBrokenError(" not in found.stdout.str(), "the test's own line is shown"


@pytest.mark.parametrize("words", ["--tokennet-budget=0", "--tokennet-seed=one"])
def test_wrong_options_are_refused(pytester: pytest.Pytester, words: str) -> None:
    found = pytester.runpytest_subprocess(*PLUGIN, words)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([f"*argument {words.partition('=')[0]}: invalid*"])


def _installed(folder: Path) -> None:
    """The entry point as an installation leaves it."""
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["pytest11"]
    place = folder / "audited-1.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: audited\nVersion: 1\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (place / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))


@pytest.mark.parametrize("again", ["", "-p", "conftest"])
def test_an_installed_plugin_may_be_named_again(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    _installed(pytester.path)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.makepyfile("def test_it(tokennet_audit): pass")
    if again == "conftest":
        pytester.makeconftest('pytest_plugins = ["tokennet.pytest_plugin"]')
    found = pytester.runpytest_subprocess(*(PLUGIN if again == "-p" else ()))
    found.assert_outcomes(passed=1)


class Sum(nn.Module):
    """Adds the sum of all tokens."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x.sum(1, keepdim=True)


X = torch.randn(2, 4, 3)


def test_assert_obeys_returns_the_report() -> None:
    report = tn.assert_obeys(Sum(), tn.Permutation, "BatchIndependence", example=X, quick=True)
    assert [n for n, v in report.verdicts.items() if v.promised] == [
        "Permutation",
        "BatchIndependence",
    ]
    assert report["Permutation"].bites > 0


def test_assert_obeys_raises_where_a_law_is_broken() -> None:
    with pytest.raises(tn.LawBrokenError, match="BROKEN: Causality") as caught:
        tn.assert_obeys(Sum(), "Permutation", tn.Causality(), example=X, quick=True)
    assert "smallest witness" in str(caught.value)


def test_assert_obeys_raises_where_a_law_was_not_tested() -> None:
    with pytest.raises(tn.LawBrokenError, match=r"NOT TESTED, give an example") as caught:
        tn.assert_obeys(Sum(), "Permutation", "Padding", example=X, quick=True)
    assert "  Padding: not applicable: no mask" in str(caught.value)
    report = tn.assert_obeys(Sum(), "Padding", example=X, quick=True, allow_untested=True)
    assert report["Padding"].status == "not applicable"


def test_allow_untested_does_not_allow_broken() -> None:
    with pytest.raises(tn.LawBrokenError, match="BROKEN: Causality"):
        tn.assert_obeys(Sum(), "Padding", "Causality", example=X, quick=True, allow_untested=True)


def test_undecided_is_not_tested() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones_like(x)

    with pytest.raises(tn.LawBrokenError, match="Causality: undecided"):
        tn.assert_obeys(Constant(), "Causality", example=X, quick=True)


def test_assert_obeys_refuses_what_it_does_not_know(no_typecheck: None) -> None:
    with pytest.raises(ValueError, match="laws is"):
        tn.assert_obeys(Sum(), example=X)
    with pytest.raises(TypeError, match="pass them after module"):
        tn.assert_obeys(Sum(), "Padding", example=X, properties=["Padding"])
    with pytest.raises(ValueError, match="did you mean 'Padding'"):
        tn.assert_obeys(Sum(), "Paddin", example=X)
    with pytest.raises(TypeError, match="module is Tensor"):
        tn.assert_obeys(X, "Padding", example=X)
    with pytest.raises(TypeError, match="allow_untested"):
        tn.assert_obeys(Sum(), "Padding", example=X, allow_untested=1)
