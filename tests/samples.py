"""Batches with everything in them, and whether two hold the same samples."""

import torch
from torch import Tensor

import tokennet as tn


def graph_of(tokens: tn.Tokens, sample: int) -> list[tuple]:
    """The edges of a sample by features of their ends: what no relabelling may change."""
    edges, flat = tokens.structure.edges, tokens.structure.layout.flat(tokens.x)
    own = tokens.structure.layout.sample[edges.index[0]] == sample
    found = []
    for e in own.nonzero().squeeze(1).tolist():
        source, target = (tuple(flat[int(r)].tolist()) for r in edges.index[:, e])
        weight = None if edges.weight is None else float(edges.weight[e])
        attr = None if edges.attr is None else tuple(edges.attr[e].tolist())
        found.append((source, target, weight, attr))
    return sorted(found, key=str)


def some_tokens(lengths: list[int], *, memory: bool = True) -> tn.Tokens:
    """Packed tokens with edges (weights and features) inside each sample, and memory."""
    index, start = [], 0
    for n in lengths:
        if n:
            index.append(torch.randint(start, start + n, (2, 2 * n)))
        start += n
    joined = torch.cat([torch.zeros(2, 0, dtype=torch.int64), *index], 1)
    count = joined.shape[1]
    edges = tn.Edges(joined, torch.rand(count), torch.randn(count, 2))
    other = tn.Tokens.from_list(
        [torch.randn(b + 1, 3) for b in range(len(lengths))] or [torch.zeros(0, 3)]
    )
    facts = {"memory": other} if memory and lengths else {}
    return tn.Tokens(torch.randn(start, 2), tn.Structure.packed(lengths, edges=edges, **facts))


def assert_same_samples(a: tn.Tokens, b: tn.Tokens) -> None:
    assert all(map(torch.equal, a.to_list(), b.to_list()))
    for s in range(a.structure.batch):
        assert graph_of(a, s) == graph_of(b, s)
    memory = a.structure.memory
    if memory is not None:
        assert_rows(memory.to_list(), b.structure.memory.to_list())


def assert_rows(a: list[Tensor], b: list[Tensor]) -> None:
    assert len(a) == len(b)
    assert all(map(torch.equal, a, b))
