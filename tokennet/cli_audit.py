"""The command `tokennet audit`: any module, from the command line, as a table, JSON or a page."""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokennet.cli_target import bad_input, load

if TYPE_CHECKING:
    from rich.table import Table

    from tokennet.audit.report import AuditReport, AuditVerdict

_FORMS = "a module, (module, example) or (module, example, {argument: value})"
_COLOURS = {"holds": "blue", "broken": "bold red", "undecided": "yellow"}


def audit(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="An nn.Module, (module, example) or (module, example, arguments), or a function "
            "without arguments that gives one of them.",
        ),
    ],
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            metavar="NAME",
            help="What the module promises; several times for several. Only this can fail.",
        ),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Seconds for the search.", show_default="10")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed tries the same inputs.", show_default="0")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few inputs only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one page.")
    ] = None,
) -> None:
    """Look for inputs on which any module breaks its properties.

    Exit status: 0 nothing broken, 1 something is, 2 nothing to audit.
    """
    if html is not None and (html.is_dir() or not html.parent.is_dir()):
        problem = f"{html} is a folder" if html.is_dir() else f"there is no folder {html.parent}"
        raise bad_input(f"{problem}; --html takes the name of a file")
    import torch

    torch.manual_seed(seed or 0)  # the weights too are the same every time
    module, example, arguments = _parts(target, load(target, allowed=_FORMS))
    stated = {"properties": properties, "budget": budget, "seed": seed, "quick": quick or None}
    arguments.update({name: value for name, value in stated.items() if value is not None})
    from tokennet.audit import audit as run_audit

    try:
        report = run_audit(module, example, **arguments)
    except (TypeError, ValueError) as error:
        raise bad_input(f"{target} can't be audited: {error}") from error
    except Exception as error:  # of the module's code: a status of 1 would say that it is broken
        kind = type(error).__name__
        raise bad_input(f"{target} can't be audited: {kind}: {error}") from error
    if html is not None:
        _write(report, target, html)
    _show(report, as_json)
    if properties:
        _warn_of_untested(report)
    if not report.ok:
        raise typer.Exit(1)


def _parts(target: str, found: Any) -> tuple[Any, Any, dict[str, Any]]:
    """The module, its example and the other arguments of `audit`."""
    from torch import nn

    if isinstance(found, nn.Module):
        return found, None, {}
    parts = found if isinstance(found, tuple) else ()
    right = len(parts) in (2, 3) and isinstance(parts[0], nn.Module)
    if not right or (len(parts) == 3 and not isinstance(parts[2], Mapping)):
        kinds = ", ".join(type(part).__name__ for part in parts)
        kind = f"({kinds})" if parts else type(found).__name__
        raise bad_input(f"{target} gives {kind}, expected {_FORMS}")
    return parts[0], parts[1], dict(parts[2]) if len(parts) == 3 else {}


def _write(report: "AuditReport", target: str, path: Path) -> None:
    from tokennet.audit.pages.page import write_page

    try:
        write_page({target: report}, path)
    except OSError as error:
        raise bad_input(f"the page can't be written: {error}") from error
    typer.echo(f"wrote {path}", err=True)


def _show(report: "AuditReport", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain(report.as_dict()), indent=2, allow_nan=False))
    elif sys.stdout.isatty():
        _print_table(report)
    else:
        typer.echo(str(report))


def _plain(value: Any) -> Any:
    """The same without infinite numbers, which JSON does not have: they become words."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _warn_of_untested(report: "AuditReport") -> None:
    for v in report.verdicts.values():
        if v.promised and v.status in ("not applicable", "undecided"):
            typer.echo(f"Warning: {v.name} was not tested ({v.status}: {v.note})", err=True)


def _print_table(report: "AuditReport") -> None:
    """The report as a table in colours; the lines around it are those of the plain report."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    lines = str(report).splitlines()
    console.print(Text(lines[0], style="bold" if report.ok else "bold red"))
    console.print(_table(report))
    for v in report.verdicts.values():
        if not v.ok or (v.promised and v.status == "undecided"):
            console.print(Text(_details(v)), soft_wrap=True)
    shown = {v.name for v in report.verdicts.values()}
    rest = [line for line in lines[2:] if _ends(line, shown)]
    console.print(Text("\n".join(rest)), soft_wrap=True)


def _ends(line: str, shown: set[str]) -> bool:
    """Whether a line of the plain report stands below the verdicts."""
    return line.startswith("  ") and line[2] != " " and line.split()[0] not in shown


def _table(report: "AuditReport") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("", "property", "found"):
        table.add_column(name, no_wrap=True)
    for name in ("error", "noise", "cases", "biting"):
        table.add_column(name, justify="right", no_wrap=True)
    stated = report.stated
    for v in report.verdicts.values():
        if v.status != "not applicable":
            words = v.status if v.promised or not stated else f"({v.status})"
            colour = _COLOURS[v.status] if v.promised else "dim"
            numbers = (f"{v.error:.1e}", f"{v.floor:.1e}", str(v.cases), str(v.bites))
            cells = ("" if v.ok else "!", v.name, Text(words, style=colour), *numbers)
            table.add_row(*(Text(c) if isinstance(c, str) else c for c in cells))
    return table


def _details(v: "AuditVerdict") -> str:
    lines = [f"{' ' if v.ok else '!'} {v.name}: {v.note}"]
    if v.witness is not None:
        lines.append(f"    smallest witness: {v.witness.change}, seen in the {v.witness.what}")
        lines.append(f"      {v.witness.plan}")
    lines += [f"    enters at {v.blame}"] if v.blame else []
    lines += (
        ["", *(f"    {line}" for line in v.reproduction.splitlines()), ""]
        if (v.reproduction)
        else []
    )
    return "\n".join(lines)
