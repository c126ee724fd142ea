"""Axes of a complete grid: what each label is worth on average, and what two axes do together.

Axes: `grid [n, ...]`, n seeds, then one axis of the grid each.
"""

from itertools import combinations

import numpy as np

from tokennet.ablate.statistics import ROUNDING, without_rounding


def marginals(grid: np.ndarray, axis: int) -> np.ndarray:
    """`[n, labels]`: the mean over all other axes, seed by seed."""
    others = tuple(a for a in range(1, grid.ndim) if a != axis + 1)
    return grid.mean(others)


def interaction(grid: np.ndarray, first: int, second: int) -> np.ndarray:
    """`[n, first, second]`, first < second: the two axes' table without the sum of its margins."""
    others = tuple(a for a in range(1, grid.ndim) if a not in (first + 1, second + 1))
    table = grid.mean(others)
    rows, columns = table.mean(2, keepdims=True), table.mean(1, keepdims=True)
    return without_rounding(table - rows - columns + table.mean((1, 2), keepdims=True), grid)


def directions(first: int, second: int) -> int:
    """Degrees of freedom of the interaction of axes with so many labels."""
    return (first - 1) * (second - 1)


def interaction_effect(rows: np.ndarray, freedom: int) -> tuple[float, float, float]:
    """Root mean square of the mean row of `[n, k]`, deviation of a seed's from it, effect size.

    Deviation: of the seeds in one direction, as a deviation of the same root mean square. Effect
    size: norm of the mean / deviation in one direction, less what noise alone adds to it in the
    other directions; for one direction the size of the mean over the sample deviation.
    """
    n, k = rows.shape
    scale = float(np.abs(rows).max())
    if scale == 0:
        return 0.0, 0.0 if n > 1 else np.nan, 0.0 if n > 1 else np.nan
    unit = rows / scale
    mean = unit.mean(0)
    size = float(np.sqrt((mean**2).mean()))
    if n < 2:
        return size * scale, np.nan, np.nan
    noise = float(((unit - mean) ** 2).sum() / ((n - 1) * freedom))  # variance in one direction
    if noise <= ROUNDING**2:
        return size * scale, 0.0, np.inf if size > ROUNDING else 0.0
    squared = float((mean**2).sum()) / noise - (freedom - 1) / n
    return size * scale, float(np.sqrt(noise / k)) * scale, float(np.sqrt(max(squared, 0.0)))


def shares(grid: np.ndarray) -> dict[tuple[int, ...], float]:
    """Share of the variance between cells' means for each axis and each pair (eta squared)."""
    means = grid.mean(0, keepdims=True)
    scale = float(np.abs(means).max())
    means = means / scale if scale else means
    total = float(((means - means.mean()) ** 2).sum())
    axes = range(grid.ndim - 1)
    sums: dict[tuple[int, ...], float] = {}
    for a in axes:
        margin = marginals(means, a)
        sums[a,] = float(((margin - means.mean()) ** 2).sum()) * means.size / margin.size
    for a, b in combinations(axes, 2):
        table = interaction(means, a, b)
        sums[a, b] = float((table**2).sum()) * means.size / table.size
    flat = total <= means.size * ROUNDING**2
    return {key: 0.0 if flat else value / total for key, value in sums.items()}
