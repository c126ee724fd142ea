"""docs/systems.md: every row is there, and what it names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "systems.md").read_text()
ROWS = 84
ROW = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)


def missing(text: str) -> list[str]:
    """The tests, operators of `tn` and examples named in a text that are not there."""
    found = []
    for file, name in re.findall(r"`(test_\w+)::(test_\w+)`", text):
        path = ROOT / "tests" / f"{file}.py"
        tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
        if name not in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}:
            found.append(f"{file}::{name}")
    examples = re.findall(r"`(examples/\w+\.py)`", text)
    return found + [path for path in examples if not (ROOT / path).exists()]


def test_every_row_is_shown() -> None:
    rows = ROW.findall(PAGE)
    assert [int(number) for number, _ in rows] == list(range(1, ROWS + 1))
    shown = re.compile(r"`(test_\w+::test_\w+|examples/\w+\.py)`")
    assert [number for number, text in rows if not shown.search(text)] == []


def test_what_is_named_exists() -> None:
    assert missing(PAGE) == []
    assert missing("`test_nowhere::test_nothing` `examples/nothing.py`") != []
    assert len(re.findall(r"`test_\w+::", PAGE)) > ROWS


def test_parts_that_are_named_are_public() -> None:
    """Class names in the column of parts are names of `tokennet`."""
    import tokennet as tn

    cells = [text.split("|")[1] for _, text in ROW.findall(PAGE)]
    names = set(re.findall(r"\b[A-Z][a-zA-Z]+(?=\()", " ".join(cells)))
    outside = {"LayerNorm", "Sigmoid"}  # of torch
    assert names - outside - set(tn.__all__) == set()
    assert len(names) > 20
