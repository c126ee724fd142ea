"""Where PyG has defects, or leaves to the caller what the structure tells here."""

import copy

import torch
from parity import cast, randomise
from parity_pyg import CASES, Stack, pyg

import tokennet as tn

from_pyg = tn.interop.from_pyg


def test_one_of_several_self_loops() -> None:
    """PyG keeps one of a token's loops where it adds loops to the others; here all count."""
    conv = randomise(pyg.GCNConv(3, 4))
    index = torch.tensor([[0, 0, 1], [0, 0, 0]])
    x, net = torch.randn(2, 3), from_pyg(conv)
    y = net(x, tn.Structure.packed([2], edges=tn.Edges(index)))
    assert (y - conv(x, index)).abs().max() > 1e-2
    assert (y[1] - conv(x, index)[1]).abs().max() < 1e-5


def test_negative_degrees() -> None:
    """PyG gives NaN; here the token sends and hears nothing."""
    conv = randomise(pyg.GCNConv(3, 4, add_self_loops=False))
    index, weight = torch.tensor([[0, 1], [1, 0]]), torch.tensor([-1.0, 1.0])
    x = torch.randn(2, 3)
    assert conv(x, index, weight).isnan().any()
    y = from_pyg(conv)(x, tn.Structure.packed([2], edges=tn.Edges(index, weight)))
    assert y.isfinite().all()


def test_edge_features_that_have_no_map() -> None:
    """Without `edge_dim` `TransformerConv` adds raw features to values; here they don't count."""
    conv = randomise(pyg.TransformerConv(3, 4))
    index, x = torch.tensor([[0, 1], [1, 0]]), torch.randn(2, 3)
    attr = torch.ones(2, 1, 4)  # a shape that happens to fit
    assert (conv(x, index, attr) - conv(x, index)).abs().max() > 0.5
    edges = tn.Edges(index, None, attr[:, 0])
    y = from_pyg(conv)(x, tn.Structure.packed([2], edges=edges))
    assert (y - conv(x, index)).abs().max() < 1e-5


def test_the_deviation_of_pna() -> None:
    """In float32, gradients of PyG's are far off those in float64; the import's are not."""
    worst = {"theirs": 0.0, "ours": 0.0}
    case = CASES["PNA, edge features"]
    for seed in range(12):
        torch.manual_seed(seed)
        wide = randomise(case.make(seed))
        narrow, inputs = copy.deepcopy(wide), case.inputs(seed, wide)
        case.theirs(wide.double(), cast(inputs, torch.float64))["output"].sum().backward()
        net = case.bring(narrow)
        case.theirs(narrow, inputs)["output"].sum().backward()
        case.ours(net, inputs)["output"].sum().backward()
        true = wide.convs[0].edge_encoder.weight.grad
        size = max(1.0, float(true.abs().max()))
        for side, g in (
            ("theirs", narrow.convs[0].edge_encoder.weight.grad),
            ("ours", net.mixers[0].edge.weight.grad),
        ):
            worst[side] = max(worst[side], float((g.double() - true).abs().max()) / size)
    assert worst["ours"] < 1e-5 < worst["theirs"], worst


def test_norms_over_graphs_that_are_not_told_apart() -> None:
    """Without `batch`, PyG's norms take all graphs as one; the import keeps them apart."""
    x, index, batch = torch.randn(4, 3), torch.tensor([[0, 2], [1, 3]]), torch.tensor([0, 0, 1, 1])
    structure = tn.Structure.packed([2, 2], edges=tn.Edges(index))
    other = x.clone()
    other[2:] += torch.randn(2, 3)
    for norm in (pyg.LayerNorm(3), pyg.GraphNorm(3)):
        stack = randomise(Stack(pyg.GCNConv(3, 3), norm))
        assert (stack(other, index) - stack(x, index))[:2].abs().max() > 1e-3
        net = from_pyg(stack)
        assert torch.equal(net(other, structure)[:2], net(x, structure)[:2])
        assert (net(x, structure) - stack(x, index, batch=batch)).abs().max() < 1e-5
    # of one graph, LayerNorm adds eps to the deviation without `batch`, to the variance with it
    norm = pyg.LayerNorm(3)
    small, one = 1e-3 * x, torch.zeros(4, dtype=torch.int64)
    assert (norm(small) - norm(small, one)).abs().max() > 0.1
