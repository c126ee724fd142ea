"""Mixers and nets of this package as plain modules, so that they are audited as anybody's are."""

import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Adapter, Preset
from tokennet.checks import value_error
from tokennet.mixers import Mixer
from tokennet.net import TokenNet
from tokennet.structure import Edges, Packed, Structure

_ALWAYS = (
    "Padding", "NaNPadding", "LeftPadding", "BatchIndependence", "MemoryLayout", "Repeatability",
    "NoState", "Purity",
)  # fmt: skip


class PaddedMixer(nn.Module):
    """A mixer over `x [B, N, D]` with `mask [B, N]`, True at real tokens."""

    def __init__(self, mixer: Mixer | TokenNet):
        super().__init__()
        self.mixer = mixer

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        run = getattr(self.mixer, "mix", self.mixer)
        return run(x, Structure.padded(mask))


class GraphMixer(nn.Module):
    """A mixer over `x [T, D]` with edges, and the sample of each token."""

    def __init__(self, mixer: Mixer | TokenNet):
        super().__init__()
        self.mixer = mixer

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        lengths = torch.bincount(batch, minlength=batch_size)
        run = getattr(self.mixer, "mix", self.mixer)
        return run(x, Structure(Packed.of(lengths), Edges(edge_index)))


def plain(module: nn.Module) -> tuple[nn.Module, Preset | None]:
    """A mixer or net as a plain module with its preset; any other module as it is, and None."""
    if not isinstance(module, (Mixer, TokenNet)):
        return module, None
    asked = sorted(module.reads & {"memory", "grid"})
    if asked:
        hint = "use tn.verify, which knows what mixers read"
        raise value_error("module.reads", ", ".join(asked), "tokens and edges only", hint)
    dim = module.dim or 8
    most = 66 if module.max_tokens is None else module.max_tokens
    claims = {law.name for law in module.claims} & {"Permutation", "CyclicShift", "Causality"}
    promises = (*sorted(claims), *_ALWAYS)
    domain = {"num_tokens": (1, most), "train": not module.couples_samples}
    n = min(5, most)
    if "edges" in module.reads:
        graph = torch.stack([torch.arange(n), torch.arange(n).roll(1)])
        promises = tuple(p for p in promises if not p.endswith("Padding"))
        example = (torch.randn(n, dim), graph, torch.zeros(n, dtype=torch.int64), 1)
        adapter = Adapter("x", edges="edge_index", batch="batch", count="batch_size")
        return GraphMixer(module), Preset(
            example, adapter, (*promises, "EdgeOrder"), domain, "a mixer"
        )
    padded = (torch.randn(2, n, dim), torch.ones(2, n, dtype=torch.bool))
    return PaddedMixer(module), Preset(
        padded, Adapter("x", mask="mask", mask_kind="keep"), promises, domain, "a mixer"
    )
