"""torch.compile(fullgraph=True) of whole nets: equal to eager, and not compiled for every size.

Axes: B samples, N tokens, T rows of the flat view, E edges, D channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from operators import OPERATORS, Operator, ragged_tokens
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

import tokennet as tn

DIM = 16
Inputs = tuple[Any, ...]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("typecheck"):
        pytest.skip("the checks of --typecheck cannot be traced")
    torch._dynamo.reset()


def images(batch: int, height: int, width: int) -> Inputs:
    return (torch.randn(batch, 3, height, width),)


def ids(batch: int, tokens: int) -> Inputs:
    return (torch.randint(11, (batch, tokens)),)


def masked(batch: int, tokens: int) -> Inputs:
    valid = torch.rand(batch, tokens) < 0.7
    valid[:, -1] = True
    return (torch.randint(11, (batch, tokens)), tn.Structure.padded(valid))


def packed(*lengths: int) -> Inputs:
    return (torch.randint(11, (sum(lengths),)), tn.Structure.packed(lengths))


def graphs(num_edges: int, *lengths: int) -> Inputs:
    structure = tn.Structure.packed(lengths)
    sample = structure.layout.sample
    index = torch.randint(sum(lengths), (2, 1000))
    index = index[:, sample[index[0]] == sample[index[1]]][:, :num_edges]
    weight = torch.rand(index.shape[1]) + 0.1
    return (torch.randn(sum(lengths), 6), structure.with_facts(edges=tn.Edges(index, weight)))


def decoder(batch: int, tokens: int, sources: int) -> Inputs:
    valid = torch.rand(batch, sources) < 0.7
    valid[:, -1] = True
    memory = tn.Tokens(torch.randn(batch, sources, DIM), tn.Structure.padded(valid))
    return (*ids(batch, tokens), tn.Structure.dense(batch, tokens, memory=memory))


def image_net(mixer: Callable[[], tn.Mixer]) -> tn.TokenNet:
    blocks = [tn.Block(DIM, mixer()) for _ in range(2)]
    layers = [tn.LearnedPosition(64, DIM), *blocks]
    return tn.TokenNet(tn.PatchTokenizer(3, 4, DIM), layers, tn.MeanReadout(DIM, 5))


def text_net(mixer: Callable[[], tn.Mixer]) -> tn.TokenNet:
    layers = [tn.LearnedPosition(40, DIM), tn.Block(DIM, mixer())]
    tokenizer = tn.ClassToken(tn.EmbeddingTokenizer(11, DIM))
    return tn.TokenNet(tokenizer, layers, tn.ClassReadout(DIM, 5))


def decoder_net() -> tn.TokenNet:
    block = tn.Block(DIM, tn.Attention(DIM, 2, tn.Causal()), tn.Attention(DIM, 2, tn.Memory()))
    layers = [tn.SinusoidalPosition(DIM), block]
    return tn.TokenNet(tn.EmbeddingTokenizer(11, DIM), layers, tn.TokenReadout(DIM, 11))


def gat() -> tn.TokenNet:
    layers = [tn.GraphAttention(6, 2, out_dim=DIM), tn.TokenWise(nn.ELU())]
    return tn.TokenNet(tn.FeatureTokenizer(6), layers, tn.GraphAttention(DIM, 1, out_dim=3))


def gps() -> tn.TokenNet:
    mix = lambda: tn.Parallel(tn.GraphConvolution(DIM), tn.Attention(DIM, 2))  # noqa: E731
    blocks = [tn.Block(DIM, mix()) for _ in range(2)]
    return tn.TokenNet(tn.FeatureTokenizer(6, DIM), blocks, tn.MeanReadout(DIM, 3))


@dataclass(frozen=True)
class Case:
    """A net, the sizes that it is compiled for, and others that must not be compiled again."""

    name: str
    make: Callable[[], tn.TokenNet]
    first: list[Inputs]
    later: list[Inputs]


TEXT = ([masked(3, 7), masked(4, 9)], [masked(2, 12), masked(6, 5), masked(5, 30)])
ROWS = (
    [packed(5, 2, 6), packed(4, 3, 9, 5)],
    [packed(3, 7), packed(5, 2, 6, 3, 8), packed(30, 4, 2)],
)
GRAPHS = (
    [graphs(20, 7, 5, 9), graphs(31, 8, 5, 11, 4)],
    [graphs(13, 6, 7), graphs(60, 4, 8, 3, 9, 5), graphs(90, 30, 11, 2)],
)
CASES = [
    Case(
        "ViT",
        lambda: image_net(lambda: tn.Attention(DIM, 2)),
        [images(2, 8, 16), images(3, 16, 20)],
        [images(4, 12, 24), images(5, 20, 8), images(7, 24, 28)],
    ),
    Case(
        "Mixer",
        lambda: image_net(lambda: tn.TokenMLP(64, 12)),
        [images(2, 8, 16), images(3, 16, 20)],
        [images(4, 12, 24), images(5, 20, 8), images(7, 24, 28)],
    ),
    Case("GAT", gat, *GRAPHS),
    Case("GPS", gps, *GRAPHS),
    Case("ViT on ids with a mask", lambda: text_net(lambda: tn.Attention(DIM, 2)), *TEXT),
    Case("ViT on packed ids", lambda: text_net(lambda: tn.Attention(DIM, 2)), *ROWS),
    Case("Mixer on ids with a mask", lambda: text_net(lambda: tn.TokenMLP(40, 9)), *TEXT),
    Case("Mixer on packed ids", lambda: text_net(lambda: tn.TokenMLP(40, 9)), *ROWS),
    Case(
        "decoder",
        decoder_net,
        [decoder(2, 5, 6), decoder(3, 7, 4)],
        [decoder(4, 9, 8), decoder(6, 6, 11), decoder(5, 30, 2)],
    ),
]
each = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def _results(function: Callable[..., Tensor], net: nn.Module, inputs: Inputs) -> list[Tensor]:
    """The answer and the gradients of all parameters."""
    y = function(*inputs)
    grads = torch.autograd.grad(y.square().sum(), list(net.parameters()))
    return [y.detach(), *grads]


def _assert_as_eager(compiled: Callable[..., Tensor], net: nn.Module, inputs: Inputs) -> None:
    fast, eager = _results(compiled, net, inputs), _results(net, net, inputs)
    assert eager[0].std() > 1e-2, "nothing to compare"
    for one, two in zip(fast, eager, strict=True):
        assert one.shape == two.shape
        assert (one - two).abs().max() <= 1e-4 * max(1, two.abs().max())


@each
def test_other_sizes_do_not_compile_again(case: Case) -> None:
    """Every size varies between the first two calls: the second compiles for any, then none."""
    net, counter = case.make(), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    for inputs in case.first:
        _assert_as_eager(compiled, net, inputs)
    assert counter.frame_count <= 2
    before = counter.frame_count
    for inputs in case.later:
        _assert_as_eager(compiled, net, inputs)
    assert counter.frame_count == before


@pytest.mark.parametrize("case", CASES[:4], ids=lambda c: c.name)
def test_inductor_equals_eager(case: Case) -> None:
    net = case.make()
    compiled = torch.compile(net, fullgraph=True, dynamic=True)
    for inputs in (case.first[0], case.later[-1]):
        _assert_as_eager(compiled, net, inputs)


def test_eager_use_between_compiled_calls() -> None:
    """What eager calls remember with the edges costs one more compilation, not one each."""
    net, counter = gat(), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    x, structure = graphs(20, 7, 5, 9)
    for _ in range(5):
        _assert_as_eager(compiled, net, (x, structure))
    assert counter.frame_count <= 2


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
def test_every_operator_is_one_graph(operator: Operator, packed: bool) -> None:
    mixer = operator.make().double().eval()
    x, structure = ragged_tokens(mixer, torch.float64, packed=packed)
    compiled = torch.compile(mixer, backend="eager", fullgraph=True)
    if operator.name.startswith("PyG") and not packed:
        # PyG gets the real rows alone, and their number stands in a tensor
        with pytest.raises(torch._dynamo.exc.Unsupported):
            compiled(x, structure)
        return
    real = slice(None) if mixer.pooled else structure.layout.valid
    assert (compiled(x, structure)[real] - mixer(x, structure)[real]).abs().max() <= 1e-12
