"""Which graphs a module tells apart: what theory says, and no credit for noise or labels."""

import os
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.audit.expressivity.distinguish import distinguishes
from tokennet.audit.expressivity.pairs import BREC, Graph, brec_pairs, graph_of, graph_pairs

D = 8
HEXAGON = "hexagon and two triangles"
ROOK = "rook and Shrikhande"


def networkx_of(graph: Graph) -> nx.Graph:
    found = nx.empty_graph(graph[0])
    found.add_edges_from(graph[1].T.tolist())
    return found


def gin() -> nn.Module:
    pyg = pytest.importorskip("torch_geometric.nn")
    return pyg.GIN(D, D, 3)


def adjacency(index: Tensor, n: int) -> Tensor:
    found = torch.zeros(n, n, dtype=torch.float64)
    found[index[1], index[0]] = 1
    return found


def returns(index: Tensor, n: int) -> Tensor:
    """The chances to be back after 2, 3, ... steps: a position code."""
    step = adjacency(index, n)
    step = step / step.sum(1, keepdim=True)
    powers = [torch.linalg.matrix_power(step, k).diagonal() for k in range(2, D + 2)]
    return torch.stack(powers, 1)


def test_the_pairs_are_what_they_are_called() -> None:
    pairs = graph_pairs()
    assert len(pairs) == 8
    for name, pair in pairs.items():
        one, two = map(networkx_of, pair)
        assert len(one) == len(two)
        assert sorted(d for _, d in one.degree) == sorted(d for _, d in two.degree)
        for graph in (one, two):
            nx.set_node_attributes(graph, "same", "colour")
        hashes = {nx.weisfeiler_lehman_graph_hash(g, node_attr="colour") for g in (one, two)}
        assert len(hashes) == 1, f"{name}: 1-WL tells them apart"
        if len(one) < 20:
            assert not nx.is_isomorphic(one, two), name
        else:  # other eigenvalues
            spectra = [np.linalg.eigvalsh(nx.to_numpy_array(g)) for g in (one, two)]
            assert np.abs(spectra[0] - spectra[1]).max() > 1e-3, name


@pytest.mark.parametrize(
    "make",
    [
        gin,
        lambda: pytest.importorskip("torch_geometric.nn").GCNConv(D, D),
        lambda: pytest.importorskip("torch_geometric.nn").GAT(D, D, 2, heads=2),
        lambda: tn.Sequential(tn.GraphConvolution(D), tn.GraphConvolution(D)),
        lambda: tn.Sequential(tn.GINConvolution(D), tn.GINConvolution(D), tn.MeanReadout(D, 3)),
        lambda: tn.Block(D, tn.Parallel(tn.GraphConvolution(D), tn.Attention(D, 2))),
    ],
)
def test_message_passing_tells_none_apart(make) -> None:
    found = distinguishes(make(), seeds=3)
    assert found.separated == ()
    assert found.invariant
    for f in found.findings:
        assert f.status == "not separated"
        assert f.difference <= 64 * f.floor < 1e-9
    assert "not separated by any of 3 random weights" in str(found)


def test_it_would_see_a_difference() -> None:
    """Graphs that message passing does tell apart, by degrees and by two rounds of them."""
    one, two = nx.star_graph(6), nx.path_graph(7)
    late = [nx.Graph([*nx.path_graph(7).edges, (k, 7)]) for k in (1, 2)]
    pairs = {"star and path": (one, two), "branches": tuple(late)}
    net = tn.Sequential(tn.GINConvolution(D), tn.GINConvolution(D), tn.GINConvolution(D))
    found = distinguishes(net, pairs, seeds=3)
    assert found.separated == ("star and path", "branches")
    assert found["branches"].separating == 3
    assert found["branches"].difference > 1e-3
    assert found.reads_edges


@pytest.mark.parametrize("code", [tn.RandomWalkPosition, tn.LaplacianPosition])
def test_position_codes_help(code) -> None:
    found = distinguishes(tn.Sequential(code(D), tn.GINConvolution(D)), seeds=3)
    assert found.invariant
    assert set(found.separated) == set(graph_pairs()) - {ROOK}
    assert found[HEXAGON].separating == 3
    assert found[HEXAGON].difference > 1e-3
    assert "separated by 3 of 3" in str(found)


