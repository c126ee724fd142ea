"""The file of an ablation: which keys there are, what they mean, and what they resolve to."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokennet.config.parts import load_object, read_value
from tokennet.config.reader import ConfigError, mapping, near, of_type, problem, under
from tokennet.config.text import parse

# key: its plain type, or None where it has a reader of its own
KEYS: dict[str, Any] = {
    "name": str,
    "task": None,
    "experiment": None,
    "axes": None,
    "fixed": None,
    "seeds": None,
    "maximise": str,
    "minimise": str,
    "baseline": None,
    "design": None,
    "match": None,
    "store": str,
    "workers": int,
    "devices": None,
    "timeout": float,
    "retry_failed": bool,
    "version": str,
}


@dataclass(frozen=True)
class AblationFile:
    """A file that was read: `tn.ablate(file.experiment, file.axes, **file.arguments)`.

    `resolved` is the file's content after all changes, to be stored with the results.
    """

    experiment: Any
    axes: dict[str, dict[str, Any]]
    arguments: dict[str, Any]
    resolved: dict[str, Any]


def read_file(path: str | Path, changes: Sequence[str] = ()) -> AblationFile:
    """Reads a YAML file; `changes` are `key=value`, e.g. `axes.mixer.attention.num_heads=8`.

    Raises:
        ConfigError: for unknown keys, wrong types, parts that don't exist; with the key's path.
        OSError: where there is no such file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: no text (UTF-8), so no YAML") from None
    return read_text(text, changes, source=str(path))


def read_text(text: str, changes: Sequence[str] = (), *, source: str = "the file") -> AblationFile:
    """The same of a text."""
    content = mapping("", parse(text, source), KEYS)
    for change in changes:
        _apply(content, change)
    mapping("", content, KEYS)
    for key, kind in KEYS.items():
        if kind is not None and content.get(key) is not None:
            content[key] = of_type(key, content[key], kind)
    experiment = _experiment(content)
    axes = _axes(content)
    arguments = {
        key: content[key]
        for key, kind in KEYS.items()
        if kind is not None and content.get(key) is not None
    }
    for key, read in _READERS.items():
        if content.get(key) is not None:
            arguments[key] = read(key, content[key])
    arguments["settings"] = content
    return AblationFile(experiment, axes, arguments, content)


def _apply(content: dict[str, Any], change: str) -> None:
    """Sets one key; what lies on the way must exist, so that a slip makes no new key."""
    path, equals, value = change.partition("=")
    if not equals or not path:
        raise problem("--set", f"{change!r} is not of the form key=value", "e.g. seeds=10")
    *way, last = path.split(".")
    if not way and last not in KEYS:
        raise problem(path, "unknown key", near(last, KEYS))
    place: Any = content
    for depth, key in enumerate(way):
        if not isinstance(place, dict) or key not in place:
            so_far = ".".join(way[:depth])
            known = list(place) if isinstance(place, dict) else []
            raise problem(under(so_far, key), "there is no such key", near(key, known))
        place = place[key]
    if not isinstance(place, dict):
        raise problem(".".join(way), "is no mapping, so nothing can be set below it")
    place[last] = parse(value, f"--set {path}")


def _experiment(content: Mapping[str, Any]) -> Any:
    if (content.get("task") is None) == (content.get("experiment") is None):
        hint = "`task: Digits`, or `experiment: mypackage.module:function`"
        raise problem("", "it needs one of the keys task and experiment, not both", hint)
    if content.get("task") is not None:
        return _task("task", content["task"])
    name = of_type("experiment", content["experiment"], str)
    found = load_object("experiment", name)
    if not callable(found):
        raise problem("experiment", f"{name} is {type(found).__name__}, which can't be called")
    return found


def _task(path: str, value: Any) -> Any:
    """A built-in task: its name, or a mapping with `type` and arguments."""
    from tokennet.tasks import TASKS, Recipe

    given = {"type": value} if isinstance(value, str) else mapping(path, value)
    name = of_type(under(path, "type"), given.pop("type", None), str)
    if name not in TASKS:
        raise problem(under(path, "type"), f"there is no task {name!r}", near(name, TASKS))
    parameters = inspect.signature(TASKS[name]).parameters
    mapping(path, given, list(parameters))
    for key, inner in given.items():
        place = under(path, key)
        if key == "recipe":
            fields = inspect.signature(Recipe).parameters
            recipe = mapping(place, inner, list(fields))
            for part, number in recipe.items():
                recipe[part] = of_type(under(place, part), number, fields[part].annotation)
            given[key] = _made(place, Recipe, recipe)
        else:
            given[key] = of_type(place, inner, parameters[key].annotation)
    return _made(path, TASKS[name], given)


def _made(path: str, kind: Any, given: Mapping[str, Any]) -> Any:
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise problem(path, str(error)) from error


def _axes(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    if content.get("axes") is None:
        raise problem("axes", "missing", "it says what is compared")
    found: dict[str, dict[str, Any]] = {}
    for axis, choices in mapping("axes", content["axes"]).items():
        path = under("axes", axis)
        if isinstance(choices, list):
            choices = {_label(f"{path}[{i}]", value): value for i, value in enumerate(choices)}
        found[axis] = {
            label: read_value(under(path, label), value)
            for label, value in mapping(path, choices).items()
        }
    return found


def _label(path: str, value: Any) -> str:
    if isinstance(value, Mapping | list):
        raise problem(path, "has no name", "write `label: value` lines in place of the list")
    return str(value)


def _fixed(path: str, value: Any) -> dict[str, Any]:
    return {k: read_value(under(path, k), v) for k, v in mapping(path, value).items()}


def _seeds(path: str, value: Any) -> Any:
    if isinstance(value, list):
        return [of_type(f"{path}[{i}]", seed, int) for i, seed in enumerate(value)]
    return of_type(path, value, int)


def _choice(path: str, value: Any) -> dict[str, str]:
    return {axis: str(label) for axis, label in mapping(path, value).items()}


def _design(path: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_choice(f"{path}[{i}]", choice) for i, choice in enumerate(value)]
    return of_type(path, value, str)


def _match(path: str, value: Any) -> Any:
    if isinstance(value, str):
        return value
    from tokennet.ablate.budget import Budget

    fields = {"of": str, "width": str, "fine": str, "step": int, "start": int, "within": float}
    given = mapping(path, value, [*fields, "build"])
    for key, kind in fields.items():
        if key in given:
            given[key] = of_type(under(path, key), given[key], kind)
    if "build" in given:
        name = of_type(under(path, "build"), given["build"], str)
        given["build"] = load_object(under(path, "build"), name)
    return _made(path, Budget, given)


def _devices(path: str, value: Any) -> Any:
    if isinstance(value, list):
        return [of_type(f"{path}[{i}]", device, str) for i, device in enumerate(value)]
    return of_type(path, value, str)


_READERS = {
    "fixed": _fixed,
    "seeds": _seeds,
    "baseline": _choice,
    "design": _design,
    "match": _match,
    "devices": _devices,
}
