"""Attention to a fixed number of learned summaries of the tokens.

Axes: B samples, N tokens of the longest sample, P positions of the weights, K landmarks, H heads,
D channels of a head.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, split_heads
from tokennet.mixers.base import Mixer
from tokennet.ops import reference
from tokennet.ops.backend import is_reference
from tokennet.structure import Structure


class LowRankAttention(Mixer):
    """y = W_O softmax(q (E k)^T / sqrt(D)) (F v): keys and values mixed along the positions to K.

    Linformer: Wang et al. 2020, "Linformer: Self-attention with linear complexity" (equation 7),
    E and F `[K, P]` shared by the heads: O(N K) instead of O(N^2). It knows every position and
    holds at most `num_tokens`: `max_tokens`. A shorter sample is read as if zero keys and values
    followed. Shapes: [*, dim] -> [*, dim].
    """

    reads = frozenset({"position"})

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_tokens: int,
        num_landmarks: int,
        *,
        bias: bool = True,
    ):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.head_dim = split_heads(dim, num_heads)
        self.num_heads = num_heads
        self.num_tokens = self.max_tokens = positive("num_tokens", num_tokens)
        self.num_landmarks = positive("num_landmarks", num_landmarks)
        self.query = nn.Linear(dim, dim, bias=bias)
        self.key = nn.Linear(dim, dim, bias=bias)
        self.value = nn.Linear(dim, dim, bias=bias)
        self.output = nn.Linear(dim, dim, bias=bias)
        scale = num_tokens**-0.5
        self.key_landmarks = nn.Parameter(torch.randn(num_landmarks, num_tokens) * scale)
        self.value_landmarks = nn.Parameter(torch.randn(num_landmarks, num_tokens) * scale)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, heads = structure.layout, (self.num_heads, self.head_dim)
        x = layout.clear(x)
        q = layout.pad(self.query(x)).unflatten(-1, heads)  # [B, N, H, D]
        k = self._landmarks(layout.compact(self.key(x)), self.key_landmarks)
        v = self._landmarks(layout.compact(self.value(x)), self.value_landmarks)
        k, v = k.unflatten(-1, heads), v.unflatten(-1, heads)  # [B, K, H, D]
        if is_reference():
            y = reference.attend_dense(q, k, v, None, self.head_dim**-0.5)
        else:
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.output(layout.unpad(y.flatten(-2)))

    def _landmarks(
        self, x: Float[Tensor, "B N D"], weight: Float[Tensor, "K P"]
    ) -> Float[Tensor, "B K D"]:
        x = x[:, : self.num_tokens]  # what lies beyond is padding: `check` has seen to it
        seen = torch.arange(x.shape[1], device=x.device)
        # not [:, :seen]: torch.export would then refuse the full length, or all but that
        return weight.index_select(1, seen) @ x
