"""Corners of the operators, each against a few lines of plain arithmetic."""

import pytest
import torch

import tokennet as tn


def test_graph_convolution_with_weights_that_cancel() -> None:
    """A degree that is zero or negative: the token sends and hears nothing, and nothing is NaN."""
    index = torch.tensor([[0, 1, 2, 1], [1, 0, 0, 2]])
    weight = torch.tensor([1.0, 2.0, -5.0, 1.0], requires_grad=True)
    edges = tn.Edges(index, weight)
    conv = tn.GraphConvolution(3, bias=False, self_loops=False)
    x = torch.randn(4, 3, requires_grad=True)
    y = conv(x, tn.Structure.packed([4], edges=edges))
    degree = torch.tensor([-3.0, 1.0, 1.0, 0.0])  # of tokens 0 to 3
    assert torch.equal(y[0], torch.zeros(3))
    assert torch.equal(y[3], torch.zeros(3))
    torch.testing.assert_close(y[2], conv.map(x[1]) / (degree[1] * degree[2]).sqrt())
    y.sum().backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_self_loops_keep_weights_and_features() -> None:
    """Only tokens without a loop get one; its weight is 1, its features are 0."""
    index = torch.tensor([[0, 1, 2], [1, 1, 0]])
    edges = tn.Edges(index, torch.tensor([0.5, 3.0, 0.25]), torch.tensor([[1.0], [2.0], [4.0]]))
    looped = tn.Structure.packed([3], edges=edges).sorted_edges.with_self_loops
    kept = [
        (int(s), int(t), float(w), float(a))
        for s, t, w, a, keep in zip(
            looped.source, looped.target, looped.weight, looped.attr, looped.keep, strict=True
        )
        if keep
    ]
    assert sorted(kept) == [
        (0, 0, 1.0, 0.0),
        (0, 1, 0.5, 1.0),
        (1, 1, 3.0, 2.0),
        (2, 0, 0.25, 4.0),
        (2, 2, 1.0, 0.0),
    ]


def test_token_mlp_with_padding_beyond_its_positions() -> None:
    """Padding may be longer than `max_tokens`; the answer is that of the bare sample."""
    mixer = tn.TokenMLP(4, 6).double()
    x = torch.randn(1, 9, 5, dtype=torch.float64)
    valid = torch.zeros(1, 9, dtype=torch.bool)
    valid[0, [1, 4, 8]] = True
    y = mixer(x, tn.Structure.padded(valid))[valid]
    bare = mixer(x[valid], tn.Structure.packed([3]))
    torch.testing.assert_close(y, bare, rtol=1e-12, atol=1e-12)
    full = torch.cat([x[valid], torch.zeros(1, 5, dtype=torch.float64)])
    by_hand = mixer.contract(mixer.activation(mixer.expand(full.T))).T[:3]
    torch.testing.assert_close(bare, by_hand, rtol=1e-12, atol=1e-12)


def test_class_token_keeps_edges_and_memory() -> None:
    """Edges move behind the class token, the memory stays, in both layouts."""
    tokenizer = tn.ClassToken(tn.FeatureTokenizer(4))
    mixers = [
        tn.Block(
            4, tn.Attention(4, 2, tn.EdgeList(self_loops=True)), tn.Attention(4, 2, tn.Memory())
        )
    ]
    net = tn.TokenNet(tokenizer, mixers, tn.ClassReadout(4, 2)).double()
    memory = tn.Tokens.from_list([torch.randn(n, 4, dtype=torch.float64) for n in (2, 3)])
    tokens = tn.Tokens.from_list(
        [torch.randn(n, 4, dtype=torch.float64) for n in (3, 1)],
        edges=tn.Edges(torch.tensor([[0, 1, 3], [1, 2, 3]])),
        memory=memory,
    )
    torch.testing.assert_close(net(*tokens), net(*tokens.padded()), rtol=1e-12, atol=1e-12)
    x, structure = tokenizer(*tokens)
    assert structure.edges.index.tolist() == [[1, 2, 5], [2, 3, 5]]
    torch.testing.assert_close(x[[1, 2, 3, 5]], tokens.x)


def test_long_samples_through_every_dense_topology() -> None:
    """1,500 tokens: a window sees its window, and the rows are finite."""
    x = torch.randn(1500, 8)
    for topology in (tn.Full(), tn.Causal(), tn.Window(3), tn.Causal() & tn.Window(3)):
        y = tn.Attention(8, 2, topology)(x, tn.Structure.packed([1500]))
        assert y.isfinite().all()


def test_edge_features_of_another_dtype_are_refused_by_name() -> None:
    import torch_geometric.nn as pyg

    conv = tn.MessagePassing(pyg.TransformerConv(4, 4, edge_dim=2))
    edges = tn.Edges(torch.tensor([[0], [1]]), None, torch.randn(1, 2, dtype=torch.float64))
    structure = tn.Structure.packed([2], edges=edges)
    with pytest.raises(TypeError, match=r"structure.edges.attr.dtype is torch.float64, expected"):
        conv(torch.randn(2, 4), structure)
