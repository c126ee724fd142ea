"""Figures of panels, one small matrix each."""

from io import BytesIO
from pathlib import Path
from typing import Any

from torch import Tensor

from tokennet.files import write_atomically


def panels(rows: int, columns: int, size: tuple[float, float] | None = None) -> tuple[Any, Any]:
    """A figure without a window, and its axes `[rows, columns]`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size or (2.3 * columns, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def colours(name: str) -> Any:
    """A colour map in which what is NaN is white."""
    import matplotlib as mpl

    return mpl.colormaps[name].with_extremes(bad="white")


def image(
    axis: Any, title: str, values: Tensor, palette: str = "Blues", size: int = 7, **scale: float
) -> None:
    """A matrix, its first row on top."""
    axis.imshow(values.numpy(), cmap=colours(palette), interpolation="nearest", **scale)
    axis.set_title(title, fontsize=size)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_aspect("equal" if values.shape[0] == values.shape[1] else "auto")


def finish(figure: Any, axes: Any, path: str | Path | None) -> Any:
    """The figure without its empty panels, written to the path where there is one."""
    for axis in axes.flatten():
        if not axis.has_data() and not axis.get_title():
            axis.remove()
    if path is not None:
        content = BytesIO()
        figure.savefig(content, dpi=130, format="png")
        write_atomically(path, content.getvalue())
    return figure
