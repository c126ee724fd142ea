"""Imported nets as ONNX files: BERT, Llama, T5, ViT."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import randomise
from torch import Tensor, nn

import tokennet as tn

pytest.importorskip("onnxscript", exc_type=ImportError)
pytest.importorskip("onnxruntime", exc_type=ImportError)
pytest.importorskip("transformers", exc_type=ImportError)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
Example = tuple[Any, tn.Structure | None]


@pytest.fixture(autouse=True)
def _plain(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("typecheck"):
        pytest.skip("the checks of --typecheck cannot be traced")


def ids(net: tn.TokenNet, batch: int, tokens: int) -> Tensor:
    size = next(m.num_embeddings for m in net.modules() if isinstance(m, nn.Embedding))
    return torch.randint(size, (batch, tokens))


def behind(batch: int, tokens: int) -> tn.Structure:
    """Padding behind, of any amount but for the first sample."""
    lengths = torch.randint(1, tokens + 1, (batch, 1))
    lengths[0] = tokens
    return tn.Structure.padded(torch.arange(tokens) < lengths)


def text(net: tn.TokenNet, batch: int, tokens: int) -> Example:
    return ids(net, batch, tokens), behind(batch, tokens)


def pair(net: tn.TokenNet, batch: int, tokens: int) -> Example:
    source = ids(net, batch, tokens + 2), ids(net, batch, tokens), behind(batch, tokens + 2)
    return source, behind(batch, tokens)


def images(net: tn.TokenNet, batch: int, tokens: int) -> Example:
    case = importlib.import_module("parity_vit").CASES["ViTModel"]
    example = case.inputs(0, case.make(0))
    return torch.randn(batch, *example.shape[1:]), None


MODELS: dict[str, tuple[str, Callable[..., Example]]] = {
    "BertForMaskedLM": ("parity_bert", text),
    "LlamaForCausalLM": ("parity_decoders", text),
    "T5Model": ("parity_t5", pair),
    "ViTModel": ("parity_vit", images),
}


@pytest.mark.parametrize("name", MODELS)
def test_other_sizes(name: str, tmp_path: Path) -> None:
    from test_interop_onnx import run

    file, example = MODELS[name]
    case = importlib.import_module(file).CASES[name]
    net = case.bring(randomise(case.make(0)).eval())
    path = tn.interop.export_onnx(net, tmp_path / "net.onnx", *example(net, 3, 6))
    for batch, tokens in ((2, 5), (4, 7), (1, 3)):
        inputs = example(net, batch, tokens)
        with torch.no_grad():
            y = net(*inputs)
        assert y.std() > 1e-2, "nothing to compare"
        assert (run(path, net, *inputs) - y).abs().max() <= 1e-5 * max(1.0, float(y.abs().max()))
