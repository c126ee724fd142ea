"""The command `tokennet`. Heavy imports are inside the commands: `--help` needs no torch."""

import difflib
import importlib
import inspect
import json
import sys
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokennet

if TYPE_CHECKING:
    from tokennet.verify import Report

app = typer.Typer(
    help="Token nets from operator blocks, every operator checked against what it claims.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

BAD_INPUT = 2
_REPORT_FIELDS = ("module", "ok", "broken", "mixes", "seconds", "seed", "examples")
_VERDICT_FIELDS = ("law", "role", "status", "ok", "error", "floor", "cases", "bites", "note")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tokennet {tokennet.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Token nets from operator blocks, every operator checked against what it claims."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for page, figure and numbers.")] = Path(
        "tokennet-demo"
    ),
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Trainings of each net.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds of training: for a look, not for the numbers.")
    ] = False,
) -> None:
    """Train four operators in one block, verify each of them, and write it all down as one page.

    Exit status: 0 every net kept its promises, 1 one did not, 2 a package or the folder is missing.
    """
    from tokennet.demo.run import MissingExtraError, run_demo

    try:
        results = run_demo(out, seeds=seeds, quick=quick)
    except (MissingExtraError, OSError) as error:
        raise _bad_input(str(error)) from error
    if not all(row.certificate.ok for row in results.rows):
        raise typer.Exit(1)


@app.command()
def verify(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="A mixer or a net, or a function without arguments that makes one.",
        ),
    ],
    dim: Annotated[
        int | None, typer.Option(min=1, help="Channels, for a mixer that takes any number.")
    ] = None,
    examples: Annotated[int, typer.Option(min=1, help="Inputs tried for each law.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed repeats the same search.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Hold a mixer or a net to what it claims. Exit status: 0 held, 1 not, 2 nothing to verify."""
    module = _load(target)
    if dim is None and getattr(module, "dim", 0) is None:
        raise _bad_input(f"{target} takes any number of channels; say how many: --dim 8")
    from tokennet.verify import verify as run_verify

    try:
        report = run_verify(module, dim=dim, examples=examples, seed=seed)
    except (TypeError, ValueError) as error:
        raise _bad_input(f"{target} can't be verified: {error}") from error
    typer.echo(json.dumps(_as_dict(report), indent=2) if as_json else str(report))
    if not report.ok:
        raise typer.Exit(1)


def _load(target: str) -> Any:
    """The mixer or net that `package.module:name` names, or makes."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise _bad_input(f"{target!r} is not of the form package.module:name")
    sys.path.insert(0, str(Path.cwd()))  # a console script has only its own folder there
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise _bad_input(_import_problem(module_name, error)) from error
    try:
        found = attrgetter(name)(module)
    except AttributeError as error:
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise _bad_input(f"module {module_name} has no {name!r}{hint}") from error
    if not isinstance(found, type) and not inspect.isroutine(found):
        return found
    try:
        return found()
    except Exception as error:
        problem = f"{target} raised {type(error).__name__}: {error}"
        hint = "pass a mixer, a net, or a function without arguments that makes one"
        raise _bad_input(f"{problem}; {hint}") from error


def _import_problem(module_name: str, error: Exception) -> str:
    missing = getattr(error, "name", None)
    parents = [module_name.rsplit(".", n)[0] for n in range(module_name.count(".") + 1)]
    if isinstance(error, ModuleNotFoundError) and missing in parents:
        return f"there is no module {missing!r}, neither installed nor in the current folder"
    return f"importing {module_name} raised {type(error).__name__}: {error}"


def _as_dict(report: "Report") -> dict[str, Any]:
    verdicts = [
        {
            **{name: getattr(v, name) for name in _VERDICT_FIELDS},
            "witness": None if v.witness is None else str(v.witness),
        }
        for v in report.verdicts
    ]
    return {
        **{name: getattr(report, name) for name in _REPORT_FIELDS},
        "verdicts": verdicts,
    }


def _bad_input(message: str) -> typer.Exit:
    typer.echo(f"Error: {message}", err=True)
    return typer.Exit(BAD_INPUT)


def main() -> None:
    """The entry point of the command."""
    app(prog_name="tokennet")
