"""ONNX files beside their nets, run by onnxruntime at other sizes than they were written with.

Axes: B samples, N tokens, E edges.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.interop.calls import Call, larger

pytest.importorskip("onnxscript", exc_type=ImportError)
onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
DIM = 16


@pytest.fixture(autouse=True)
def _plain(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("typecheck"):
        pytest.skip("the checks of --typecheck cannot be traced")


def ids(batch: int, tokens: int) -> Tensor:
    return torch.randint(11, (batch, tokens))


def mask(batch: int, tokens: int) -> Tensor:
    found = torch.rand(batch, tokens) < 0.6
    found[:, -1] = True
    return found


def text(batch: int, tokens: int) -> tuple[Any, tn.Structure]:
    return ids(batch, tokens), tn.Structure.padded(mask(batch, tokens))


def graphs(batch: int, tokens: int) -> tuple[Any, tn.Structure]:
    """Padding anywhere, repeated edges, loops, tokens without edges."""
    valid = mask(batch, tokens)
    real = [row.nonzero()[:, 0] + i * tokens for i, row in enumerate(valid)]
    ends = [rows[torch.randint(len(rows), (2, 2 * tokens))] for rows in real]
    edges = tn.Edges(torch.cat(ends, 1))
    return torch.randn(batch, tokens, 6), tn.Structure.padded(valid, edges=edges)


def vit() -> tn.TokenNet:
    blocks = [tn.Block(DIM, tn.Attention(DIM, 2)) for _ in range(2)]
    tokenizer = tn.ClassToken(tn.PatchTokenizer(3, 4, DIM))
    return tn.TokenNet(tokenizer, [tn.LearnedPosition(17, DIM), *blocks], tn.ClassReadout(DIM, 5))


def bert() -> tn.TokenNet:
    post = functools.partial(tn.PostNorm, norm=functools.partial(nn.LayerNorm, eps=1e-12))
    blocks = [tn.Block(DIM, tn.Attention(DIM, 4), residual=post, dropout=0.1) for _ in range(2)]
    tokenizer = tn.ClassToken(tn.EmbeddingTokenizer(11, DIM))
    return tn.TokenNet(tokenizer, [tn.LearnedPosition(40, DIM), *blocks], tn.ClassReadout(DIM, 5))


def gpt() -> tn.TokenNet:
    pre = functools.partial(tn.PreNorm, norm=nn.RMSNorm)
    heads = tn.Heads(4, kv_heads=2, bias=False)
    blocks = [
        tn.Block(
            DIM,
            tn.Attention(DIM, heads, tn.Causal(), score=tn.DotScore(tn.Rotary(4))),
            mlp=tn.GatedMLP(DIM, 24),
            residual=pre,
        )
        for _ in range(2)
    ]
    return tn.TokenNet(tn.EmbeddingTokenizer(11, DIM), blocks, tn.TokenReadout(DIM, 11))


def graph() -> tn.TokenNet:
    edges = tn.EdgeList(self_loops=True)
    mix = tn.Parallel(tn.GraphConvolution(DIM), tn.Attention(DIM, 2), tn.Attention(DIM, 2, edges))
    blocks = [tn.Block(DIM, mix), tn.Block(DIM, tn.GraphAttention(DIM, 2))]
    return tn.TokenNet(tn.FeatureTokenizer(6, DIM), blocks, tn.MeanReadout(DIM, 3))


def translator() -> tn.TokenNet:
    near = tn.Attention(DIM, 2, score=tn.DotScore() + tn.RelativeBias(2))
    norm = tn.TokenWise(nn.LayerNorm(DIM))
    encoder = tn.TokenNet(tn.EmbeddingTokenizer(11, DIM), [near], norm)
    tokenizer = tn.EncodedMemory(encoder, tn.EmbeddingTokenizer(11, DIM))
    block = tn.Block(DIM, tn.Attention(DIM, 2, tn.Causal()), tn.Attention(DIM, 2, tn.Memory()))
    return tn.TokenNet(tokenizer, [block], tn.TokenReadout(DIM, 11))


Example = tuple[Any, tn.Structure | None]


def images(batch: int, _: int) -> Example:
    return torch.randn(batch, 3, 16, 16), None


def plain(batch: int, tokens: int) -> Example:
    return ids(batch, tokens), None


def pair(batch: int, tokens: int) -> Example:
    """The first source is empty: its target's tokens have nobody to listen to."""
    valid = mask(batch, tokens + 3)
    valid[0] = False
    return (ids(batch, tokens + 3), ids(batch, tokens), tn.Structure.padded(valid)), None


NETS: dict[str, tuple[Callable[[], tn.TokenNet], Callable[[int, int], Example]]] = {
    "ViT": (vit, images),
    "BERT, padded": (bert, text),
    "GPT with rotary codes": (gpt, plain),
    "GPT, padded": (gpt, text),
    "graph net, padded": (graph, graphs),
    "encoder and decoder": (translator, pair),
}
SIZES = ((2, 5), (7, 12), (1, 39), (3, 1))


