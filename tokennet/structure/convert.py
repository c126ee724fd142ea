"""From other libraries' data, by duck typing: none of them is imported.

Axes: T tokens, D channels, E edges.
"""

from typing import Any

import torch
from torch import Tensor

from tokennet.checks import type_error, value_error
from tokennet.structure.edges import Edges
from tokennet.structure.layout import Packed
from tokennet.structure.structure import Structure, Tokens


def tokens_from_list(samples: list[Tensor], **facts: Any) -> Tokens:
    """See `Tokens.from_list`."""
    if not samples:
        raise value_error("samples", "an empty list", "at least one tensor [n, D]")
    for b, s in enumerate(samples):
        if not isinstance(s, Tensor) or s.ndim != 2 or s.shape[1] != samples[0].shape[-1]:
            shape = tuple(s.shape) if isinstance(s, Tensor) else type(s).__name__
            raise value_error(f"samples[{b}]", shape, f"shape [n, {samples[0].shape[-1]}]")
    lengths = [len(s) for s in samples]
    return Tokens(torch.cat(samples), Structure.packed(lengths, device=samples[0].device, **facts))


def tokens_from_pyg(data: Any) -> Tokens:
    """See `Tokens.from_pyg`."""
    x = getattr(data, "x", None)
    if x is None:
        raise value_error(
            "data.x",
            None,
            "features [T, D]",
            "give tokens without features constant or degree ones",
        )
    if not isinstance(x, Tensor) or x.ndim != 2:
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise value_error("data.x", shape, "a tensor [T, D]")
    batch, edges, order = getattr(data, "batch", None), _pyg_edges(data), None
    if batch is None:
        ptr = getattr(data, "ptr", None)
        lengths = [len(x)] if ptr is None else ptr.diff().tolist()
    else:
        if batch.ndim != 1 or len(batch) != len(x):
            raise value_error("data.batch", tuple(batch.shape), f"shape [{len(x)}], one per token")
        if len(batch) and int(batch.min()) < 0:
            raise value_error("data.batch", int(batch.min()), "numbers of samples, from 0")
        ptr = getattr(data, "ptr", None)  # knows of empty samples at the end
        count = len(ptr) - 1 if ptr is not None else getattr(data, "num_graphs", 0)
        lengths = torch.bincount(batch, minlength=count).tolist()
        if bool((batch.diff() < 0).any()):
            order = torch.argsort(batch, stable=True)
            x = x[order]
            if edges is not None:
                place = torch.empty_like(order).index_copy(
                    0, order, torch.arange(len(x), device=x.device)
                )
                edges = Edges(place[edges.index], edges.weight, edges.attr)
    return Tokens(x, Structure(Packed.of(lengths, device=x.device), edges), order)


def _pyg_edges(data: Any) -> Edges | None:
    index = getattr(data, "edge_index", None)
    if index is None:
        if getattr(data, "adj_t", None) is not None:
            raise type_error("data.adj_t", "a sparse matrix", "edge_index [2, E]", "see PyG's ToUndirected and to_edge_index")  # fmt: skip
        return None
    attr = getattr(data, "edge_attr", None)
    if attr is not None and not attr.is_floating_point():
        attr = attr.float()
    if attr is not None and attr.ndim == 1:
        attr = attr[:, None]
    return Edges(index, getattr(data, "edge_weight", None), attr)


def structure_from_networkx(graph: Any, weight: str | None = None) -> Structure:
    """See `Structure.from_networkx`."""
    graphs = list(graph) if isinstance(graph, (list, tuple)) else [graph]
    source: list[int] = []
    target: list[int] = []
    values: list[float] = []
    start = 0
    for g in graphs:
        if not hasattr(g, "nodes") or not hasattr(g, "is_directed"):
            raise type_error("graph", type(g).__name__, "a networkx graph or a list of them")
        place = {node: start + i for i, node in enumerate(g.nodes)}
        for u, v, data in g.edges(data=True):
            ends = [(place[u], place[v])]
            if not g.is_directed() and u != v:
                ends.append((place[v], place[u]))
            for s, t in ends:
                source.append(s)
                target.append(t)
                if weight is not None:
                    values.append(_attribute(data, weight, f"edge ({u!r}, {v!r})"))
        start += len(place)
    index = torch.tensor([source, target], dtype=torch.int64).view(2, -1)
    numbers = torch.tensor(values, dtype=torch.get_default_dtype())
    edges = Edges(index, None if weight is None else numbers)
    return Structure.packed([g.number_of_nodes() for g in graphs], edges=edges)


def tokens_from_networkx(graph: Any, *, features: list[str], weight: str | None) -> Tokens:
    """See `Tokens.from_networkx`."""
    if isinstance(features, str) or not features:
        raise type_error("features", repr(features), "a list of names of node attributes")
    structure = structure_from_networkx(graph, weight)
    graphs = list(graph) if isinstance(graph, (list, tuple)) else [graph]
    rows = []
    for g in graphs:
        for node, data in g.nodes(data=True):
            parts = [
                torch.as_tensor(_attribute(data, f, f"node {node!r}")).float().reshape(-1)
                for f in features
            ]
            rows.append(torch.cat(parts))
            if len(rows[-1]) != len(rows[0]):
                raise value_error(
                    f"node {node!r}",
                    f"{len(rows[-1])} numbers",
                    f"{len(rows[0])} as the first node has",
                )
    if not rows:
        raise value_error("graph", "no nodes", "at least one", "there are no features to read")
    return Tokens(torch.stack(rows), structure)


def _attribute(data: dict[str, Any], name: str, owner: str) -> Any:
    if name not in data:
        raise value_error(owner, f"without attribute {name!r}", f"one of {sorted(map(str, data))}")
    return data[name]
