"""Any net in a folder, and back: the same bits, or refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import tokennet as tn
from tokennet.interop.compare import tree_difference

save, load = tn.interop.save_pretrained, tn.interop.from_pretrained


def jitter(module: nn.Module) -> nn.Module:
    """No zeros and ones as they are made."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return module


def text_net(dtype: torch.dtype = torch.float32, **given: Any) -> tn.TokenNet:
    block = tn.Block(8, tn.Attention(8, 2, tn.Causal() & tn.Window(3)))
    tokenizer = tn.ClassToken(tn.EmbeddingTokenizer(11, 8))
    net = tn.TokenNet(tokenizer, [tn.LearnedPosition(9, 8), block], tn.ClassReadout(8, 3, **given))
    return jitter(net).to(dtype).eval()


def ids() -> Tensor:
    return torch.randint(11, (3, 6))


def bits(net: tn.TokenNet, folder: Path, inputs: Any, classes: tuple[type, ...] = ()) -> Any:
    """Saves and loads; asserts the same answer, bit by bit, and the same parts. The loaded net."""
    found = load(save(net, folder), classes=classes)
    assert tree_difference(found, net) is None
    assert not any(m.training for m in found.modules())
    with torch.no_grad():
        y, z = net.eval()(*inputs), found(*inputs)
    assert torch.equal(y, z)
    assert y.dtype == z.dtype
    assert y.std() > 1e-4
    return found


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes(dtype: torch.dtype, tmp_path: Path) -> None:
    net = bits(text_net(dtype), tmp_path, (ids(),))
    assert {p.dtype for p in net.parameters()} == {dtype}


def test_buffers_that_were_rounded(tmp_path: Path) -> None:
    """ALiBi's slopes are no part of a state dict, but after bfloat16 they are others."""
    score = tn.DotScore() + tn.AlibiBias(12)
    mixers = [tn.Attention(12, 12, score=score)]
    net = tn.TokenNet(tn.EmbeddingTokenizer(11, 12), mixers, tn.MeanReadout(12, 2))
    net.to(torch.bfloat16).float()
    assert net.state_dict().keys() == {n for n, _ in net.named_parameters()}
    slope = bits(net, tmp_path, (ids(),)).mixers[0].score.biases[0].slope
    assert not torch.equal(slope, tn.AlibiBias(12).slope)


def test_exchanged_parts(tmp_path: Path) -> None:
    """What was set after the constructor is told as `parts`."""
    net = text_net()
    attention = net.mixers[1].mixers[0].mixer
    attention.with_maps(query=nn.Sequential(nn.Linear(8, 5), nn.SiLU(), nn.Linear(5, 8)))
    net.mixers[1].mixers[1].mixer.map[1] = nn.GELU("tanh")
    net.readout.map = nn.Linear(8, 3, bias=False)
    found = bits(jitter(net), tmp_path, (ids(),))
    assert found.mixers[1].mixers[1].mixer.map[1].approximate == "tanh"
    text = json.loads((tmp_path / "config.json").read_text())
    assert list(text["net"]["mixers"][1]["mixers"][0]["mixer"]["parts"]) == ["query"]


def test_shared_modules_and_tied_weights(tmp_path: Path) -> None:
    """T5's bias in every block, one map at two places, a head tied to the embedding."""
    bias = tn.RelativeBias(2)
    blocks = [tn.Attention(8, 2, score=tn.DotScore() + bias) for _ in range(3)]
    blocks[2].key = blocks[0].key
    head = nn.Linear(8, 11)
    net = tn.TokenNet(tn.EmbeddingTokenizer(11, 8), blocks, tn.TokenReadout(8, 11, map=head))
    head.weight = net.tokenizer.embedding.weight
    found = bits(jitter(net), tmp_path, (ids(),))
    first, second, third = found.mixers
    assert first.score.biases[0] is second.score.biases[0] is third.score.biases[0]
    assert third.key is first.key
    assert second.key is not first.key
    assert found.readout.map.weight is found.tokenizer.embedding.weight
    stored = load_file(tmp_path / "model.safetensors")
    assert len(stored) == len(list(net.parameters()))
    found(ids()).sum().backward()
    assert found.readout.map.weight.grad is not None


def test_frozen_weights_stay_frozen(tmp_path: Path) -> None:
    net = text_net()
    net.tokenizer.requires_grad_(False)
    found = bits(net, tmp_path, (ids(),))
    frozen = {n for n, p in found.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in found.named_parameters() if n.startswith("tokenizer")}


