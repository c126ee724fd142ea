"""Draws the pictures of docs/inside.md."""

from pathlib import Path

import torch

import tokennet as tn

PICTURES = Path(__file__).parent / "pictures"
DIM, N = 16, 10
PATH = torch.stack([torch.arange(N - 1), torch.arange(1, N)])
EDGES = tn.Edges(torch.cat([PATH, PATH.flip(0), torch.tensor([[0, 9, 2, 7], [9, 0, 7, 2]])], 1))


def operators() -> dict[str, tn.Mixer]:
    return {
        "Attention, Full()": tn.Attention(DIM, 2),
        "Attention, Causal()": tn.Attention(DIM, 2, tn.Causal()),
        "Attention, Window(1)": tn.Attention(DIM, 2, tn.Window(1)),
        "Attention, EdgeList()": tn.Attention(DIM, 2, tn.EdgeList()),
        "GraphConvolution": tn.GraphConvolution(DIM),
        "SAGEConvolution": tn.SAGEConvolution(DIM),
        "Convolution, Window(1)": tn.Convolution(DIM, tn.Window(1)),
        "Convolution, ring": tn.Convolution(DIM, tn.Window(2, wrap=True)),
        "FourierMixing": tn.FourierMixing(),
        "TokenMLP": tn.TokenMLP(N),
        "LSTM": tn.LSTM(DIM),
        "Pointwise": tn.Pointwise(DIM),
    }


def structure() -> None:
    """Who mixes with whom, the pairs that share a map in one colour."""
    facts = tn.Structure.dense(1, N, edges=EDGES)
    found = {n: tn.inspect.shared_maps(m, facts, dim=4) for n, m in operators().items()}
    tn.inspect.draw_structure(found, columns=6, path=PICTURES / "structure.png")


def mixing() -> None:
    """Of every operator of one net, what it is: weights, a closed form, a Jacobian."""
    torch.manual_seed(3)
    choice = ["Attention, Full()", "GraphConvolution", "TokenMLP", "LSTM"]
    own = operators()
    blocks = [tn.Block(DIM, m) for m in (own[c] for c in choice)]
    blocks.insert(1, tn.Block(DIM, tn.LinearAttention(DIM, 2)))
    net = tn.TokenNet(tn.FeatureTokenizer(DIM), blocks, tn.MeanReadout(DIM, 2))
    x, facts = 2 * torch.randn(1, N, DIM), tn.Structure.dense(1, N, edges=EDGES)
    found = tn.inspect.mixing(net, x, facts)
    tn.inspect.draw_mixing(found, columns=5, path=PICTURES / "mixing.png")


def reach() -> None:
    """How many tokens reach one output after each block."""
    names = ["Attention, Full()", "Attention, Causal()", "Attention, Window(1)", "Pointwise"]
    own, x = operators(), torch.randn(1, 24, DIM)
    fields = {}
    for name in names:
        layers = [tn.Block(DIM, own[name]) for _ in range(6)]
        net = tn.TokenNet(tn.FeatureTokenizer(DIM), layers, tn.TokenReadout(DIM, 2))
        fields[name] = tn.inspect.receptive_field(net, x)
    tn.inspect.draw_receptive_field(fields, path=PICTURES / "reach.png")


if __name__ == "__main__":
    structure()
    mixing()
    reach()
