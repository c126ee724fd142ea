"""Documentation that runs: every Python block, every link, every length that was promised."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")

each = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)


@each
def test_code_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks of a page run in turn; a comment behind `print(...)` is what it prints."""
    space: dict[str, object] = {"__name__": "docs"}
    for block in BLOCK.findall(page.read_text()):
        exec(compile(block, page.name, "exec"), space)
        printed = capsys.readouterr().out
        for line in block.splitlines():
            expected = re.match(r"print\(.*\)\s+# ([(T\d].*|True.*|False.*|torch\.Size.*)$", line)
            if expected:
                assert expected.group(1) in printed, f"{line} printed {printed}"


@each
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_orphan_page() -> None:
    linked = {
        (p.parent / t).resolve() for p in PAGES for t in LINK.findall(p.read_text()) if ":" not in t
    }
    assert [p.name for p in (ROOT / "docs").glob("*.md") if p.resolve() not in linked] == []


def test_readme_is_short_and_begins_with_code() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 110
    assert any(line.startswith("import tokennet") for line in lines[:20])
    commands = [line for line in lines if line.startswith("make ")]
    assert [c.split()[1] for c in commands] == ["demo", "test"]


def test_reference_is_up_to_date() -> None:
    """`make reference` writes it."""
    namespace = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))
    assert namespace["page"]() == (ROOT / "docs" / "reference.md").read_text()


def test_the_page_of_tasks_is_up_to_date() -> None:
    """`make reference` writes it."""
    namespace = runpy.run_path(str(ROOT / "docs" / "make_tasks.py"))
    assert namespace["page"]() == (ROOT / "docs" / "tasks.md").read_text()


def test_family_pages_are_up_to_date() -> None:
    """`make reference` writes their tables: claims and facts come from the code."""
    space = runpy.run_path(str(ROOT / "docs" / "make_families.py"))
    for family in space["FAMILIES"]:
        path = ROOT / "docs" / f"{family.name}.md"
        assert space["page"](family) == path.read_text(), f"{path.name}: run make reference"
        assert (ROOT / "docs" / "pictures" / f"{family.name}.png").exists()


def test_the_table_of_kernels_is_the_measured_one() -> None:
    """`make reference` writes it, from what the benchmark committed."""
    space = runpy.run_path(str(ROOT / "docs" / "make_kernels.py"))
    text = space["RESULTS"].read_text()
    assert space["section"](text) in space["PAGE"].read_text()
    cases = space["tables"](text)[1][1:]
    assert {"propagate", "GATConv", "GCNConv"} <= {case[0] for case in cases}
    assert all(forward > 1 and both > 1 for *_, forward, both in space["bars"](cases))
    assert space["PICTURE"].exists()


def test_readme_counts_the_planted_bugs() -> None:
    import mutants_graphs
    import mutants_hidden
    import mutants_tokens
    from mutants import PLANTED

    assert mutants_graphs
    assert mutants_hidden
    assert mutants_tokens
    assert f"{len(PLANTED)} of {len(PLANTED)}" in (ROOT / "README.md").read_text()
