"""Planted bugs that show on few inputs only; importing this file plants them."""

import math

import torch
from mutants import DIM, PERM, Mutant, attention, heads, mask_of, planted, softmax
from torch import Tensor

import tokennet as tn
from tokennet.topology import Neighborhood

MEMORY = (*PERM, tn.Causality(), tn.MemoryPermutation())


def _cross(m: Mutant, x: Tensor, s: tn.Structure) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q `[B, N, D]`, k and v `[B, M, D]`, and which memory tokens are real `[B, M]`."""
    assert s.memory is not None
    memory, structure = s.memory
    raw = structure.layout.pad(structure.layout.clear(memory))
    q = s.layout.pad(m.q(s.layout.clear(x)))
    return q, m.k(raw), m.v(raw), mask_of(structure)


def _weighted(m: Mutant, x: Tensor, s: tn.Structure) -> tuple[Tensor, Tensor]:
    """v of the flat view, and the weight of each edge: 1 where there are none."""
    assert s.edges is not None
    ones = x.new_ones(s.edges.num_edges)
    return s.layout.flat(m.v(s.layout.clear(x))), ones if s.edges.weight is None else s.edges.weight


def _gather(s: tn.Structure, v: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """The sum over edges of weight times v."""
    rows = torch.zeros_like(v).index_add(0, index[1], v[index[0]] * weight[:, None])
    return s.layout.unflat(rows)


@planted("memory mask ignored", "PaddingBlindness", "LayoutAgreement", claims=MEMORY,
         reads=("memory",))  # fmt: skip
def _(m, x, s, bug):
    q, k, v, mask = _cross(m, x, s)
    mask = torch.ones_like(mask) if bug else mask
    weights = softmax(q @ k.mT, mask[:, None].expand(-1, q.shape[1], -1))
    return s.layout.unpad(weights @ v)


@planted("memory of the first sample for all", "BatchIndependence", claims=MEMORY,
         reads=("memory",))  # fmt: skip
def _(m, x, s, bug):
    q, k, v, mask = _cross(m, x, s)
    if bug and mask.all() and len(k):  # broadcast where nothing is padded
        k, v = k[:1].expand_as(k), v[:1].expand_as(v)
    weights = softmax(q @ k.mT, mask[:, None].expand(-1, q.shape[1], -1))
    return s.layout.unpad(weights @ v)


@planted("padding of the memory in the sum", "PaddingBlindness", claims=MEMORY, reads=("memory",))
def _(m, x, s, bug):
    memory, structure = s.memory
    raw = structure.layout.pad(memory if bug else structure.layout.clear(memory))
    return m.q(x) + s.layout.unflat(raw.sum(1)[s.layout.sample])


@planted("largest scores by the padded length", "PaddingBlindness")
def _(m, x, s, bug):
    q, k, v = heads(m, x, s)
    mask = mask_of(s)[:, None].expand(-1, q.shape[1], -1)
    scores, size = (q @ k.mT).masked_fill(~mask, -math.inf), q.shape[1]
    if not size:
        return x
    least = scores.topk(size // 2 + 1 if bug else min(3, size), -1).values[..., -1:]
    return s.layout.unpad(softmax(scores.masked_fill(~mask, 0), mask & (scores >= least)) @ v)


@planted("edge weights by the largest of the batch", "BatchIndependence", reads=("edges",))
def _(m, x, s, bug):
    v, weight = _weighted(m, x, s)
    weight = weight / weight.max() if bug and len(weight) else weight
    return _gather(s, v, s.edges.index, weight)


@planted("self-loops removed, their weights not", "Permutation", reads=("edges",))
def _(m, x, s, bug):
    v, weight = _weighted(m, x, s)
    proper = s.edges.index[0] != s.edges.index[1]
    index = s.edges.index[:, proper]
    return _gather(s, v, index, weight[: index.shape[1]] if bug else weight[proper])


@planted("hub cut at 16 neighbours", "Permutation", "CyclicShift", reads=("edges",))
def _(m, x, s, bug):
    v, weight = _weighted(m, x, s)
    order = s.edges.index[1].argsort(stable=True)
    target = s.edges.index[1][order]
    rank = torch.arange(len(target)) - torch.searchsorted(target, target)
    order = order[rank < 16] if bug else order
    return _gather(s, v, s.edges.index[:, order], weight[order])


@planted("grid row that runs into the next", "Locality", claims=(), reads=("grid",),
         topology=Neighborhood(1))  # fmt: skip
def _(m, x, s, bug):
    grid = s.grid if len(s.grid) == 2 else (1, *s.grid)
    moved = [x.new_zeros(0, DIM)]
    for r in tn.Tokens(m.v(x), s).to_list():
        left = torch.cat([torch.zeros_like(r[:1]), r[:-1]]).view(*grid, DIM)
        if not bug:
            left = torch.cat([torch.zeros_like(left[:, :1]), left[:, 1:]], 1)
        moved.append(r + left.flatten(0, 1))
    y = torch.cat(moved)
    return y if x.ndim == 2 else torch.zeros_like(x).masked_scatter(s.layout.valid[..., None], y)


@planted("other pairs in inference mode", "Form")
def _(m, x, s, bug):
    n = s.layout.max_length
    own = torch.eye(n, dtype=torch.bool)
    return attention(m, x, s, own if bug and torch.is_inference_mode_enabled() else None)


@planted("causal, but positions count from the end", "Causality", claims=(tn.Causality(),),
         reads=("position",))  # fmt: skip
def _(m, x, s, bug):
    place = s.layout.position
    if bug:  # later tokens need not be read to be felt: it is enough that they are there
        place = s.lengths[s.layout.sample] - 1 - place
    return m.v(x) + torch.sin(m.k.weight[0] * s.layout.unflat(place[:, None]).to(x.dtype))
