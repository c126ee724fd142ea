"""The nets of the demo: one function for images, one for graphs; the mixer is an argument."""

from collections.abc import Callable

from torch import nn

import tokennet as tn

DIM, PATCHES, DIGITS = 32, 16, 10


def image_net(mixer: Callable[[int], tn.Mixer], *, position: bool) -> tn.TokenNet:
    """16 patches of 2x2 pixels, a position code if asked for, two blocks, the mean."""
    code = [tn.LearnedPosition(PATCHES, DIM)] if position else []
    blocks = [tn.Block(DIM, mixer(DIM), mlp=tn.Pointwise(DIM, 2 * DIM)) for _ in range(2)]
    return tn.TokenNet(tn.PatchTokenizer(1, 2, DIM), [*code, *blocks], tn.MeanReadout(DIM, DIGITS))


IMAGE_MIXERS: dict[str, Callable[[int], tn.Mixer]] = {
    "full attention": lambda dim: tn.Attention(dim, 4),
    "sparse attention": lambda dim: tn.Attention(dim, 4, tn.Neighborhood(1)),
    "token MLP": lambda dim: tn.TokenMLP(PATCHES, 2 * PATCHES),
    "1x1": lambda dim: tn.Pointwise(dim),
}


def graph_net(mixer: Callable[[int], tn.Mixer], in_dim: int, classes: int) -> tn.TokenNet:
    """Two mixers of 16 channels with a ReLU between them, much as in the GCN and GAT papers."""
    dim = 16
    return tn.TokenNet(
        tn.FeatureTokenizer(in_dim, dim),
        [
            tn.TokenWise(nn.LayerNorm(dim), nn.Dropout(0.5)),
            mixer(dim),
            tn.TokenWise(nn.ReLU(), nn.Dropout(0.5)),
            mixer(dim),
        ],
        tn.TokenReadout(dim, classes, norm=None),
    )


GRAPH_MIXERS: dict[str, Callable[[int], tn.Mixer]] = {
    "GCN": lambda dim: tn.GraphConvolution(dim),
    "GAT": lambda dim: tn.GraphAttention(dim, 1),
    "sparse attention": lambda dim: tn.Attention(dim, 1, tn.EdgeList(self_loops=True)),
    "full attention": lambda dim: tn.Attention(dim, 1),
}
