"""Planted bugs in operators over sets and sequences; importing this file plants them."""

import torch
from mutants import DIM, PERM, attention, band, heads, mask_of, planted, softmax

import tokennet as tn
from tokennet.ops import sample_mean

CAUSAL = (tn.Causality(),)


@planted("mask on the values but not on the keys", "PaddingBlindness", "LayoutAgreement")
def _(m, x, s, bug):
    q, k, v = heads(m, x, s)
    mask = mask_of(s)
    if bug:
        return s.layout.unpad((q @ k.mT).softmax(-1) @ (v * mask[..., None]))
    return s.layout.unpad(softmax(q @ k.mT, mask[:, None].expand(-1, q.shape[1], -1)) @ v)


@planted("causal mask off by one", "Causality", claims=CAUSAL, reads=("position",))
def _(m, x, s, bug):
    packed = tn.Tokens(x, s).packed()
    y = attention(
        m, packed.x, packed.structure, band(packed.structure.layout.max_length, -99, int(bug))
    )
    return y if s.layout.shape == y.shape[:-1] else _back(y, x, s)


def _back(y, x, s):
    return torch.zeros_like(x).masked_scatter(s.layout.valid[..., None], y)


@planted("batch statistics", "BatchIndependence")
def _(m, x, s, bug):
    rows = s.layout.flat(s.layout.clear(x))
    if bug:
        return s.layout.unflat(rows - rows.sum(0) / max(int(s.layout.valid.sum()), 1))
    return x - sample_mean(x, s.layout)[s.layout.sample].view_as(x)


@planted("batch norm in train mode", "BatchIndependence")
def _(m, x, s, bug):
    rows = s.layout.flat(x)
    if bug and m.training and len(rows) > 1:
        return s.layout.unflat(m.norm(rows))
    return m.v(x)


@planted("hidden position term", "Permutation")
def _(m, x, s, bug):
    y = attention(m, x, s)
    return y + 1e-4 * s.layout.unflat(s.layout.position[:, None].to(x.dtype)) * bug


