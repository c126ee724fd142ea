"""Groups that are known, found; near misses, told apart; what can't be said, refused."""

import copy
import itertools
import math
import time

import networkx as nx
import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.audit.symmetry import group as group_code
from tokennet.audit.symmetry.elements import swap
from tokennet.audit.symmetry.group import symmetry_group

D = 8


def index_of(graph: nx.Graph) -> Tensor:
    return torch.tensor(list(graph.to_directed().edges)).T


def over_edges() -> tn.Mixer:
    return tn.Attention(D, 2, tn.EdgeList())


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(D, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


class Function(nn.Module):
    """A linear map, and a function of its result."""

    def __init__(self, body):
        super().__init__()
        self.body, self.linear = body, nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.linear(x))


def differences(x: Tensor) -> Tensor:
    """The product of all differences of tokens: an even permutation leaves it, an odd turns it."""
    pairs = itertools.combinations(range(x.shape[-2]), 2)
    return torch.stack([x[..., i, :] - x[..., j, :] for i, j in pairs]).prod(0)


MIXERS = [
    ("S5", lambda: tn.Attention(D, 2), {}),
    ("S5", lambda: tn.Pointwise(D), {}),
    ("S5", lambda: tn.MeanReadout(D, 3), {}),
    ("S5", lambda: tn.Block(D, tn.Attention(D, 2)), {}),
    ("C5", lambda: tn.Convolution(D, tn.Window(1, wrap=True)), {}),
    ("D5", lambda: tn.Attention(D, 2, tn.Window(1, wrap=True)), {}),
    ("trivial", lambda: tn.Attention(D, 2, tn.Causal()), {}),
    ("trivial", lambda: tn.TokenMLP(5), {"dim": D}),
    ("trivial", lambda: tn.LearnedPosition(5, D), {}),
    ("C2", lambda: tn.Attention(D, 2, tn.Window(1)), {}),
    ("D5", over_edges, {"edges": index_of(nx.cycle_graph(5))}),
    ("C2", over_edges, {"edges": index_of(nx.path_graph(5))}),
    ("S4 on tokens 1..4", over_edges, {"edges": index_of(nx.star_graph(4))}),
    ("S2 x S3", over_edges, {"edges": index_of(nx.complete_bipartite_graph(2, 3))}),
]


@pytest.mark.parametrize(("name", "make", "given"), MIXERS)
def test_known_groups_of_mixers(name: str, make, given: dict) -> None:
    found = symmetry_group(make(), **given)
    assert found.name == name
    assert found.complete
    assert not found.vacuous
    assert found.error <= 64 * found.floor < 1e-9
    assert found.order == math.factorial(5) or found.gap > 1e-3, "what is refused is far off"
    assert found.matches_edges is (True if "edges" in given else None)
    assert f"5 tokens: {name}" in str(found)


@pytest.mark.parametrize(("name", "make", "given"), MIXERS)
def test_the_search_finds_what_trying_all_finds(name: str, make, given: dict, monkeypatch) -> None:
    monkeypatch.setattr(group_code, "ALL_TRIED", 1)
    found = symmetry_group(make(), **given)
    assert found.name == name
    assert found.complete


@pytest.mark.parametrize(
    ("name", "module", "pooled"),
    [
        ("S5", encoder(), False),
        ("S5", Function(lambda x: x.mean(1)), True),
        ("S5", Function(lambda x: x.amax(1)), True),
        ("S5", Function(lambda x: x + x[:, :, :1].sort(1).values.cumsum(1)[:, -1:]), False),
        ("A5", Function(differences), True),
        ("trivial", nn.GRU(D, D, batch_first=True), False),
        ("S4 on tokens 1..4", Function(lambda x: x + x[:, :1].tanh()), False),
        ("S3 x S2", Function(lambda x: x + x[:, :3].sum(1, True).tanh()), False),
        ("C5", Function(lambda x: x * x.roll(1, 1)), False),
        ("D5", Function(lambda x: (x * x.roll(1, 1)).sum(1)), True),
    ],
)
def test_known_groups_of_any_module(
    name: str, module: nn.Module, pooled: bool, monkeypatch
) -> None:
    before = copy.deepcopy(module.state_dict())
    found = symmetry_group(module, num_tokens=5, dim=D)
    assert (found.name, found.pooled, found.complete) == (name, pooled, True)
    monkeypatch.setattr(group_code, "ALL_TRIED", 1)
    again = symmetry_group(module, num_tokens=5, dim=D)
    assert (again.name, again.pooled) == (name, pooled)
    assert all(torch.equal(t, before[k]) for k, t in module.state_dict().items())


