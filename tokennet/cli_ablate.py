"""The commands `ablate`, `report` and `list`: ablations from files, and what their stores hold."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokennet.cli_target import bad_input

if TYPE_CHECKING:
    from tokennet.ablate.ablation import Ablation
    from tokennet.config import AblationFile


class Form(StrEnum):
    """How a report is printed."""

    text = "text"
    markdown = "markdown"
    csv = "csv"
    latex = "latex"


HTML = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one page.")]


def ablate(
    file: Annotated[Path, typer.Argument(help="What is compared, as YAML: see docs/ablations.md.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. --set seeds=10."),
    ] = None,
    html: HTML = None,
    check: Annotated[
        bool, typer.Option("--check", help="Read the file, make every net once, train nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Run the ablation that a file describes, or go on with it, and report.

    Exit status: 0 all runs are done, 1 some failed or are missing, 2 the file is wrong.
    """
    _page(html)
    read = _read(file, changes or [])
    _build(read)
    if check:
        import yaml

        typer.echo(yaml.safe_dump(read.resolved, sort_keys=False, allow_unicode=True).rstrip())
        return
    from tokennet.ablate import StoreError
    from tokennet.ablate import ablate as run_ablation

    if "store" not in read.arguments:
        read.arguments["store"] = str(file.with_suffix(".sqlite"))
    read.arguments.setdefault("name", file.stem)
    try:
        found = run_ablation(read.experiment, read.axes, progress=not quiet, **read.arguments)
    except (TypeError, ValueError, StoreError, OSError, ImportError) as error:
        raise bad_input(f"{file}: {error}") from error
    _show(found, Form.text, html)
    if not found.complete:
        raise typer.Exit(1)


def report(
    store: Annotated[Path, typer.Argument(help="The SQLite file of an ablation.")],
    name: Annotated[str | None, typer.Option(help="Which ablation, where there are more.")] = None,
    form: Annotated[Form, typer.Option("--format", help="How it is printed.")] = Form.text,
    html: HTML = None,
) -> None:
    """Report what a store holds, also while its runs are going on.

    Exit status: 0 all runs are done, 1 some failed or are missing, 2 there is nothing to report.
    """
    _page(html)
    from tokennet.ablate import StoreError, load_ablation

    try:
        found = load_ablation(store, name)
    except (ValueError, StoreError, OSError, ImportError) as error:
        raise bad_input(str(error)) from error
    _show(found, form, html)
    if not found.complete:
        raise typer.Exit(1)


def list_(
    store: Annotated[
        Path | None, typer.Argument(help="A store, for the ablations in it.", show_default=False)
    ] = None,
) -> None:
    """List the built-in tasks, or the ablations of a store."""
    if store is None:
        _list_tasks()
        return
    from tokennet.ablate import StoreError, list_ablations

    try:
        found = list_ablations(store)
    except (ValueError, StoreError, OSError) as error:
        raise bad_input(str(error)) from error
    for each in found:
        state = f"{each.done} of {each.runs} runs done"
        state += f", {each.failed} failed" if each.failed else ""
        typer.echo(f"{each.name}: {state}, {each.plan.metric}, since {each.created[:16]}")


def _list_tasks() -> None:
    from rich.console import Console
    from rich.table import Table

    from tokennet.tasks import TASKS

    table = Table("task", "metric", "reference", "what it is", box=None, pad_edge=False)
    for name, task in sorted(TASKS.items()):
        about = (task.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        arrow = "up" if task.higher_is_better else "down"
        value = f"{task.reference.value:g}"
        table.add_row(name, f"{task.metric} ({arrow})", value, " ".join(about.split()))
    Console().print(table)


def _page(html: Path | None) -> None:
    if html is not None and (html.is_dir() or not html.parent.is_dir()):
        wrong = f"{html} is a folder" if html.is_dir() else f"there is no folder {html.parent}"
        raise bad_input(f"{wrong}; --html takes the name of a file")


def _read(file: Path, changes: list[str]) -> "AblationFile":
    import sys

    from tokennet.config import read_file
    from tokennet.config.reader import ConfigError

    sys.path.insert(0, str(Path.cwd()))  # a console script has only its own folder there
    try:
        return read_file(file, changes)
    except (ConfigError, ImportError) as error:
        raise bad_input(str(error) if str(file) in str(error) else f"{file}: {error}") from error
    except OSError as error:
        raise bad_input(f"{file} can't be read: {error.strerror or error}") from error


def _build(read: "AblationFile") -> None:
    """Makes a net of every choice of every axis: a wrong part is found before any training."""
    build = getattr(read.experiment, "net", None)
    if build is None:
        return
    fixed = read.arguments.get("fixed", {})
    first = {axis: next(iter(choices.values())) for axis, choices in read.axes.items()}
    base: dict[str, Any] = read.arguments.get("baseline") or {}
    chosen = {a: read.axes[a].get(base.get(a, ""), first[a]) for a in read.axes}
    for axis, choices in read.axes.items():
        for label, value in choices.items():
            try:
                build(**{**fixed, **chosen, axis: value})
            except Exception as error:
                raise bad_input(f"axes.{axis}.{label}: {error}") from error


def _show(found: "Ablation", form: Form, html: Path | None) -> None:
    texts = {Form.markdown: "to_markdown", Form.csv: "to_csv", Form.latex: "to_latex"}
    typer.echo(str(found) if form is Form.text else getattr(found, texts[form])().rstrip("\n"))
    if html is not None:
        typer.echo(f"page: {found.to_html(html)}", err=True)
