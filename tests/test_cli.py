"""The command line, as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import tokennet
from tokennet.cli import app

HEAVY = ("torch", "numpy", "hypothesis", "torch_geometric", "sklearn", "matplotlib", "networkx")


def invoke(*words):
    return CliRunner().invoke(app, list(words))


def in_python(code, **kwargs):
    """The finished process of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["verify", "--help"], ["demo", "--help"]]
)
def test_help_and_version_import_nothing_heavy(words):
    code = f"""
import sys
from tokennet.cli import main
sys.argv = ["tokennet", *{words!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *[name for name in {HEAVY!r} if name in sys.modules])
"""
    printed = in_python(code)
    assert printed.rstrip().endswith("loaded:"), printed[-200:]
    assert "tokennet" in printed


def test_importing_tokennet_needs_no_more_than_torch():
    heavy = [name for name in HEAVY if name not in ("torch", "numpy", "networkx")]
    code = f"""
import sys
import tokennet
tokennet.Attention
print([name for name in {heavy!r} if name in sys.modules])
"""
    assert in_python(code).strip() == "[]"


def test_verify_is_the_function_even_after_its_folder_was_imported_first():
    code = """
from tokennet.verify import Report
import tokennet, tokennet.verify
print(callable(tokennet.verify), tokennet.Report is Report, "verify" in dir(tokennet))
"""
    assert in_python(code).split() == ["True"] * 3


def test_the_package_names_what_it_lacks():
    with pytest.raises(AttributeError, match="no attribute 'Atention'"):
        tokennet.Atention  # noqa: B018


def test_version():
    found = invoke("--version")
    assert found.exit_code == 0
    assert found.output.split() == ["tokennet", tokennet.__version__]


def test_verify_a_mixer_that_holds():
    found = invoke("verify", "tokennet.mixers:MaxPooling", "--dim", "3", "--examples", "8")
    assert found.exit_code == 0, found.output
    assert "all promises held" in found.output
    assert "8 examples a law, seed 0" in found.output


def test_verify_a_mixer_that_does_not():
    found = invoke("verify", "tokennet.demo.broken:MaxOfAll", "--dim", "3", "--examples", "20")
    assert found.exit_code == 1
    assert "NOT as promised" in found.output
    assert "smallest witness" in found.output


def test_verify_as_json():
    words = ("--dim", "3", "--examples", "20", "--seed", "1", "--json")
    found = invoke("verify", "tokennet.demo.broken:MaxOfAll", *words)
    assert found.exit_code == 1
    report = json.loads(found.output)
    assert report["ok"] is False
    assert (report["module"], report["seed"]) == ("MaxOfAll", 1)
    by_law = {v["law"]: v for v in report["verdicts"]}
    assert set(report["broken"]) == {law for law, v in by_law.items() if not v["ok"]}
    assert by_law["PaddingBlindness"]["status"] == "broken"
    assert "padding" in by_law["PaddingBlindness"]["witness"]


OWN = """
import tokennet as tn
from torch import nn

net = tn.Block(4, tn.Pointwise(4), mlp=tn.Pointwise(4))
plain = nn.Linear(3, 3)

def make():
    return tn.Pointwise(4)

def needs(dim):
    return tn.Pointwise(dim)

class Parts:
    inner = tn.Pointwise(2)
"""


@pytest.mark.parametrize("name", ["net", "make", "Parts.inner"])
def test_verify_finds_modules_of_the_current_folder(tmp_path, name):
    (tmp_path / "my_mixers.py").write_text(OWN)
    command = [Path(sys.executable).parent / "tokennet", "verify", f"my_mixers:{name}"]
    done = subprocess.run(
        [*command, "--examples", "4"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stderr  # 4 examples may be too few to test each law
    assert done.stdout.startswith("verify ")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("my_mixers", "'my_mixers' is not of the form package.module:name"),
        (":net", "':net' is not of the form"),
        ("no_such:net", "there is no module 'no_such', neither installed nor in the current"),
        ("tokennet.no_such:net", "there is no module 'tokennet.no_such'"),
        ("my_mixers:mak", "module my_mixers has no 'mak'; did you mean 'make'?"),
        ("my_mixers:needs", "missing 1 required positional argument: 'dim'; pass a mixer, a net"),
        ("my_mixers:plain", "module is Linear, expected a Mixer or a TokenNet"),
        ("my_bad:net", "importing my_bad raised ZeroDivisionError: division by zero"),
        ("my_lack:net", "importing my_lack raised ModuleNotFoundError: No module named 'nowhere'"),
        ("tokennet.mixers:MaxPooling", "takes any number of channels; say how many: --dim 8"),
    ],
)
def test_bad_targets_are_told_clearly(tmp_path, monkeypatch, target, message):
    for name, text in (("mixers", OWN), ("bad", "1 / 0"), ("lack", "import nowhere")):
        (tmp_path / f"my_{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("my_mixers", "my_bad", "my_lack"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = invoke("verify", target)
    assert found.exit_code == 2, found.output
    assert found.stderr.startswith("Error: ")
    assert message in found.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dem"], "No such command 'dem'"),
        (["verify"], "Missing argument"),
        (["verify", "a:b", "--dim", "0"], "Invalid value for '--dim'"),
        (["demo", "--seeds", "0"], "Invalid value for '--seeds'"),
        (["demo", "--sedes", "1"], "No such option"),
    ],
)
def test_unknown_words_are_refused(words, message):
    found = invoke(*words)
    assert found.exit_code == 2
    assert message in found.output


def test_demo_says_what_is_missing_and_where_it_cannot_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    found = invoke("demo", "--out", str(tmp_path / "file" / "out"))
    assert found.exit_code == 2
    assert "file" in found.stderr
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = invoke("demo", "--out", str(tmp_path / "out"))
    assert found.exit_code == 2
    assert "pip install 'tokennet[demo]'" in found.stderr


@pytest.mark.parametrize(("kept", "status"), [(True, 0), (False, 1)])
def test_demo_fails_where_a_promise_is_broken(kept, status, monkeypatch, tmp_path):
    row = SimpleNamespace(certificate=SimpleNamespace(ok=kept))
    fine = SimpleNamespace(certificate=SimpleNamespace(ok=True))
    results = SimpleNamespace(rows=(fine, row))
    monkeypatch.setattr("tokennet.demo.run.run_demo", lambda *_, **__: results)
    assert invoke("demo", "--out", str(tmp_path)).exit_code == status
