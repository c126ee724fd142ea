"""FLOPs against closed formulas, receptive fields against counting, no side effects."""

import copy

import networkx as nx
import pytest
import torch
from torch import nn

import tokennet as tn

B, N, D = 2, 16, 12


def image_net(mixer: tn.Mixer, *more: tn.Mixer) -> tn.TokenNet:
    readout = tn.MeanReadout(D, 5)
    return tn.TokenNet(tn.PatchTokenizer(3, 4, D), [tn.Block(D, mixer), *more], readout)


def images() -> torch.Tensor:
    return torch.randn(B, 3, 16, 16)


def block_flops(tokens: int, pairs: int, dim: int) -> int:
    """Four projections, scores and values of the pairs, an MLP four times as wide."""
    return 8 * tokens * dim**2 + 4 * pairs * dim + 16 * tokens * dim**2


def test_flops_and_parameters_of_a_vit_block() -> None:
    net = image_net(tn.Attention(D, 3))
    tokenizer, block, readout, total = net.summary(images()).rows
    assert tokenizer.flops == 2 * B * N * (3 * 4 * 4) * D
    assert block.flops == block_flops(B * N, B * N * N, D)
    assert readout.flops == 2 * B * D * 5
    assert total.flops == tokenizer.flops + block.flops + readout.flops
    assert block.parameters == 4 * D * (D + 1) + 2 * 2 * D + (4 * D + 1) * D + (D + 1) * 4 * D
    assert total.parameters == sum(p.numel() for p in net.parameters())
    assert [tokenizer.shape, block.shape, readout.shape] == [(B, N, D), (B, N, D), (B, 5)]


@pytest.mark.parametrize("num_edges", [0, 1, 10, 1000])
def test_flops_of_sparse_attention_are_linear_in_the_edges(num_edges: int) -> None:
    mixer = tn.Attention(D, 3, tn.EdgeList())
    net = tn.TokenNet(tn.FeatureTokenizer(D), [mixer], tn.TokenReadout(D, 1))
    edges = tn.Edges(torch.randint(0, N, (2, num_edges)))
    row = net.summary(torch.randn(N, D), tn.Structure.packed([N], edges=edges)).rows[1]
    assert row.flops == 8 * N * D**2 + 4 * num_edges * D


def test_flops_do_not_depend_on_what_the_structure_keeps() -> None:
    net = tn.TokenNet(
        tn.FeatureTokenizer(D), [tn.RandomWalkPosition(D, steps=4)], tn.TokenReadout(D, 1)
    )
    structure = tn.Structure.from_networkx(nx.cycle_graph(N))
    first, second = (net.summary(torch.ones(N, D), structure) for _ in range(2))
    assert first == second
    assert first.rows[1].flops == 2 * N * 4 * D


def fields(net: tn.TokenNet, inputs: torch.Tensor, structure: tn.Structure | None = None) -> list:
    rows = net.summary(inputs, structure).rows
    assert rows[0].field is None
    assert rows[0].field_so_far is None
    assert rows[-1].field == rows[-1].field_so_far == rows[-2].field_so_far
    return [(row.field, row.field_so_far) for row in rows[1:-1]]


def test_fields_of_windows_grow_and_those_of_full_attention_do_not() -> None:
    local, readout = tn.Attention(D, 3, tn.Neighborhood(1)), (N, N)
    assert fields(image_net(local), images()) == [(9, 9), readout]
    again = tn.Block(D, copy.deepcopy(local))
    assert fields(image_net(local, again), images()) == [(9, 9), (9, 16), readout]
    full = image_net(tn.Attention(D, 3), tn.Block(D, tn.Attention(D, 3)), tn.Pointwise(D))
    assert fields(full, images()) == [(N, N), (N, N), (1, N), readout]


def test_fields_of_lines_causality_and_memory() -> None:
    line = [tn.Convolution(D, tn.Window(1)), tn.Convolution(D, tn.Window(2))]
    past = [tn.Attention(D, 3, tn.Causal() & tn.Window(2))]
    cross = [tn.SinusoidalPosition(D), tn.Attention(D, 3, tn.Memory())]
    net = tn.TokenNet(tn.EmbeddingTokenizer(9, D), [*line, *past, *cross], tn.TokenReadout(D, 9))
    structure = tn.Structure.dense(B, 20, memory=torch.randn(B, 3, D))
    found = fields(net, torch.randint(0, 9, (B, 20)), structure)
    assert found == [(3, 3), (5, 7), (3, 9), (1, 9), (1, 9), (1, 9)]