def net_of(*mixers: tn.Mixer) -> tn.TokenNet:
    return tn.TokenNet(tn.EmbeddingTokenizer(11, 8), mixers, tn.MeanReadout(8, 3))


def test_only_nets(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="net is Linear, expected a TokenNet"):
        save(nn.Linear(2, 2), tmp_path)


def _edited(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The description in both files, changed by somebody who knows how it is sealed."""
    from tokennet.interop.stored import _seal

    config = json.loads((folder / "config.json").read_text())
    change(config)
    config["checksum"] = _seal(config)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors")


def _first_mixer(config: dict[str, Any]) -> dict[str, Any]:
    return config["net"]["mixers"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: _first_mixer(c).update(type="os.system"), "type of .*'os.system'"),
        (lambda c: _first_mixer(c).update(type="nn.LSTM"), "type of .*'nn.LSTM'"),
        (lambda c: _first_mixer(c).update(type="own.Evil"), "own|Evil"),
        (lambda c: _first_mixer(c).update(type=["x"]), "type of"),
        (lambda c: _first_mixer(c).update(dim=9), r"arguments of .*mixers\[0\] \(Attention\)"),
        (lambda c: _first_mixer(c).update(colour=9), "with 'colour'"),
        (lambda c: _first_mixer(c).update(score={"same": 5}), "the same as 5"),
        (lambda c: _first_mixer(c).update(score={"eval": "1"}), "description of .*score"),
        (lambda c: _first_mixer(c).update(score={"function": "exec"}), "'exec'"),
        (lambda c: c.update(net={"type": "Full"}), "description of net is Full"),
        (lambda c: c.update(net={"type": "nn.Identity"}), "stored net is Identity"),
        (lambda c: c.update(tied=[["mixers.0.query.weight", "x"]]), "tied weights"),
        (lambda c: c["net"]["readout"]["map"].update(out_features=10**12), "shape of readout.map"),
        (lambda c: c["net"]["mixers"].pop(), "weight mixers.0.key.bias is left over"),
        (lambda c: c.update(format_version=2), "format_version .* newer tokennet"),
    ],
)  # fmt: skip
def test_files_that_say_something_else(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    """No class but the known ones is made, and no weight is made before its size is checked."""
    save(net_of(tn.Attention(8, 2)), tmp_path)
    _edited(tmp_path, change)
    with pytest.raises((ValueError, TypeError), match=message):
        load(tmp_path)


def test_an_import_is_given_back(tmp_path: Path) -> None:
    """The origin is stored too, with weights that the net has no use for."""
    original = nn.LSTM(3, 5, num_layers=2, batch_first=True)
    net = tn.interop.from_torch(original)
    kept = {"more": torch.randn(3), "steps": torch.tensor(7)}
    names = (*net.origin.names, *kept)
    config = {**net.origin.config, "sizes": (1, 2.5, None), "labels": {0: "a"}, "nan": [1e400]}
    net.origin = tn.interop.Origin("torch", "LSTM", config, names, kept)
    found = bits(net, tmp_path, (torch.randn(2, 4, 3),))
    assert found.origin.config == config
    assert found.origin.names == names
    assert {n: t.tolist() for n, t in found.origin.kept.items()} == {
        n: t.tolist() for n, t in kept.items()
    }
    found.origin = tn.interop.from_torch(original).origin
    for name, t in tn.interop.export_state(found).items():
        assert torch.equal(t, original.state_dict()[name])


def test_a_changed_import_is_not_given_back() -> None:
    """Also where the same class has the same weights and computes something else."""

    def mixer(net: Any) -> Any:
        return net.mixers[0]

    def swapped(net: Any) -> Any:
        net.mixers[0] = tn.GRU(3, 5)

    def tied(net: Any) -> None:
        mixer(net).bias_ih_l0 = mixer(net).bias_hh_l0

    changes: dict[str, Callable[[Any], Any]] = {
        "mixers.0 of the net is a GRU, expected a LSTM": swapped,
        "mixers.0.num_layers of the net is 1, expected 2": (
            lambda net: setattr(mixer(net), "num_layers", 1)
        ),
        "readout.map of the net is a Tanh": lambda net: setattr(net.readout, "map", nn.Tanh()),
        "mixers.0.weight_ih_l0": lambda net: mixer(net).register_parameter("weight_ih_l0", None),
        "bias_ih_l0": tied,
    }
    for message, change in changes.items():
        net = tn.interop.from_torch(nn.LSTM(3, 5, num_layers=2, batch_first=True))
        tn.interop.export_state(net)
        change(net)
        with pytest.raises(ValueError, match=message):
            tn.interop.export_state(net)
