"""Nets: what they accept, what they promise, what they return."""

import pytest
import torch
from torch import nn

import tokennet as tn


def test_widths_are_checked_through_compositions() -> None:
    """Channels may change inside a net; what can't fit is refused by name."""
    wider = tn.Sequential(tn.GraphConvolution(8, out_dim=16), tn.TokenWise(nn.ReLU()))
    both = tn.Parallel(tn.Pointwise(8, out_dim=16), tn.GraphConvolution(8, out_dim=16))
    tokenizer, structure = (
        tn.FeatureTokenizer(8),
        tn.Structure.packed([5], edges=tn.Edges(torch.tensor([[0, 1], [1, 2]]))),
    )
    for mixer in (wider, both, tn.TokenWise(nn.Linear(8, 16)), tn.GraphAttention(8, 2, out_dim=16)):
        net = tn.TokenNet(tokenizer, [mixer], tn.TokenReadout(16, 3))
        assert net(torch.randn(5, 8), structure).shape == (5, 3)
    with pytest.raises(
        ValueError, match=r"readout.dim is 8, expected 16, the channels that reach it"
    ):
        tn.TokenNet(tokenizer, [both], tn.MeanReadout(8, 3))
    with pytest.raises(ValueError, match=r"mixers\[1\].dim is 16, expected 8"):
        tn.TokenNet(tokenizer, [tn.Pooling(), tn.Pointwise(16)], tn.MeanReadout(16, 3))


def test_encode_gives_the_tokens_before_the_readout() -> None:
    net = tn.TokenNet(
        tn.PatchTokenizer(1, 2, 8), [tn.Block(8, tn.Attention(8, 2))], tn.MeanReadout(8, 3)
    )
    images = torch.randn(4, 1, 6, 4)
    tokens = net.encode(images)
    assert tokens.shape == (4, 6, 8)
    _, structure = net.tokens(images)
    assert structure.grid == (3, 2)
    torch.testing.assert_close(net.readout(tokens, structure), net(images))


def test_padding_is_cleared_once_also_of_nan() -> None:
    """NaN where nothing is: no output, no gradient, no weight may hear of it."""
    valid = torch.tensor([[True, True, False], [True, False, False]])
    x = torch.randn(2, 3, 8).masked_fill(~valid[..., None], torch.nan)
    net = tn.TokenNet(
        tn.FeatureTokenizer(8), [tn.Block(8, tn.Attention(8, 2))], tn.MeanReadout(8, 3)
    )
    y = net(x, tn.Structure.padded(valid))
    clean = net(x.nan_to_num(0), tn.Structure.padded(valid))
    torch.testing.assert_close(y, clean)
    y.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_class_token() -> None:
    """In front of every sample, whatever the layout; an empty sample has nothing else."""
    tokenizer = tn.ClassToken(tn.FeatureTokenizer(8))
    net = tn.TokenNet(tokenizer, [tn.Block(8, tn.Attention(8, 2))], tn.ClassReadout(8, 3)).double()
    samples = [torch.randn(n, 8, dtype=torch.float64) for n in (3, 0, 5)]
    index = torch.tensor([[0, 3], [1, 7]])
    packed = tn.Tokens.from_list(samples, edges=tn.Edges(index))
    padded = packed.padded()
    torch.testing.assert_close(net(*packed), net(*padded), rtol=1e-12, atol=1e-12)
    x, structure = tokenizer(*packed)
    assert structure.lengths.tolist() == [4, 1, 6]
    assert structure.edges.index.tolist() == [[1, 6], [2, 10]]
    for row in (0, 4, 5):
        torch.testing.assert_close(x[row], tokenizer.token)
    torch.testing.assert_close(x[1:4], samples[0])


def test_a_net_asks_for_the_facts_that_it_reads() -> None:
    net = tn.TokenNet(tn.FeatureTokenizer(8), [tn.GraphConvolution(8)], tn.MeanReadout(8, 3))
    with pytest.raises(
        ValueError, match=r"structure.edges is None, expected edges, which TokenNet reads"
    ):
        net(torch.randn(2, 5, 8))


def test_decoder_reads_memory() -> None:
    """The memory's content matters, its order does not; gradients reach it."""
    block = tn.Block(
        8, tn.Attention(8, 2, tn.Causal()), tn.Attention(8, 2, tn.Memory(), memory_dim=6)
    ).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    memory = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    y = block(x, tn.Structure.dense(2, 5, memory=memory))
    turned = block(x, tn.Structure.dense(2, 5, memory=memory.roll(1, 1)))
    torch.testing.assert_close(y, turned, rtol=1e-12, atol=1e-12)
    assert (block(x, tn.Structure.dense(2, 5, memory=memory + 1)) - y).abs().max() > 1e-3
    y.sum().backward()
    assert memory.grad is not None
    assert memory.grad.abs().max() > 0


def test_dropout_acts_in_train_mode_only() -> None:
    block = tn.Block(8, tn.Attention(8, 2, dropout=0.5), dropout=0.5)
    x, structure = torch.randn(2, 5, 8), tn.Structure.dense(2, 5)
    assert not torch.equal(block(x, structure), block(x, structure))
    block.eval()
    assert torch.equal(block(x, structure), block(x, structure))


def test_mixing_weights_are_what_the_output_uses() -> None:
    """`weights @ values`, through the output map, is the output: dense, sparse and linear."""
    index = torch.tensor([[0, 1, 2, 0, 3], [1, 0, 1, 1, 3]])
    structure = tn.Structure.packed([4, 2], edges=tn.Edges(index))
    x = torch.randn(6, 8, dtype=torch.float64)
    attention = (tn.Attention(8, 2), tn.Attention(8, 2, tn.EdgeList()))
    linear = (tn.LinearAttention(8, 2), tn.LinearAttention(8, 2, tn.Causal()))
    for mixer in (*attention, *linear, tn.Pooling(), tn.Pooling(tn.EdgeList())):
        mixer = mixer.double()
        weights = mixer.weights(x, structure)
        values = getattr(mixer, "value", nn.Identity())(x)
        heads = mixer.heads.num_heads if hasattr(mixer, "heads") else 1
        if isinstance(weights, tuple):
            edges, alpha = weights
            parts = alpha[..., None] * values.unflatten(-1, (heads, -1))[edges[0]]
            mixed = torch.zeros(6, heads, 8 // heads, dtype=x.dtype).index_add(0, edges[1], parts)
        else:
            padded = structure.layout.pad(values).unflatten(-1, (heads, -1))
            mixed = structure.layout.unpad(torch.einsum("bhnm,bmhd->bnhd", weights, padded))
        output = getattr(mixer, "output", nn.Identity())
        torch.testing.assert_close(
            output(mixed.flatten(1)), mixer(x, structure), rtol=1e-11, atol=1e-11
        )
