"""What the demo leaves: page, figure and numbers in a folder, and a table in the terminal."""

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tokennet.demo.figure import draw
from tokennet.demo.page import render
from tokennet.demo.results import Results, Row, finding, percent
from tokennet.files import write_atomically


def write_all(results: Results, out: Path) -> dict[str, Path]:
    """Writes everything, and returns the paths by what they are."""
    pictures = {
        (dark, narrow): draw(results, dark=dark, narrow=narrow)
        for dark in (False, True)
        for narrow in (False, True)
    }
    page = render(results, pictures)
    numbers = json.dumps(results.as_dict(), indent=2, allow_nan=False)
    return {
        "page": write_atomically(out / "index.html", page.encode()),
        "figure": write_atomically(out / "figure.png", pictures[False, False]),
        "numbers": write_atomically(out / "results.json", numbers.encode()),
    }


def print_table(results: Results, console: Console) -> None:
    """One line for each net: accuracy, parameters, claims, and what was found."""
    for rows in (results.image_rows, results.graph_rows):
        images = rows is results.image_rows
        n = len(rows[0].runs)
        table = Table(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            show_edge=False,
            title_justify="left",
        )
        table.title = f"{rows[0].variant.task}, accuracy in % (n = {n})"
        table.add_column("net", no_wrap=True)
        if images:
            table.add_column("code", no_wrap=True)
        table.add_column("accuracy", justify="right", no_wrap=True)
        table.add_column("params", justify="right", no_wrap=True)
        for name in ("claims", "Permutation", "verify"):
            table.add_column(name, no_wrap=True)
        for row in rows:
            table.add_row(*_cells(row, images))
        console.print(table)
        console.print()


def _cells(row: Row, images: bool) -> list[str]:
    found = row.certificate
    code = ["yes" if row.variant.position else "no"] if images else []
    return [
        row.variant.operator,
        *code,
        percent(row),
        f"{found.parameters:,}",
        ", ".join(found.strongest) or "none",
        finding(found),
        "[green]held[/]" if found.ok else "[red]BROKEN[/]",
    ]
