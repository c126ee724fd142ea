"""Influence against known matrices, its picture, and what counts as a transformer."""

import pytest
import torch
from torch import nn

import tokennet as tn

DIM, N = 4, 6


def test_influence_of_pooling_is_its_matrix() -> None:
    """Pooling mixes linearly and alike in each channel: sqrt(D) times the weights."""
    structure = tn.Structure.dense(2, N)
    x = torch.randn(2, N, DIM)
    pooling = tn.Pooling(tn.Window(1))
    weights = pooling.weights(x, structure)[1, 0]
    found = tn.influence(pooling, x, structure, sample=1)
    torch.testing.assert_close(found, weights * DIM**0.5)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_influence_is_of_one_sample(packed: bool) -> None:
    """Real tokens of the sample named, in order; a readout has one row; gradients may be off."""
    tokens = tn.Tokens.from_list([torch.randn(3, DIM), torch.randn(5, DIM)])
    tokens = tokens if packed else tokens.padded()
    with torch.no_grad():
        found = tn.influence(tn.Attention(DIM, 2, tn.Causal()), *tokens, sample=1)
        pooled = tn.influence(tn.MeanReadout(DIM, 7), *tokens, sample=0)
    assert found.shape == (5, 5)
    assert (found.triu(1) == 0).all()
    assert (found.tril()[torch.ones(5, 5).tril().bool()] > 0).all()
    assert pooled.shape == (1, 3)
    other = tn.influence(tn.MeanReadout(DIM, 7), *tokens, sample=1)
    assert other.shape == (1, 5)
    assert (other > 0).all()
    with pytest.raises(ValueError, match="sample is 2, expected less than the 2 samples"):
        tn.influence(tn.MeanReadout(DIM, 7), *tokens, sample=2)


def test_influence_of_a_net_is_from_tokens_to_answer() -> None:
    net = tn.TokenNet(tn.FeatureTokenizer(2, DIM), [tn.Attention(DIM, 2)], tn.MeanReadout(DIM, 3))
    x, structure = net.tokens(torch.randn(1, N, 2))
    assert tn.influence(net, x, structure).shape == (1, N)
    with pytest.raises(TypeError, match="mixer is Linear, expected a Mixer or a TokenNet"):
        tn.influence(nn.Linear(2, 2), x, structure)


def test_receptive_fields_grow_with_depth() -> None:
    """Pairs, then pairs of pairs: k layers of radius one reach k tokens to each side."""
    x, structure = torch.randn(1, 11, DIM), tn.Structure.dense(1, 11)
    for depth in (1, 2, 3):
        layers = [tn.Convolution(DIM, tn.Window(1)) for _ in range(depth)]
        found = tn.influence(tn.Sequential(*layers), x, structure)
        apart = (torch.arange(11)[:, None] - torch.arange(11)).abs()
        assert ((found > 0) == (apart <= depth)).all()


def test_picture(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "p.png"
    figure = tn.draw_influence({"a": torch.eye(4), "b": torch.zeros(1, 4)}, columns=2, path=path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert [axis.get_title() for axis in figure.axes] == ["a", "b"]
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]
    with pytest.raises(ValueError, match=r"matrices is \{\}, expected at least one matrix"):
        tn.draw_influence({})
    with pytest.raises(ValueError, match="columns is 0, expected at least 1"):
        tn.draw_influence({"a": torch.eye(2)}, columns=0)
    with pytest.raises(TypeError, match=r"matrices\['a'\] is \(3,\), expected a matrix"):
        tn.draw_influence({"a": torch.zeros(3)})


def net(*mixers: tn.Mixer) -> tn.TokenNet:
    return tn.TokenNet(tn.FeatureTokenizer(2, DIM), list(mixers), tn.MeanReadout(DIM, 3))


TRANSFORMERS = {
    "encoder": lambda: [tn.SinusoidalPosition(DIM), tn.Block(DIM, tn.Attention(DIM, 2))],
    "decoder": lambda: [
        tn.Block(DIM, tn.Attention(DIM, 2, tn.Causal()), tn.Attention(DIM, 2, tn.Memory()))
    ],
    "on a graph": lambda: [
        tn.LaplacianPosition(DIM),
        tn.Block(DIM, tn.Attention(DIM, 2, tn.EdgeList()), residual=tn.PostNorm),
    ],
    "basic": lambda: [tn.BasicAttention(), tn.Pointwise(DIM)],
    "learned positions": lambda: [tn.LearnedPosition(9, DIM), tn.Attention(DIM, 2)],
}
OTHERS = {
    "mixer": lambda: [tn.Block(DIM, tn.TokenMLP(6))],
    "gcn": lambda: [tn.GraphConvolution(DIM)],
    "gps": lambda: [tn.Block(DIM, tn.Parallel(tn.GraphConvolution(DIM), tn.Attention(DIM, 2)))],
    "convolution": lambda: [tn.Attention(DIM, 2), tn.Convolution(DIM, tn.Window(1))],
    "pooling": lambda: [tn.Attention(DIM, 2), tn.Pooling()],
    "nothing mixes": lambda: [tn.Pointwise(DIM)],
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_is_a_transformer(name: str) -> None:
    assert tn.is_transformer(net(*TRANSFORMERS[name]()))


@pytest.mark.parametrize("name", OTHERS)
def test_is_no_transformer(name: str) -> None:
    assert not tn.is_transformer(net(*OTHERS[name]()))


def test_is_transformer_of_something_else() -> None:
    with pytest.raises(TypeError, match="net is Linear, expected a TokenNet or a Mixer"):
        tn.is_transformer(nn.Linear(2, 2))
