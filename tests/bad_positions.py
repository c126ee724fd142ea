"""Bad calls of: position codes."""

import torch
from bad import Bad, D, T, V, common, dense, packed, x

import tokennet as tn


def _concatenated() -> tn.Mixer:
    return tn.ConcatenatedPosition(tn.SinusoidalPosition(4), D)


POSITIONS: dict[str, list[Bad]] = {
    "Position": [Bad(lambda: tn.Position(), T, "abstract")],
    "OrderPosition": [Bad(lambda: tn.OrderPosition(), T, "abstract")],
    "ConcatenatedPosition": [
        *common(_concatenated, weights=False),
        Bad(lambda: tn.ConcatenatedPosition(D, D), T, r"position is int, expected a Position"),
        Bad(
            lambda: tn.ConcatenatedPosition(tn.Pooling(), D),
            T,
            r"position is Pooling, expected a Position; e.g. tn.SinusoidalPosition",
        ),
        Bad(lambda: tn.ConcatenatedPosition(tn.SinusoidalPosition(4), 0), V, r"dim is 0"),
        Bad(
            lambda: _concatenated().step(torch.ones(2, 3), _concatenated().start(packed(1))),
            V,
            r"x is \(2, 3\), expected one token for each sample, \[B, 8\]",
        ),
    ],
    "IntegerPosition": [
        *common(lambda: tn.IntegerPosition(D), weights=False),
        Bad(lambda: tn.IntegerPosition(0), V, r"dim is 0"),
        Bad(
            lambda: tn.IntegerPosition(D).step(torch.ones(2, D), None),
            T,
            r"state is NoneType, expected what start\(structure\) gave, a Count",
        ),
    ],
    "SigmoidPosition": [
        *common(lambda: tn.SigmoidPosition(D), weights=False),
        Bad(lambda: tn.SigmoidPosition(1.5), T, r"dim is 1.5"),
    ],
    "SinePosition": [
        *common(lambda: tn.SinePosition(D, period=7), weights=False),
        Bad(lambda: tn.SinePosition(D, period=0), V, r"period is 0, expected a number of tokens"),
    ],
    "GridSinusoidalPosition": [
        *common(lambda: tn.GridSinusoidalPosition(D), weights=False),
        Bad(lambda: tn.GridSinusoidalPosition(6), V, r"dim is 6, expected a multiple of 4; each"),
        Bad(lambda: tn.GridSinusoidalPosition(D, grid_axes=3), V, r"grid_axes is 3, .*1 or 2"),
        Bad(lambda: tn.GridSinusoidalPosition(D, base=1), V, r"base is 1, expected a number gr"),
        Bad(
            lambda: tn.GridSinusoidalPosition(D, grid_axes=1)(x(), dense()),
            V,
            r"structure.grid is \(2, 3\), expected a grid of 1 axes, which GridSinusoidalPosition",
        ),
    ],
    "CoordinatePosition": [
        *common(lambda: tn.ConcatenatedPosition(tn.CoordinatePosition(), D), weights=False),
        Bad(lambda: tn.CoordinatePosition(grid_axes="xy"), V, r"grid_axes is xy, .*1 or 2"),
    ],
    "DegreePosition": [
        *common(lambda: tn.DegreePosition(D)),
        Bad(lambda: tn.DegreePosition(D, max_degree=0), V, r"max_degree is 0"),
    ],
    "ShortestPathPosition": [
        *common(lambda: tn.ShortestPathPosition(D)),
        Bad(lambda: tn.ShortestPathPosition(D, max_distance=0), V, r"max_distance is 0"),
    ],
    "EigenvectorPosition": [
        *common(lambda: tn.EigenvectorPosition(D)),
        Bad(lambda: tn.EigenvectorPosition(D, num_vectors=0), V, r"num_vectors is 0"),
    ],
    "PositionReport": [
        Bad(lambda: tn.verify_position(D), T, r"position is int, expected a Mixer"),
        Bad(
            lambda: tn.verify_position(tn.SinusoidalPosition(D), num_tokens=4),
            V,
            r"num_tokens is 4, expected at least 8",
        ),
        Bad(
            lambda: tn.verify_position(_concatenated()),
            T,
            r"position is ConcatenatedPosition, .*; verify the code inside",
        ),
        Bad(lambda: tn.verify_position(tn.Pooling()), V, r"dim of Pooling is None, expected"),
        Bad(
            lambda: tn.verify_position(tn.Attention(D, 2, tn.Memory())),
            V,
            r"reads of Attention is \['memory'\], expected edges, grid or position",
        ),
    ],
}
