"""Axes, cells, seeds; what makes two runs the same run; equal budgets."""

import functools
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tokennet.ablate.budget import Budget, count_flops, count_parameters, match_widths
from tokennet.ablate.design import Cell, choose, read_axes, read_choice, read_seeds
from tokennet.ablate.identity import code_version, fingerprint, run_id, working_tree

AXES = read_axes({"mixer": {"attention": 1, "MLP": 2}, "depth": [2, 4, 8]})


def test_grid_is_every_combination_once() -> None:
    name, cells = choose("grid", AXES, None)
    assert name == "grid"
    assert [c.name for c in cells] == [
        "attention, 2", "attention, 4", "attention, 8", "MLP, 2", "MLP, 4", "MLP, 8",
    ]  # fmt: skip
    assert cells[4].values == {"mixer": 2, "depth": 4}


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_one_at_a_time_differs_on_one_axis(sizes: list[int]) -> None:
    axes = read_axes({f"a{i}": list(range(n)) for i, n in enumerate(sizes)})
    if sum(sizes) == len(sizes):
        with pytest.raises(ValueError, match="at least two choices"):
            choose("one at a time", axes, dict.fromkeys(axes, "0"))
        return
    baseline = dict.fromkeys(axes, "0")
    _, cells = choose("one at a time", axes, baseline)
    assert cells[0].labels == baseline
    assert len(cells) == 1 + sum(n - 1 for n in sizes)
    for cell in cells[1:]:
        assert sum(cell.labels[a] != "0" for a in axes) == 1


