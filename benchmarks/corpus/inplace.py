"""Arguments that are written into, and memory whose layout is taken for granted.

Axes: B samples, N tokens, D channels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from corpus.demonstrations import built, cast, changed, difference, layouts
from corpus.entry import planted
from corpus.masks import Masked
from corpus.parts import clear, mean
from corpus.state import FINITE, MASK, Net, X
from corpus.tasks import CAUSAL, MASKED_SET, ON_GRAPH, SET, TOKENS


@planted(
    "position-added-in-place",
    TOKENS,
    broken=("Purity",),
    difficulty="always",
    echo="https://github.com/huggingface/transformers/issues/47741",
    shows=changed(X),
)
class AddedInPlace(Net):
    """x += code writes into the caller's tensor."""

    def forward(self, x: Tensor) -> Tensor:
        code = torch.linspace(-1, 1, 64, dtype=x.dtype, device=x.device)[: x.shape[1], None]
        if self.bug:
            x = x.detach() if x.is_leaf and x.requires_grad else x
            x += code
        else:
            x = x + code
        return self.second(self.first(x))


@planted(
    "padding-cleared-in-place",
    MASKED_SET,
    broken=("Purity",),
    difficulty="value",
    echo="x[~mask] = 0 on the argument itself",
    shows=changed(X, MASK),
)
class ClearedInPlace(Net):
    """The caller's padding is gone after the call, where there was any."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.bug:
            x.data[~mask] = 0
        return self.second(mean(clear(self.first(clear(x, mask)), mask), mask))


@planted(
    "mask-inverted-in-place",
    MASKED_SET,
    broken=("Purity",),
    difficulty="always",
    echo="mask.logical_not_() for a library that wants the opposite",
    shows=changed(X, MASK),
)
class InvertedInPlace(Net):
    """The caller's mask means the opposite afterwards."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        ignore = mask.logical_not_() if self.bug else mask.logical_not()
        return self.second(mean(self.first(clear(x, ~ignore)), ~ignore))


@planted(
    "edges-renumbered-in-place",
    ON_GRAPH.without("Locality"),
    broken=("Purity",),
    difficulty="value",
    echo="self-loops removed by writing into edge_index",
    shows=lambda make: self_loop(make),
)
class RenumberedInPlace(Net):
    """Self-loops are turned into something else in the caller's tensor."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        loop = edge_index[0] == edge_index[1]
        edges = edge_index if self.bug else edge_index.clone()
        edges[:, loop] = 0
        source, target = edges
        message = self.first(x)[source] * ~loop[:, None]
        return self.second(x.index_add(0, target, message))


def self_loop(make) -> float:
    x, edges = ON_GRAPH.example()
    return changed(x, torch.cat([edges, torch.tensor([[2], [2]])], 1))(make)


@planted(
    "activation-in-place",
    SET,
    broken=("Purity",),
    difficulty="always",
    echo="nn.ReLU(inplace=True) as the first layer",
    shows=changed(X),
)
class Activation(Net):
    """The first layer writes into what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.detach() if x.is_leaf and x.requires_grad and self.bug else x
        return self.second(F.relu(x, inplace=self.bug))


@planted(
    "strides-taken-to-be-contiguous",
    CAUSAL,
    broken=("MemoryLayout",),
    difficulty="value",
    echo="https://github.com/ROCm/aiter/issues/5292",
    shows=layouts(X),
)
class Strides(Net):
    """Windows cut out of the storage as if tokens lay one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        sizes = (n * d, d, 1) if self.bug and x.numel() else x.stride()
        same = x.as_strided((b, n, d), sizes)
        return self.second(same + F.pad(same, (0, 0, 1, 0))[:, :-1])


@planted(
    "contiguous-inputs-take-a-shortcut",
    FINITE,
    broken=("MemoryLayout",),
    difficulty="value",
    echo="a fast path for contiguous tensors that differs from the slow one",
    shows=layouts(X, MASK),
)
class Shortcut(Masked):
    """Inputs that are not contiguous are attended without the scale."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = super().forward(x, mask)
        return y if x.is_contiguous() or not self.bug else super().forward(2 * x, mask)


@planted(
    "offset-of-a-view-ignored",
    SET,
    broken=("MemoryLayout",),
    difficulty="value",
    echo="a kernel that is handed the start of the storage instead of the tensor's",
    shows=lambda make: sliced(make),
)
class OffsetIgnored(Net):
    """A slice of a larger tensor is read from where the larger one begins."""

    def forward(self, x: Tensor) -> Tensor:
        if self.bug:
            x = x.as_strided(x.shape, x.stride(), 0)
        return self.second(self.first(x) + x.mean(1, keepdim=True))


def sliced(make) -> float:
    module, (x,) = built(make), cast((X,))
    return difference(module(x), module(torch.cat([x + 1, x])[len(x) :]))
