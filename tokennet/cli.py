"""The command `tokennet`. Heavy imports are inside the commands: `--help` needs no torch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokennet
from tokennet import cli_ablate, cli_audit
from tokennet.cli_target import bad_input, load

if TYPE_CHECKING:
    from tokennet.verify import Report

app = typer.Typer(
    help="Token nets from operator blocks, every operator checked against what it claims.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

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
        raise bad_input(str(error)) from error
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
    module = load(target)
    if dim is None and getattr(module, "dim", 0) is None:
        raise bad_input(f"{target} takes any number of channels; say how many: --dim 8")
    from tokennet.verify import verify as run_verify

    try:
        report = run_verify(module, dim=dim, examples=examples, seed=seed)
    except (TypeError, ValueError) as error:
        raise bad_input(f"{target} can't be verified: {error}") from error
    typer.echo(json.dumps(_as_dict(report), indent=2) if as_json else str(report))
    if not report.ok:
        raise typer.Exit(1)


app.command()(cli_audit.audit)
app.command()(cli_ablate.ablate)
app.command()(cli_ablate.report)
app.command("list")(cli_ablate.list_)


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


def main() -> None:
    """The entry point of the command."""
    app(prog_name="tokennet")
