"""To other libraries' data; each library is imported when it is asked for.

Axes: T tokens, E edges.
"""

from typing import Any

from torch import Tensor

from tokennet.structure.edges import Edges
from tokennet.structure.structure import Tokens
from tokennet.structure.transform import select


def _samples(tokens: Tokens) -> list[tuple[Tensor, Edges | None]]:
    """Features and edges of each sample, edges in the order of the source."""
    packed = tokens.packed()
    parts = [select(packed, [b]) for b in range(packed.structure.batch)]
    return [(part.x, part.structure.edges) for part in parts]


def tokens_to_pyg(tokens: Tokens) -> Any:
    """See `Tokens.to_pyg`."""
    from torch_geometric.data import Batch, Data

    found = []
    for x, edges in _samples(tokens):
        data = Data(x=x)
        if edges is not None:
            facts = {"edge_index": edges.index, "edge_weight": edges.weight}
            for name, value in {**facts, "edge_attr": edges.attr}.items():
                if value is not None:
                    data[name] = value
        found.append(data)
    return Batch.from_data_list(found)


def tokens_to_networkx(tokens: Tokens) -> list[Any]:
    """See `Tokens.to_networkx`."""
    import networkx as nx

    graphs = []
    for x, edges in _samples(tokens):
        graph = nx.MultiDiGraph()
        graph.add_nodes_from((i, {"x": row}) for i, row in enumerate(x.tolist()))
        if edges is not None:
            facts = {"weight": edges.weight, "attr": edges.attr}
            columns = {k: v.tolist() for k, v in facts.items() if v is not None}
            for e, (source, target) in enumerate(edges.index.T.tolist()):
                graph.add_edge(source, target, **{k: v[e] for k, v in columns.items()})
        graphs.append(graph)
    return graphs