def test_a_list_keeps_its_order_and_gets_the_baseline() -> None:
    chosen = [{"mixer": "MLP", "depth": 8}, {"mixer": "MLP", "depth": "2"}]
    _, cells = choose(chosen, AXES, {"mixer": "attention", "depth": "2"})
    assert [c.name for c in cells] == ["attention, 2", "MLP, 8", "MLP, 2"]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "axes is {}, expected a dict with at least one axis"),
        ({"two words": [1]}, "a key of axes is 'two words', expected the name of an argument"),
        ({"seed": [1]}, "expected another name than seed and run"),
        ({"a": "text"}, r"axes\['a'\] is str, expected a dict of labels and values"),
        ({"a": []}, r"axes\['a'\] is empty"),
        ({"a": {1: 2}}, r"a label of axes\['a'\] is 1"),
        ({"a": [lambda: 0]}, "a value of an axis is function, expected something with a name"),
        ({"a": [1, "1"]}, r"axes\['a'\] is twice '1'"),
    ],
)
def test_bad_axes(axes: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        read_axes(axes)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"mixr": "MLP"}, "a key of baseline is 'mixr'.*did you mean 'mixer'"),
        ({"mixer": "MLP"}, "baseline is without 'depth'"),
        ({"mixer": "MPL", "depth": 2}, r"baseline\['mixer'\] is 'MPL'.*did you mean 'MLP'"),
        ("MLP", "expected a dict with a label for each axis"),
    ],
)
def test_bad_choices(choice: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        read_choice("baseline", choice, AXES)


@pytest.mark.parametrize("design", ["grd", 3, [{"mixer": "MLP", "depth": 2}], "one at a time"])
def test_bad_designs(design: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="expected"):
        choose(design, AXES, None)


@pytest.mark.parametrize("seeds", [0, [], [1, 1], [-1], [0.5], True, "3", [2**32]])
def test_bad_seeds(seeds: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="seeds is"):
        read_seeds(seeds)


def test_seeds() -> None:
    assert read_seeds(3) == (0, 1, 2)
    assert read_seeds([7, 3]) == (7, 3)


# -- identity -------------------------------------------------------------------------------------


def define(source: str, **names: Any) -> Any:
    """The function `f` of a source, as if it stood in a user's script."""
    scope = {"__name__": "__main__", **names}
    exec(compile(textwrap.dedent(source), "<script>", "exec"), scope)
    return scope["f"]


BASE = "def f(seed):\n    return g(seed) + K\ndef g(x):\n    return x * 2\nK = 1"
CHANGES = {
    "constant": BASE.replace("K = 1", "K = 2"),
    "helper": BASE.replace("x * 2", "x * 3"),
    "operator": BASE.replace("+ K", "- K"),
    "default": BASE.replace("f(seed)", "f(seed=0)"),
    "argument": BASE.replace("f(seed)", "f(seed, a)"),
    "method": BASE.replace("x * 2", "C().m(x)")
    + "\nclass C:\n    def m(self, x):\n        return x",
    "other method": BASE.replace("x * 2", "C().m(x)")
    + "\nclass C:\n    def m(self, x):\n        return -x",
    "cached": BASE.replace("def g", "import functools\n@functools.cache\ndef g"),
}
SAME = {
    "comment": BASE.replace("    return g", "    # why\n\n    return g"),
    "docstring": BASE.replace("(seed):\n", '(seed):\n    "says"\n', 1).replace(
        '"says"\n', '"says more"\n'
    ),
    "a name that is not used": BASE + "\nL = 5",
}


def test_a_change_of_own_code_is_another_version() -> None:
    versions = {name: code_version(define(source)) for name, source in CHANGES.items()}
    versions["base"] = code_version(define(BASE))
    assert len(set(versions.values())) == len(CHANGES) + 1


@pytest.mark.parametrize("name", SAME)
def test_what_changes_nothing_keeps_the_version(name: str) -> None:
    if name == "docstring":  # against another docstring: adding the first one moves the constants
        other = define(BASE.replace("(seed):\n", '(seed):\n    "says"\n', 1))
        assert code_version(define(SAME[name])) == code_version(other)
    else:
        assert code_version(define(SAME[name])) == code_version(define(BASE))


def test_closures_partials_and_recursion() -> None:
    def closed(k: int) -> Any:
        return lambda seed: seed + k

    assert fingerprint(closed(1)) == fingerprint(closed(1))
    assert fingerprint(closed(1)) != fingerprint(closed(2))
    assert fingerprint(functools.partial(max, 1)) != fingerprint(functools.partial(max, 2))
    again = "def f(n):\n    return 1 if n < {} else f(n - 1)"
    assert fingerprint(define(again.format(1))) == fingerprint(define(again.format(1)))
    assert fingerprint(define(again.format(1))) != fingerprint(define(again.format(2)))


def test_values() -> None:
    torch.manual_seed(0)
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    values = [
        None, 0, False, 0.0, "0", b"0", (0,), [0], {0}, {"a": 0}, range(1), torch.zeros(1),
        torch.zeros(1, 1), torch.zeros(1, dtype=torch.float64), torch.bfloat16, a, b, nn.ReLU, max,
        a.forward, float("nan"), {"a": {"b": 1}}, torch.zeros(0),
    ]  # fmt: skip
    prints = [fingerprint(v) for v in values]
    assert len(set(prints)) == len(values)
    assert prints == [fingerprint(v) for v in values]
    assert fingerprint({"x", "y", "z"}) == fingerprint({"z", "y", "x"})
    with pytest.raises(TypeError, match="content that can be compared"):
        fingerprint(object())


def test_a_run_is_the_same_in_every_process() -> None:
    script = (
        "from tokennet.ablate.identity import run_id, code_version\n"
        "from tokennet.ablate.design import Cell\n"
        "def f(x, seed): return {'a': sum({x, 'y'} and [1])}\n"
        "print(run_id('n', code_version(f), Cell({'x': 'l'}, {'x': lambda d: {'p', 'q', d}}), 3))"
    )
    command = [sys.executable, "-c", script]
    found = {
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    }
    assert len(found) == 1


def test_a_working_tree_counts_by_its_sources(tmp_path: Path) -> None:
    """Of a release the version says it all; of a checkout it stands for many states."""
    (tmp_path / "a.py").write_text("x = 1")
    before = working_tree(tmp_path)
    working_tree.cache_clear()
    assert working_tree(tmp_path) == before is not None
    working_tree.cache_clear()
    (tmp_path / "a.py").write_text("x = 2")
    assert working_tree(tmp_path) != before
    assert working_tree(Path(torch.__file__).parent) is None


def test_label_value_and_seed_are_part_of_it() -> None:
    base = ("n", "c", Cell({"x": "a"}, {"x": 1}), 0)
    others = [
        ("m", *base[1:]), ("n", "d", *base[2:]), (*base[:2], Cell({"x": "b"}, {"x": 1}), 0),
        (*base[:2], Cell({"x": "a"}, {"x": 2}), 0), (*base[:3], 1),
        (*base[:2], Cell({"x": "a"}, {"x": 1, "dim": 8}), 0),
    ]  # fmt: skip
    assert len({run_id(*given) for given in [base, *others]}) == len(others) + 1


# -- budgets --------------------------------------------------------------------------------------


def build(kind: str, dim: int = 16, hidden: int | None = None) -> nn.Module:
    wide = nn.Linear(dim, hidden or 2 * dim)
    extra = [nn.Linear(dim, dim)] * 3 if kind == "shared" else [nn.Linear(dim, dim)]
    return nn.Sequential(*extra, wide)


def experiment(kind: str, seed: int, dim: int = 16, hidden: int | None = None) -> dict[str, float]:
    return {"accuracy": 0.0}


KINDS = read_axes({"kind": ["plain", "shared"]})


def test_widths_are_found() -> None:
    _, cells = choose("grid", KINDS, None)
    budget = Budget("parameters", build=build, step=1, fine="hidden")
    found, notes = match_widths(budget, experiment, cells, None)
    costs = [count_parameters(build(**cell.values)) for cell in found]
    assert found[0].values == {"kind": "plain", "dim": 16}
    assert max(abs(c / costs[0] - 1) for c in costs) <= 0.02
    assert f"{costs[1]:,}" in notes[0]


def test_flops_differ_from_parameters() -> None:
    """A shared layer costs its parameters once and its products each time."""

    def with_inputs(kind: str, dim: int = 16) -> Any:
        return build(kind, dim), (torch.zeros(5, dim),)

    _, cells = choose("grid", KINDS, None)
    budget = Budget("flops", build=with_inputs, step=1, within=0.1)
    found, _ = match_widths(budget, experiment, cells, None)
    assert found[1].values["dim"] < 16
    assert count_flops(build("plain", 4), torch.zeros(5, 4)) == 2 * 5 * (4 * 4 + 4 * 8)


def test_what_cant_be_matched_says_how_near_it_came() -> None:
    _, cells = choose("grid", read_axes({"kind": ["plain", "other"]}), None)
    wide = Budget(
        "parameters", build=lambda kind, dim=16: nn.Linear(dim, 999 if kind == "other" else 2)
    )
    with pytest.raises(ValueError, match=r"parameters of other is .* at best.*expected within 2%"):
        match_widths(wide, experiment, cells, None)


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("params", "match is 'params', expected 'parameters', 'flops' or a Budget"),
        (3, "match is int"),
        ("parameters", "expected a Budget with build="),
    ],
)
def test_bad_matches(match: Any, message: str) -> None:
    _, cells = choose("grid", KINDS, None)
    with pytest.raises((TypeError, ValueError), match=message):
        match_widths(match, experiment, cells, None)
    _, wide = choose("grid", read_axes({"dim": [1, 2]}), None)
    with pytest.raises(ValueError, match="no axis 'dim'"):
        match_widths(Budget(build=build), experiment, wide, None)


def test_bad_budgets() -> None:
    for arguments in ({"of": "time"}, {"step": 0}, {"within": 0.0}, {"build": nn.Linear(1, 1)}):
        with pytest.raises((TypeError, ValueError), match=r"is .*, expected"):
            Budget(**arguments)  # type: ignore[arg-type]
