"""Full attention within samples of different lengths, in plain differentiable torch.

Axes: B samples, T target and M source tokens of all samples, H heads, D channels of a key, C of a
value.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tokennet.checks import value_error

STEP = 1.25
"""Longest to shortest of a bucket, at most: for 256 samples of 10 to 100 tokens twice as fast as
one bucket, forward and backward; 1.15 is slower, 1.25 to 2 are alike."""


def attend_buckets(
    q: Tensor, k: Tensor, v: Tensor, ptr: Tensor, k_ptr: Tensor, causal: bool, scale: float
) -> Tensor:
    """What the kernel `ragged_attend` gives: samples padded in buckets of about equal lengths.

    Any dtype and device. The shapes depend on the lengths, so that it can't be compiled whole.
    """
    check_samples(q, k, v, ptr, k_ptr)
    if len(ptr) == 1:
        return _zeros(q, v)
    lengths = torch.stack([ptr.diff(), k_ptr.diff()]).cpu()  # [2, B]
    classes = lengths.double().clamp_min(0.5).log().div(math.log(STEP)).ceil()
    _, bucket = torch.unique(classes, dim=1, return_inverse=True)
    order = torch.argsort(bucket, stable=True)
    sizes = torch.bincount(bucket).tolist()
    parts = lengths[:, order].split(sizes, dim=1)
    longest = [part.amax(1).tolist() for part in parts]
    width = torch.repeat_interleave(torch.tensor(longest), torch.tensor(sizes), dim=0).T
    start = torch.empty_like(lengths)
    start[:, order] = width.cumsum(1) - width  # of each sample, among padded rows
    places = [_places(p, s.to(p.device)) for p, s in zip((ptr, k_ptr), start, strict=True)]
    rows = [[size * wide for wide in pair] for size, pair in zip(sizes, longest, strict=True)]
    targets, sources = zip(*rows, strict=True)
    padded = _pad(q, places[0], targets), _pad(k, places[1], sources), _pad(v, places[1], sources)
    out = []
    for part, pair, own_q, own_k, own_v in zip(parts, longest, *padded, strict=True):
        y = _attend_bucket(own_q, own_k, own_v, part.to(q.device), pair, causal, scale)
        out.append(y.flatten(0, 1))
    return torch.cat(out).index_select(0, places[0])


def _places(ptr: Tensor, start: Tensor) -> Tensor:
    """Where each token stands among padded rows, given where its sample begins."""
    shift = torch.repeat_interleave(start - ptr[:-1], ptr.diff())
    return shift + torch.arange(len(shift), device=ptr.device)


def _pad(x: Tensor, places: Tensor, rows: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Padded rows of each bucket; index_put_ was twice as fast as index_copy, with its backward."""
    return x.new_zeros(sum(rows), *x.shape[1:]).index_put_((places,), x).split(rows)


def _zeros(q: Tensor, v: Tensor) -> Tensor:
    """`[T, H, C]`: sums of nothing, so that gradients find their way to q."""
    return q[..., :0].sum(-1, keepdim=True).expand(*q.shape[:2], v.shape[2])


def _attend_bucket(
    q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, longest: list[int], causal: bool, scale: float
) -> Tensor:
    """Padded rows `[B N, H, D]`, `[B M, H, D]`, `[B M, H, C]`: the results `[B, N, H, C]`."""
    num_targets, num_sources = longest
    samples, (heads, channels) = lengths.shape[1], v.shape[1:]
    if 0 in longest:
        return _zeros(q, v).reshape(samples, num_targets, heads, channels)
    q, k, v = (  # [B, H, N, D]
        t.view(samples, -1, *t.shape[1:]).transpose(1, 2) for t in (q, k, v)
    )
    device = lengths.device
    mask, hidden = None, lengths[1] < (lengths[0] if causal else num_sources)
    if hidden.any():
        source = torch.arange(num_sources, device=device)
        mask = (source < lengths[1][:, None])[:, None, None]  # [B, 1, 1, M]
        if causal:
            mask = mask & (source <= torch.arange(num_targets, device=device)[:, None])
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal and mask is None, scale=scale
    )
    return out.transpose(1, 2)


def check_samples(q: Tensor, k: Tensor, v: Tensor, ptr: Tensor, k_ptr: Tensor) -> None:
    """Raises where the rows are not those of the samples."""
    if k.shape[1:] != q.shape[1:]:
        raise value_error("k.shape", tuple(k.shape), f"[M, {q.shape[1]}, {q.shape[2]}] as q")
    if v.shape[:2] != k.shape[:2]:
        raise value_error("v.shape", tuple(v.shape), f"[{len(k)}, {k.shape[1]}, C] as k")
    if len(ptr) != len(k_ptr) or len(ptr) == 0:
        raise value_error("k_ptr.shape", tuple(k_ptr.shape), f"{tuple(ptr.shape)} as ptr")
    for name, pointer, rows in (("ptr", ptr, q), ("k_ptr", k_ptr, k)):
        if int(pointer[-1]) != len(rows):
            raise value_error(f"{name}[-1]", int(pointer[-1]), f"{len(rows)}, the number of rows")
