"""Planted bugs in operators over edges and grids; importing this file plants them."""

import torch
from mutants import DIM, attention, edge_sum, planted

import tokennet as tn
from tokennet.ops import segment_softmax, segment_sum
from tokennet.structure.transform import select
from tokennet.topology import EdgeList


def _edges(s):
    return s.edges.index[0], s.edges.index[1]


def _edge_attention(m, x, s, *, over_all=False, scale=1.0):
    layout = s.layout
    flat = layout.flat(layout.clear(x))
    source, target = _edges(s)
    q, k, v = m.q(flat), m.k(flat), m.v(flat)
    scores = (q[target] * k[source]).sum(-1, keepdim=True) * scale
    segment = torch.zeros_like(target) if over_all else target
    weights = segment_softmax(scores, segment, len(flat))
    return layout.unflat(segment_sum(weights * v[source], target, len(flat)))


@planted(
    "softmax over all edges", "BatchIndependence", "Locality", reads=("edges",), topology=EdgeList()
)
def _(m, x, s, bug):
    return _edge_attention(m, x, s, over_all=bug)


@planted("edge direction swapped", "Locality", reads=("edges",), topology=EdgeList())
def _(m, x, s, bug):
    return edge_sum(m, x, s, swapped=bug)


@planted("two hops instead of one", "Locality", reads=("edges",), topology=EdgeList())
def _(m, x, s, bug):
    y = edge_sum(m, x, s)
    return edge_sum(m, y, s) + y if bug else y


@planted("edges that are never read", "edges", reads=("edges",))
def _(m, x, s, bug):
    return attention(m, x, s) if bug else edge_sum(m, x, s)


@planted("edges read in secret", "edges")
def _(m, x, s, bug):
    return attention(m, x, s) + (0.1 * edge_sum(m, x, s) if bug else 0)


@planted("result of the first edge only", "Permutation", "BatchIndependence", reads=("edges",))
def _(m, x, s, bug):
    layout = s.layout
    flat = m.v(layout.flat(layout.clear(x)))
    source, target = _edges(s)
    if bug:  # repeated targets overwrite each other instead of adding up
        out = torch.zeros_like(flat).index_put((target,), flat[source])
    else:
        out = torch.zeros_like(flat).index_add(0, target, flat[source])
    return layout.unflat(out)


@planted("NaN for a token without edges", "BatchIndependence", "PaddingBlindness", reads=("edges",))
def _(m, x, s, bug):
    layout = s.layout
    _, target = _edges(s)
    count = torch.bincount(target, minlength=layout.rows).to(x.dtype)[:, None]
    total = layout.flat(edge_sum(m, x, s))
    return layout.unflat(total / (count if bug else count.clamp_min(1)))


@planted(
    "norm over the whole packed batch", "BatchIndependence", "LayoutAgreement", reads=("edges",)
)
def _(m, x, s, bug):
    y = edge_sum(m, x, s)
    if bug and y.ndim == 2 and len(y):
        return y - y.mean(0)
    return y


@planted("eigenvectors with a sign", "Permutation", reads=("edges",))
def _(m, x, s, bug):
    parts = []
    for tokens in (select(tn.Tokens(x, s), [b]).packed() for b in range(s.batch)):
        n = len(tokens.x)
        matrix = torch.zeros(n, n, dtype=torch.float64)
        index = tokens.structure.edges.index
        matrix[index[0], index[1]] = 1
        _, vectors = torch.linalg.eigh(matrix + matrix.T)
        first = vectors[:, -1:] if n else matrix[:, :0].sum(1, keepdim=True)
        parts.append((first if bug else matrix.sum(1, keepdim=True)).to(x.dtype))
    code = torch.cat(parts)
    if x.ndim == 3:
        code = x.new_zeros(*x.shape[:2], 1).masked_scatter(s.layout.valid[..., None], code)
    return x + code * m.gate


@planted("grid with its sides exchanged", "Locality", claims=(), reads=("grid",),
         topology=tn.Neighborhood(1))  # fmt: skip
def _(m, x, s, bug):
    turned = s.with_facts(grid=s.grid[::-1]) if bug else s
    pairs = tn.Neighborhood(1).matrix(turned)
    v = m.v(s.layout.clear(x))
    return s.layout.unflat(pairs.to(x.dtype) @ s.layout.flat(v))


@planted("torus that wraps one axis only", "GridShift", claims=(tn.GridShift(),), reads=("grid",))
def _(m, x, s, bug):
    grid = s.grid if len(s.grid) == 2 else (1, *s.grid)
    rows = [r.view(*grid, DIM) for r in tn.Tokens(m.v(x), s).to_list()]
    moved = []
    for r in rows:
        up = r.roll(1, 0)
        if bug:
            up = torch.cat([torch.zeros_like(up[:1]), up[1:]])
        moved.append((up + 2 * r.roll(1, 1)).flatten(0, 1))
    y = torch.cat([x.new_zeros(0, DIM), *moved])
    if x.ndim == 2:
        return y
    return torch.zeros_like(x).masked_scatter(s.layout.valid[..., None], y)
