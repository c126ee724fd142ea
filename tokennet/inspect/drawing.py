"""Pictures of mixing: matrices by operator and head, shared weights, reach, and the graph."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.inspect.graph import mixing_graph
from tokennet.inspect.mixing import MixingMatrix
from tokennet.inspect.panels import colours, finish, image, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 64  # heads drawn of one operator


def draw_mixing(
    found: Sequence[MixingMatrix],
    *,
    heads: bool = False,
    columns: int = 4,
    path: str | Path | None = None,
) -> "Figure":
    """A panel for each operator, or for each head of each, a row an operator then.

    Row i of a panel is output i, column j what it takes from token j; each panel has its own scale,
    from pale to its largest entry, and exact zeros are white. Needs matplotlib; with `path` the
    picture is written there, wholly or not at all.
    """
    positive("columns", columns)
    if isinstance(found, MixingMatrix):
        found = [found]
    if not len(found) or not all(isinstance(m, MixingMatrix) for m in found):
        kind = kind_of(found) if len(found) else "empty"
        raise type_error("found", kind, "what tn.inspect.mixing gave")
    if heads:
        columns = min(_MOST, max(len(m.matrix) for m in found))
        cells = [
            (f"{_title(m)}\nhead {h}" if h == 0 else f"head {h}", m.matrix[h], (row, h))
            for row, m in enumerate(found)
            for h in range(min(columns, len(m.matrix)))
        ]
        rows = len(found)
    else:
        columns = min(columns, len(found))
        cells = [(_title(m), m.mean, divmod(i, columns)) for i, m in enumerate(found)]
        rows = -(-len(found) // columns)
    figure, axes = panels(rows, columns)
    for title, matrix, place in cells:
        values = matrix.detach().double().cpu().abs()
        high = float(values.max()) if values.numel() else 1.0
        shown = values.masked_fill(values == 0, torch.nan)
        image(axes[place], title, shown, vmin=-high / 6, vmax=high or 1)
    return finish(figure, axes, path)


def draw_structure(
    operators: Mapping[str, Tensor], *, columns: int = 4, path: str | Path | None = None
) -> "Figure":
    """Who mixes with whom, shared weights in one colour: of `tn.inspect.shared_maps`, by name."""
    positive("columns", columns)
    if not operators:
        hint = "e.g. {name: tn.inspect.shared_maps(...)}"
        raise value_error("operators", "{}", "at least one", hint)
    columns = min(columns, len(operators))
    figure, axes = panels(-(-len(operators) // columns), columns)
    for i, (name, numbers) in enumerate(operators.items()):
        if not isinstance(numbers, Tensor) or numbers.ndim != 2 or numbers.is_floating_point():
            raise type_error(f"operators[{name!r}]", kind_of(numbers), "whole numbers [N, N]")
        count = int(numbers.max()) + 1 if numbers.numel() else 0
        title = f"{name}\n{count} map{'s' * (count != 1)}"
        mixed = numbers if count <= 10 else (numbers * 37) % 101  # neighbours of unlike colours
        shown = mixed.double().masked_fill(numbers < 0, torch.nan)
        palette = "tab10" if 1 < count <= 10 else "turbo"
        low, high = (0, 9) if 1 < count <= 10 else (-15, 115) if count > 10 else (-0.15, 1.15)
        image(axes[divmod(i, columns)], title, shown, palette, vmin=low, vmax=high)
    return finish(figure, axes, path)


def draw_receptive_field(
    fields: Mapping[str, Sequence[int | None]], *, path: str | Path | None = None
) -> "Figure":
    """How many tokens reach one output after each mixer: of `tn.inspect.receptive_field`."""
    figure, axes = panels(1, 1, size=(5.0, 3.2))
    axis = axes[0, 0]
    if not fields:
        hint = "e.g. {name: tn.inspect.receptive_field(...)}"
        raise value_error("fields", "{}", "at least one", hint)
    for i, (name, field) in enumerate(fields.items()):
        style = ("-", "--", ":", "-.")[i % 4]  # equal fields lie on one line
        drawn = [f or 0 for f in field]
        axis.plot(range(len(field)), drawn, style, marker="o", markersize=3, label=name)
    axis.set_xlabel("mixers")
    axis.set_ylabel("tokens that reach one output")
    axis.set_ylim(bottom=0)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return finish(figure, axes, path)


def draw_mixing_graph(
    found: MixingMatrix,
    *,
    head: int | None = None,
    smallest: float = 0.0,
    labels: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> "Figure":
    """The tokens on a circle, an arrow from j to i as wide as the entry (i, j) is large.

    Args:
        smallest: entries up to it are left out.
        labels: names of the tokens, in order.
    """
    import networkx as nx

    graph = mixing_graph(found, head=head, smallest=smallest)
    if labels is not None and len(labels) != found.matrix.shape[1]:
        raise value_error(
            "labels", len(labels), f"a name for each of {found.matrix.shape[1]} tokens"
        )
    figure, axes = panels(1, 1, size=(4.2, 4.2))
    axis = axes[0, 0]
    weights = [graph.edges[e]["weight"] for e in graph.edges]
    high = max(weights, default=1.0)
    places = nx.circular_layout(graph)
    names = {n: f"m{n[1]}" if isinstance(n, tuple) else str(n) for n in graph}
    names.update(enumerate(labels or []))
    nx.draw_networkx_nodes(graph, places, ax=axis, node_color="#dce6f2", node_size=420)
    nx.draw_networkx_labels(graph, places, names, ax=axis, font_size=8)
    nx.draw_networkx_edges(
        graph, places, ax=axis, node_size=420, connectionstyle="arc3,rad=0.12",
        width=[0.2 + 3.3 * w / high for w in weights], edge_color=weights, edge_vmin=-high / 4,
        edge_vmax=high, edge_cmap=colours("Blues"), arrowsize=8,
    )  # fmt: skip
    axis.set_title(_title(found), fontsize=8)
    axis.set_axis_off()
    return finish(figure, axes, path)


def _title(m: MixingMatrix) -> str:
    word = {"weights": "", "closed form": ", closed form", "jacobian": ", |Jacobian|"}[m.kind]
    return f"{m.name}{word}\n{m.path}" if m.path else f"{m.name}{word}"
