"""Pictures of who influences whom."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokennet.checks import positive, type_error, value_error
from tokennet.inspect.panels import finish, image, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_influence(
    matrices: Mapping[str, Tensor], *, columns: int = 4, path: str | Path | None = None
) -> "Figure":
    """One panel for each named matrix `[N_out, N]`: row i is output i, column j the token j.

    Each panel has its own scale, of square roots, from pale to its largest entry; exact zeros are
    left white, so that the pairs that can't communicate stand out. Needs matplotlib; with `path`
    the picture is written there, wholly or not at all.
    """
    positive("columns", columns)
    if not matrices:
        raise value_error("matrices", "{}", "at least one matrix", "e.g. {name: tn.influence(...)}")
    columns = min(columns, len(matrices))
    rows = -(-len(matrices) // columns)
    figure, axes = panels(rows, columns, size=(2.1 * columns, 2.35 * rows))
    for axis, (name, matrix) in zip(axes.flatten(), matrices.items(), strict=False):
        if not isinstance(matrix, Tensor) or matrix.ndim != 2:
            kind = tuple(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
            raise type_error(f"matrices[{name!r}]", kind, "a matrix [N_out, N]")
        values = matrix.detach().double().cpu().sqrt().masked_fill(matrix.cpu() == 0, torch.nan)
        high = float(values.nan_to_num().max()) if values.numel() else 1.0
        image(axis, name, values, size=8, vmin=-high / 6, vmax=high or 1)
        axis.set_aspect("auto" if matrix.shape[0] == 1 else "equal")
    return finish(figure, axes, path)
