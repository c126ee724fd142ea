"""A net as plain data, and built again: every class, compared part by part."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from operators import OPERATORS, Operator, ragged_tokens
from test_interop_pretrained import bits, ids, jitter, text_net
from torch import nn

import tokennet as tn
from tokennet.interop.build import build
from tokennet.interop.compare import tree_difference
from tokennet.interop.describe import describe
from tokennet.interop.pretrained import _fill, weights_of


def again(module: nn.Module, classes: tuple[type, ...] = ()) -> nn.Module:
    """Through JSON, with the numbers put in."""
    made = build(json.loads(json.dumps(describe(module))), classes)
    _fill(made, weights_of(module), frozenset())
    return made.train(module.training)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
def test_every_operator(operator: Operator) -> None:
    mixer = jitter(operator.make()).eval()
    made = again(mixer)
    assert tree_difference(made, mixer) is None
    tokens = ragged_tokens(mixer, torch.float32)
    y, z = mixer(*tokens), made(*tokens)
    assert torch.equal(y, z)
    assert y.abs().max() > 1e-3
    assert made.claims == mixer.claims


TOKENIZERS: dict[str, tuple[Callable[[], tn.Tokenizer], Callable[[], Any]]] = {
    "one-hot": (lambda: tn.OneHotTokenizer(11), ids),
    "embedding": (lambda: tn.EmbeddingTokenizer(11, 8), ids),
    "features": (lambda: tn.FeatureTokenizer(4, 8, bias=False), lambda: torch.randn(2, 5, 4)),
    "features, plain": (lambda: tn.FeatureTokenizer(4), lambda: torch.randn(2, 5, 4)),
    "patches": (lambda: tn.PatchTokenizer(3, 4, 8, stride=2), lambda: torch.randn(2, 3, 8, 8)),
    "blurred": (
        lambda: tn.BlurredPatchTokenizer(3, 4, 8, blur=3), lambda: torch.randn(2, 3, 8, 8),
    ),
    "neurons": (lambda: tn.NeuronTokenizer(6), lambda: torch.randn(2, 6)),
    "series": (lambda: tn.SeriesTokenizer(2, 8, window=2), lambda: torch.randn(2, 6, 2)),
    "regions": (
        lambda: tn.RegionTokenizer(3, 8),
        lambda: (torch.randn(2, 3, 4, 4), torch.arange(16).view(1, 4, 4).repeat(2, 1, 1) // 3),
    ),
    "characters": (
        lambda: tn.TextTokenizer(tn.CharacterVocabulary("abcz ", unknown="b"), 8),
        lambda: ["abba", "c z"],
    ),
    "characters, unknown": (
        lambda: tn.TextTokenizer(tn.CharacterVocabulary("bac", unknown="?"), 8),
        lambda: ["abba", "c z"],
    ),
    "bytes": (lambda: tn.TextTokenizer(tn.ByteVocabulary(), 8), lambda: ["abba", "c z"]),
    "words": (
        lambda: tn.TextTokenizer(tn.WordVocabulary(["b a, a"], pattern=r"\w+"), 8),
        lambda: ["a b", "c, a"],
    ),
    "byte pairs": (
        lambda: tn.TextTokenizer(tn.BPEVocabulary.train(["low lower lowest"], 260), 8),
        lambda: ["lowest", "slow"],
    ),
    "molecules": (lambda: tn.MoleculeTokenizer(8), lambda: ["CCO", "c1ccccc1"]),
    "virtual token": (
        lambda: tn.VirtualToken(tn.EmbeddingTokenizer(11, 8)),
        lambda: ids(),
    ),
    "segments": (
        lambda: tn.TypedTokenizer(tn.EmbeddingTokenizer(11, 8), 3), lambda: (ids(), ids() % 3),
    ),
    "ended": (lambda: tn.EndedTokenizer(tn.EmbeddingTokenizer(11, 8), 10), ids),
    "stages": (
        lambda: tn.StageTokenizer(
            tn.PatchTokenizer(3, 2, 4), [tn.Attention(4, 2)], tn.PatchTokenizer(4, 2, 8)
        ),
        lambda: torch.randn(2, 3, 8, 8),
    ),
    "encoder": (
        lambda: tn.EncodedMemory(
            tn.TokenNet(tn.EmbeddingTokenizer(11, 8), [tn.Attention(8, 2)], tn.TokenReadout(8, 8)),
            tn.EmbeddingTokenizer(7, 8),
        ),
        lambda: (ids(), ids() % 7),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_tokenizer(name: str, tmp_path: Path) -> None:
    if name == "molecules":
        pytest.importorskip("rdkit", exc_type=ImportError)
    if name == "byte pairs":
        pytest.importorskip("tokenizers", exc_type=ImportError)
    make, inputs = TOKENIZERS[name]
    tokenizer = jitter(make())
    net = tn.TokenNet(tokenizer, [tn.TokenWise(nn.Tanh())], tn.MeanReadout(tokenizer.dim, 3))
    bits(net, tmp_path, (inputs(),))


def test_every_tokenizer_is_in_the_list() -> None:
    tested = {type(m) for make, _ in TOKENIZERS.values() for m in make().modules()}
    tested |= {type(m) for m in text_net().modules()}
    public = {c for c in vars(tn).values() if isinstance(c, type) and issubclass(c, tn.Tokenizer)}
    assert public - tested == {tn.Tokenizer}


def test_own_attributes_are_what_is_compared() -> None:
    """The comparison of the tests above can fail, at every kind of difference."""
    net = text_net()
    for name, change in {
        "mixers.1.mixers.0.mixer.topology": lambda m: setattr(m.mixer, "topology", tn.Full()),
        "mixers.1.mixers.0.norm.eps": lambda m: setattr(m.norm, "eps", 1e-3),
        "mixers.1.mixers.0.norm": lambda m: setattr(m, "norm", nn.RMSNorm(8)),
        "mixers.1.mixers.0.norm.bias": lambda m: setattr(m, "norm", nn.LayerNorm(8, bias=False)),
        "mixers.1.mixers.0.norm.weight": lambda m: setattr(
            m.norm, "weight", net.readout.norm.weight
        ),
    }.items():
        other = text_net()
        if name.endswith("weight"):
            other.readout.norm.weight = other.mixers[1].mixers[0].norm.weight
        else:
            change(other.mixers[1].mixers[0])
        found = tree_difference(other, net)
        assert found is not None
        assert found.where in (name, "readout.norm.weight")


def test_deep_nesting(tmp_path: Path) -> None:
    description: Any = {"type": "nn.Identity"}
    for _ in range(3000):
        description = [description]
    with pytest.raises(ValueError, match="nested too deeply"):
        build({"net": description})
