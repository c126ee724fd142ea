"""Presets: recognised without an import, their examples run, at other sizes too.

Axes: B samples, N tokens of a sample, T tokens of all samples.
"""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from preset_cases import (
    PYG,
    TORCH,
    TRANSFORMERS,
    WITHOUT,
    Build,
    answer,
    check,
    known,
    quiet,
    quietly,
    rows,
    transformer,
)
from torch import Tensor, nn

from tokennet.audit.presets import pyg_facts, pyg_sets, recognise


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Warnings of other libraries are not ours to fix."""
    with quiet():
        yield


@pytest.mark.parametrize("name", TORCH)
def test_torch_examples_run(name: str) -> None:
    check(quietly(TORCH[name]))


@pytest.mark.parametrize("name", [n for n in PYG if n not in WITHOUT])
def test_pyg_examples_run(name: str) -> None:
    check(quietly(PYG[name]))


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_transformers_examples_run(kind: str) -> None:
    check(transformer(kind))


def test_recognition_imports_no_library() -> None:
    script = """
import sys
from torch import nn
from tokennet.audit.presets import recognise
assert recognise(nn.LSTM(3, 4)) is not None
kinds = []
for name in ("torch_geometric.nn.conv", "transformers.models.bert", "timm.models.mlp_mixer"):
    kinds.append(type("Known", (nn.Module,), {"forward": lambda s, x: x, "__module__": name}))
print([recognise(kind()) is None for kind in kinds])
print([n for n in ("torch_geometric", "transformers", "timm") if n in sys.modules])
"""
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert out == ["[True, True, True]", "[]"]


class _Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class _OwnForward(nn.LSTM):
    def forward(self, input: Tensor, hx: Any = None) -> Any:
        return super().forward(input.flip(0), hx)


class _SameForward(nn.LSTM):
    pass


def test_unknown_modules_give_none() -> None:
    assert recognise(_Own()) is None
    assert recognise(nn.Sequential(nn.Linear(3, 3))) is None
    assert recognise(_OwnForward(3, 4)) is None
    assert recognise(_SameForward(3, 4)) is not None
    for name in WITHOUT:
        assert recognise(quietly(PYG[name])) is None


def test_operators_of_pyg_are_known_or_told_why_not() -> None:
    """A new operator of PyG has to be looked at; none is forgotten."""
    from torch_geometric.nn import aggr, attention, conv, norm

    known, told = set(pyg_facts.OPERATORS), set(pyg_facts.WITHOUT_PRESET)
    assert known & told == set()
    assert {n for n in conv.__all__ if n not in known | told} == set()
    assert (known | told) - set(conv.__all__) == set()
    others = {*norm.__all__, *attention.__all__}
    assert {n for n in others if n not in {*pyg_sets.KINDS, *pyg_sets.WITHOUT_PRESET}} == set()
    listed = {type(quietly(build)).__name__ for build in PYG.values()}
    assert known - listed == set(), "operators with a preset that no test builds"
    assert set(aggr.__all__) - listed == {"Aggregation"}


VARIED: dict[str, Build] = {
    "torch encoder": TORCH["TransformerEncoder, batch first"],
    "torch decoder": TORCH["TransformerDecoder, tokens first"],
    "torch attention": TORCH["MultiheadAttention, tokens first"],
    "torch LSTM": TORCH["LSTM, tokens first"],
    "torch convolution": TORCH["Conv1d(3, 4, kernel_size=(3,), stride=(1,), padding=(1,))"],
    "PyG GCNConv": PYG["GCNConv"],
    "PyG GATv2Conv": PYG["GATv2Conv, edges"],
    "PyG GPSConv": PYG["GPSConv"],
    "PyG PointNetConv": PYG["PointNetConv"],
    "PyG mean": PYG["MeanAggregation"],
    "PyG graph norm": PYG["GraphNorm (graphs)"],
    "bert": lambda: transformer("bert"),
    "llama": lambda: transformer("llama"),
    "t5": lambda: transformer("t5"),
}


@pytest.mark.parametrize("name", VARIED)
def test_arguments_vary_in_tokens_and_samples(name: str) -> None:
    module = quietly(VARIED[name])
    preset = known(module)
    layout = preset.adapter.layout
    for samples, tokens in ((1, 3), (2, 4), (3, 7), (4, 13)):
        y = answer(module, preset, rows(preset, samples, tokens))
        if name == "PyG mean":
            assert y.shape[0] == samples
        elif layout == "nd":
            assert y.shape[0] == samples * tokens
        else:
            axes = (layout.index("b"), layout.index("n"))
            assert (y.shape[axes[0]], y.shape[axes[1]]) == (samples, tokens)


def _timm(size: Any, name: str = "pretrained_cfg") -> nn.Module:
    """A stand-in: timm itself is not needed."""

    class VisionTransformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(size[0], 4, 4, 4)
            setattr(self, name, {"input_size": size, "num_classes": 4})

        def forward(self, x: Tensor) -> Tensor:
            return self.patch(x).mean((2, 3))

    VisionTransformer.__module__ = "timm.models.vision_transformer"
    return VisionTransformer()


@pytest.mark.parametrize("name", ["pretrained_cfg", "default_cfg"])
def test_image_nets_take_images_of_their_size(name: str) -> None:
    module = _timm((3, 8, 12), name)
    preset = known(module)
    assert preset.example["x"].shape == (2, 3, 8, 12)
    assert preset.adapter.layout == "bchw"
    assert preset.domain["num_tokens"] == (96, 96)
    assert "BatchIndependence" in preset.promises
    check(module)


def test_the_global_seed_is_left_alone() -> None:
    module = nn.TransformerEncoderLayer(8, 2)
    before = torch.random.get_rng_state()
    assert recognise(module) is not None
    assert torch.equal(before, torch.random.get_rng_state())
