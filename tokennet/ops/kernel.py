"""What a fused sparse kernel is given, and what it gives back: the same for C++, Triton and torch.

Axes: T rows of the flat view, E edges, H heads, D channels of a key, C of a value, K of an edge.

A set of kernels is a module with the functions of `KERNELS`, of the signatures that `ops.bag` has.
`Compressed` forms come from `SortedEdges`: rows are the edges into each token, columns those out of
it. Results for edges that no row reaches (those left out) are 0.
"""

from typing import NamedTuple

from torch import Tensor

from tokennet.checks import value_error

KERNELS = (
    "attend",
    "attend_backward",
    "gather_sum",
    "sddmm",
    "gather_max",
    "gather_max_backward",
    "segment_softmax",
    "segment_softmax_backward",
)
SCORES = ("dot", "gat", "gatv2")
FLOATS = ("q", "k", "v", "vector", "bias", "edge_query", "attr")
"""The inputs of attention that can have gradients, in the order of `Gradients`."""


def check_shape(name: str, x: Tensor | None, *shape: int) -> None:
    """Raises where a tensor has another shape: a kernel would read what is not its own."""
    if x is not None and tuple(x.shape) != shape:
        raise value_error(f"{name}.shape", tuple(x.shape), f"{list(shape)}")


class Inputs(NamedTuple):
    """Attention over edges j -> i: out_i = sum_j softmax_j(s_ij) keep_ij / (1 - dropout) m_ij.

    "dot": s = scale (q_i.k_j + u_i.e_ij) + bias; the message is v_j (and e_ij, in `edge_out`).
    "gat": s = leaky(q_i + k_j + bias), q and k being numbers `[T, H]`; the message is v_j.
    "gatv2": s = vector.leaky(q_i + k_j) + bias; the message is v_j, or k_j where v is None.
    """

    score: str
    q: Tensor
    """`[T, H, D]`, or `[T, H]` for "gat"; the last two axes contiguous, rows any stride apart."""
    k: Tensor
    """As q."""
    v: Tensor | None
    """`[T, H, C]`, laid out as q; None for "gatv2" over keys."""
    vector: Tensor | None = None
    """a of "gatv2", `[H, D]`."""
    bias: Tensor | None = None
    """`[E, H]`."""
    edge_query: Tensor | None = None
    """u = q W, `[T, H, K]`, for "dot" with edge features."""
    attr: Tensor | None = None
    """e, `[E, K]`."""
    kept: Tensor | None = None
    """Which weights dropout leaves, bool `[E, H]`."""
    scale: float = 1.0
    slope: float = 0.2
    """Of the leaky ReLU."""
    dropout: float = 0.0

    @property
    def values(self) -> Tensor:
        return self.k if self.v is None else self.v


class Result(NamedTuple):
    """What attention gives: of a row without edges zeros, and `log_sum` infinite."""

    out: Tensor
    """`[T, H, C]`, in the dtype of the values."""
    edge_out: Tensor
    """sum_j w_ij e_ij `[T, H, K]`; `[0]` without edge features."""
    log_sum: Tensor
    """log sum_j exp s_ij `[T, H]`, in float32 at least."""


class Gradients(NamedTuple):
    """With respect to the tensors of `Inputs`, in their dtypes; None where it was not asked for.

    With v None the gradient of the keys holds both their parts.
    """

    q: Tensor | None = None
    k: Tensor | None = None
    v: Tensor | None = None
    vector: Tensor | None = None
    bias: Tensor | None = None
    edge_query: Tensor | None = None
    attr: Tensor | None = None
