"""Modules of other libraries and what the tests of their presets ask of them."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Preset
from tokennet.audit.presets import recognise
from tokennet.audit.properties import law_of
from tokennet.verify.plans import Domain

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from field_zoo import quietly, torch_modules
from field_zoo_pyg import pyg_modules
from field_zoo_transformers import build as build_transformer

Build = Callable[[], nn.Module]
TORCH = dict(torch_modules())
PYG = dict(pyg_modules())
WITHOUT = ("SAGEConv, lstm", "PANConv")
TRANSFORMERS = {
    "bert": False, "roberta": False, "albert": False, "distilbert": False, "deberta-v2": False,
    "bart": False, "t5": False, "vit": False, "gpt2": True, "llama": True, "mamba": True,
    "bloom": True,
}  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings of other libraries are not ours to fix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def transformer(kind: str) -> nn.Module:
    """A tiny model of this kind; of `TRANSFORMERS`, those with True as language models."""
    pytest.importorskip("transformers")
    return quietly(lambda: build_transformer(kind, causal=TRANSFORMERS[kind]))


def known(module: nn.Module) -> Preset:
    """The preset, which there has to be."""
    preset = recognise(module)
    assert preset is not None, type(module).__name__
    return preset


def answer(module: nn.Module, preset: Preset, arguments: Any = None) -> Tensor:
    """The tensor that the adapter takes out of the answer."""
    with torch.no_grad():
        answer = module(**(preset.example if arguments is None else arguments))
    output = preset.adapter.output
    if callable(output):
        return output(answer)
    if isinstance(output, int):
        return answer[output]
    for name in ("last_hidden_state", "logits"):
        if hasattr(answer, name):
            return getattr(answer, name)
    return answer


def check(module: nn.Module) -> None:
    """The example runs, and the preset is made of words that an audit knows."""
    preset = known(module)
    assert answer(module, preset).isfinite().all()
    assert preset.source
    assert preset.promises
    assert len(set(preset.promises)) == len(preset.promises)
    assert all(law_of(name).statement for name in preset.promises)
    Domain(**preset.domain)  # its settings are settings of a domain


def rows(preset: Preset, samples: int, tokens: int) -> dict[str, Any]:
    """The arguments for other sizes: ids and features drawn anew, every token real."""
    adapter, made = preset.adapter, dict(preset.example)
    layout = adapter.layout

    def grown(value: Tensor, count: int) -> Tensor:
        shape = list(value.shape)
        if layout in ("nd", "n"):
            shape[0] = samples * count
        else:
            order = layout.replace("d", "") if value.ndim == 2 else layout
            shape[order.index("b")], shape[order.index("n")] = samples, count
        if value.is_floating_point():
            return torch.randn(shape).to(value.dtype)
        low, high = adapter.vocabulary or (0, 1)
        return torch.randint(low, high + 1, shape)

    same = [k for k, v in made.items() if v is preset.example[adapter.tokens]]
    made.update(dict.fromkeys(same, grown(made[adapter.tokens], tokens)))
    for name in adapter.alongside:
        made[name] = grown(made[name], tokens)
    if adapter.memory is not None:
        made[adapter.memory] = grown(made[adapter.memory], tokens + 1)
    for name, count in ((adapter.mask, tokens), (adapter.memory_mask, tokens + 1)):
        if name is not None:
            real = torch.ones(samples, count, dtype=made[name].dtype)
            kind = adapter.mask_kind if name == adapter.mask else adapter.memory_mask_kind
            made[name] = torch.zeros_like(real) if kind == "ignore" else real
    if adapter.batch is not None:
        made[adapter.batch] = torch.arange(samples).repeat_interleave(tokens)
    if adapter.count is not None:
        made[adapter.count] = samples
    if adapter.edges is not None:
        path = torch.stack([torch.arange(tokens - 1), torch.arange(1, tokens)])
        made[adapter.edges] = torch.cat([path + b * tokens for b in range(samples)], 1)
        for name in (adapter.edge_weight, adapter.edge_attr):
            if name is not None:
                shape = (made[adapter.edges].shape[1], *made[name].shape[1:])
                made[name] = torch.ones(shape, dtype=made[name].dtype)
    return made
