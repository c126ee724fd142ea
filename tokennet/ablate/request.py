"""What `tn.ablate` was asked for, refused at the door where it can't work."""

import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from tokennet.ablate.ablation import Plan
from tokennet.ablate.design import (
    Cell,
    Labels,
    choose,
    read_axes,
    read_choice,
    read_fixed,
    read_seeds,
)
from tokennet.ablate.run import takes_run
from tokennet.checks import kind_of, type_error, value_error

NEEDED = ("loky", "cloudpickle", "scipy")


class MissingAblateError(ImportError):
    """A package that ablations need is not installed."""


def require_extras() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingAblateError(
            f"ablations need {', '.join(missing)}: pip install 'tokennet[ablate]'"
        )


@dataclass(frozen=True)
class Request:
    """What is asked for, once it was found to be in order."""

    plan: Plan
    cells: tuple[Cell, ...]
    code: str
    notes: tuple[str, ...]


def read_request(
    experiment: Any, axes: Any, seeds: Any, maximise: Any, minimise: Any, baseline: Any,
    design: Any, match: Any, name: Any, version: Any, fixed: Any = None, told: Any = None,
) -> Request:  # fmt: skip
    from tokennet.ablate.identity import code_version

    if not callable(experiment) or isinstance(experiment, type):
        allowed = "a function of the axes and a seed that returns a dict of metrics"
        raise type_error("experiment", kind_of(experiment), allowed)
    for key, text in (("name", name), ("version", version)):
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise type_error(key, repr(text), "a text that says something, or None")
    known = read_axes(axes)
    metric, higher = _metric(experiment, maximise, minimise)
    chosen: Labels | None = None
    if baseline is not None:
        chosen = read_choice("baseline", baseline, known)
    kind, cells = choose(design, known, chosen)
    same = read_fixed(fixed, known)
    cells = [replace(cell, values={**cell.values, **same}) for cell in cells]
    notes: list[str] = []
    if match is not None:
        from tokennet.ablate.budget import match_widths

        before = cells
        cells, notes = match_widths(match, experiment, cells, chosen)
        changed = {
            new.name: {k: v for k, v in new.values.items() if old.values.get(k) is not v}
            for old, new in zip(before, cells, strict=True)
        }
    for cell in cells:
        _fits(experiment, cell)
    settings: dict[str, Any] = {
        "experiment": _name_of(experiment),
        "choices": {a: {label: _words(v) for label, v in c.items()} for a, c in known.items()},
    }
    if same:
        settings["fixed"] = {name: _words(value) for name, value in same.items()}
    if told is not None:
        settings["file"] = dict(told)
    if version is not None:
        settings["version"] = version
    if match is not None:
        settings |= {"match": _words(match), "matched": changed}
    own = getattr(experiment, "settings", None)
    if isinstance(own, Mapping):
        settings["task"] = {str(k): _words(v) for k, v in own.items()}
    plan = Plan(
        name or _name_of(experiment),
        {axis: tuple(choices) for axis, choices in known.items()},
        tuple(cell.labels for cell in cells),
        read_seeds(seeds), metric, higher, kind, chosen, settings,
    )  # fmt: skip
    return Request(plan, tuple(cells), version or code_version(experiment), tuple(notes))


def _metric(experiment: Any, maximise: Any, minimise: Any) -> tuple[str, bool]:
    for key, text in (("maximise", maximise), ("minimise", minimise)):
        if text is not None and (not isinstance(text, str) or not text):
            raise type_error(key, repr(text), 'the name of a metric, e.g. "accuracy"')
    if maximise is not None and minimise is not None:
        raise value_error("minimise", repr(minimise), "None beside maximise", "one metric decides")
    if maximise is not None or minimise is not None:
        return maximise or minimise, maximise is not None
    metric, higher = (getattr(experiment, n, None) for n in ("metric", "higher_is_better"))
    if not isinstance(metric, str) or not isinstance(higher, bool):
        hint = 'e.g. maximise="accuracy" or minimise="loss"'
        raise value_error("maximise", None, "the metric that decides", hint)
    return metric, higher


def _fits(experiment: Any, cell: Cell) -> None:
    """The experiment takes what it would get, and needs nothing else."""
    parameters = inspect.signature(experiment).parameters
    kinds = inspect.Parameter
    named = [
        n
        for n, p in parameters.items()
        if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    ]
    given = [*cell.values, "seed", *(["run"] if takes_run(experiment) else [])]
    words = ", ".join(named) or "none"
    if not any(p.kind is kinds.VAR_KEYWORD for p in parameters.values()):
        for key in given:
            if key not in named:
                near = get_close_matches(key, [n for n in named if n not in given], n=1)
                hint = f"is {near[0]!r} meant?" if near else f"add {key!r} to it"
                allowed = f"a function that takes {key!r} (it takes {words})"
                raise value_error("experiment", _name_of(experiment), allowed, hint)
    for key, parameter in parameters.items():
        if parameter.kind in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL):
            continue
        if parameter.default is kinds.empty and key not in given:
            hint = "give it a default, or make it an axis"
            allowed = f"a function that needs no {key!r}: it gets {', '.join(given)}"
            raise value_error("experiment", _name_of(experiment), allowed, hint)


def _name_of(experiment: Any) -> str:
    own = getattr(experiment, "name", None)
    if isinstance(own, str) and own:
        return own
    function = getattr(experiment, "func", experiment)  # of a partial
    found = getattr(function, "__name__", type(function).__name__)
    return "experiment" if found == "<lambda>" else found


def _words(value: Any) -> str:
    """A value for a reader, the same in every process."""
    name = getattr(value, "__qualname__", None)
    text = name if isinstance(name, str) else str(value)
    return type(value).__qualname__ if " at 0x" in text else text[:200]


def packed(experiment: Any, cells: Sequence[Cell]) -> bytes:
    """Everything in one piece: what the experiment and the choices share stays shared."""
    import cloudpickle

    try:
        return cloudpickle.dumps((experiment, [cell.values for cell in cells]))
    except Exception as error:
        parts = {"experiment": experiment}
        for cell in cells:
            for axis, value in cell.values.items():
                parts[f"axes[{axis!r}][{cell.labels.get(axis)!r}]"] = value
        for part, value in parts.items():
            try:
                cloudpickle.dumps(value)
            except Exception as own:
                hint = f"make it inside the function ({type(own).__name__}: {own})"
                allowed = "something that can be sent to another process"
                raise type_error(part, kind_of(value), allowed, hint) from own
        raise type_error(
            "experiment", kind_of(experiment), "something that can be pickled", str(error)
        ) from error
