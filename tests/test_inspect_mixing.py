"""One matrix for every operator: what it says, that it says it of the right tokens, pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch
from operator_case import DIM as WIDE
from operator_case import Operator
from operators import OPERATORS
from torch import Tensor, nn

import tokennet as tn
from tokennet.inspect.mixing import operators
from tokennet.verify.plans import Plan, build
from tokennet.verify.verify import _domain

DIM, N = 4, 7
EDGES = torch.tensor([[0, 1, 2, 3, 4, 5, 1], [1, 2, 3, 4, 5, 6, 0]])


def _net(*mixers: tn.Mixer, **block: Any) -> tn.TokenNet:
    blocks = [tn.Block(DIM, m, **block) for m in mixers]
    return tn.TokenNet(tn.FeatureTokenizer(DIM), blocks, tn.MeanReadout(DIM, 2))


def _rows(m: "tn.inspect.MixingMatrix") -> Tensor:
    return m.matrix.sum(-1)


def test_softmax_attention_gives_its_weights() -> None:
    """Of what reaches it in the net, of the real tokens of one sample, in every layout."""
    net = _net(tn.Attention(DIM, 2), tn.Attention(DIM, 2, tn.Causal())).eval()
    tokens = tn.Tokens.from_list([torch.randn(3, DIM), torch.randn(N, DIM)])
    one, two = tn.inspect.mixing(net, *tokens, sample=1)
    assert (one.path, two.path) == ("mixers.0.mixers.0.mixer", "mixers.1.mixers.0.mixer")
    assert (one.kind, one.name, two.name) == ("weights", "Attention Full", "Attention Causal")
    assert one.matrix.shape == two.matrix.shape == (2, N, N)
    torch.testing.assert_close(_rows(one), torch.ones(2, N))
    assert not two.matrix.triu(1).any()
    x = net.mixers[0].mixers[0].norm(tokens.x[3:])[None]
    expected = net.mixers[0].mixers[0].mixer.weights(x, tn.Structure.dense(1, N))[0]
    torch.testing.assert_close(one.matrix, expected)
    padded = tn.inspect.mixing(net, *tokens.padded(), sample=1)
    for m, other in zip((one, two), padded, strict=True):
        torch.testing.assert_close(m.matrix, other.matrix)


def test_weights_over_edges_become_the_same_matrix() -> None:
    """Attention over all pairs as edges is attention over all pairs; rows are targets."""
    index = torch.cartesian_prod(torch.arange(N), torch.arange(N)).t()
    dense, sparse = tn.Attention(DIM, 2), tn.Attention(DIM, 2, tn.EdgeList())
    sparse.load_state_dict(dense.state_dict())
    x = torch.randn(3 + N, DIM)
    structure = tn.Structure.packed([3, N], edges=tn.Edges(index + 3))
    (one,), (two,) = (tn.inspect.mixing(m, x, structure, sample=1) for m in (dense, sparse))
    torch.testing.assert_close(one.matrix, two.matrix)
    graph = tn.Structure.dense(1, N, edges=tn.Edges(EDGES))
    (found,) = tn.inspect.mixing(tn.GraphConvolution(DIM), torch.randn(1, N, DIM), graph)
    heard = found.matrix[0] > 0
    expected = torch.eye(N).bool()
    expected[EDGES[1], EDGES[0]] = True
    assert torch.equal(heard, expected)


def test_linear_attention_has_a_closed_form_that_is_what_it_computes() -> None:
    mixer = tn.LinearAttention(DIM, 1, tn.Causal()).double()
    x, structure = torch.randn(1, N, DIM).double(), tn.Structure.dense(1, N)
    (found,) = tn.inspect.mixing(mixer, x, structure)
    assert found.kind == "closed form"
    torch.testing.assert_close(
        mixer.output(found.matrix[0] @ mixer.value(x[0])), mixer(x, structure)[0]
    )


def test_operators_without_weights_get_their_jacobian() -> None:
    """Of a map of one channel it is the matrix itself, of a maximum too."""
    structure = tn.Structure.dense(1, N)
    mixer = tn.TokenMLP(N, activation=nn.Identity)
    (found,) = tn.inspect.mixing(mixer, torch.randn(1, N, 1), structure)
    assert found.kind == "jacobian"
    expected = mixer.contract.weight @ mixer.expand.weight
    torch.testing.assert_close(found.matrix[0], expected.abs())
    (found,) = tn.inspect.mixing(tn.MaxPooling(), torch.randn(1, N, 1), structure)
    assert (found.kind, found.matrix.sum()) == ("jacobian", N)


def test_cross_attention_has_columns_of_the_memory() -> None:
    memory = tn.Tokens(
        torch.randn(2, 5, DIM), tn.Structure.padded(torch.arange(5) < torch.tensor([[5], [3]]))
    )
    structure = tn.Structure.dense(2, N, memory=memory)
    net = _net(tn.Attention(DIM, 2, tn.Causal()))
    net.mixers.append(tn.Block(DIM, tn.Attention(DIM, 2, tn.Memory())))
    own, cross = tn.inspect.mixing(net, torch.randn(2, N, DIM), structure, sample=1)
    assert (own.memory, cross.memory) == (False, True)
    assert cross.matrix.shape == (2, N, 3)
    torch.testing.assert_close(_rows(cross), torch.ones(2, N))
    graph = tn.inspect.mixing_graph(cross)
    assert set(graph.predecessors(0)) == {("memory", j) for j in range(3)}


@pytest.mark.parametrize("case", OPERATORS, ids=lambda c: c.name)
def test_every_operator_has_a_matrix(case: Operator) -> None:
    """All that we offer, in both layouts: finite, of the real tokens, with weights where it mixes;
    an entry that weights leave at zero moves nothing."""
    mixer = case.make().double().eval()
    if mixer.pooled:
        pytest.skip("a readout")
    domain = _domain(mixer, None if mixer.dim else WIDE)
    if "cells" in case.name or "one axis" in case.name:
        domain = replace(domain, grids=(1,))
    grid = ((4,) if domain.grids == (1,) else (2, 2)) if "grid" in mixer.reads else None
    memory = (2, 3) if "memory" in mixer.reads else None
    for layout in ("packed", "dense"):
        plan = Plan((4, 4) if grid else (3, 4), layout, grid=grid, memory=memory)
        tokens = build(plan, domain)
        found = tn.inspect.mixing(mixer, *tokens, sample=1)
        assert bool(found) == bool(list(operators("", mixer)))
        for m in found:
            assert m.matrix.shape[1] == 4
            assert m.matrix.isfinite().all()
            assert m.matrix.any()
        if len(found) == 1 and found[0].kind == "weights" and not found[0].memory and case.smooth:
            moved = tn.influence(mixer, *tokens, sample=1) > 1e-12
            apart = ~torch.eye(4).bool()  # a token may go to itself by another way
            leaks = (moved & (found[0].mean == 0) & apart).any()
            assert leaks == ("zeroed softmax" in case.name), "whose sum knows what was zeroed"


def test_modes_hooks_and_inputs_are_left_alone() -> None:
    net = _net(tn.Attention(DIM, 2), dropout=0.5).train()
    net.mixers[0].mixers[1].eval()
    modes = {n: m.training for n, m in net.named_modules()}
    x = torch.randn(1, N, DIM)
    before = x.clone()
    (one,), (two,) = tn.inspect.mixing(net, x), tn.inspect.mixing(net, x)
    assert torch.equal(one.matrix, two.matrix), "without dropout"
    assert {n: m.training for n, m in net.named_modules()} == modes
    assert not any(m._forward_pre_hooks for m in net.modules())
    assert torch.equal(x, before)
    with pytest.raises(ValueError, match="sample is 1, expected less than the 1 samples"):
        tn.inspect.mixing(net, x, sample=1)
    assert {n: m.training for n, m in net.named_modules()} == modes
    with pytest.raises(ValueError, match="structure is None, expected a Structure; a mixer has no"):
        tn.inspect.mixing(tn.Pooling(), x)
    with pytest.raises(TypeError, match="net is Linear, expected a TokenNet or a Mixer"):
        tn.inspect.mixing(nn.Linear(2, 2), x)


def test_rollout_is_the_product_with_residuals() -> None:
    net = _net(tn.Attention(DIM, 2), tn.Attention(DIM, 2, tn.Causal()))
    x = torch.randn(1, N, DIM)
    one, two = (m.mean for m in tn.inspect.mixing(net, x))
    same = torch.eye(N)
    torch.testing.assert_close(tn.inspect.rollout(net, x), (two + same) / 2 @ ((one + same) / 2))
    bare = _net(tn.Attention(DIM, 2), residual=tn.NoResidual)
    (alone,) = tn.inspect.mixing(bare, x)
    torch.testing.assert_close(tn.inspect.rollout(bare, x), alone.mean)
    side = _net(tn.Parallel(tn.Attention(DIM, 2), tn.Pooling()))
    a, b = (m.mean for m in tn.inspect.mixing(side, x))
    torch.testing.assert_close(tn.inspect.rollout(side, x), ((a + b) / 2 + same) / 2)
    apart = _net(tn.Pointwise(DIM))
    torch.testing.assert_close(tn.inspect.rollout(apart, x), same)
    mixed = _net(tn.LinearAttention(DIM, 2), tn.TokenMLP(N), tn.Convolution(DIM, tn.Window(1)))
    torch.testing.assert_close(tn.inspect.rollout(mixed, x).sum(-1), torch.ones(N))


def test_receptive_field_grows_by_the_window() -> None:
    x = torch.randn(2, 24, DIM)
    for radius in (1, 2):
        net = _net(*(tn.Attention(DIM, 2, tn.Window(radius)) for _ in range(4)))
        assert tn.inspect.receptive_field(net, x) == [1 + 2 * radius * k for k in range(5)]
    assert tn.inspect.receptive_field(_net(tn.Pooling(), tn.Pooling()), x) == [1, 24, 24]


@pytest.mark.parametrize(
    ("mixer", "count", "pairs"),
    [
        (tn.Attention(DIM, 2), 1, N * N),
        (tn.Attention(DIM, 2, tn.Causal()), 1, N * (N + 1) // 2),
        (tn.Attention(DIM, 2, tn.EdgeList()), 1, 7),
        (tn.LinearAttention(DIM, 2), 1, N * N),
        (tn.GraphConvolution(DIM), 1, N + 7),
        (tn.SAGEConvolution(DIM), 2, N + 7),
        (tn.Convolution(DIM, tn.Window(1)), 3, 3 * N - 2),
        (tn.Convolution(DIM, tn.Window(2), groups=DIM), 5, 5 * N - 6),
        (tn.Convolution(DIM, tn.Window(1, wrap=True)), 3, 3 * N),
        (tn.Pointwise(DIM), 1, N),
        (tn.TokenMLP(N), N * N, N * N),
        (tn.RNN(DIM), N * (N + 1) // 2, N * (N + 1) // 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_shared_weights(mixer: tn.Mixer, count: int, pairs: int) -> None:
    """One map for all pairs in attention, one for each offset in a convolution, ..."""
    structure = tn.Structure.dense(1, N, edges=tn.Edges(EDGES))
    found = tn.inspect.shared_maps(mixer, structure, dim=DIM)
    assert (int(found.max()) + 1, int((found >= 0).sum())) == (count, pairs)


def test_offsets_share_in_a_convolution() -> None:
    found = tn.inspect.shared_maps(tn.Convolution(DIM, tn.Window(1)), tn.Structure.dense(1, N))
    for offset in (-1, 0, 1):
        assert len(found.diagonal(offset).unique()) == 1


def test_graph_has_attention_on_its_edges() -> None:
    net = _net(tn.Attention(DIM, 2, tn.Causal()))
    (found,) = tn.inspect.mixing(net, torch.randn(1, N, DIM))
    graph = tn.inspect.mixing_graph(found, head=1)
    assert isinstance(graph, nx.DiGraph)
    assert set(graph.edges) == {(j, i) for i in range(N) for j in range(i + 1)}, "source, target"
    assert graph.edges[0, 3]["weight"] == pytest.approx(float(found.matrix[1, 3, 0]))
    assert len(tn.inspect.mixing_graph(found, smallest=0.5).edges) < len(graph.edges)
    with pytest.raises(ValueError, match="head is 2, expected less than the 2 heads"):
        tn.inspect.mixing_graph(found, head=2)


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    net = _net(tn.Attention(DIM, 2), tn.TokenMLP(N), tn.Attention(DIM, 4))
    found = tn.inspect.mixing(net, torch.randn(1, N, DIM))
    assert len(tn.inspect.draw_mixing(found).axes) == 3
    figure = tn.inspect.draw_mixing(found, heads=True, path=tmp_path / "heads.png")
    assert len(figure.axes) == 2 + 1 + 4
    assert figure.axes[0].get_title() == "Attention Full\nmixers.0.mixers.0.mixer\nhead 0"
    maps = {"TokenMLP": tn.inspect.shared_maps(tn.TokenMLP(N), tn.Structure.dense(1, N))}
    figure = tn.inspect.draw_structure(maps, path=tmp_path / "structure.png")
    assert figure.axes[0].get_title() == f"TokenMLP\n{N * N} maps"
    tn.inspect.draw_receptive_field({"net": [1, 3, 5]}, path=tmp_path / "field.png")
    tn.inspect.draw_mixing_graph(found[0], labels=list("tokenne"), path=tmp_path / "graph.png")
    for name in ("heads", "structure", "field", "graph"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    for draw in (tn.inspect.draw_structure, tn.inspect.draw_receptive_field):
        with pytest.raises(ValueError, match=r"is \{\}, expected at least one"):
            draw({})
    with pytest.raises(TypeError, match=r"found is empty, expected what tn\.inspect\.mixing gave"):
        tn.inspect.draw_mixing([])
    with pytest.raises(ValueError, match="labels is 2, expected a name for each of 7 tokens"):
        tn.inspect.draw_mixing_graph(found[0], labels=["a", "b"])
