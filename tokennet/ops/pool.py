"""Reductions over the tokens of each sample.

Axes: B samples, D channels.
"""

import math

from jaxtyping import Float
from torch import Tensor

from tokennet.ops.segment import segment_max, segment_sum
from tokennet.structure import Layout, Padded


def sample_sum(x: Float[Tensor, "*tokens D"], layout: Layout) -> Float[Tensor, "B D"]:
    """The sum over the real tokens of each sample; 0 for an empty one."""
    if isinstance(layout, Padded):
        return layout.clear(x).sum(1)
    return segment_sum(x, layout.sample, layout.batch, ptr=layout.ptr)


def sample_mean(x: Float[Tensor, "*tokens D"], layout: Layout) -> Float[Tensor, "B D"]:
    """The mean over the real tokens of each sample; 0 for an empty one."""
    return sample_sum(x, layout) / layout.lengths.clamp_min(1).to(x.dtype)[:, None]


def sample_max(x: Float[Tensor, "*tokens D"], layout: Layout) -> Float[Tensor, "B D"]:
    """The largest value over the real tokens of each sample, channel by channel; 0 without any."""
    if not isinstance(layout, Padded):
        return segment_max(x, layout.sample, layout.batch, ptr=layout.ptr)
    if layout.max_length == 0:
        return x.sum(1)
    largest = x.masked_fill(~layout.valid[..., None], -math.inf).amax(1)
    return largest.masked_fill(layout.lengths[:, None] == 0, 0)