def test_features_of_ones_own() -> None:
    found = distinguishes(gin(), features=returns, seeds=2)
    assert set(found.separated) == set(graph_pairs()) - {ROOK}
    attention = distinguishes(tn.Attention(D, 2), features=returns, seeds=2)
    assert HEXAGON in attention.separated, "the code alone tells"
    labels = distinguishes(gin(), features=lambda index, n: torch.eye(n, D).cumsum(0), seeds=2)
    assert not labels.invariant
    assert labels.separated == ()


def test_a_transformer_without_structure_tells_none_apart() -> None:
    net = tn.Sequential(tn.Block(D, tn.Attention(D, 2)), tn.Block(D, tn.Attention(D, 2)))
    found = distinguishes(net, seeds=2)
    assert (found.separated, found.invariant, found.reads_edges) == ((), True, False)
    assert "does not depend on the edges" in str(found)


class Cliques(nn.Module):
    """Adds to each token how many 4-cliques it is in."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(D, D)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        a = adjacency(index, len(x))
        count = torch.einsum("ij,ik,il,jk,jl,kl->i", a, a, a, a, a, a)
        return self.linear(x) * (1 + count[:, None])


def test_what_sees_more_tells_more() -> None:
    pairs = {name: pair for name, pair in graph_pairs().items() if pair[0][0] < 20}
    assert distinguishes(Cliques(), pairs, dim=D, seeds=2).separated == (ROOK,)


class Random(nn.Module):
    """Another output at each call."""

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        return x + 1e-9 * torch.randn_like(x)


class Leaking(nn.Module):
    """Messages, and `size` times the number of the token."""

    def __init__(self, size: float):
        super().__init__()
        self.size, self.linear = size, nn.Linear(D, D)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        place = self.size * torch.arange(len(x), dtype=x.dtype)[:, None]
        return self.linear(adjacency(index, len(x)).to(x) @ (x + place)).tanh()


def test_labels_get_no_credit() -> None:
    for size in (1.0, 1e-3, 1e-6):
        found = distinguishes(Leaking(size), dim=D, seeds=2)
        assert not found.invariant
        assert found.separated == ()
        assert found[HEXAGON].status == "not invariant"
        assert found[HEXAGON].control > 64 * found[HEXAGON].floor
        assert "NOT INVARIANT" in str(found)
    assert distinguishes(Leaking(1e-11), dim=D, seeds=3).separated == (), "below the limit"
    assert distinguishes(Leaking(0.0), dim=D, seeds=3).invariant
    place = tn.Sequential(tn.LearnedPosition(41, D), tn.GraphConvolution(D))
    assert not distinguishes(place, seeds=2).invariant
    raw = tn.Sequential(tn.EigenvectorPosition(D), tn.GraphConvolution(D))
    assert not distinguishes(raw, seeds=2).invariant


def test_one_that_is_not_invariant_spoils_all() -> None:
    """Labels count on the larger graphs only; on the others it would be credited."""

    class Sometimes(nn.Module):
        def forward(self, x: Tensor, index: Tensor) -> Tensor:
            a = adjacency(index, len(x))
            cubed = torch.linalg.matrix_power(a, 3).diagonal()[:, None]
            return x + cubed + (len(x) > 40) * a @ torch.arange(len(x), dtype=x.dtype)[:, None]

    found = distinguishes(Sometimes(), dim=D, seeds=2)
    assert found[HEXAGON].status == "separated"
    assert found["circles with skips 2 and 3"].status == "not invariant"
    assert found.separated == ()


def test_noise_gets_no_credit() -> None:
    """Sums in float32 differ with their order."""

    class Rough(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(D, D)

        def forward(self, x: Tensor, index: Tensor) -> Tensor:
            x = self.linear(x).float()
            x = x.new_zeros(x.shape).index_add(0, index[1], x[index[0]] * 0.1).double()
            return 100 * (x - x.mean() - 1)

    found = distinguishes(Rough(), dim=D, seeds=3)
    assert found.separated == ()
    assert found.invariant
    assert max(f.floor for f in found.findings) > 1e-9


def test_pooled_modules_and_the_batch_argument() -> None:
    pyg = pytest.importorskip("torch_geometric.nn")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.seen = pyg.GCNConv(2 * D, D), set()

        def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
            assert batch.shape == (len(x),)
            x = torch.cat([x, returns(edge_index, len(x)).to(x)], 1)
            return pyg.global_add_pool(self.conv(x, edge_index).tanh(), batch)

    found = distinguishes(Net(), dim=D, seeds=2)
    assert set(found.separated) == set(graph_pairs()) - {ROOK}


def test_graphs_of_all_kinds() -> None:
    ring = torch.tensor([[0, 1, 2], [1, 2, 0]])
    assert graph_of(ring)[0] == 3
    assert torch.equal(graph_of((5, ring))[1], ring)
    assert graph_of((4, [(0, 1)]))[1].tolist() == [[0, 1], [1, 0]]
    named = nx.Graph([("a", "b"), ("b", "c")])
    assert graph_of(named)[1].T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert graph_of(nx.DiGraph([(0, 1)]))[1].tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: distinguishes("net"), TypeError, "module is str, expected an nn.Module"),
        (lambda: distinguishes(nn.Linear(D, D)), ValueError, "dim is None"),
        (lambda: distinguishes(Cliques(), dim=D, seeds=0), ValueError, "seeds is 0"),
        (lambda: distinguishes(Cliques(), [], dim=D), TypeError, "a mapping from names"),
        (lambda: distinguishes(Cliques(), {}, dim=D), ValueError, "at least one pair"),
        (
            lambda: distinguishes(
                Cliques(), {"a": (nx.path_graph(3), nx.path_graph(4))}, dim=D
            ),
            ValueError,
            r"pairs\['a'\] is \(3, 4\), expected equally many tokens",
        ),
        (lambda: distinguishes(Cliques(), {"a": (1, 2)}, dim=D), TypeError, "a networkx graph"),
        (
            lambda: distinguishes(Cliques(), features=lambda index, n: torch.ones(3)),
            ValueError,
            r"expected a tensor \[6, D\]",
        ),
        (lambda: distinguishes(Random(), dim=D), ValueError, "another at each call"),
        (lambda: graph_of(torch.ones(3, 3)), ValueError, r"an edge_index \[2, E\]"),
        (lambda: brec_pairs("nowhere"), ValueError, "folder is nowhere"),
        (lambda: brec_pairs(".", parts=("easy",)), ValueError, "parts is easy"),
        (lambda: distinguishes(gin(), seeds=1)["rings"], KeyError, "no pair 'rings'"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_typecheck")
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_brec_is_read(tmp_path: Path) -> None:
    """From files of both shapes, as the benchmark has them."""
    texts = [nx.to_graph6_bytes(g, header=False).strip() for g in map(nx.cycle_graph, (5, 5, 6, 6))]
    np.save(tmp_path / "basic.npy", np.array([t.decode() for t in texts]))
    np.save(tmp_path / "cfi.npy", np.array(texts).reshape(2, 2))
    pairs = brec_pairs(tmp_path, parts=("basic", "cfi"))
    assert list(pairs) == ["basic 0", "basic 1", "cfi 0", "cfi 1"]
    assert [pair[0][0] for pair in pairs.values()] == [5, 6, 5, 6]
    assert all(len(nx.cycle_basis(networkx_of(g))) == 1 for pair in pairs.values() for g in pair)


def test_brec() -> None:
    folder = Path(os.environ.get("TOKENNET_DATA", ""), "BREC")
    if not (folder / "basic.npy").is_file():
        pytest.skip("BREC is not in TOKENNET_DATA")
    pairs = brec_pairs(folder)
    assert len(pairs) == 400
    assert {name.split()[0] for name in pairs} == set(BREC)
    basic = {name: pair for name, pair in pairs.items() if name.startswith("basic")}
    assert distinguishes(gin(), basic, seeds=1).separated == ()
    net = tn.Sequential(tn.RandomWalkPosition(D), tn.GINConvolution(D))
    coded = distinguishes(net, basic, seeds=1)
    assert len(coded.separated) == 60
    assert "basic: 60 separated" in str(coded)
