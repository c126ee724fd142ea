"""From and to padded tensors, lists, PyG and networkx."""

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import assert_rows, graph_of
from torch import Tensor

import tokennet as tn


def mask(*rows: str) -> Tensor:
    return torch.tensor([[c == "x" for c in row] for row in rows])


def pairs(edges: tn.Edges) -> list[tuple[int, int]]:
    return [tuple(p) for p in edges.index.T.tolist()]


# -- padded tensors and lists ---------------------------------------------------------------------


def test_padded_tensor_with_a_mask() -> None:
    """A Hugging Face mask (1 = keep) is `mask.bool()`; padding may stand in front."""
    x, keep = torch.randn(2, 4, 3), torch.tensor([[0, 1, 1, 1], [0, 0, 0, 1]])
    tokens = tn.Tokens(x, tn.Structure.padded(keep.bool()))
    assert_rows(tokens.to_list(), [x[0, 1:], x[1, 3:]])
    packed = tokens.packed()
    assert packed.structure.lengths.tolist() == [3, 1]
    back = packed.padded()
    assert back.structure.layout.valid.tolist() == [[True] * 3, [True, False, False]]
    assert_rows(back.to_list(), tokens.to_list())


def test_lists() -> None:
    samples = [torch.randn(n, 3) for n in (2, 0, 1)]
    tokens = tn.Tokens.from_list(samples, edges=tn.Edges(torch.tensor([[0], [1]])))
    assert_rows(tokens.to_list(), samples)
    assert_rows(tokens.padded().to_list(), samples)
    assert tokens.structure.edges.num_edges == 1


# -- PyG ------------------------------------------------------------------------------------------


def pyg_graphs() -> list:
    data = pytest.importorskip("torch_geometric.data")
    torch.manual_seed(1)
    graphs = []
    for n, e in ((3, 4), (1, 0), (4, 6)):
        graphs.append(
            data.Data(
                x=torch.randn(n, 2),
                edge_index=torch.randint(0, n, (2, e)),
                edge_attr=torch.randn(e, 3),
                edge_weight=torch.rand(e),
            )
        )
    return graphs


def pyg_batch(graphs: list):
    return pytest.importorskip("torch_geometric.data").Batch.from_data_list(graphs)


def test_pyg_data_and_batch() -> None:
    graphs = pyg_graphs()
    for data in graphs:
        tokens = tn.Tokens.from_pyg(data)
        assert tokens.x is data.x
        assert tokens.order is None
        assert tokens.structure.lengths.tolist() == [data.num_nodes]
        assert torch.equal(tokens.structure.edges.index, data.edge_index)
    batch = pyg_batch(graphs)
    tokens = tn.Tokens.from_pyg(batch)
    assert_rows(tokens.to_list(), [g.x for g in graphs])
    assert torch.equal(tokens.structure.edges.weight, batch.edge_weight)
    assert torch.equal(tokens.structure.edges.attr, batch.edge_attr)
    assert tn.Structure.from_pyg(batch).lengths.tolist() == [3, 1, 4]
    y = torch.randn(8, 5)
    assert tokens.restore(y) is y


def test_pyg_unsorted_batch() -> None:
    """Rows are sorted stably, edges follow, results go back to the order of the source."""
    batch = pyg_batch(pyg_graphs())
    sorted_tokens = tn.Tokens.from_pyg(batch)
    shuffled = batch.clone()
    order = torch.tensor([5, 0, 3, 1, 7, 2, 4, 6])
    place = torch.empty_like(order).index_copy(0, order, torch.arange(8))
    shuffled.x, shuffled.batch = batch.x[order], batch.batch[order]
    shuffled.edge_index = place[batch.edge_index]
    tokens = tn.Tokens.from_pyg(shuffled)
    assert tokens.structure.lengths.tolist() == [3, 1, 4]
    for b in range(3):
        assert graph_of(tokens, b) == graph_of(sorted_tokens, b)
    assert torch.equal(tokens.restore(tokens.x), shuffled.x)
    conv = tn.GraphConvolution(2)
    expected = conv(*sorted_tokens)[order]
    torch.testing.assert_close(tokens.restore(conv(*tokens)), expected)
    with pytest.raises(ValueError, match=r"data\.batch is unsorted.*Tokens\.from_pyg"):
        tn.Structure.from_pyg(shuffled)


