"""Attention without the softmax, at a cost linear in the tokens.

Axes: B samples, N tokens of the padded view, H heads, G heads of keys and values, F features and
D channels of a head, C tokens of a chunk.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.mixers.base import Mixer
from tokennet.mixers.features import EluFeatures, FeatureMap, at_least_float32
from tokennet.mixers.heads import Heads
from tokennet.mixers.stepping import check_state, check_token
from tokennet.ops import reference
from tokennet.ops.backend import is_reference
from tokennet.pairs import Dense
from tokennet.structure import Structure
from tokennet.topology import Causal, Full, Topology

_CHUNK = 64  # tokens; the causal form is quadratic inside a chunk, linear in their number


class LinearAttention(Mixer):
    """y_i = W_O phi(q_i) S / (phi(q_i) . z), with S = sum_j phi(k_j) v_j^T, z = sum_j phi(k_j).

    Katharopoulos et al. 2020, "Transformers are RNNs" (equations 5 to 12). The sums run over the
    sample, `Full()`, or up to i, `Causal()`: O(N F D) instead of O(N^2 D). Causal, it goes token by
    token with S and z as the state, of one size however long the sample. Sums are in float32 at
    least (under autocast in its dtype). Where all weights are 0, a token gets W_O 0.
    Shapes: [*, dim] -> [*, dim].

    Args:
        num_heads: a number, or `Heads(8, kv_heads=2, head_dim=16, bias=False, output=False)`.
        features: phi; None: `EluFeatures()`. With `PositiveRandomFeatures` it is a Performer.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int | Heads,
        topology: Topology | None = None,
        *,
        features: FeatureMap | None = None,
    ):
        super().__init__()
        self.dim = positive("dim", dim)
        self.heads = Heads.of(num_heads, dim)
        self.topology = Full() if topology is None else topology
        if not isinstance(self.topology, (Full, Causal)):
            raise value_error(
                "topology", topology, "Full() or Causal()",
                "the sums of linear attention can't be restricted to other pairs; use tn.Attention",
            )  # fmt: skip
        self.features = EluFeatures() if features is None else features
        if not isinstance(self.features, FeatureMap):
            hint = "e.g. tn.PositiveRandomFeatures(16, 64)"
            raise type_error("features", kind_of(features), "a FeatureMap", hint)
        if self.features.head_dim not in (None, self.heads.head_dim):
            allowed = f"{self.heads.head_dim}, the channels of a head of LinearAttention"
            raise value_error("features.head_dim", self.features.head_dim, allowed)
        self.out_dim = dim if self.heads.output else self.heads.inner_dim
        self.query, self.key, self.value, self.output = self.heads.maps(dim, dim)

    @property
    def claims(self):  # type: ignore[override]
        return self.topology.claims

    @property
    def reads(self):  # type: ignore[override]
        return self.topology.reads

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout, heads = structure.layout, self.heads
        q, k = self._features(x, structure)
        v = heads.shared(layout.pad(at_least_float32(heads.split(self.value(layout.clear(x))))))
        if is_reference():
            y = reference.linear_attend(q, k, v, self._mask(structure))
        else:
            y = (_causal_sums if isinstance(self.topology, Causal) else _full_sums)(q, k, v)
        return self.output(layout.unpad(y.flatten(-2)).to(x.dtype))

    def weights(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        """The mixing matrix `[B, H, N, N]` that the sums amount to; rows sum to one, or to 0."""
        self.check(x, structure)
        q, k = self._features(x, structure)
        weights = torch.einsum("bnhf,bmhf->bhnm", q, k)
        weights = weights * self._mask(structure)[:, None]
        return (weights / _nonzero(weights.sum(-1, keepdim=True))).to(x.dtype)

    def start(self, structure: Structure) -> Float[Tensor, "B G F D_plus_1"]:
        """Zeros: S of each sample and head of keys, with z as its last column."""
        self.check_steps(structure)
        first = next(self.parameters()).new_zeros(structure.batch, self.dim or 0)
        k = self._keys(first)  # for its shape and dtype
        return torch.zeros_like(k)[..., None].repeat(1, 1, 1, (self.heads.head_dim or 0) + 1)

    def step(
        self, x: Float[Tensor, "B D"], state: Float[Tensor, "B G F D_plus_1"]
    ) -> tuple[Float[Tensor, "B O"], Any]:
        check_state(state, "[B, G, F, D + 1]", isinstance(state, Tensor) and state.ndim == 4)
        check_token(x, len(state), self.dim or 0)
        q = self.features.queries(at_least_float32(self.heads.split(self.query(x))))  # [B, H, F]
        v = F.pad(at_least_float32(self.heads.split(self.value(x))), (0, 1), value=1.0)
        state = state + self._keys(x)[..., None] * v[:, :, None]
        sums = self.heads.shared(state.flatten(2)).unflatten(2, state.shape[2:])
        y = torch.einsum("bhf,bhfd->bhd", q, sums)
        return self.output((y[..., :-1] / _nonzero(y[..., -1:])).flatten(1).to(x.dtype)), state

    def _mask(self, structure: Structure) -> Tensor:
        """Who is summed for whom, `[B or 1, N, N]`."""
        pairs, size = self.topology.pairs(structure), structure.layout.max_length
        assert isinstance(pairs, Dense)  # Full and Causal are
        return pairs.full_mask(size, size, structure.device)

    def _keys(self, x: Float[Tensor, "*tokens D"]) -> Float[Tensor, "*tokens G F"]:
        return self.features(at_least_float32(self.heads.split(self.key(x))))

    def _features(self, x: Tensor, structure: Structure) -> tuple[Tensor, Tensor]:
        """phi(q), phi(k) `[B, N, H, F]` of the padded view; keys are 0 at padding."""
        layout = structure.layout
        x = layout.clear(x)
        q = self.features.queries(at_least_float32(self.heads.split(self.query(x))))
        return layout.pad(q), self.heads.shared(layout.pad(layout.clear(self._keys(x))))


def _full_sums(
    q: Float[Tensor, "B N H F"], k: Float[Tensor, "B N H F"], v: Float[Tensor, "B N H D"]
) -> Float[Tensor, "B N H D"]:
    state = torch.einsum("bnhf,bnhd->bhfd", k, v)
    total = torch.einsum("bnhf,bhf->bnh", q, k.sum(1))
    return torch.einsum("bnhf,bhfd->bnhd", q, state) / _nonzero(total)[..., None]


def _causal_sums(
    q: Float[Tensor, "B N H F"], k: Float[Tensor, "B N H F"], v: Float[Tensor, "B N H D"]
) -> Float[Tensor, "B N H D"]:
    """Chunk by chunk: the state of all earlier chunks, plus the pairs inside the chunk."""
    num_tokens = q.shape[1]
    missing = -num_tokens % _CHUNK
    q, k, v = (F.pad(t, (0, 0, 0, 0, 0, missing)).unflatten(1, (-1, _CHUNK)) for t in (q, k, v))
    ones = F.pad(v, (0, 1), value=1.0)  # the last channel sums the weights
    state = torch.einsum("bcnhf,bcnhd->bchfd", k, ones)
    # not cumsum - state: that would let a chunk's own later tokens in, as rounding errors
    before = F.pad(state.cumsum(1)[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    inside = torch.einsum("bcnhf,bcmhf->bchnm", q, k).tril()
    y = torch.einsum("bcnhf,bchfd->bcnhd", q, before)
    y = (y + torch.einsum("bchnm,bcmhd->bcnhd", inside, ones)).flatten(1, 2)[:, :num_tokens]
    return y[..., :-1] / _nonzero(y[..., -1:])


def _nonzero(total: Tensor) -> Tensor:
    return total.where(total > 0, 1)
