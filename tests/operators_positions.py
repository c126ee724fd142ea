"""Position codes, one line each."""

from operator_case import CAUSAL, DIM, GRID, PERM, SHIFT, Operator

import tokennet as tn

_ORDER = (PERM, SHIFT)
_GRID = (PERM, SHIFT, GRID)

OPERATORS: list[Operator] = [
    Operator("integer position", lambda: tn.IntegerPosition(DIM), _ORDER, mixes=False),
    Operator("sigmoid position", lambda: tn.SigmoidPosition(DIM), _ORDER, mixes=False),
    Operator("sine position", lambda: tn.SinePosition(DIM, period=9.5), _ORDER, mixes=False),
    Operator(
        "concatenated position",
        lambda: tn.ConcatenatedPosition(tn.SinusoidalPosition(6), DIM),
        _ORDER,
        mixes=False,
    ),
    Operator(
        "concatenated learned position",
        lambda: tn.ConcatenatedPosition(tn.LearnedPosition(12, 3), DIM),
        _ORDER,
        mixes=False,
    ),
    Operator(
        "concatenated random-walk position",
        lambda: tn.ConcatenatedPosition(tn.RandomWalkPosition(3, steps=2), DIM),
        mixes=False,
    ),
    Operator("grid position", lambda: tn.GridSinusoidalPosition(DIM), _GRID, mixes=False),
    Operator(
        "grid position, one axis",
        lambda: tn.GridSinusoidalPosition(DIM, grid_axes=1),
        _GRID,
        mixes=False,
    ),
    Operator(
        "coordinates",
        lambda: tn.ConcatenatedPosition(tn.CoordinatePosition(), DIM),
        _GRID,
        mixes=False,
    ),
    Operator("degree position", lambda: tn.DegreePosition(DIM, max_degree=4), mixes=False),
    Operator(
        "shortest-path position", lambda: tn.ShortestPathPosition(DIM, max_distance=3), mixes=False
    ),
    Operator(
        "eigenvector position",
        lambda: tn.EigenvectorPosition(DIM, num_vectors=3),
        (PERM, SHIFT, CAUSAL),
        mixes=False,
    ),
]
