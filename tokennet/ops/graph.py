"""Dense matrices of the samples' edges: adjacency, distances, spectrum.

Axes: B samples, N tokens of the padded view, T rows of the flat view, E edges.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokennet.structure import SortedEdges, Structure


def edge_places(structure: Structure, edges: SortedEdges | None = None) -> Int[Tensor, " E"]:
    """The place of each sorted edge in the flattened matrices `[B, N, N]`, [target, source]."""
    layout = structure.layout
    edges = structure.sorted_edges if edges is None else edges
    size = layout.max_length
    number = torch.arange(layout.batch * size, device=layout.device).view(layout.batch, size, 1)
    slot = layout.flat(layout.unpad(number)).squeeze(-1)  # [T], row of the padded view
    return slot[edges.target] * size + slot[edges.source] % max(size, 1)


def adjacency(structure: Structure) -> Float[Tensor, "B N N"]:
    """A[b, target, source] in float64: weights of the edges, repeated ones added up."""
    layout, edges = structure.layout, structure.sorted_edges
    size = layout.max_length
    weight = torch.ones(edges.num_edges, device=layout.device, dtype=torch.float64)
    weight = weight if edges.weight is None else edges.weight.detach().double()
    matrix = weight.new_zeros(layout.batch * size * size)
    return matrix.index_add(0, edge_places(structure), weight).view(layout.batch, size, size)


def hop_distances(structure: Structure, most: int) -> Int[Tensor, "B N N"]:
    """Edges on the shortest path from source to target, `[b, target, source]`; most + 1 beyond.

    Weights are not lengths: every edge is one step. Found once for a structure: O(most N^3).
    """

    def find() -> Tensor:
        layout = structure.layout
        size = layout.max_length
        step = torch.zeros(layout.batch * size * size, device=layout.device)
        step = step.index_fill(0, edge_places(structure), 1).view(layout.batch, size, size)
        reached = torch.eye(size, device=layout.device).expand_as(step)
        distance = torch.where(reached > 0, 0, most + 1)
        for length in range(1, most + 1):
            reached = ((step @ reached + reached) > 0).to(step.dtype)
            distance = torch.where((reached > 0) & (distance > most), length, distance)
        return distance

    return structure.sorted_edges.remember(f"hop_distances_{most}", find)


def spectrum(structure: Structure) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N N"]]:
    """Eigenvalues and eigenvectors of I - D^-1/2 A D^-1/2, A made symmetric, in float64.

    Vectors stand in columns. Tokens without edges and padding have eigenvalue 1 in a space apart.
    """
    matrix = adjacency(structure)
    matrix = (matrix + matrix.transpose(1, 2)) / 2
    degree = matrix.abs().sum(-1)
    scale = degree.where(degree > 0, 1).rsqrt() * (degree > 0)
    eye = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    values, vectors = torch.linalg.eigh(eye - scale[:, :, None] * matrix * scale[:, None, :])
    return values, vectors
