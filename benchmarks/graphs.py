"""Graphs that the sparse benchmarks run on, generated: nothing is downloaded.

Edges are `[2, E]`, rows (source, target), over T tokens.
"""

import torch
from torch import Tensor

SHAPES = {  # tokens and directed edges of well-known graphs
    "Cora": (2_708, 10_556),
    "arxiv": (169_343, 2_315_598),
    "Reddit": (232_965, 114_615_892),
    "products": (2_449_029, 123_718_280),
}


def power_law(
    tokens: int, edges: int, *, seed: int = 0, gamma: float = 0.6, device: str = "cpu"
) -> Tensor:
    """Both ends of each edge drawn with weights rank^-gamma, then tokens renamed at random.

    F. Chung, L. Lu, "Connected components in random graphs with given expected degree sequences",
    2002. With gamma 0.6 the number of tokens of degree d falls as d^-2.67.
    """
    rng = torch.Generator(device).manual_seed(seed)
    rank = torch.arange(1, tokens + 1, dtype=torch.float64, device=device)
    share = rank.pow(-gamma).cumsum(0)
    index = torch.empty(2, edges, dtype=torch.int64, device=device)
    for end in index:
        at = torch.rand(edges, dtype=torch.float64, generator=rng, device=device) * share[-1]
        name = torch.randperm(tokens, generator=rng, device=device)
        end.copy_(name[torch.searchsorted(share, at).clamp_(max=tokens - 1)])
    return index


def molecules(count: int, *, seed: int = 0, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """(lengths [count], edges): trees of 16 to 34 atoms with two rings, bonds in both directions.

    128 of them have about 3,200 atoms and 6,700 directed bonds, as a batch of small drugs has.
    """
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(16, 35, (count,), generator=rng)
    bonds, first = [], 0
    for size in lengths.tolist():
        child = torch.arange(1, size)
        near = torch.randint(1, 4, (size - 1,), generator=rng)  # a chain with short branches
        tree = torch.stack([(child - near).clamp(min=0), child])
        start = torch.randint(0, size - 6, (2,), generator=rng)
        rings = torch.stack([start, start + torch.randint(4, 6, (2,), generator=rng)])
        bonds.append(torch.cat([tree, rings], dim=1) + first)
        first += size
    index = torch.cat(bonds, dim=1)
    return lengths.to(device), torch.cat([index, index.flip(0)], dim=1).to(device)
