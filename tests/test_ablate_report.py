"""The report in text, Markdown, LaTeX and CSV: nothing incomplete is ranked, nothing cut off."""

import csv
import io
import math
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from ablate_samples import WIDE, difficult, planted
from rich.cells import cell_len

from tokennet.ablate.record import FAILED
from tokennet.ablate.report.numbers import chance, count, digits_for, duration
from tokennet.ablate.report.tables import as_csv, as_latex, as_markdown
from tokennet.ablate.report.text import as_text

CASES = difficult()


def failed(run) -> bool:
    return run.status == FAILED


@cache
def text(name: str, width: int) -> str:
    return as_text(CASES[name], width)


def ranked(lines: str) -> str:
    """The part of the text that ranks."""
    return lines.partition("rank  choice")[2].partition("mean ±")[0]


@pytest.mark.parametrize("width", [60, 80, 100, 500])
@pytest.mark.parametrize("name", CASES)
def test_text_fits_and_is_plain(name: str, width: int) -> None:
    found = text(name, width)
    assert max(map(cell_len, found.split("\n"))) <= min(width, 100)
    assert all(c.isprintable() for c in found.replace("\n", ""))
    assert found.count("\n") > 3


@pytest.mark.parametrize("name", CASES)
def test_incomplete_cells_are_said_and_not_ranked(name: str) -> None:
    ablation = CASES[name]
    lacking = [cell for cell in ablation.analysis.cells if not cell.complete]
    for report in (as_text(ablation, 100), as_markdown(ablation), as_latex(ablation)):
        assert ("Incomplete" in report or "no choice" in report) == bool(lacking)
    for cell in lacking:
        assert f"{len(cell.values)} of {len(ablation.plan.seeds)} seed" in text(name, 100)
    rows = re.findall(r"^ +\d+  \S", text(name, 100), flags=re.MULTILINE)
    assert len(rows) == len(ablation.analysis.ranking)
    assert len(rows) + len(lacking) == len(ablation.plan.cells)


def test_words_of_an_incomplete_cell() -> None:
    found = text("one failed", 100)
    assert "attention, learned: 4 of 6 seeds: 2 failed" in found
    assert "attention, learned" not in ranked(found)
    assert "attention, learned, seed 2: RuntimeError: out of <memory>" in found
    assert "22 done, 2 failed" in found
    assert "attention, none: 5 of 6 seeds: 1 not finite" in text("nan", 100)
    assert "no ranking" in text("all failed", 100)


def test_an_incomplete_cell_in_the_ranking_would_be_seen() -> None:
    """The check above can fail: an analysis that ranks what is incomplete goes red."""
    ablation = planted(status={(1, 2): FAILED})
    wrong = replace(ablation.analysis, ranking=ablation.analysis.cells)
    ablation.__dict__["analysis"] = wrong
    rows = re.findall(r"^ +\d+  \S", as_text(ablation, 100), flags=re.MULTILINE)
    assert "attention, learned" in ranked(as_text(ablation, 100))
    assert len(rows) + 1 != len(ablation.plan.cells)


def test_text_says_what_is_distinguishable() -> None:
    found = text("found", 100)
    real, _, open_ = found.partition("Not distinguishable")
    assert "position: learned is better than none" in " ".join(real.split())
    assert "do not interact" in open_
    assert "mixer: 81 %" in found
    assert found.endswith("Runs: runs.sqlite")
    assert "Not distinguishable by 6 seeds, however large" in text("plain", 100)


def test_long_lists_are_shortened() -> None:
    ablation = planted({"mixer": WIDE["mixer"][:12]}, seeds=3)
    found = as_text(ablation, 100)
    assert "and 54 more" in found  # 66 pairs, of which 12 are told
    assert as_markdown(ablation).count("\n| operator ") == 66


def test_terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert max(map(len, str(CASES["plain"]).split("\n"))) <= 70
    monkeypatch.setenv("COLUMNS", "200")
    assert 70 < max(map(len, str(CASES["plain"]).split("\n"))) <= 100


@pytest.mark.parametrize("name", CASES)
def test_markdown_tables_are_tables(name: str) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", as_markdown(CASES[name]), flags=re.MULTILINE):
        lines = [re.sub(r"\\.", "", line) for line in block.splitlines()]
        assert len({line.count("|") for line in lines}) == 1
        assert set(lines[1]) == {"|", " ", "-"}
    assert "<script" not in as_markdown(CASES[name]).replace(r"\<", "")


