"""Small nets for the tests of surgery."""

from collections.abc import Callable

import torch
from torch import Tensor

import tokennet as tn

DIM, SIDE, CLASSES = 12, 4, 5
TOKENS = SIDE * SIDE


def vit(
    mixer: Callable[[], tn.Mixer] = lambda: tn.Attention(DIM, 3), *, depth: int = 3, seed: int = 0
) -> tn.TokenNet:
    """A ViT of 16 tokens in float64, every weight drawn anew: nothing is 0 by chance."""
    torch.manual_seed(seed)
    blocks = [tn.Block(DIM, mixer(), mlp=tn.Pointwise(DIM, 17)) for _ in range(depth)]
    layers = [tn.LearnedPosition(TOKENS, DIM), *blocks]
    net = tn.TokenNet(tn.PatchTokenizer(1, 2, DIM), layers, tn.MeanReadout(DIM, CLASSES)).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return net


def images(count: int = 6, *, seed: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 2 * SIDE, 2 * SIDE, generator=rng, dtype=torch.float64)


def all_edges(batch: int) -> tn.Structure:
    """Every token joined with every token of its sample, itself included."""
    one = torch.cartesian_prod(torch.arange(TOKENS), torch.arange(TOKENS)).T
    index = torch.cat([one + TOKENS * b for b in range(batch)], 1)
    return tn.Structure.dense(batch, TOKENS, edges=tn.Edges(index))


def places(depth: int = 3) -> tuple[str, ...]:
    """Where the attentions of `vit` stand."""
    return tuple(f"mixers.{i + 1}.mixers.0.mixer" for i in range(depth))
