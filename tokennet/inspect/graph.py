"""Mixing as a graph: tokens are nodes, who listens to whom is an edge."""

from typing import TYPE_CHECKING

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.inspect.mixing import MixingMatrix

if TYPE_CHECKING:
    import networkx as nx


def mixing_graph(
    found: MixingMatrix, *, head: int | None = None, smallest: float = 0.0
) -> "nx.DiGraph":
    """A networkx graph with an edge source -> target for each entry greater than `smallest`.

    Edges have `weight`, the entry; nodes are numbers of tokens, of the memory `("memory", j)`.

    Args:
        head: of which head; None: the mean of all.
    """
    import networkx as nx

    if not isinstance(found, MixingMatrix):
        raise type_error(
            "found", kind_of(found), "a MixingMatrix", "e.g. tn.inspect.mixing(net, x)[0]"
        )
    heads = len(found.matrix)
    if head is not None and positive("head", head, minimum=0) >= heads:
        raise value_error("head", head, f"less than the {heads} heads of {found.name}")
    matrix = (found.mean if head is None else found.matrix[head]).double().cpu()
    graph = nx.DiGraph()
    graph.add_nodes_from(range(matrix.shape[0]))
    if found.memory:
        graph.add_nodes_from(("memory", j) for j in range(matrix.shape[1]))
    for i, j in (matrix > smallest).nonzero().tolist():
        source = ("memory", j) if found.memory else j
        graph.add_edge(source, i, weight=float(matrix[i, j]))
    return graph