@planted("heads merged by view without transposing", "Permutation")
def _(m, x, s, bug):
    q, k, v = (t.unflatten(-1, (2, DIM // 2)).transpose(1, 2) for t in heads(m, x, s))
    weights = softmax(q @ k.mT, mask_of(s)[:, None, None].expand(-1, 2, q.shape[2], -1))
    y = weights @ v  # [B, H, N, D]
    y = y.reshape(y.shape[0], y.shape[2], DIM) if bug else y.transpose(1, 2).flatten(2)
    return s.layout.unpad(y)


@planted("mean over padding", "PaddingBlindness", "LayoutAgreement")
def _(m, x, s, bug):
    padded = s.layout.pad(s.layout.clear(m.v(x)))
    total = padded.sum(1, keepdim=True)
    count = padded.shape[1] if bug else s.lengths.clamp_min(1)[:, None, None].to(x.dtype)
    return x + s.layout.unpad((total / max(count, 1) if bug else total / count).expand_as(padded))


@planted("state kept between calls", "Form")
def _(m, x, s, bug):
    y = m.v(x)
    if bug:
        y = y if m.kept is None else y + m.kept
        m.kept = y.detach().flatten(0, -2).sum(0)
    return y


@planted("output that is zero whatever the weights", "Permutation", "BatchIndependence")
def _(m, x, s, bug):
    return attention(m, x, s) * (0.0 if bug else 1.0)


@planted("leak behind a gate initialised to zero", "Permutation")
def _(m, x, s, bug):
    code = s.layout.unflat(s.layout.position[:, None].to(x.dtype))
    return x + m.gate * (attention(m, x, s) + code * bug)


@planted("wrong only above 32 tokens", "Permutation", "LayoutAgreement")
def _(m, x, s, bug):
    n = s.layout.max_length
    return attention(m, x, s, band(n, -8, 8) if bug and n > 32 else None)


@planted("wrong only on ties", "Permutation")
def _(m, x, s, bug):
    q, _, _ = heads(m, x, s)
    first = q[..., 0].masked_fill(~mask_of(s), torch.inf)
    before = first[:, None, :] < first[:, :, None]
    if bug:  # equal tokens are ranked by where they stand
        equal = first[:, None, :] == first[:, :, None]
        before = before | (equal & band(q.shape[1], -99, -1))
    return x + s.layout.unpad(before.to(x.dtype).sum(-1, keepdim=True)) * m.gate


@planted("wrong only in train mode", "BatchIndependence")
def _(m, x, s, bug):
    return attention(m, x, s) * (s.batch if bug and m.training else 1)


@planted("wrong only without gradients", "PaddingBlindness", "LayoutAgreement")
def _(m, x, s, bug):
    if bug and not torch.is_grad_enabled():
        q, k, v = heads(m, x, s)
        return s.layout.unpad((q @ k.mT).softmax(-1) @ v)
    return attention(m, x, s)


@planted("wrong only for one sample", "BatchIndependence", "LayoutAgreement")
def _(m, x, s, bug):
    return attention(m, x, s, band(s.layout.max_length, -1, 1) if bug and s.batch == 1 else None)


@planted("input changed in place", "Form")
def _(m, x, s, bug):
    y = m.v(x)
    if bug:
        with torch.no_grad():
            x.mul_(1.5)
    return y


@planted("random numbers outside dropout", "Form")
def _(m, x, s, bug):
    return m.v(x) + (1e-3 * torch.randn(()).to(x) if bug else 0)


@planted("float32 whatever comes in", "Form")
def _(m, x, s, bug):
    y = m.v(x)
    return y.float() if bug else y


@planted("samples that see each other when packed", "BatchIndependence", "LayoutAgreement")
def _(m, x, s, bug):
    if bug and x.ndim == 2:
        return (m.q(x) @ m.k(x).mT).softmax(-1) @ m.v(x)
    return attention(m, x, s)


@planted("scaled by the longest sample", "PaddingBlindness", "LayoutAgreement", "BatchIndependence")
def _(m, x, s, bug):
    return attention(m, x, s) / (s.layout.max_length + 1 if bug else 2)


@planted("memory assumed contiguous", "LayoutAgreement", "Permutation", "BatchIndependence")
def _(m, x, s, bug):
    if bug and x.numel():
        x = x.as_strided(x.shape, torch.empty(x.shape).stride())
    return m.v(x)


@planted("gradient across the batch", "BatchIndependence")
def _(m, x, s, bug):
    ghost = s.layout.flat(s.layout.clear(x)).sum()
    return m.v(x) + (ghost - ghost.detach() if bug else 0)


@planted("weights' gradient counts padding", "PaddingBlindness", "LayoutAgreement")
def _(m, x, s, bug):
    ghost = m.v.bias.sum() * s.layout.rows
    return m.v(x) * (1 + (ghost - ghost.detach() if bug else 0))


@planted("position by row of the batch", "BatchIndependence", claims=(), reads=("position",))
def _(m, x, s, bug):
    place = torch.arange(s.layout.rows) if bug else s.layout.position
    return x + torch.sin(s.layout.unflat(place[:, None]).to(x.dtype)) * m.gate


@planted("causal sums that include their chunk", "Causality", claims=CAUSAL, reads=("position",))
def _(m, x, s, bug):
    v = s.layout.compact(m.v(x))
    total = v.cumsum(1)
    if bug:  # the state of the whole chunk of four, also to its first tokens
        end = (torch.arange(v.shape[1]) // 4 * 4 + 3).clamp(max=v.shape[1] - 1)
        total = total[:, end]
    return s.layout.spread(total)


@planted("padding multiplied by zero instead of dropped", "PaddingBlindness")
def _(m, x, s, bug):
    layout = s.layout
    kept = x * layout.valid[..., None] if bug else layout.clear(x)
    total = layout.pad(m.v(kept) * layout.valid[..., None]).sum(1)
    return x + total[layout.sample].view_as(x)


@planted(
    "a summary that divides by the longest", "PaddingBlindness", "LayoutAgreement", pooled=True
)
def _(m, x, s, bug):
    padded = s.layout.pad(s.layout.clear(m.v(x)))
    return padded.mean(1) if bug and padded.shape[1] else sample_mean(m.v(x), s.layout)


@planted("last row taken for the last token", "PaddingBlindness", "LayoutAgreement",
         claims=(), reads=("position",), pooled=True)  # fmt: skip
def _(m, x, s, bug):
    if bug and x.ndim == 3 and x.shape[1]:
        return m.v(x[:, -1])
    last = (s.lengths - 1).clamp_min(0)[:, None, None]
    front = s.layout.compact(x)
    if not front.shape[1]:
        return m.v(x.new_zeros(s.batch, DIM))
    return m.v(front.take_along_dim(last, 1)[:, 0])


@planted(
    "a ring that does not close", "CyclicShift", claims=(tn.CyclicShift(),), reads=("position",)
)
def _(m, x, s, bug):
    rows = [r.roll(1, 0) for r in tn.Tokens(x, s).to_list()]
    for r in rows:
        if bug and len(r):
            r[0] = 0
    y = torch.cat([m.v(x.new_zeros(0, DIM)), *(m.v(r) for r in rows)])
    return y if x.ndim == 2 else _back(y, x, s)


@planted("memory read in order", "MemoryPermutation", reads=("memory",),
         claims=(*PERM, tn.Causality(), tn.MemoryPermutation()))  # fmt: skip
def _(m, x, s, bug):
    memory = tn.Tokens(*s.memory).packed()
    place = memory.structure.layout.position[:, None].to(x.dtype)
    code = torch.sin(m.k(memory.x) + place * bug)
    total = x.new_zeros(s.batch, DIM).index_add(0, memory.structure.layout.sample, code)
    return m.v(x) + total[s.layout.sample].view_as(x)
