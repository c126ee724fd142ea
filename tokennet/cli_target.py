"""What the words `package.module:name` on the command line mean, and the errors they get."""

import difflib
import importlib
import inspect
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import typer

BAD_INPUT = 2


def load(target: str, *, allowed: str = "a mixer, a net") -> Any:
    """What `package.module:name` names, or makes; `allowed` is what the hint asks for."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise bad_input(f"{target!r} is not of the form package.module:name")
    sys.path.insert(0, str(Path.cwd()))  # a console script has only its own folder there
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise bad_input(_import_problem(module_name, error)) from error
    try:
        found = attrgetter(name)(module)
    except AttributeError as error:
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise bad_input(f"module {module_name} has no {name!r}{hint}") from error
    if not isinstance(found, type) and not inspect.isroutine(found):
        return found
    try:
        return found()
    except Exception as error:
        problem = f"{target} raised {type(error).__name__}: {error}"
        hint = f"pass {allowed}, or a function without arguments that makes one"
        raise bad_input(f"{problem}; {hint}") from error


def _import_problem(module_name: str, error: Exception) -> str:
    missing = getattr(error, "name", None)
    parents = [module_name.rsplit(".", n)[0] for n in range(module_name.count(".") + 1)]
    if isinstance(error, ModuleNotFoundError) and missing in parents:
        return f"there is no module {missing!r}, neither installed nor in the current folder"
    return f"importing {module_name} raised {type(error).__name__}: {error}"


def bad_input(message: str) -> typer.Exit:
    """To be raised: says what is wrong with the words given, and ends with status 2."""
    typer.echo(f"Error: {message}", err=True)
    return typer.Exit(BAD_INPUT)
