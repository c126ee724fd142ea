"""ViT of transformers beside its import."""

from collections.abc import Callable
from typing import Any

import torch
from parity import Audited, Case
from torch import Tensor, nn

import tokennet as tn


def make(kind: str, attention: str = "eager") -> Callable[[int], nn.Module]:
    import transformers

    def build(seed: int) -> nn.Module:
        config = transformers.ViTConfig(
            hidden_size=(8, 12)[seed % 2],
            num_hidden_layers=1 + seed % 3,
            num_attention_heads=(2, 4)[seed // 2 % 2],
            intermediate_size=10 + seed % 4,
            hidden_act=("gelu", "quick_gelu", "relu", "gelu_pytorch_tanh")[seed % 4],
            image_size=(8, (8, 12), 12)[seed % 3],
            patch_size=(2, 4)[seed // 4 % 2],
            num_channels=1 + seed % 3,
            qkv_bias=seed // 2 % 2 == 0,
            layer_norm_eps=(1e-12, 1e-5)[seed // 3 % 2],
            num_labels=1 + seed % 4,
        )
        config._attn_implementation = attention
        return getattr(transformers, kind)(config)

    return build


def inputs(seed: int, model: Any) -> Tensor:
    size = model.config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    g = torch.Generator().manual_seed(seed)
    return torch.randn(3, model.config.num_channels, height, width, generator=g)


def theirs(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    found = model(images, output_hidden_states=True)
    hidden = {f"hidden {i}": x for i, x in enumerate(found["hidden_states"])}
    y = found["logits"] if "logits" in found else found["last_hidden_state"]
    return {"output": y, **hidden}


def ours(net: "tn.TokenNet", images: Tensor) -> dict[str, Tensor]:
    hidden = tn.inspect.hidden_states(net, images)[2:]
    return {"output": net(images), **{f"hidden {i}": x for i, x in enumerate(hidden)}}


class _First(nn.Module):
    """The first output alone."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        y = self.module(images)
        return y if isinstance(y, Tensor) else y[0]


def audited(one: nn.Module, two: nn.Module) -> Audited:
    return Audited(_First(one), _First(two), (inputs(0, one),), {"tokens": 0})


def _case(kind: str, words: str = "", **options: Any) -> Case:
    return Case(
        f"{kind}{words}", "transformers", make(kind, **options), tn.interop.from_transformers,
        inputs, theirs, ours, audited,
    )  # fmt: skip


CASES = {kind: _case(kind, attention="sdpa") for kind in ("ViTModel", "ViTForImageClassification")}
EAGER = _case("ViTModel", ", eager", attention="eager")
"""Its softmax is computed in float32 also in a model of float64."""
