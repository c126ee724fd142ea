"""From other libraries' data, by duck typing: none of them is imported.

Axes: T tokens, D channels, E edges.
"""

from typing import Any

import torch
from torch import Tensor

from tokennet.checks import type_error, value_error
from tokennet.structure.door import check_rows
from tokennet.structure.edges import Edges
from tokennet.structure.layout import Packed
from tokennet.structure.structure import Structure, Tokens


def tokens_from_list(samples: list[Tensor], **facts: Any) -> Tokens:
    """See `Tokens.from_list`."""
    if not isinstance(samples, (list, tuple)):
        raise type_error("samples", type(samples).__name__, "a list of tensors [n, D]")
    if not samples:
        raise value_error("samples", "an empty list", "at least one tensor [n, D]")
    first = samples[0]
    for b, s in enumerate(samples):
        if not isinstance(s, Tensor):
            raise type_error(f"samples[{b}]", type(s).__name__, "a tensor [n, D]")
        if s.ndim != 2 or s.shape[1] != first.shape[1]:
            width = first.shape[1] if first.ndim == 2 else "D"
            raise value_error(f"samples[{b}].shape", tuple(s.shape), f"[n, {width}]")
        for name in ("dtype", "device"):
            if getattr(s, name) != getattr(first, name):
                allowed = f"{getattr(first, name)} as samples[0] has"
                raise value_error(f"samples[{b}].{name}", getattr(s, name), allowed)
    lengths = [len(s) for s in samples]
    return Tokens(torch.cat(samples), Structure.packed(lengths, device=first.device, **facts))


def tokens_from_pyg(data: Any) -> Tokens:
    """See `Tokens.from_pyg`."""
    x = getattr(data, "x", None)
    if x is None:
        hint = "give tokens without features constant or degree ones"
        raise value_error("data.x", None, "features [T, D]", hint)
    if not isinstance(x, Tensor) or x.ndim != 2:
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise value_error("data.x", shape, "a tensor [T, D]")
    lengths, order = _pyg_lengths(data, x)
    layout, edges = Packed.of(lengths, device=x.device), _pyg_edges(data)
    if order is None:
        return Tokens(x, Structure(layout, edges))
    if edges is not None:
        check_rows(edges.index, len(x))  # before they are looked up
        rows = torch.arange(len(x), device=x.device)
        place = torch.empty_like(order).index_copy(0, order, rows)
        edges = Edges(place[edges.index.long()], edges.weight, edges.attr)
    return Tokens(x[order], Structure(layout, edges), order)


def _pyg_lengths(data: Any, x: Tensor) -> tuple[list[int], Tensor | None]:
    """Tokens of each sample, and the order that sorts the rows where they are not sorted."""
    batch, ptr = getattr(data, "batch", None), getattr(data, "ptr", None)
    if batch is None:
        lengths = [len(x)] if ptr is None else ptr.diff().tolist()
        if sum(lengths) != len(x):
            raise value_error("data.ptr[-1]", sum(lengths), f"{len(x)}, the rows of data.x")
        return lengths, None
    if not isinstance(batch, Tensor) or batch.dtype not in (torch.int64, torch.int32):
        kind = batch.dtype if isinstance(batch, Tensor) else type(batch).__name__
        raise type_error("data.batch", kind, "a tensor of whole numbers")
    if batch.ndim != 1 or len(batch) != len(x):
        raise value_error("data.batch.shape", tuple(batch.shape), f"[{len(x)}], one for each token")
    if len(batch) and int(batch.min()) < 0:
        raise value_error("data.batch", int(batch.min()), "numbers of samples, from 0")
    # empty samples at the end are known to ptr only
    count = len(ptr) - 1 if ptr is not None else getattr(data, "num_graphs", 0)
    lengths = torch.bincount(batch, minlength=count).tolist()
    unsorted = bool((batch.diff() < 0).any())
    return lengths, torch.argsort(batch, stable=True) if unsorted else None


def _pyg_edges(data: Any) -> Edges | None:
    index = getattr(data, "edge_index", None)
    if index is None:
        if getattr(data, "adj_t", None) is not None:
            hint = "see PyG's to_edge_index"
            raise type_error("data.adj_t", "a sparse matrix", "edge_index [2, E]", hint)
        return None
    attr = getattr(data, "edge_attr", None)
    if attr is not None and not isinstance(attr, Tensor):
        raise type_error("data.edge_attr", type(attr).__name__, "a tensor [E, K]")
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
                    values.append(_number(data, weight, f"edge ({u!r}, {v!r})"))
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
    rows: list[Tensor] = []
    for g in graphs:
        for node, data in g.nodes(data=True):
            rows.append(torch.cat([_numbers(data, f, f"node {node!r}") for f in features]))
            if len(rows[-1]) != len(rows[0]):
                allowed = f"{len(rows[0])} as the first node has"
                raise value_error(f"node {node!r}", f"{len(rows[-1])} numbers", allowed)
    if not rows:
        raise value_error("graph", "no nodes", "at least one", "there are no features to read")
    return Tokens(torch.stack(rows), structure)


def _attribute(data: dict[str, Any], name: str, owner: str) -> Any:
    if name not in data:
        raise value_error(owner, f"without attribute {name!r}", f"one of {sorted(map(str, data))}")
    return data[name]


def _number(data: dict[str, Any], name: str, owner: str) -> float:
    value = _attribute(data, name, owner)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise type_error(f"{name!r} of {owner}", repr(value), "a number") from None


def _numbers(data: dict[str, Any], name: str, owner: str) -> Tensor:
    value = _attribute(data, name, owner)
    try:
        return torch.as_tensor(value).to(torch.get_default_dtype()).reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        raise type_error(f"{name!r} of {owner}", repr(value), "a number or several") from None
