"""The command `tokennet audit`: what it takes, what it prints, how it ends."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tokennet.cli import app

OWN = """
import torch
from torch import nn

class Sum(nn.Module):
    def forward(self, x):
        return x + x.sum(1, keepdim=True)

class Refuses(nn.Module):
    def forward(self, x):
        raise RuntimeError("never\\nagain")

X = torch.randn(2, 4, 3)
pair = (Sum(), X)
layer = nn.MultiheadAttention(8, 2, batch_first=True)

def make():
    return Sum(), X

def promising():
    return Sum(), X, {"properties": ["Causality"], "quick": True, "seed": 4}

def wrong_name():
    return Sum(), X, {"tokns": "x"}

def refused():
    return Refuses(), X

def alone():
    return Sum()

def number():
    return 3

def texts():
    return Sum(), X, "no mapping"

def raises():
    return Sum(), X, {"output": lambda answer: 1 / 0}
"""


@pytest.fixture(autouse=True)
def _own(tmp_path, monkeypatch):
    (tmp_path / "my_audited.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_audited", raising=False)


def invoke(name, *words):
    return CliRunner().invoke(app, ["audit", f"my_audited:{name}", *words])


def test_help_imports_nothing_heavy():
    code = """
import sys
from tokennet.cli import main
sys.argv = ["tokennet", "audit", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", [name for name in ("torch", "numpy", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("loaded: []")
    assert "--property" in done.stdout


@pytest.mark.parametrize("name", ["make", "pair"])
def test_a_property_that_holds(name):
    found = invoke(name, "--property", "Permutation", "--quick", "--seed", "5")
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("audit Sum: nothing broken")
    assert "seed 5" in found.stdout
    assert found.stderr == ""


def test_a_property_that_breaks():
    found = invoke("make", "--property", "Permutation", "--property", "Causality", "--quick")
    assert found.exit_code == 1
    assert found.stdout.startswith("audit Sum: BROKEN: Causality\n")
    assert "smallest witness: tokens after position" in found.stdout


def test_arguments_of_the_target_and_of_the_command():
    found = invoke("promising", "--json")
    report = json.loads(found.stdout)
    assert (found.exit_code, report["broken"], report["seed"]) == (1, ["Causality"], 4)
    found = invoke("promising", "--json", "--property", "Permutation", "--seed", "6")
    report = json.loads(found.stdout)
    assert (found.exit_code, report["broken"], report["seed"]) == (0, [], 6)


def test_a_known_module_needs_no_example():
    found = invoke("layer", "--quick", "--property", "BatchIndependence")
    assert found.exit_code == 0, found.output
    assert "torch MultiheadAttention" in found.stdout


def test_what_was_not_tested_is_told():
    found = invoke("make", "--property", "Padding", "--quick")
    assert found.exit_code == 0
    assert found.stderr.startswith("Warning: Padding was not tested (not applicable: no mask")


def test_json_has_no_infinite_numbers(monkeypatch):
    from tokennet.audit.report import AuditReport, AuditVerdict

    verdict = AuditVerdict("Padding", "broken", error=float("inf"), floor=float("nan"))
    report = AuditReport("Sum", {"Padding": verdict})
    monkeypatch.setattr(sys.modules["tokennet.audit"], "audit", lambda *_, **__: report)
    found = invoke("make", "--json")
    assert found.exit_code == 1
    verdict = json.loads(found.stdout, parse_constant=pytest.fail)["verdicts"]["Padding"]
    assert (verdict["error"], verdict["floor"]) == ("inf", "nan")


def test_a_page_is_written_beside_the_report(tmp_path):
    words = ("--quick", "--json", "--property", "Causality", "--html", "found.html")
    found = invoke("make", *words)
    assert found.exit_code == 1
    assert json.loads(found.stdout)["broken"] == ["Causality"]
    assert found.stderr == "wrote found.html\n"
    page = (tmp_path / "found.html").read_text()
    assert "my_audited:make" in page
    assert "tokens after position" in page
    assert [p.name for p in tmp_path.glob("*found.html*")] == ["found.html"]


def test_a_terminal_gets_a_table(monkeypatch, capsys):
    from my_audited import Sum, X

    from tokennet import cli_audit
    from tokennet.audit import audit

    monkeypatch.setenv("TERM", "dumb")  # no colours
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    report = audit(Sum(), X, properties=["Causality"], quick=True)
    cli_audit._show(report, False)
    printed = capsys.readouterr().out
    assert printed.startswith("audit Sum: BROKEN: Causality\n")
    rows = [line.split() for line in printed.splitlines()]
    assert ["!", "Causality", "broken"] in [row[:3] for row in rows]
    assert ["Permutation", "(holds)"] in [row[:2] for row in rows]
    for words in ("smallest witness:", "  not applicable: ", "not refuted within"):
        assert printed.count(words) == 1


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("number", (), "my_audited:number gives int, expected a module, (module, example)"),
        ("texts", (), "my_audited:texts gives (Sum, Tensor, str), expected a module"),
        ("nobody", (), "module my_audited has no 'nobody'"),
        ("alone", (), "example is None, expected arguments of a call of Sum"),
        ("wrong_name", (), "argument is 'tokns'"),
        ("refused", ("--quick",), "example is refused by the module"),
        ("raises", ("--quick",), "my_audited:raises can't be audited"),
        ("make", ("--property", "Causalty"), "did you mean 'Causality'?"),
        ("make", ("--budget", "0"), "budget is 0.0"),
        ("make", ("--html", "no/such/page.html"), "there is no folder no/such"),
        ("make", ("--html", "."), ". is a folder; --html takes the name of a file"),
    ],
)
def test_bad_input_is_told_clearly(name, words, message):
    found = invoke(name, *words)
    assert found.exit_code == 2, found.output
    assert found.stdout == ""
    assert found.stderr.startswith("Error: ")
    assert message in found.stderr
