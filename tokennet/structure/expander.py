"""Edges that bring all tokens of a sample close to one another.

Axes: E edges.
"""

import torch
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.structure.edges import Edges
from tokennet.structure.structure import Structure


def expander_edges(structure: Structure, *, degree: int, seed: int) -> Structure:
    """The structure with `degree` more random edges into, and out of, every token.

    Exphormer: Shirzad et al. 2023, "Exphormer: sparse transformers for graphs" (section 3.1). The
    new edges of a sample are `degree / 2` cycles through all its tokens in random orders, in both
    directions; so every sample is connected, and with high probability an expander (Friedman 2003).
    They come after the edges there are, with weight 1 and features 0 where those have any. A sample
    gets the same edges whatever stands beside it and however it is laid out: they follow from its
    length and `seed`. A single token gets none; cycles may repeat an edge.
    """
    if not isinstance(structure, Structure):
        hint = "e.g. Structure.padded(mask.bool())"
        raise type_error("structure", kind_of(structure), "a Structure", hint)
    if positive("degree", degree, minimum=2) % 2:
        raise value_error("degree", degree, "an even number", "each cycle gives two edges")
    positive("seed", seed, minimum=0)
    rows = structure.layout.valid.flatten().nonzero().squeeze(1)
    lengths = structure.lengths.tolist()
    made = {n: _cycles(n, degree // 2, seed).to(rows.device) for n in set(lengths)}
    found = [own[made[n]] for n, own in zip(lengths, rows.split(lengths), strict=True)]
    index = torch.cat([rows.new_zeros(2, 0), *found], 1)
    return structure.with_facts(edges=joined_edges(structure.edges, index))


def joined_edges(edges: Edges | None, index: Tensor) -> Edges:
    """The edges, then those of `index [2, E]` with weight 1 and features 0 where there are any."""
    if edges is None:
        return Edges(index)
    count = index.shape[1]
    weight, attr = edges.weight, edges.attr
    if weight is not None:
        weight = torch.cat([weight, weight.new_ones(count)])
    if attr is not None:
        attr = torch.cat([attr, attr.new_zeros(count, attr.shape[1])])
    return Edges(torch.cat([edges.index.long(), index], 1), weight, attr)


def _cycles(length: int, count: int, seed: int) -> Tensor:
    """`[2, E]` of `count` random cycles through `length` tokens, in both directions."""
    if length < 2:
        return torch.zeros(2, 0, dtype=torch.int64)
    rng = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.randperm(length, generator=rng) for _ in range(count)])
    there = torch.stack([orders.flatten(), orders.roll(-1, 1).flatten()])
    return torch.cat([there, there.flip(0)], 1)
