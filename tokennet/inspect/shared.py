"""Which pairs of tokens an operator treats alike.

Axes: N tokens, D channels.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from tokennet.checks import kind_of, type_error, value_error
from tokennet.mixers import Mixer
from tokennet.structure import Structure

_SAME = 1e-6  # of float64 maps of unit size: far above rounding, far below other weights
_NONE = 1e-10  # of the largest map: what is left where queries' gradients cancel


def shared_maps(
    mixer: Mixer, structure: Structure, *, dim: int | None = None
) -> Int[Tensor, "N N"]:
    """For each pair (target, source) the number of the map that passes on; -1: they don't.

    Pairs of one number get the same linear map from source to target, up to its size: all pairs in
    attention, those of one offset in a convolution, none in a token MLP. Measured on one sample of
    equal tokens, where content can't tell them apart: the Jacobian block d y_i / d x_j, divided by
    its norm, decides. Numbers count from 0 in order of their first pair, row by row.

    Args:
        structure: facts about one sample without padding.
        dim: channels, for a mixer that takes any; two at least, or maps are but signs.
    """
    if not isinstance(mixer, Mixer):
        raise type_error("mixer", kind_of(mixer), "a Mixer")
    if mixer.pooled:
        raise value_error("mixer", type(mixer).__name__, "a mixer with a row for each token")
    if structure.batch != 1 or structure.layout.rows != structure.layout.max_length:
        raise value_error("structure", f"of {structure.batch} samples", "one, without padding")
    if "memory" in mixer.reads:
        raise value_error("mixer", type(mixer).__name__, "an operator among the tokens themselves")
    width, n = mixer.dim or dim or 4, structure.layout.max_length
    twin = _prepared(mixer)
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(width, generator=generator, dtype=torch.float64)
    x = one.expand(*structure.layout.shape, width).clone().requires_grad_()
    with torch.enable_grad():
        y = structure.layout.flat(twin(x, structure))
        rows = []
        for value in y.flatten():
            (grad,) = torch.autograd.grad(
                value, x, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            rows.append(structure.layout.flat(grad))
    block = torch.stack(rows).unflatten(0, (n, -1)).transpose(1, 2).flatten(2)  # [N, N, O D]
    return _numbered(block)


def _numbered(block: Tensor) -> Int[Tensor, "N N"]:
    """Equal directions of the blocks by number, -1 for blocks of zeros."""
    n = block.shape[0]
    size = block.norm(dim=-1)
    found = torch.full((n, n), -1)
    known: list[Tensor] = []
    for i in range(n):
        for j in range(n):
            if size[i, j] <= _NONE * size.max():
                continue
            way = block[i, j] / size[i, j]
            at = next((c for c, other in enumerate(known) if (way - other).norm() < _SAME), None)
            if at is None:
                at = len(known)
                known.append(way)
            found[i, j] = at
    return found


def _prepared(mixer: Mixer) -> Mixer:
    """A copy in float64 and eval mode with random weights: zeros would hide what passes."""
    import copy

    twin = copy.deepcopy(mixer).to("cpu", torch.float64).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in twin.parameters():
            p.normal_(std=0.5, generator=generator)
    return twin