def test_pyg_empty_graphs() -> None:
    data = pytest.importorskip("torch_geometric.data")
    empty = data.Data(x=torch.zeros(0, 2), edge_index=torch.zeros(2, 0, dtype=torch.int64))
    one = data.Data(x=torch.ones(1, 2), edge_index=torch.tensor([[0], [0]]))
    batch = pyg_batch([empty, one, empty, empty])
    tokens = tn.Tokens.from_pyg(batch)
    assert tokens.structure.lengths.tolist() == [0, 1, 0, 0]
    assert pairs(tokens.structure.edges) == [(0, 0)]
    del batch.ptr
    assert tn.Tokens.from_pyg(batch).structure.lengths.tolist() == [0, 1, 0, 0]


def test_pyg_other_attributes() -> None:
    data = pytest.importorskip("torch_geometric.data").Data
    x, index = torch.randn(3, 2), torch.tensor([[0, 1], [1, 2]])
    flat = tn.Structure.from_pyg(data(x=x, edge_index=index, edge_attr=torch.tensor([3.0, 4.0])))
    assert flat.edges.attr.tolist() == [[3], [4]]
    kinds = tn.Structure.from_pyg(data(x=x, edge_index=index, edge_attr=torch.tensor([[1], [2]])))
    assert kinds.edges.attr.dtype == torch.float32
    assert tn.Structure.from_pyg(data(x=x)).edges is None
    assert tn.Structure.from_pyg(data(x=x, edge_index=index)).edges.weight is None


# -- networkx -------------------------------------------------------------------------------------


def test_networkx_undirected_lists_both_directions_and_a_loop_once() -> None:
    graph = nx.Graph([("a", "b"), ("b", "c"), ("c", "c")])
    structure = tn.Structure.from_networkx(graph)
    assert sorted(pairs(structure.edges)) == [(0, 1), (1, 0), (1, 2), (2, 1), (2, 2)]


def test_networkx_directed_keeps_source_and_target() -> None:
    graph = nx.DiGraph([(5, (1, 2)), ((1, 2), "z")])
    assert pairs(tn.Structure.from_networkx(graph).edges) == [(0, 1), (1, 2)]


def test_networkx_multigraphs_repeat_edges() -> None:
    directed = nx.MultiDiGraph([(0, 1), (0, 1), (1, 1)])
    assert sorted(pairs(tn.Structure.from_networkx(directed).edges)) == [(0, 1), (0, 1), (1, 1)]
    both = nx.MultiGraph([(0, 1), (0, 1)])
    assert sorted(pairs(tn.Structure.from_networkx(both).edges)) == [(0, 1)] * 2 + [(1, 0)] * 2


def test_networkx_features_and_weights_in_the_order_of_nodes() -> None:
    graph = nx.Graph()
    graph.add_node("late", size=1.0, place=[2.0, 3.0])
    graph.add_node(frozenset({1}), size=4, place=(5, 6))
    graph.add_edge("late", frozenset({1}), cost=7)
    tokens = tn.Tokens.from_networkx(graph, features=["size", "place"], weight="cost")
    assert tokens.x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert tokens.structure.edges.weight.tolist() == [7, 7]


def test_networkx_lists_and_degenerate_graphs() -> None:
    graphs = [nx.path_graph(3), nx.empty_graph(0), nx.empty_graph(2), nx.cycle_graph(3)]
    structure = tn.Structure.from_networkx(graphs)
    assert structure.lengths.tolist() == [3, 0, 2, 3]
    assert structure.edges.num_edges == 4 + 6
    assert int(structure.edges.index.max()) == 7
    assert tn.Structure.from_networkx([]).batch == 0
    assert tn.Structure.from_networkx(nx.empty_graph(0)).lengths.tolist() == [0]


@given(seed=st.integers(0, 50), n=st.integers(1, 7), directed=st.booleans())
def test_networkx_adjacency(seed: int, n: int, directed: bool) -> None:
    """A[target, source], which for networkx is the transposed matrix."""
    graph = nx.gnp_random_graph(n, 0.4, seed=seed, directed=directed)
    matrix = tn.EdgeList().matrix(tn.Structure.from_networkx(graph))
    assert torch.equal(matrix.T, torch.from_numpy(nx.to_numpy_array(graph)).bool())
