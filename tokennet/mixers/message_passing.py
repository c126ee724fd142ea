"""Any convolution of PyG as a mixer.

Axes: T rows of the flat view, E edges.
"""

import inspect
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.laws import Law, Permutation, closure
from tokennet.mixers.base import Mixer, check_place
from tokennet.structure import Padded, Structure, Tokens


class MessagePassing(Mixer):
    """y = conv(x, edge_index, ...) for a convolution of `torch_geometric.nn`, weights and all.

    Edge weights and features are passed where the convolution's `forward` has an argument for them
    (`edge_weight`, `edge_attr`); `batch` too, so that norms and aggregations keep samples apart.
    PyG's convolutions keep `Permutation`; state other `claims` for one that does not: verify it.

    Raises:
        ValueError: for a module whose `forward` takes no `edge_index`.
    """

    reads = frozenset({"edges"})

    def __init__(self, conv: nn.Module, *, claims: Iterable[Law] = (Permutation(),)):
        super().__init__()
        if not isinstance(conv, nn.Module):
            raise type_error("conv", kind_of(conv), "a convolution of torch_geometric.nn, made")
        known = inspect.signature(conv.forward).parameters
        if "edge_index" not in known:
            raise value_error(
                "conv", type(conv).__name__, "a module with forward(x, edge_index, ...)",
                "a token-wise module goes into tn.TokenWise",
            )  # fmt: skip
        self.conv = conv
        self.claims = closure(claims)
        self._known = frozenset(known)
        size = getattr(conv, "in_channels", None)
        self.dim = size if isinstance(size, int) and size > 0 else None

    def width(self, dim: int | None) -> int | None:
        return None  # `out_channels` means different things to different convolutions

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        if isinstance(structure.layout, Padded) and not structure.layout.dense:
            return self._without_padding(x, structure)
        layout, edges = structure.layout, structure.edges
        assert edges is not None  # `check` has seen to it
        width = getattr(self.conv, "edge_dim", None)
        found = None if edges.attr is None else edges.attr.shape[1]
        if isinstance(width, int) and found != width:
            allowed = f"{width}, the edge_dim of {type(self.conv).__name__}"
            raise value_error("channels of edges.attr", found, allowed, "Edges(index, attr=[E, K])")
        given = {
            "edge_weight": edges.weight,
            "edge_attr": edges.attr,
            "batch": layout.sample,
            "batch_size": layout.batch,
        }
        known = {k: v for k, v in given.items() if k in self._known and v is not None}
        if not torch.compiler.is_compiling():
            for name, value in (("weight", edges.weight), ("attr", edges.attr)):
                if value is not None and f"edge_{name}" in known:
                    check_place(f"structure.edges.{name}", value, self)
        return layout.unflat(self.conv(layout.flat(x), edges.index.long(), **known))

    def _without_padding(self, x: Tensor, structure: Structure) -> Tensor:
        """Padding would count as tokens in the convolution's norms and aggregations."""
        y = self.forward(*Tokens(x, structure).packed())
        real = structure.layout.valid.flatten().nonzero().squeeze(1)
        rows = y.new_zeros(structure.layout.rows, y.shape[-1]).index_copy(0, real, y)
        return structure.layout.unflat(rows)
