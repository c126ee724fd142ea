"""Attention without the softmax, at a cost linear in the tokens.

Axes: B samples, N tokens of the padded view, H heads, D channels of a head, C tokens of a chunk.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, split_heads, value_error
from tokennet.mixers.base import Mixer
from tokennet.ops import reference
from tokennet.ops.backend import is_reference
from tokennet.structure import Structure
from tokennet.topology import Causal, Dense, Full, Topology

_CHUNK = 64  # tokens; the causal form is quadratic inside a chunk, linear in their number


class LinearAttention(Mixer):
    """y_i = W_O phi(q_i) S / (phi(q_i) . z), with S = sum_j phi(k_j) v_j^T, z = sum_j phi(k_j).

    phi = elu + 1. Katharopoulos et al. 2020, "Transformers are RNNs" (equations 5 to 12). The sums
    run over the sample, `Full()`, or up to i, `Causal()`: O(N D^2) instead of O(N^2 D).
    Shapes: [*, dim] -> [*, dim].
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        topology: Topology | None = None,
        *,
        head_dim: int | None = None,
        bias: bool = True,
    ):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.num_heads = positive("num_heads", num_heads)
        self.head_dim = (
            positive("head_dim", head_dim) if head_dim is not None else split_heads(dim, num_heads)
        )
        self.topology = Full() if topology is None else topology
        if not isinstance(self.topology, (Full, Causal)):
            raise value_error(
                "topology", topology, "Full() or Causal()",
                "the sums of linear attention can't be restricted to other pairs; use tn.Attention",
            )  # fmt: skip
        inner = self.num_heads * self.head_dim
        self.query = nn.Linear(dim, inner, bias=bias)
        self.key = nn.Linear(dim, inner, bias=bias)
        self.value = nn.Linear(dim, inner, bias=bias)
        self.output = nn.Linear(inner, dim, bias=bias)

    @property
    def claims(self):  # type: ignore[override]
        return self.topology.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.topology.reads

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        q, k = self._features(x, structure)
        v = self.value(layout.clear(x)).unflatten(-1, (self.num_heads, self.head_dim))
        causal = isinstance(self.topology, Causal)
        v = layout.pad(v)
        if is_reference():
            y = reference.linear_attend(q, k, v, self._mask(structure))
        else:
            y = _causal_sums(q, k, v) if causal else _full_sums(q, k, v)
        return self.output(layout.unpad(y.flatten(-2)))

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        """The mixing matrix `[B, H, N, N]` that the sums amount to; rows sum to one."""
        self.check(x, structure)
        q, k = self._features(x, structure)
        weights = torch.einsum("bnhd,bmhd->bhnm", q, k)
        weights = weights * self._mask(structure)[:, None]
        total = weights.sum(-1, keepdim=True)
        return weights / total.where(total > 0, 1)

    def _mask(self, structure: Structure) -> Tensor:
        """Who is summed for whom, `[B or 1, N, N]`."""
        pairs, size = self.topology.pairs(structure), structure.layout.max_length
        assert isinstance(pairs, Dense)  # Full and Causal are
        return pairs.full_mask(size, size, structure.device)

    def _features(self, x: Tensor, structure: Structure) -> tuple[Tensor, Tensor]:
        """phi(q), phi(k) `[B, N, H, D]` of the padded view; keys are 0 at padding."""
        layout, heads = structure.layout, (self.num_heads, self.head_dim)
        x = layout.clear(x)
        q = F.elu(self.query(x).unflatten(-1, heads)) + 1
        k = F.elu(self.key(x).unflatten(-1, heads)) + 1
        return layout.pad(q), layout.pad(layout.clear(k))


def _full_sums(
    q: Float[Tensor, "B N H D"], k: Float[Tensor, "B N H D"], v: Float[Tensor, "B N H D"]
) -> Float[Tensor, "B N H D"]:
    state = torch.einsum("bnhd,bnhe->bhde", k, v)
    total = torch.einsum("bnhd,bhd->bnh", q, k.sum(1))
    return torch.einsum("bnhd,bhde->bnhe", q, state) / _nonzero(total)[..., None]


def _causal_sums(
    q: Float[Tensor, "B N H D"], k: Float[Tensor, "B N H D"], v: Float[Tensor, "B N H D"]
) -> Float[Tensor, "B N H D"]:
    """Chunk by chunk: the state of all earlier chunks, plus the pairs inside the chunk."""
    num_tokens = q.shape[1]
    missing = -num_tokens % _CHUNK
    q, k, v = (F.pad(t, (0, 0, 0, 0, 0, missing)).unflatten(1, (-1, _CHUNK)) for t in (q, k, v))
    ones = F.pad(v, (0, 1), value=1.0)  # the last channel sums the weights
    state = torch.einsum("bcnhd,bcnhe->bchde", k, ones)
    # not cumsum - state: that would let a chunk's own later tokens in, as rounding errors
    before = F.pad(state.cumsum(1)[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    inside = torch.einsum("bcnhd,bcmhd->bchnm", q, k).tril()
    y = torch.einsum("bcnhd,bchde->bcnhe", q, before)
    y = (y + torch.einsum("bchnm,bcmhe->bcnhe", inside, ones)).flatten(1, 2)[:, :num_tokens]
    return y[..., :-1] / _nonzero(y[..., -1:])


def _nonzero(total: Tensor) -> Tensor:
    return total.where(total > 0, 1)
