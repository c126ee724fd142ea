"""x-transformers with each of its switches alone, and layers of e3nn as modules of tokens."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

WIDTH, HEADS, DEPTH = 64, 2, 2
# switches that say something else than how attention or its block computes, or draw at random
OTHER = (
    "causal", "cross_attend", "only_cross", "verbose", "onnxable", "cross_residual_attn",
    "gumbel_softmax", "gumbel_softmax_hard",
)  # fmt: skip
SEES = ("Padding", "BatchIndependence", "Repeatability", "NoState", "Purity", "MemoryLayout")
LOOKS_BACK = ("Causality", "Prefix", "GradientOf(Causality)", *SEES)


class Masked(nn.Module):
    """Attention layers over `x [B, N, D]` with `mask [B, N]`, True at real tokens."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.layers(x, mask=mask)


def _layers(causal: bool, **switches: Any) -> nn.Module:
    from x_transformers import Decoder, Encoder

    kind = Decoder if causal else Encoder
    return Masked(kind(dim=WIDTH, depth=DEPTH, heads=HEADS, attn_dim_head=32, **switches))


def switches() -> dict[str, dict[str, Any]]:
    """Every argument of `AttentionLayers` and `Attention` that is a switch, turned alone."""
    from x_transformers.x_transformers import Attention, AttentionLayers

    found: dict[str, dict[str, Any]] = {"plain": {}, "rotary": {"rotary_pos_emb": True}}
    for kind, prefix in ((AttentionLayers, ""), (Attention, "attn_")):
        for name, parameter in inspect.signature(kind.__init__).parameters.items():
            if isinstance(parameter.default, bool) and name not in OTHER:
                found[prefix + name] = {prefix + name: not parameter.default}
    with_rotary = {
        f"{name}, rotary": {**given, "rotary_pos_emb": True}
        for name, given in found.items()
        if "orthog" in name or "shift" in name
    }
    shifts = {"shift_tokens=1": {"shift_tokens": 1}}
    return {**found, **with_rotary, **shifts}


def x_transformers_modules() -> Iterator[tuple[str, Callable[[], nn.Module], dict[str, Any]]]:
    """(name, function that builds it, arguments for `audit`) of decoders and encoders."""
    example = (torch.randn(2, 6, WIDTH), torch.ones(2, 6, dtype=torch.bool))
    for causal in (True, False):
        for name, given in switches().items():
            arguments = {
                "example": example, "tokens": "x", "mask": "mask", "mask_kind": "keep",
                "properties": LOOKS_BACK if causal else SEES,
            }  # fmt: skip
            kind = "Decoder" if causal else "Encoder"
            yield f"{kind}, {name}", partial(_layers, causal, **given), arguments


def e3nn_modules() -> Iterator[tuple[str, Callable[[], nn.Module], dict[str, Any]]]:
    """Layers of e3nn that act on each token alone: all but their own symmetry is plain."""

    def build(kind: str) -> nn.Module:
        from e3nn import o3
        from e3nn.nn import BatchNorm, Gate, NormActivation

        irreps = o3.Irreps("4x0e + 2x1o")
        made: dict[str, Callable[[], nn.Module]] = {
            "o3.Linear": lambda: o3.Linear(irreps, irreps),
            "nn.NormActivation": lambda: NormActivation(irreps, torch.sigmoid),
            "nn.BatchNorm": lambda: BatchNorm(irreps),
            "nn.Gate": lambda: Gate("4x0e", [torch.tanh], "2x0e", [torch.sigmoid], "2x1o"),
        }
        return made[kind]()

    widths = {"o3.Linear": 10, "nn.NormActivation": 10, "nn.BatchNorm": 10, "nn.Gate": 12}
    for kind, width in widths.items():
        promises = ("Permutation", "Repeatability", "NoState", "Purity", "MemoryLayout")
        arguments = {"example": (torch.randn(5, width),), "properties": promises}
        yield kind, partial(build, kind), arguments
