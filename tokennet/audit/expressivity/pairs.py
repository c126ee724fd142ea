"""Pairs of graphs that are not isomorphic, and hard to tell apart.

Axes: E edges.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import type_error, value_error
from tokennet.verify.position_graph import PAIRS

Graph = tuple[int, Tensor]  # how many tokens, and (source, target) of both directions [2, E]
SKIPS = ((2, 3), (3, 4), (4, 5), (9, 11), (12, 13))  # of circles of 41 tokens
BREC = ("basic", "regular", "str", "extension", "cfi", "4vtx", "dr")


def graph_of(value: Any, name: str = "graph") -> Graph:
    """A graph of any of these kinds: networkx, `edge_index [2, E]`, (number of tokens, edges).

    An undirected graph of networkx and a list of edges count in both directions, an `edge_index`
    in those that it lists.
    """
    if isinstance(value, Tensor):
        if value.ndim != 2 or value.shape[0] != 2 or not value.numel():
            raise value_error(name, tuple(value.shape), "an edge_index [2, E] with edges")
        return int(value.max()) + 1, value.long()
    if hasattr(value, "number_of_nodes"):
        place = {node: i for i, node in enumerate(value.nodes)}
        edges = [(place[a], place[b]) for a, b in value.edges()]
        return len(place), _index(edges, directed=value.is_directed())
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], int):
        n, edges = value
        if isinstance(edges, Tensor):
            return n, edges.long()
        return n, _index(edges, directed=False)
    allowed = "a networkx graph, an edge_index [2, E] or (number of tokens, edges)"
    raise type_error(name, type(value).__name__, allowed)


def _index(edges: Iterable[tuple[int, int]], *, directed: bool) -> Tensor:
    """Each edge once, in both directions."""
    listed = {(int(i), int(j)) for i, j in edges}
    listed |= set() if directed else {(j, i) for i, j in listed}
    return torch.tensor(sorted(listed), dtype=torch.int64).reshape(-1, 2).T


def graph_pairs() -> dict[str, tuple[Graph, Graph]]:
    """Pairs that no message passing from equal features tells apart (1-WL), by name.

    A hexagon and two triangles; decalin and bicyclopentyl; circles of 41 tokens with skips (CSL,
    Murphy et al. 2019); the 4 x 4 rook's graph and Shrikhande's, which 2-WL can't tell either.
    """
    names = ("hexagon and two triangles", "decalin and bicyclopentyl", "rook and Shrikhande")
    found: dict[str, tuple[Graph, Graph]] = {}
    for name in names:
        one, two = PAIRS[name]
        found[name] = (graph_of(one), graph_of(two))
    for a, b in SKIPS:
        found[f"circles with skips {a} and {b}"] = (_circle(a), _circle(b))
    return found


def _circle(skip: int) -> Graph:
    return graph_of((41, [(i, (i + k) % 41) for i in range(41) for k in (1, skip)]))


def brec_pairs(
    folder: str | os.PathLike[str], *, parts: Iterable[str] = BREC
) -> dict[str, tuple[Graph, Graph]]:
    """The 400 pairs of BREC (Wang and Zhang 2024), `"basic 0"` to `"dr 19"`, read from a folder.

    The folder holds `basic.npy`, `regular.npy`, `str.npy`, `extension.npy`, `cfi.npy`, `4vtx.npy`
    and `dr.npy`, graphs as graph6, as the benchmark's repository has them. `parts`: which of them.
    """
    import networkx as nx
    import numpy as np

    found: dict[str, tuple[Graph, Graph]] = {}
    for part in parts:
        if part not in BREC:
            raise value_error("parts", part, f"some of {', '.join(BREC)}")
        path = Path(folder, f"{part}.npy")
        if not path.is_file():
            hint = "github.com/GraphPKU/BREC has them"
            raise value_error("folder", folder, f"a folder that holds {path.name}", hint)
        texts = np.load(path, allow_pickle=False).reshape(-1, 2).tolist()
        for k, pair in enumerate(texts):
            read = [t if isinstance(t, bytes) else t.encode() for t in pair]
            one, two = (graph_of(nx.from_graph6_bytes(t)) for t in read)
            found[f"{part} {k}"] = (one, two)
    return found
