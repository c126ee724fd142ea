"""Codes of a token's place in its graph.

Axes: B samples, N tokens of the padded view, T rows of the flat view, K steps, hops or
eigenvectors, J frequencies, D channels.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.laws import Causality, Permutation, closure
from tokennet.net.position import Position
from tokennet.ops.graph import adjacency, hop_distances, spectrum
from tokennet.structure import Structure


class RandomWalkPosition(Position):
    """x_i + W [P_ii, (P^2)_ii, ..., (P^K)_ii] with P = D^-1 A: chances that a walk returns to i.

    Dwivedi et al. 2022, "Graph neural networks with learnable structural and positional
    representations" (equation 13). Goes along with any relabelling. The powers are computed once
    for each structure, in float64: O(K N^3) for each sample.
    """

    claims = closure({Permutation(), Causality()})
    reads = frozenset({"edges"})

    def __init__(self, dim: int, *, steps: int = 8):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.steps = positive("steps", steps)
        self.map = nn.Linear(steps, dim)

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        name = f"random_walk_{self.steps}"
        code = structure.sorted_edges.remember(name, lambda: self._code(structure))
        return self.map(structure.layout.unflat(code.to(dtype)))

    def _code(self, structure: Structure) -> Float[Tensor, "T K"]:
        matrix = adjacency(structure)
        if not torch.compiler.is_compiling() and bool((matrix < 0).any()):
            allowed = "none below 0, as they are read as chances"
            raise value_error("edges.weight", f"{float(matrix.min()):g} somewhere", allowed)
        walk = matrix / matrix.sum(-1, keepdim=True).clamp_min(1e-12)
        power, found = walk, []
        for _ in range(self.steps):
            found.append(power.diagonal(dim1=1, dim2=2))
            power = power @ walk
        layout = structure.layout
        return layout.flat(layout.unpad(torch.stack(found, -1)))


class LaplacianPosition(Position):
    """x_i + rho(rows of V phi_1(lambda) V^T, ..., V phi_J(lambda) V^T), normalised Laplacian.

    The stable code of Huang et al. 2024, "On the stability of expressive positional encodings for
    graphs" (equation 3): a function of the eigenspaces, so neither the signs nor the choice of
    eigenvectors for a repeated eigenvalue can matter. phi is a learned function of the eigenvalue;
    rho sums a learned function over each row, less its value at 0: tokens (and padding) that no
    path leads to count for nothing. Edges are read as undirected.
    The spectrum is computed once for each structure, in float64: O(N^3) for each sample.
    """

    claims = closure({Permutation(), Causality()})
    reads = frozenset({"edges"})

    def __init__(self, dim: int, *, num_frequencies: int = 8, hidden_dim: int = 32):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        positive("num_frequencies", num_frequencies)
        positive("hidden_dim", hidden_dim)
        self.frequencies = nn.Sequential(
            nn.Linear(1, hidden_dim), nn.SiLU(), nn.Linear(hidden_dim, num_frequencies)
        )
        self.row = nn.Sequential(
            nn.Linear(2 * num_frequencies, hidden_dim), nn.SiLU(), nn.Linear(hidden_dim, hidden_dim)
        )
        self.map = nn.Linear(hidden_dim + num_frequencies, dim)

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        values, vectors = structure.sorted_edges.remember("spectrum", lambda: spectrum(structure))
        values, vectors = values.to(dtype), vectors.to(dtype)
        power = self.frequencies(values[..., None])  # [B, N, J], a function of each eigenvalue
        between = torch.einsum("bik,bkj,blk->bilj", vectors, power, vectors)  # [B, N, N, J]
        own = between.diagonal(dim1=1, dim2=2).transpose(1, 2)  # [B, N, J]
        own_pairs = own[:, :, None].expand_as(between)
        each = self.row(torch.cat([between, own_pairs], -1))
        apart = self.row(torch.cat([torch.zeros_like(own), own], -1))[:, :, None]
        code = torch.cat([(each - apart).sum(2), own], -1)
        return self.map(structure.layout.unpad(code))


class EigenvectorPosition(Position):
    """x_i + W [v_1[i], ..., v_K[i]]: the first eigenvectors of the normalised Laplacian after v_0.

    Dwivedi and Bresson 2020, "A generalization of transformer networks to graphs" (section 2.2).
    An eigenvector is as good with the other sign, and those of a repeated eigenvalue as good
    rotated: here the order of the tokens decides, so relabelling changes the code, and nothing is
    claimed. `LaplacianPosition` is the cure. Samples of few tokens have zeros for the rest.
    The spectrum is computed once for each structure, in float64: O(N^3) for each sample.
    """

    reads = frozenset({"edges", "position"})

    def __init__(self, dim: int, *, num_vectors: int = 8):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.num_vectors = positive("num_vectors", num_vectors)
        self.map = nn.Linear(num_vectors, dim, bias=False)

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        edges = structure.sorted_edges
        _, vectors = edges.remember("ordered_spectrum", lambda: ordered_spectrum(structure))
        more = vectors.new_zeros(*vectors.shape[:2], self.num_vectors + 1)
        first = torch.cat([vectors, more], -1)[..., 1 : self.num_vectors + 1]
        return self.map(structure.layout.unpad(first.to(dtype)))


class DegreePosition(Position):
    """x_i + z_in[edges into i] + z_out[edges out of i]: a learned vector for each degree.

    The centrality encoding of Graphormer (Ying et al. 2021, equation 5). A repeated edge counts as
    often as it stands there, weights don't count; degrees of `max_degree` and more share a vector.
    """

    claims = closure({Permutation(), Causality()})
    reads = frozenset({"edges"})

    def __init__(self, dim: int, *, max_degree: int = 64):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.max_degree = positive("max_degree", max_degree)
        self.code_in = nn.Parameter(torch.empty(max_degree + 1, dim))
        self.code_out = nn.Parameter(torch.empty(max_degree + 1, dim))
        nn.init.normal_(self.code_in, std=0.02)
        nn.init.normal_(self.code_out, std=0.02)

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        edges = structure.sorted_edges
        _, from_source = edges.by_source
        degrees = [ptr.diff().clamp(max=self.max_degree) for ptr in (edges.ptr, from_source)]
        found = self.code_in.index_select(0, degrees[0])
        return structure.layout.unflat(found + self.code_out.index_select(0, degrees[1]))


class ShortestPathPosition(Position):
    """x_i + W [log(1 + n_1), ..., log(1 + n_K)]: how many tokens are how many edges away from i.

    n_k tokens reach i by a shortest path of k edges: what the distance encoding of Li et al. 2020
    ("Distance encoding: design provably more powerful neural networks") keeps of all distances to
    one token. Goes along with any relabelling. Found once for a structure: O(K N^3) a sample.
    """

    claims = closure({Permutation(), Causality()})
    reads = frozenset({"edges"})

    def __init__(self, dim: int, *, max_distance: int = 8):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        self.max_distance = positive("max_distance", max_distance)
        self.map = nn.Linear(max_distance, dim, bias=False)

    def codes(self, structure: Structure, dtype: torch.dtype) -> Tensor:
        distance = hop_distances(structure, self.max_distance)  # [B, N, N]
        counts = [(distance == k).sum(-1) for k in range(1, self.max_distance + 1)]
        code = torch.stack(counts, -1).to(dtype).log1p()
        return self.map(structure.layout.unpad(code))


def ordered_spectrum(structure: Structure) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N N"]]:
    """The spectrum with every sign, and the vectors of a repeated eigenvalue, fixed by the order.

    LAPACK's own choice changes with the size of the matrix, hence with padding. Here, inside each
    eigenspace, the vectors diagonalise one irregular function of the place, and their sum weighted
    by it is positive. Padding comes last, with eigenvalue 3 (those of graphs are at most 2).
    """
    values, vectors = spectrum(structure)
    layout, dtype = structure.layout, values.dtype
    real = layout.padded_valid
    place = layout.padded_position.expand(values.shape).to(dtype)
    mark = (place * 0.6180339887498949 + 0.3).frac()  # in [0, 1), no two alike
    if real is not None:
        real = real.expand(values.shape)
        # the vectors of padding mix with other isolated tokens' (both have eigenvalue 1): apart
        mark = mark + 8.0 * ~real
    space = torch.cat([torch.zeros_like(values[:, :1]), (values.diff() > 1e-6).to(dtype)], 1)
    space = space.cumsum(1)[:, : values.shape[1]]
    same = space[:, :, None] == space[:, None, :]
    inside = vectors.mT @ (mark[..., None] * vectors) * same
    _, turn = torch.linalg.eigh(inside + torch.diag_embed(16 * space))
    vectors = vectors @ turn
    if real is not None:
        weight = (vectors.square() * ~real[..., None]).sum(1)  # [B, K], 1 for those of padding
        values = torch.where(weight > 0.5, 3.0, values)
        values, order = values.sort(stable=True)
        vectors = vectors.gather(2, order[:, None].expand_as(vectors))
    sign = torch.where((mark[..., None] * vectors).sum(1, keepdim=True) < 0, -1.0, 1.0)
    return values, vectors * sign