@pytest.mark.parametrize("name", CASES)
def test_latex_is_escaped(name: str) -> None:
    found = as_latex(CASES[name])
    assert found.count(r"\begin") == found.count(r"\end")
    body = re.sub(r"\\[\\{}$&#%_]", "", found)  # what is escaped, and ends of rows
    assert body.count("{") == body.count("}")
    assert body.count("$") % 2 == 0
    assert not set('^~<>|#_"±·') & set(re.sub(r"\$\^\{-?\d+\}\$", "", body))
    for table in re.findall(r"\\begin{tabular}{(\w+)}(.*?)\\end", found, flags=re.DOTALL):
        rows = [line for line in table[1].splitlines() if line.endswith(r"\\")]
        assert len(rows) > 1
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(table[0]) - 1
            assert row[0] not in "[*"


def test_latex_says_it_in_maths() -> None:
    assert r"(1.008 $\pm$ 0.015)$\cdot$10$^{-12}$" in as_latex(CASES["tiny"])
    assert "$-$0.0159" in as_latex(CASES["found"])
    assert r"a\_b\%\$\#\{\}\textasciitilde{}\textasciicircum{}" in as_latex(CASES["evil"])


@pytest.mark.parametrize("name", CASES)
def test_csv_comes_back(name: str) -> None:
    ablation = CASES[name]
    head, *rows = csv.reader(io.StringIO(as_csv(ablation)))
    assert len(set(head)) == len(head)
    assert len(rows) == len(ablation.runs)
    places = {name: head.index(name) for name in ("id", "status", "seed", "parameters", "error")}
    metric = len(ablation.plan.axes) + 3
    for run, row in zip(ablation.runs, rows, strict=True):
        assert len(row) == len(head)
        assert row[1 : 1 + len(run.labels)] == list(run.labels.values())
        assert (row[0], row[places["status"]]) == (run.id, run.status)
        assert int(row[places["seed"]]) == run.seed
        assert row[places["error"]] == ("RuntimeError: out of <memory>" if failed(run) else "")
        value = run.metrics.get(ablation.plan.metric)
        read_back = float(row[metric]) if row[metric] else None
        assert read_back == value or (math.isnan(read_back) and math.isnan(value))


def test_csv_columns_with_the_same_name() -> None:
    ablation = planted({"status": ("a", "b"), "seconds": ("1", "2")}, metric="seconds")
    head = as_csv(ablation).splitlines()[0].split(",")
    assert head[:7] == [
        "id", "axis.status", "axis.seconds", "seed", "status", "metric.seconds", "parameters",
    ]  # fmt: skip


def test_numbers_have_the_digits_that_they_deserve() -> None:
    said = lambda mean, dev: digits_for([mean], dev).with_deviation(mean, dev)  # noqa: E731
    assert said(0.94123, 0.0123) == "0.941 ± 0.012"
    assert said(0.94123, 0.00999) == "0.941 ± 0.010"
    assert said(93.2, 4.71) == "93.2 ± 4.7"
    assert said(1234.5, 230.0) == "1234 ± 230"
    assert said(1.234e-12, 4e-14) == "(1.234 ± 0.040)·10⁻¹²"
    assert said(2.5e12, 1e10) == "(2.500 ± 0.010)·10¹²"
    assert said(0.9, 0.0) == "0.9 ± 0"
    assert said(0.0, 0.0) == "0 ± 0"
    assert said(1 / 3, None) == "0.3333"
    assert said(-0.0001, 0.1) == "0.00 ± 0.10"
    assert said(math.nan, 0.1) == "—"
    assert said(math.inf, 0.1) == "∞"
    assert (chance(0.0213), chance(3.1e-5), chance(1.0), chance(math.nan)) == (
        "0.021", "3.1·10⁻⁵", "1", "—",
    )  # fmt: skip
    assert (count(12345), count(1.23e7), count(None)) == ("12,345", "12.3 M", "—")
    assert (duration(0.0004), duration(3.21), duration(725), duration(18360)) == (
        "0.4 ms", "3.2 s", "12.1 min", "5.1 h",
    )  # fmt: skip


def test_text_needs_no_pictures_and_pictures_no_window() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from ablate_samples import planted\n"
        "a = planted(curves=('loss',)); str(a); a.to_markdown(); a.to_latex(); a.to_csv()\n"
        "assert not {'matplotlib', 'pandas'} & set(sys.modules), 'text draws'\n"
        "from tokennet.ablate.report.figures import draw_ranking\n"
        "draw_ranking(a)\n"
        "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
