"""Position codes, as mixers that add a code to every token.

Axes: B samples, N tokens of the padded view, P positions, K steps, J frequencies, D channels.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.laws import Causality, Permutation, closure
from tokennet.mixers import Mixer
from tokennet.ops.graph import adjacency, spectrum
from tokennet.structure import Structure


class LearnedPosition(Mixer):
    """x_i + e[position of i]: a vector to learn for each of `num_tokens` positions.

    Gehring et al. 2017; BERT, ViT. Longer samples are refused: nothing was learned for them.
    """

    claims = frozenset({Causality()})
    reads = frozenset({"position"})

    def __init__(self, num_tokens: int, dim: int):
        super().__init__()
        self.max_tokens = positive("num_tokens", num_tokens)
        self.dim = self.out_dim = positive("dim", dim)
        self.code = nn.Parameter(torch.empty(num_tokens, dim))
        nn.init.trunc_normal_(self.code, std=0.02)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        if x.ndim == 3 and layout.padded_valid is None:
            return x + self.code[: x.shape[1]]
        place = layout.position.clamp(max=self.code.shape[0] - 1)  # padding may lie beyond
        return x + layout.unflat(self.code.index_select(0, place))


class SinusoidalPosition(Mixer):
    """x_i + [sin(i w_0), cos(i w_0), sin(i w_1), ...] with w_j = base^(-2j/D).

    "Attention is all you need", section 3.5. No parameters, any length; `dim` must be even.
    """

    claims = frozenset({Causality()})
    reads = frozenset({"position"})

    def __init__(self, dim: int, *, base: float = 10_000.0):
        super().__init__()
        self.dim = self.out_dim = positive("dim", dim)
        if dim % 2:
            raise value_error("dim", dim, "an even number", "sines and cosines come in pairs")
        if base <= 1:
            raise value_error("base", base, "a number greater than 1")
        self.base = float(base)

    def code(self, position: Tensor, dtype: torch.dtype) -> Float[Tensor, "P D"]:
        """The code of each position; computed in float64, since positions grow large."""
        assert self.dim is not None
        step = torch.arange(0, self.dim, 2, device=position.device, dtype=torch.float64)
        angle = position.double()[:, None] * self.base ** (-step / self.dim)  # [P, D/2]
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2).to(dtype)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        if x.ndim == 3 and layout.padded_valid is None:
            return x + self.code(layout.padded_position[0], x.dtype)
        return x + layout.unflat(self.code(layout.position, x.dtype))


class RandomWalkPosition(Mixer):
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

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        name = f"random_walk_{self.steps}"
        code = structure.sorted_edges.remember(name, lambda: self._code(structure))
        return x + self.map(layout.unflat(code.to(x.dtype)))

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


class LaplacianPosition(Mixer):
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

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        layout = structure.layout
        values, vectors = structure.sorted_edges.remember("spectrum", lambda: spectrum(structure))
        values, vectors = values.to(x.dtype), vectors.to(x.dtype)
        power = self.frequencies(values[..., None])  # [B, N, J], a function of each eigenvalue
        between = torch.einsum("bik,bkj,blk->bilj", vectors, power, vectors)  # [B, N, N, J]
        own = between.diagonal(dim1=1, dim2=2).transpose(1, 2)  # [B, N, J]
        own_pairs = own[:, :, None].expand_as(between)
        each = self.row(torch.cat([between, own_pairs], -1))
        apart = self.row(torch.cat([torch.zeros_like(own), own], -1))[:, :, None]
        code = torch.cat([(each - apart).sum(2), own], -1)
        return x + self.map(layout.unpad(code))