@pytest.mark.parametrize(
    ("order", "graph"),
    [
        (120, nx.petersen_graph()),
        (48, nx.hypercube_graph(3)),
        (24, nx.cycle_graph(12)),
        (2, nx.path_graph(12)),
        (72, nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))),
        (1, nx.frucht_graph()),
        (math.factorial(12), nx.empty_graph(12)),
        (1152, nx.line_graph(nx.complete_bipartite_graph(4, 4))),
        (10, nx.DiGraph([(i, (i + k) % 10) for i in range(10) for k in (1, 3)])),
    ],
)
def test_attention_commutes_with_the_automorphisms(order: int, graph: nx.Graph) -> None:
    graph = nx.convert_node_labels_to_integers(graph)
    index = torch.tensor(list(graph.to_directed().edges), dtype=torch.int64).reshape(-1, 2).T
    found = symmetry_group(
        tn.Attention(D, 2, tn.EdgeList(True)), edges=index, num_tokens=len(graph)
    )
    assert (found.order, found.complete, found.matches_edges) == (order, True, True)


def test_names_on_graphs() -> None:
    triangles = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    assert symmetry_group(over_edges(), edges=index_of(triangles)).name == "S3 wr S2"
    petersen = symmetry_group(over_edges(), edges=index_of(nx.petersen_graph()))
    assert petersen.name == "Aut(edges), order 120 group"
    assert "the automorphisms of the edges" in str(petersen)
    assert petersen.contains(petersen.generators[0])
    assert not petersen.contains(swap(10, 0, 1))


def test_edges_that_are_ignored_or_that_are_not_all() -> None:
    ring = index_of(nx.cycle_graph(5))
    assert symmetry_group(tn.Attention(D, 2), edges=ring).name == "S5"
    assert symmetry_group(tn.Attention(D, 2), edges=ring).matches_edges is False
    placed = tn.Sequential(tn.LearnedPosition(5, D), over_edges())
    assert symmetry_group(placed, edges=ring).name == "trivial"


def test_grids_and_memory_stay() -> None:
    torus = tn.Convolution(D, tn.Neighborhood(1, wrap=True))
    found = symmetry_group(torus, example=tn.Tokens.dense(torch.ones(1, 9, D), grid=(3, 3)))
    assert (found.name, found.complete) == ("C3 x C3", True)
    cross = tn.Attention(D, 2, tn.Memory())
    tokens = tn.Tokens.dense(torch.ones(1, 5, D), memory=torch.randn(1, 3, D))
    assert symmetry_group(cross, example=tokens).name == "S5"


def test_pyg_modules() -> None:
    pyg = pytest.importorskip("torch_geometric.nn")
    ring, path = index_of(nx.cycle_graph(5)), index_of(nx.path_graph(12))
    assert symmetry_group(pyg.GINConv(nn.Linear(D, D)), edges=ring, dim=D).name == "D5"
    assert symmetry_group(pyg.GATConv(D, D), edges=path).name == "C2"
    found = symmetry_group(pyg.GCNConv(D, D), edges=index_of(nx.petersen_graph()))
    assert (found.order, found.complete) == (120, True)
    star = torch.tensor([[1, 2, 3, 4, 0, 0, 0, 0], [0, 0, 0, 0, 1, 2, 3, 4]])  # sorted by target
    lstm = symmetry_group(pyg.SAGEConv(D, D, aggr="lstm"), edges=star)
    assert lstm.name == "trivial", "an aggregation that reads neighbours in turn"
    assert lstm.matches_edges is False


def test_more_tokens() -> None:
    for make, name in (
        (lambda: tn.Attention(D, 2), "S12"),
        (lambda: tn.Convolution(D, tn.Window(2, wrap=True)), "C12"),
        (lambda: tn.Attention(D, 2, tn.Window(1, wrap=True)), "D12"),
        (lambda: tn.Attention(D, 2, tn.Causal()), "trivial"),
        (lambda: tn.MeanReadout(D, 3), "S12"),
    ):
        found = symmetry_group(make(), num_tokens=12)
        assert (found.name, found.complete) == (name, True)
    odd = symmetry_group(Function(differences), num_tokens=7, dim=D)
    assert (odd.name, odd.complete) == ("A7", True)


def test_a_search_that_gives_up_says_so() -> None:
    """Ties break the colours, and without them there are too many candidates."""
    found = symmetry_group(Function(_places_of_the_largest), num_tokens=7, dim=D)
    assert (found.name, found.complete) == ("trivial", False)
    assert "or more" in str(found)


def _places_of_the_largest(x: Tensor) -> Tensor:
    """Adds to each token the place of the largest one."""
    return x + x[..., 0].argmax(1)[:, None, None] / 10


def test_it_is_quick() -> None:
    start = time.perf_counter()
    symmetry_group(encoder(), num_tokens=5, dim=D)
    assert time.perf_counter() - start < 2


def test_nets_are_asked_from_their_tokens() -> None:
    def net(*mixers: tn.Mixer, readout: tn.Mixer) -> tn.TokenNet:
        return tn.TokenNet(tn.FeatureTokenizer(3, D), mixers, readout)

    block = tn.Block(D, tn.Attention(D, 2))
    found = symmetry_group(net(block, readout=tn.MeanReadout(D, 2)))
    assert (found.name, found.pooled) == ("S5", True)
    placed = net(tn.LearnedPosition(5, D), block, readout=tn.MeanReadout(D, 2))
    assert symmetry_group(placed).name == "trivial"
    assert symmetry_group(net(block, readout=tn.TokenReadout(D, 2))).name == "S5"
