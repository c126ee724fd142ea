"""Which permutations an operator commutes with: on a graph, exactly the graph's automorphisms."""

import itertools

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tokennet as tn
from tokennet.structure import Structure

DIM = 6


def commutes(net: nn.Module, structure: Structure, order: tuple[int, ...]) -> float:
    """max |f(P x) - P f(x)| / max |f(x)|, where only the features are permuted, not the edges."""
    x = torch.randn(len(order), DIM, dtype=torch.float64)
    y = net(x, structure)
    permuted = net(x[list(order)], structure)
    return float((permuted - y[list(order)]).abs().max() / y.abs().max())


def automorphisms(graph: nx.Graph) -> set[tuple[int, ...]]:
    """All of them, found by networkx, as orders of the nodes."""
    directed = graph.is_directed()
    kind = nx.isomorphism.DiGraphMatcher if directed else nx.isomorphism.GraphMatcher
    matcher = kind(graph, graph)
    return {tuple(m[i] for i in range(len(graph))) for m in matcher.isomorphisms_iter()}


def measured(net: nn.Module, structure: Structure, num_tokens: int) -> set[tuple[int, ...]]:
    found = set()
    for order in itertools.permutations(range(num_tokens)):
        error = commutes(net, structure, order)
        assert error < 1e-12 or error > 1e-6, (
            f"{order}: {error} is neither rounding nor a difference"
        )
        if error < 1e-12:
            found.add(order)
    return found


@st.composite
def graphs(draw: st.DrawFn) -> nx.Graph:
    """Graphs of 2 to 5 nodes with at most one edge each way, some nodes isolated, some loops."""
    n = draw(st.integers(2, 5))
    directed = draw(st.booleans())
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from(range(n))
    pairs = [(i, j) for i in range(n) for j in range(n) if directed or i <= j]
    graph.add_edges_from(p for p in pairs if draw(st.booleans()))
    return graph


@pytest.mark.parametrize(
    "make",
    [
        lambda: tn.Attention(DIM, 2, tn.EdgeList()),
        lambda: tn.GraphConvolution(DIM, self_loops=False),
        lambda: tn.GraphAttentionV2(DIM, 2, self_loops=False),
    ],
    ids=["sparse attention", "graph convolution", "graph attention v2"],
)
def test_sparse_operators_commute_with_exactly_the_automorphisms(make) -> None:
    """hypothesis draws the graphs; a residual makes tokens without edges tell themselves apart."""
    torch.manual_seed(3)
    net = tn.Block(DIM, make()).double()
    sizes = set()

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(graph=graphs())
    def check(graph: nx.Graph) -> None:
        expected = automorphisms(graph)
        assert measured(net, Structure.from_networkx(graph), len(graph)) == expected
        sizes.add(len(expected))

    with torch.no_grad():
        check()
    assert len(sizes) > 3, "graphs of too few kinds were drawn"


@pytest.mark.parametrize(
    ("name", "make", "size"),
    [
        ("S5", lambda: tn.Attention(DIM, 2), 120),
        ("S5", lambda: tn.Pointwise(DIM, 9), 120),
        ("D5", lambda: tn.Attention(DIM, 2, tn.Window(1, wrap=True)), 10),
        ("C5", lambda: tn.Convolution(DIM, tn.Window(1, wrap=True)), 5),
        ("the reflection", lambda: tn.Attention(DIM, 2, tn.Window(1)), 2),
        ("trivial", lambda: tn.Convolution(DIM, tn.Window(1)), 1),
        ("trivial", lambda: tn.TokenMLP(5), 1),
        ("trivial", lambda: tn.Attention(DIM, 2, tn.Causal()), 1),
        ("trivial", lambda: tn.Sequential(tn.LearnedPosition(5, DIM), tn.Attention(DIM, 2)), 1),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_groups_of_operators(name: str, make, size: int) -> None:
    """The table that the notes' "all the same thing" needs: the operators' groups differ."""
    torch.manual_seed(1)
    net = make().double()
    with torch.no_grad():
        for p in net.parameters():
            p.normal_()
        assert len(measured(net, Structure.packed([5]), 5)) == size


def test_a_transformer_is_the_graph_network_on_the_complete_graph() -> None:
    """The same weights, forward and gradient, over Full() and all edges; not over fewer."""
    torch.manual_seed(0)
    full, sparse = (
        tn.Block(DIM, tn.Attention(DIM, 2, t)).double() for t in (tn.Full(), tn.EdgeList())
    )
    sparse.load_state_dict(full.state_dict())
    lengths = [4, 1, 7]
    starts = [0, 4, 5]
    index = torch.cat(
        [
            torch.cartesian_prod(torch.arange(n), torch.arange(n)).T + s
            for n, s in zip(lengths, starts, strict=True)
        ],
        1,
    )
    tokens = torch.randn(12, DIM, dtype=torch.float64)
    results = []
    for net, edges in ((full, index), (sparse, index), (sparse, index[:, 1:])):
        x = tokens.clone().requires_grad_()
        y = net(x, Structure.packed(lengths, edges=edges))
        weights = torch.autograd.grad(y.pow(2).sum(), [x, *net.parameters()])
        results.append([y.detach(), *weights])
    for a, b in zip(results[0], results[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
    assert (results[0][0] - results[2][0]).abs().max() > 1e-3


def test_laplacian_code_where_eigenvalues_repeat() -> None:
    """Cycles, complete and bipartite graphs: relabelling moves raw eigenvectors, not the code."""
    torch.manual_seed(0)
    net = tn.LaplacianPosition(DIM).double()
    raw_moves = 0
    for graph in (nx.cycle_graph(6), nx.complete_graph(5), nx.complete_bipartite_graph(3, 3)):
        n = len(graph)
        order = torch.randperm(n)
        relabelled = nx.relabel_nodes(graph, {int(order[i]): i for i in range(n)})
        again = nx.Graph()
        again.add_nodes_from(range(n))
        again.add_edges_from(relabelled.edges)
        one, two = Structure.from_networkx(graph), Structure.from_networkx(again)
        x = torch.zeros(n, DIM, dtype=torch.float64)
        with torch.no_grad():
            assert (net(x, one)[order] - net(x, two)).abs().max() < 1e-12
        raw = [
            torch.linalg.eigh(torch.tensor(nx.laplacian_matrix(g, range(n)).toarray()).double())[1]
            for g in (graph, again)
        ]
        raw_moves += int((raw[0][order].abs() - raw[1].abs()).abs().max() > 1e-3)
    assert raw_moves == 3, "the test would prove nothing if raw eigenvectors stayed"


@pytest.mark.parametrize("position", [tn.RandomWalkPosition, tn.LaplacianPosition])
def test_graph_codes_tell_tokens_apart(position) -> None:
    """The code matters: on a path, ends differ from the middle, mirror images do not."""
    torch.manual_seed(0)
    structure = Structure.from_networkx(nx.path_graph(5))
    code = position(DIM).double()(torch.zeros(5, DIM, dtype=torch.float64), structure)
    assert (code[0] - code[4]).abs().max() < 1e-12
    assert (code[0] - code[2]).abs().max() > 1e-4
