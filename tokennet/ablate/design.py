"""Which choices are tried: axes, and the cells that a design takes of their grid."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from tokennet.checks import kind_of, type_error, value_error

GRID, ONE_AT_A_TIME = "grid", "one at a time"
Labels = dict[str, str]  # one label on each axis
RESERVED = ("seed", "run")


@dataclass(frozen=True)
class Cell:
    """One choice on each axis: its labels, and the keyword arguments that the experiment gets."""

    labels: Labels
    values: dict[str, Any] = field(compare=False)

    @property
    def name(self) -> str:
        """The labels in the order of the axes: `attention, learned`."""
        return name_of(self.labels)


def name_of(labels: Mapping[str, str]) -> str:
    """`attention, learned`: what a reader sees of a choice."""
    return ", ".join(labels.values())


def read_axes(axes: Any) -> dict[str, dict[str, Any]]:
    """Axes as {axis: {label: value}}; a list of values is labelled by their names.

    Raises:
        TypeError, ValueError: for what is no axis, with its path.
    """
    if not isinstance(axes, Mapping) or not axes:
        example = 'e.g. {"mixer": {"attention": make_attention, "MLP": make_mlp}}'
        raise type_error("axes", repr(axes), "a dict with at least one axis", example)
    return {_axis_name(name): _axis(name, choices) for name, choices in axes.items()}


def _axis_name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        hint = "the experiment gets it as an argument of this name"
        raise value_error("a key of axes", repr(name), "the name of an argument", hint)
    if name in RESERVED:
        allowed = f"another name than {' and '.join(RESERVED)}"
        raise value_error("a key of axes", repr(name), allowed, "every run gets those anyway")
    return name


def _axis(name: str, choices: Any) -> dict[str, Any]:
    path = f"axes[{name!r}]"
    if isinstance(choices, str) or not isinstance(choices, Mapping | Sequence):
        allowed = "a dict of labels and values, or a list of values"
        raise type_error(path, kind_of(choices), allowed)
    if not choices:
        raise value_error(path, "empty", "at least one choice")
    if isinstance(choices, Mapping):
        for label in choices:
            if not isinstance(label, str) or not label.strip():
                raise type_error(f"a label of {path}", repr(label), "a text that says something")
        return dict(choices)
    labels = [_label(value) for value in choices]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        hint = "give a dict with a label for each"
        raise value_error(path, f"twice {twice[0]!r}", "values with different names", hint)
    return dict(zip(labels, choices, strict=True))


def _label(value: Any) -> str:
    if isinstance(value, str | int | float | bool | None):
        return str(value)
    name = getattr(value, "__name__", None)
    if name is None or name == "<lambda>":
        hint = 'give a dict, e.g. {"attention": lambda dim: ...}'
        raise value_error("a value of an axis", kind_of(value), "something with a name", hint)
    return name


def read_fixed(fixed: Any, axes: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that are the same in all cells, none of them an axis."""
    if fixed is None:
        return {}
    if not isinstance(fixed, Mapping):
        raise type_error("fixed", repr(fixed), "a dict of arguments, or None")
    for name in fixed:
        if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:
            raise value_error("a key of fixed", repr(name), "the name of an argument")
        if name in axes:
            raise value_error("a key of fixed", repr(name), "no axis", "an axis has choices")
    return dict(fixed)


def read_choice(name: str, choice: Any, axes: Mapping[str, Mapping[str, Any]]) -> Labels:
    """`choice` with one known label for every axis, in the order of the axes."""
    if not isinstance(choice, Mapping):
        raise type_error(name, repr(choice), "a dict with a label for each axis")
    for key in choice:
        if key not in axes:
            raise value_error(f"a key of {name}", repr(key), _one_of(axes), _near(key, axes))
    labels = {}
    for axis, known in axes.items():
        if axis not in choice:
            raise value_error(name, f"without {axis!r}", "a label for each axis", _one_of(known))
        label = choice[axis] if isinstance(choice[axis], str) else str(choice[axis])
        if label not in known:
            raise value_error(f"{name}[{axis!r}]", repr(label), _one_of(known), _near(label, known))
        labels[axis] = label
    return labels


def _one_of(names: Any) -> str:
    return "one of " + ", ".join(map(repr, names))


def _near(name: Any, known: Any) -> str:
    found = get_close_matches(str(name), list(known), n=1)
    return f"did you mean {found[0]!r}?" if found else ""


def choose(
    design: Any, axes: Mapping[str, Mapping[str, Any]], baseline: Labels | None
) -> tuple[str, list[Cell]]:
    """The design's name and its cells, each once, in the order of the axes.

    `design` is "grid" (all combinations), "one at a time" (the baseline, and every choice that
    differs from it on one axis) or a list of choices.
    """
    if design == GRID:
        found = [
            dict(zip(axes, labels, strict=True)) for labels in itertools.product(*axes.values())
        ]
        name = GRID
    elif design == ONE_AT_A_TIME:
        if baseline is None:
            hint = "e.g. baseline={" + ", ".join(f"{a!r}: ..." for a in axes) + "}"
            raise value_error("baseline", None, f"a choice, for the design {design!r}", hint)
        changes = [
            {**baseline, axis: label}
            for axis, known in axes.items()
            for label in known
            if label != baseline[axis]
        ]
        found, name = [baseline, *changes], ONE_AT_A_TIME
    elif isinstance(design, str) or not isinstance(design, Sequence):
        allowed = f"{GRID!r}, {ONE_AT_A_TIME!r} or a list of choices"
        raise value_error("design", repr(design), allowed)
    else:
        found = [read_choice(f"design[{i}]", c, axes) for i, c in enumerate(design)]
        if baseline is not None and baseline not in found:
            found.insert(0, baseline)
        name = "list"
    unique = list({tuple(labels.items()): labels for labels in found}.values())
    if len(unique) < 2:
        raise value_error("design", name_of(unique[0]) if unique else "[]", "at least two choices")
    cells = [Cell(labels, {a: axes[a][label] for a, label in labels.items()}) for labels in unique]
    return name, cells


def read_seeds(seeds: Any) -> tuple[int, ...]:
    """`10` as 0 .. 9, or the seeds that are given, each once."""
    if isinstance(seeds, bool | str | bytes) or not isinstance(seeds, int | Sequence):
        raise type_error("seeds", repr(seeds), "how many, or a list of whole numbers")
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not found:
        raise value_error("seeds", seeds, "at least one")
    for seed in found:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise value_error("seeds", repr(seed), "whole numbers from 0 to 2^32 - 1")
    if len(set(found)) < len(found):
        raise value_error("seeds", list(found), "every seed once", "a repeated seed is no new run")
    return found