@pytest.mark.parametrize("padded", [False, True])
def test_fields_of_a_graph_are_its_balls(padded: bool) -> None:
    """The hub of a star hears all at once; the largest sample is measured."""
    small, star = nx.path_graph(3), nx.star_graph(range(10, 30))
    edges = nx.disjoint_union_all([small, star])
    lengths = [3, 20]
    tokens = tn.Tokens(
        torch.randn(23, D),
        tn.Structure.packed(lengths, edges=tn.Structure.from_networkx(edges).edges),
    )
    tokens = tokens.padded() if padded else tokens
    mixers = [tn.GraphConvolution(D), tn.GraphAttention(D, 2)]
    net = tn.TokenNet(tn.FeatureTokenizer(D), mixers, tn.TokenReadout(D, 2))
    assert fields(net, *tokens) == [(20, 20), (20, 20), (1, 20)]
    ring = tn.Structure.from_networkx(nx.cycle_graph(30))
    assert fields(net, torch.randn(30, D), ring) == [(3, 3), (3, 5), (1, 5)]


def test_a_zero_initialised_part_is_seen_through() -> None:
    mixer = tn.Attention(D, 3)
    nn.init.zeros_(mixer.output.weight)
    assert fields(image_net(mixer), images())[0] == (N, N)


def test_edges_with_features_and_an_empty_batch() -> None:
    pyg = pytest.importorskip("torch_geometric.nn")
    mixers = [tn.MessagePassing(pyg.TransformerConv(D, D, edge_dim=3))]
    net = tn.TokenNet(tn.FeatureTokenizer(D), mixers, tn.MeanReadout(D, 2))
    index = torch.tensor([[0, 1, 2], [1, 2, 3]])
    edges = tn.Edges(index, attr=torch.randn(3, 3))
    found = fields(net, torch.randn(5, D), tn.Structure.packed([5], edges=edges))
    assert found[0] == (2, 2)
    none = tn.Edges(index[:, :0], attr=torch.zeros(0, 3))
    for lengths in ([], [0]):
        structure = tn.Structure.packed(lengths, edges=none)
        assert fields(net, torch.zeros(0, D), structure) == [(None, None)] * 2


def test_nothing_changes() -> None:
    net = image_net(tn.Attention(D, 3, dropout=0.5)).train()
    inputs = images()
    net(inputs).sum().backward()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    grads, kept, state = (
        [p.grad.clone() for p in net.parameters()],
        inputs.clone(),
        torch.get_rng_state(),
    )
    first = net.summary(inputs)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(m.training for m in net.modules())
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert all(p.requires_grad and p.dtype == torch.float32 for p in net.parameters())
    assert torch.equal(inputs, kept)
    with torch.no_grad(), tn.backend("reference"):
        assert net.summary(inputs) == first
    with torch.inference_mode():
        assert net.summary(inputs) == first


def test_text() -> None:
    position = tn.LearnedPosition(N, D)
    decoder = tn.Block(D, tn.Attention(D, 3, tn.Causal() & tn.Window(2)), tn.Attention(D, 3))
    net = tn.TokenNet(tn.PatchTokenizer(3, 4, D), [position, decoder], tn.MeanReadout(D, 5))
    text = str(net.summary(images()))
    lines = text.split("\n")
    assert max(map(len, lines)) <= 100
    assert all(line == line.rstrip() for line in lines)
    assert " ".join(lines[0].split()) == "part output parameters FLOPs field so far reads claims"
    words = " ".join(text.split())
    for word in ("PatchTokenizer", "[2, 16, 12]", "position", "Causality", "36.9 k", "Causal &"):
        assert word in words, text
    assert "CyclicShift" not in text  # it follows from Permutation
    ends = [
        line.index(cell) + len(cell)
        for line, cell in ((lines[0], "parameters"), (lines[2], "588"), (lines[3], " 192"))
    ]
    assert len(set(ends)) == 1, text
