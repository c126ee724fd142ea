"""Operations without parameters: tensors in, tensors out."""

from tokennet.ops.attend import (
    attend,
    attention_weights,
    dot_scores,
    masked_softmax,
    weighted_sum,
)
from tokennet.ops.attend_ragged import attend_ragged, runs_ragged
from tokennet.ops.attend_sparse import attend_gat, attend_gatv2, edge_softmax, spread_scores
from tokennet.ops.backend import backend
from tokennet.ops.pool import sample_max, sample_mean, sample_sum
from tokennet.ops.segment import (
    segment_max,
    segment_mean,
    segment_min,
    segment_softmax,
    segment_std,
    segment_sum,
)
from tokennet.ops.sparse import gather_reduce, sddmm, spmm

__all__ = [
    "attend",
    "attend_gat",
    "attend_gatv2",
    "attend_ragged",
    "attention_weights",
    "backend",
    "dot_scores",
    "edge_softmax",
    "gather_reduce",
    "masked_softmax",
    "runs_ragged",
    "sample_max",
    "sample_mean",
    "sample_sum",
    "sddmm",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_softmax",
    "segment_std",
    "segment_sum",
    "spmm",
    "spread_scores",
    "weighted_sum",
]
