"""Dense matrices of the samples' edges, for position codes.

Axes: B samples, N tokens of the padded view.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.structure import Structure


def adjacency(structure: Structure) -> Float[Tensor, "B N N"]:
    """A[b, target, source] in float64: weights of the edges, repeated ones added up."""
    layout, edges = structure.layout, structure.sorted_edges
    size = layout.max_length
    number = torch.arange(layout.batch * size, device=layout.device).view(layout.batch, size, 1)
    slot = layout.flat(layout.unpad(number)).squeeze(-1)  # [T], row of the padded view
    place = slot[edges.target] * size + slot[edges.source] % max(size, 1)
    weight = torch.ones(edges.num_edges, device=layout.device, dtype=torch.float64)
    weight = weight if edges.weight is None else edges.weight.detach().double()
    matrix = weight.new_zeros(layout.batch * size * size).index_add(0, place, weight)
    return matrix.view(layout.batch, size, size)


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
