"""torch.export of whole nets, run at other sizes than they were exported with.

Axes: B samples, N tokens, T rows of the flat view, E edges, D channels.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

import tokennet as tn

DIM = 16


@pytest.fixture(autouse=True)
def _plain(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("typecheck"):
        pytest.skip("the checks of --typecheck cannot be traced")


class WithMask(nn.Module):
    """A net of ids `[B, N]` and a mask: how padding is passed to an exported program."""

    def __init__(self, net: tn.TokenNet):
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.net(ids, tn.Structure.padded(mask))


class WithEdges(nn.Module):
    """A net of packed features `[T, D]`, where the samples begin, and edges."""

    def __init__(self, net: tn.TokenNet):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, ptr: Tensor, max_length: int, index: Tensor) -> Tensor:
        layout = tn.Packed(ptr, x.shape[0], max_length)
        return self.net(x, tn.Structure(layout, tn.Edges(index)))


def text_net(*mixers: tn.Mixer) -> tn.TokenNet:
    blocks = [tn.Block(DIM, mixer) for mixer in mixers]
    tokenizer = tn.ClassToken(tn.EmbeddingTokenizer(11, DIM))
    return tn.TokenNet(tokenizer, [tn.LearnedPosition(40, DIM), *blocks], tn.ClassReadout(DIM, 5))


def _same(program: nn.Module, net: nn.Module, *inputs: Tensor | int) -> Tensor:
    """Asserts that the two agree; their answer."""
    with torch.no_grad():
        y, z = program(*inputs), net(*inputs)
    assert y.shape == z.shape
    assert (y - z).abs().max() <= 1e-5
    assert y.std() > 1e-2, "nothing to compare"
    return y


def _ids(batch: int, tokens: int) -> Tensor:
    return torch.randint(11, (batch, tokens))


@pytest.mark.parametrize("strict", [False, True])
def test_batch_and_tokens(strict: bool) -> None:
    """A ViT on ids; the program knows that it holds 40 positions, the class token included."""
    net = text_net(tn.Attention(DIM, 2), tn.Attention(DIM, 4)).eval()
    sizes = {0: Dim("batch"), 1: Dim("tokens", max=39)}
    exported = export(net, (_ids(2, 5),), dynamic_shapes={"inputs": sizes}, strict=strict)
    program = exported.module()
    for shape in ((2, 5), (7, 12), (1, 39), (3, 1)):
        _same(program, net, _ids(*shape))
    with pytest.raises(AssertionError, match="39"):
        program(_ids(2, 40))


def test_any_number_of_tokens() -> None:
    """Without learned positions there is no bound, whatever mixes the tokens."""
    mixers = [
        tn.Attention(DIM, 2, tn.Causal()),
        tn.Attention(DIM, 2, tn.Window(2)),
        tn.LinearAttention(DIM, 2),
        tn.Convolution(DIM, tn.Window(1)),
        tn.Pooling(),
    ]
    layers = [tn.SinusoidalPosition(DIM), *(tn.Block(DIM, m) for m in mixers)]
    net = tn.TokenNet(tn.EmbeddingTokenizer(11, DIM), layers, tn.MeanReadout(DIM, 5)).eval()
    sizes = {0: Dim("batch"), 1: Dim("tokens")}
    program = export(net, (_ids(2, 5),), dynamic_shapes={"inputs": sizes}).module()
    for shape in ((2, 5), (7, 12), (3, 200)):
        _same(program, net, _ids(*shape))


@pytest.mark.parametrize("strict", [False, True])
def test_mask(strict: bool) -> None:
    """Padding anywhere; what stands there does not reach the answer of the program either."""
    net = WithMask(text_net(tn.Attention(DIM, 2), tn.TokenMLP(40, 7))).eval()

    def inputs(batch: int, tokens: int) -> tuple[Tensor, Tensor]:
        mask = torch.rand(batch, tokens) < 0.6
        mask[:, -1] = True
        return _ids(batch, tokens), mask

    sizes = {0: Dim("batch"), 1: Dim("tokens", max=39)}
    exported = export(net, inputs(2, 5), dynamic_shapes=(sizes, sizes), strict=strict)
    program = exported.module()
    for shape in ((2, 5), (7, 12), (3, 39)):
        ids, mask = inputs(*shape)
        y = _same(program, net, ids, mask)
        other = torch.where(mask, ids, (ids + 1) % 11)
        assert not torch.equal(other, ids)
        assert (program(other, mask) - y).abs().max() <= 1e-6


def test_mixer_with_dynamic_batch() -> None:
    blocks = [tn.Block(DIM, tn.TokenMLP(16, 8)) for _ in range(2)]
    net = tn.TokenNet(tn.PatchTokenizer(3, 4, DIM), blocks, tn.MeanReadout(DIM, 5)).eval()
    program = export(
        net, (torch.randn(2, 3, 16, 16),), dynamic_shapes={"inputs": {0: Dim("batch")}}
    ).module()
    for batch in (2, 1, 9):
        _same(program, net, torch.randn(batch, 3, 16, 16))


def test_images_of_any_size() -> None:
    blocks = [tn.Block(DIM, tn.Attention(DIM, 2)), tn.Block(DIM, tn.Pooling(tn.Neighborhood(1)))]
    net = tn.TokenNet(tn.PatchTokenizer(3, 4, DIM), blocks, tn.MeanReadout(DIM, 5)).eval()
    sizes = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    program = export(net, (torch.randn(2, 3, 8, 12),), dynamic_shapes={"inputs": sizes}).module()
    for shape in ((2, 8, 12), (5, 16, 16), (3, 8, 24)):
        _same(program, net, torch.randn(shape[0], 3, *shape[1:]))


def test_graphs_of_any_size() -> None:
    """Samples, tokens, edges and the longest sample all vary."""
    graph, loops = tn.GraphConvolution(DIM), tn.EdgeList(self_loops=True)
    mix = tn.Parallel(graph, tn.Attention(DIM, 2), tn.Attention(DIM, 2, loops))
    blocks = [tn.Block(DIM, mix), tn.Block(DIM, tn.GraphAttention(DIM, 2))]
    tokenizer = tn.FeatureTokenizer(6, DIM)
    net = WithEdges(tn.TokenNet(tokenizer, blocks, tn.MeanReadout(DIM, 3))).eval()

    def inputs(lengths: list[int], edges: int) -> tuple[Tensor, Tensor, int, Tensor]:
        layout = tn.Packed.of(lengths)
        index = torch.randint(layout.num_tokens, (2, 1000))
        inside = layout.sample[index[0]] == layout.sample[index[1]]
        x = torch.randn(layout.num_tokens, 6)
        return x, layout.ptr, layout.max_length, index[:, inside][:, :edges]

    sizes = ({0: Dim.AUTO}, {0: Dim.AUTO}, Dim.AUTO, {1: Dim.AUTO})
    program = export(net, inputs([3, 5, 2], 7), dynamic_shapes=sizes).module()
    for lengths, edges in (([3, 5, 2], 7), ([9, 2], 30), ([4, 8, 6, 7, 3], 55)):
        _same(program, net, *inputs(lengths, edges))