def run(path: Path, net: tn.TokenNet, inputs: Any, structure: tn.Structure | None) -> Tensor:
    """The file's answer."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    call = Call(net, inputs, structure, ())
    given = dict(zip(call.names, (t.numpy() for t in call.tensors), strict=True))
    assert {i.name for i in session.get_inputs()} == set(given)
    return torch.from_numpy(session.run(["output"], given)[0])


@pytest.mark.parametrize("name", NETS)
def test_other_sizes(name: str, tmp_path: Path) -> None:
    make, example = NETS[name]
    net = make().train()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    path = tn.interop.export_onnx(net, tmp_path / "net.onnx", *example(3, 7))
    assert net.training, "the net is left as it was"
    net.eval()
    for batch, tokens in SIZES:
        inputs = example(batch, tokens)
        with torch.no_grad():
            y = net(*inputs)
        assert y.std() > 1e-2, "nothing to compare"
        assert (run(path, net, *inputs) - y).abs().max() <= 1e-5 * max(1.0, float(y.abs().max()))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shapes = {i.name: i.shape for i in session.get_inputs()}
    if name == "graph net, padded":
        assert shapes == {
            "inputs": ["batch", "tokens", 6],
            "mask": ["batch", "tokens"],
            "edge_index": [2, "edges"],
        }
    if name == "ViT":
        assert shapes == {"inputs": ["batch", 3, 16, 16]}


def small(*mixers: tn.Mixer) -> tn.TokenNet:
    return tn.TokenNet(tn.EmbeddingTokenizer(11, 8), mixers, tn.MeanReadout(8, 3)).eval()


def test_fixed_axes(tmp_path: Path) -> None:
    """A recurrent net is unrolled for one length; with that told it is written."""
    net, path = small(tn.LatentState(8, 4)), tmp_path / "net.onnx"
    with pytest.raises(ValueError, match=r"on larger inputs .*fixed=\('tokens',\)"):
        tn.interop.export_onnx(net, path, ids(2, 4))
    assert not path.exists()
    tn.interop.export_onnx(net, path, ids(2, 4), fixed=["tokens"])
    for batch in (1, 5):
        inputs = ids(batch, 4)
        assert (run(path, net, inputs, None) - net(inputs)).abs().max() <= 1e-5


def test_an_operation_that_onnx_has_not(tmp_path: Path) -> None:
    net = small(tn.Block(8, tn.LinearAttention(8, 2)), tn.TokenWise(Gamma()))
    with pytest.raises(
        ValueError, match=r"mixers\.1\.map \(Gamma\) is with the operation .*bessel_i1e"
    ):
        tn.interop.export_onnx(net, tmp_path / "net.onnx", ids(2, 4))
    assert list(tmp_path.iterdir()) == []


class Gamma(nn.Module):
    """torch's exporter has no such operation."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i1e(x)


class Counting(nn.Module):
    """Something that tracing takes for a number: how often it was called."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.calls * torch.arange(8)


def test_another_answer_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ONNX's answer is .* on the example"):
        tn.interop.export_onnx(small(tn.TokenWise(Counting())), tmp_path / "net.onnx", ids(2, 4))
    assert list(tmp_path.iterdir()) == []


def test_refused_before_tracing(tmp_path: Path) -> None:
    net, path = small(tn.Attention(8, 2)), tmp_path / "net.onnx"
    packed = tn.Structure.packed([2, 3])
    memory = tn.Structure.dense(2, 3, memory=tn.Tokens.dense(torch.randn(2, 3, 8)))
    for inputs, structure, given, message in (
        (torch.randint(11, (5,)), packed, {}, "structure.layout is packed"),
        (ids(2, 3), memory, {}, "structure.memory is there"),
        (ids(1, 3), None, {}, "batch of inputs is 1, expected at least 2"),
        (ids(2, 1), None, {}, "tokens of inputs is 1, expected at least 2"),
        (ids(2, 3), None, {"fixed": ["pixels"]}, "fixed is pixels"),
        (["text"], None, {}, "inputs_0 is str, expected tensors"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            tn.interop.export_onnx(net, path, inputs, structure, **given)
    with pytest.raises(TypeError, match="net is Linear"):
        tn.interop.export_onnx(nn.Linear(2, 2), path, ids(2, 3))


def test_the_larger_example() -> None:
    """Doubled samples and one more token, with their edges: the first samples answer alike."""
    net = graph().eval()
    x, structure = graphs(2, 5)
    more, facts = larger(x, structure, {"batch", "tokens"})
    assert more.shape == (4, 6, 6)
    assert facts.edges.num_edges == 2 * structure.edges.num_edges
    valid = facts.layout.valid.clone()
    valid[:, -1] = False
    facts = tn.Structure.padded(valid, edges=facts.edges)
    y = net(x, structure)
    assert (net(more, facts) - torch.cat([y, y])).abs().max() <= 1e-5
