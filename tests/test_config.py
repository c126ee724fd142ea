"""Ablation files: what they resolve to, and the path and hint of everything that is wrong."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tokennet as tn
from tokennet.config import read_file, read_text
from tokennet.config.parts import Part, known_classes, read_value
from tokennet.config.reader import ConfigError
from tokennet.config.text import parse
from tokennet.tasks.parts import make

FILE = """
name: mixer and position
task: {type: Digits, epochs: 2}
axes:
  mixer:
    attention: {type: Attention}
    narrow: {type: Attention, num_heads: 2, topology: {type: Neighborhood, radius: 1}}
    token MLP: {type: TokenMLP}
    1x1: {type: Pointwise, hidden_dim: 48}
  position:
    none: null
    learned: {type: LearnedPosition}
  residual:
    pre: {type: PreNorm, norm: {class: nn.RMSNorm}}
    post: {class: PostNorm}
fixed: {dim: 16, depth: 1}
baseline: {mixer: attention, position: none, residual: pre}
design: one at a time
seeds: 3
"""
FACTS = {"dim": 16, "num_tokens": 16, "num_heads": 4}


def experiment(x: float, seed: int) -> dict[str, float]:
    return {"loss": x + seed}


def test_a_file_is_the_arguments_of_ablate(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(FILE)
    found = read_file(path)
    assert isinstance(found.experiment, tn.tasks.Digits)
    assert found.experiment.recipe.epochs == 2
    assert list(found.axes) == ["mixer", "position", "residual"]
    assert list(found.axes["mixer"]) == ["attention", "narrow", "token MLP", "1x1"]
    assert found.axes["position"]["none"] is None
    assert found.axes["residual"]["post"] is tn.PostNorm
    assert found.arguments["fixed"] == {"dim": 16, "depth": 1}
    assert found.arguments["baseline"]["position"] == "none"
    assert found.arguments["settings"] == found.resolved
    assert found.resolved["seeds"] == 3


def test_every_part_makes_what_it_names() -> None:
    found = read_text(FILE)
    made = {label: make("mixer", part, FACTS) for label, part in found.axes["mixer"].items()}
    assert made["attention"].heads.num_heads == 4
    assert made["narrow"].heads.num_heads == 2
    assert isinstance(made["narrow"].topology, tn.Neighborhood)
    assert isinstance(made["token MLP"], tn.TokenMLP)
    assert isinstance(make("position", found.axes["position"]["learned"], FACTS), tn.Position)
    net = found.experiment.net(
        dim=16, depth=1, mixer=found.axes["mixer"]["narrow"], residual=found.axes["residual"]["pre"]
    )
    assert any(isinstance(m, nn.RMSNorm) for m in net.modules())
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_changes_from_the_command_line() -> None:
    changes = ["seeds=10", "axes.mixer.narrow.num_heads=8", "task.epochs=1", "fixed.dim=24"]
    found = read_text(FILE, changes)
    assert found.arguments["seeds"] == 10
    assert found.axes["mixer"]["narrow"] != read_text(FILE).axes["mixer"]["narrow"]
    assert found.experiment.recipe.epochs == 1
    assert found.resolved["axes"]["mixer"]["narrow"]["num_heads"] == 8
    assert read_text(FILE, ["seeds=[4, 7]"]).arguments["seeds"] == [4, 7]


def test_an_experiment_by_name() -> None:
    text = f"experiment: {__name__}:experiment\naxes: {{x: [1, 2.5]}}\nminimise: loss\nseeds: 2"
    found = read_text(text)
    assert found.experiment is experiment
    assert found.axes == {"x": {"1": 1, "2.5": 2.5}}
    assert found.arguments["minimise"] == "loss"


def test_functions_by_name() -> None:
    path = f"{__name__}:experiment"
    assert read_value("a", {"function": path}) is experiment
    assert read_value("a", {"function": "torch:nn.ReLU"}) is nn.ReLU


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: 3", "seed: 3", "seed: unknown key; did you mean 'seeds'?"),
        ("seeds: 3", "seeds: three", "seeds: 'three' is not a whole number"),
        ("seeds: 3", "seeds: true", "seeds: True is not a whole number"),
        ("seeds: 3", "seeds: [1, 2.5]", "seeds[1]: 2.5 is not a whole number"),
        ("seeds: 3", "workers: 1.5", "workers: 1.5 is not a whole number"),
        ("seeds: 3", "seeds: 3\nseeds: 4", "line 20: the key 'seeds' stands there twice"),
        ("seeds: 3", "seeds: [", "line "),
        ("Digits", "Digit", "task.type: there is no task 'Digit'; did you mean 'Digits'?"),
        ("epochs: 2", "epoch: 2", "task.epoch: unknown key; did you mean 'epochs'?"),
        ("epochs: 2", "epochs: many", "task.epochs: 'many' is not a whole number or null"),
        ("epochs: 2", "epochs: 0", "task: epochs is 0, expected at least 1"),
        ("epochs: 2", "patch: 3", "task: patch is 3, expected a divisor of the image's side (8)"),
        ("epochs: 2", "recipe: {lr: fast}", "task.recipe.lr: 'fast' is not a number"),
        ("epochs: 2", "recipe: {speed: 1}", "task.recipe.speed: unknown key"),
        (
            "{type: TokenMLP}",
            "{type: TokenMPL}",
            "axes.mixer.token MLP.type: tokennet has no class 'TokenMPL'; did you mean 'TokenMLP'?",
        ),
        (
            "num_heads: 2",
            "num_head: 2",
            "axes.mixer.narrow.num_head: unknown key; did you mean 'num_heads'?",
        ),
        ("radius: 1", "radius: x", "axes.mixer.narrow.topology.radius: 'x' is not a whole number"),
        ("{type: Pointwise", "{typ: Pointwise", "a mapping needs one of the keys type, class"),
        ("nn.RMSNorm", "nn.RMS", "torch has no 'nn.RMS'; did you mean 'nn.RMSNorm'?"),
        ("    none: null", "    no: null", "the key False is no text; write it in quotes"),
        ("task: {type: Digits, epochs: 2}\n", "", "it needs one of the keys task and experiment"),
        ("name: mixer and position", "experiment: a:b", "it needs one of the keys task and exp"),
        ("fixed: {dim: 16, depth: 1}", "fixed: 3", "fixed: 3 is no mapping"),
        ("seeds: 3", "match: {of: params}", "match: of is 'params', expected 'parameters'"),
        ("seeds: 3", "match: {with: 1}", "match.with: unknown key; did you mean 'width'?"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(old: str, new: str, message: str) -> None:
    assert old in FILE
    with pytest.raises(ConfigError) as error:
        read_text(FILE.replace(old, new, 1))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seeds", "--set: 'seeds' is not of the form key=value"),
        ("seed=3", "seed: unknown key; did you mean 'seeds'?"),
        ("axes.mixr.a=1", "axes.mixr: there is no such key; did you mean 'mixer'?"),
        ("seeds.x=1", "seeds: is no mapping"),
        ("axes.mixer.narrow.head=2", "axes.mixer.narrow.head: unknown key"),
        ("seeds=[", "--set seeds: "),
    ],
)
def test_wrong_changes(change: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_text(FILE, [change])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file: None is no mapping"),
        ("[1, 2]", "is no mapping"),
        ("task: Digits", "axes: missing"),
        ("experiment: nowhere:f\naxes: {x: [1]}", "experiment: importing nowhere raised"),
        ("experiment: math:sqr\naxes: {x: [1]}", "did you mean 'sqrt'?"),
        ("experiment: math:pi\naxes: {x: [1]}", "math:pi is float, which can't be called"),
        ("experiment: math\naxes: {x: [1]}", "not of the form package.module:name"),
        ("a: !!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ("task: Digits\naxes: {mixer: [{type: Attention}]}", "axes.mixer[0]: has no name"),
    ],
)
def test_other_wrong_files(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_text(text)
    assert message in str(error.value)


def test_binary_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no text"):
        read_file(tmp_path / "b.yaml")
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 1e-3), ("-2.5E+4", -2.5e4), ("1.0e-3", 1e-3), ("e3", "e3")]
)
def test_numbers_are_numbers(text: str, value: Any) -> None:
    assert parse(f"a: {text}") == {"a": value}


def test_aliases_and_merges_work() -> None:
    text = "a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}"
    assert parse(text)["b"] == {"k": 3, "l": 2}


def test_known_classes_are_public() -> None:
    assert {"Attention", "LearnedPosition", "PreNorm"} <= set(known_classes())
    assert all(isinstance(getattr(tn, name), type) for name in known_classes())
    assert str(Part("Attention", {"num_heads": 2, "topology": Part("Causal")})) == (
        "Attention(num_heads=2, topology=Causal())"
    )
