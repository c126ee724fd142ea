"""`tokennet ablate`, `tokennet report`, `tokennet list`: as a user calls them."""

import csv
import io
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tokennet.cli import app

CODE = '''
def experiment(kind, bonus, seed):
    """Kind b is better; c fails for seed 2."""
    if kind == "c" and seed == 2:
        raise RuntimeError("no luck with 2")
    return {"score": {"a": 0.0, "b": 1.0, "c": 2.0}[kind] + bonus + 0.01 * (seed * 7 % 5)}
'''
FILE = """
experiment: cli_experiment:experiment
axes:
  kind: [a, b]
fixed: {bonus: 0.5}
maximise: score
seeds: 8
workers: 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cli_experiment.py").write_text(CODE)
    (tmp_path / "ablation.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("cli_experiment", None)
    return tmp_path


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_from_a_file_to_a_report(folder: Path) -> None:
    done = invoke("ablate", "ablation.yaml", "--quiet", "--html", "page.html")
    assert done.exit_code == 0, done.output
    assert "16 done" in done.output
    assert "bonus" in (folder / "page.html").read_text()
    again = invoke("report", "ablation.sqlite", "--format", "csv")
    assert again.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(again.stdout)))
    assert len(rows) == 16
    scores = {(row["kind"], int(row["seed"])): float(row["score"]) for row in rows}
    assert scores["b", 3] == pytest.approx(1.5 + 0.01)
    for form, piece in (("markdown", "|"), ("latex", r"\toprule"), ("text", "rank")):
        assert piece in invoke("report", "ablation.sqlite", "--format", form).stdout
    assert "16 of 16 runs done" in invoke("list", "ablation.sqlite").stdout


def test_nothing_is_computed_twice_and_changes_add_runs(folder: Path) -> None:
    assert invoke("ablate", "ablation.yaml", "--quiet", "--set", "seeds=2").exit_code == 0
    more = invoke("ablate", "ablation.yaml", "--quiet", "--set", "seeds=3")
    assert "4 of 6 runs were in the store" in more.output.replace("\n    ", " ")


def test_a_failed_run_is_status_1(folder: Path) -> None:
    done = invoke("ablate", "ablation.yaml", "--quiet", "--set", "axes.kind=[b, c]")
    assert done.exit_code == 1
    assert "7 of 8 seeds: 1 failed" in done.output
    report = invoke("report", "ablation.sqlite")
    assert report.exit_code == 1
    assert "no luck with 2" in invoke("report", "ablation.sqlite", "--format", "csv").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ablate", "none.yaml"], "none.yaml can't be read: No such file"),
        (["ablate", "."], "can't be read"),
        (["ablate", "ablation.yaml", "--set", "seed=3"], "did you mean 'seeds'?"),
        (["ablate", "ablation.yaml", "--set", "fixed={}"], "needs no 'bonus'"),
        (["ablate", "ablation.yaml", "--set", "fixed={bonsu: 1}"], "'bonus' meant"),
        (["ablate", "ablation.yaml", "--set", "store=no/where.sqlite"], "no/where.sqlite"),
        (["ablate", "ablation.yaml", "--html", "no/page.html"], "there is no folder no"),
        (["report", "none.sqlite"], "none.sqlite"),
        (["report", "ablation.yaml"], "ablation.yaml"),
        (["list", "ablation.yaml"], "ablation.yaml"),
    ],
)
def test_bad_words_are_status_2(folder: Path, words: list[str], message: str) -> None:
    done = invoke(*words)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert "Traceback" not in done.output
    assert (folder / "ablation.yaml").read_text() == FILE


def test_check_makes_every_net_and_trains_none(folder: Path) -> None:
    pytest.importorskip("sklearn")
    text = "task: Digits\naxes: {mixer: {a: {type: Attention, num_heads: 3}, b: {type: TokenMLP}}}"
    (folder / "task.yaml").write_text(text)
    wrong = invoke("ablate", "task.yaml", "--check")
    assert wrong.exit_code == 2
    assert "axes.mixer.a: dim is 32, expected a multiple of num_heads (3)" in wrong.output
    right = invoke("ablate", "task.yaml", "--check", "--set", "axes.mixer.a.num_heads=4")
    assert right.exit_code == 0, right.output
    assert "num_heads: 4" in right.output
    assert not (folder / "task.sqlite").exists()


def test_tasks_are_listed() -> None:
    done = invoke("list")
    assert done.exit_code == 0
    assert "Digits" in done.stdout
    assert "accuracy" in done.stdout
