"""The files of a stored net: cut off, damaged, edited, of somebody else."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_interop_pretrained import load, net_of, save, text_net

import tokennet as tn
from tokennet.interop.compare import tree_difference

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def test_a_save_that_is_cut_off(tmp_path: Path) -> None:
    """Between the two files: the weights are the new ones, with their own description."""
    old, new = text_net(), net_of(tn.Attention(8, 2))
    save(old, tmp_path)
    config = (tmp_path / CONFIG).read_bytes()
    save(new, tmp_path)
    (tmp_path / CONFIG).write_bytes(config)
    assert tree_difference(load(tmp_path), new) is None
    (tmp_path / CONFIG).unlink()
    assert tree_difference(load(tmp_path), new) is None
    assert tree_difference(load(save(old, tmp_path)), old) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == [CONFIG, WEIGHTS]


@pytest.mark.parametrize("cut", [1, 2])
def test_kill_at_every_file(cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write of the first or of the second file never comes: one whole net is read."""
    from tokennet.interop import stored

    old, new = text_net(), net_of(tn.Attention(8, 2))
    save(old, tmp_path)
    written = []

    def write(path: Path, content: bytes) -> Path:
        written.append(path)
        if len(written) == cut:
            raise KeyboardInterrupt
        path.write_bytes(content)
        return path

    monkeypatch.setattr(stored, "write_atomically", write)
    with pytest.raises(KeyboardInterrupt):
        save(new, tmp_path)
    assert tree_difference(load(tmp_path), old if cut == 1 else new) is None


def test_weights_without_metadata(tmp_path: Path) -> None:
    """As other tools write them: then config.json tells the net, and only for its own weights."""
    net = text_net()
    save(net, tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    save_file(weights, tmp_path / WEIGHTS)
    assert tree_difference(load(tmp_path), net) is None
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match="other numbers than were stored"):
        load(tmp_path)
    (tmp_path / CONFIG).unlink()
    with pytest.raises(ValueError, match="without a description of a net"):
        load(tmp_path)


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.95])
def test_a_flipped_bit(place: float, tmp_path: Path) -> None:
    save(text_net(), tmp_path)
    content = bytearray((tmp_path / WEIGHTS).read_bytes())
    content[int(place * len(content))] ^= 4
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_truncated(length: int, tmp_path: Path) -> None:
    save(text_net(), tmp_path)
    content = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(content[:length])
    with pytest.raises(ValueError, match=r"model\.safetensors is unreadable"):
        load(tmp_path)


def test_a_config_that_was_edited(tmp_path: Path) -> None:
    save(text_net(), tmp_path)
    text = (tmp_path / CONFIG).read_text()
    (tmp_path / CONFIG).write_text(text.replace('"radius": 3', '"radius": 4'))
    with pytest.raises(ValueError, match=r"config\.json is another text than was stored"):
        load(tmp_path)
    (tmp_path / CONFIG).write_text(text[:100])
    with pytest.raises(ValueError, match=r"config\.json is no JSON"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert", "architectures": ["BertModel"]}, "from_transformers"),
        ({"architecture": "vit_tiny", "pretrained_cfg": {}}, "from_timm"),
        ({"kind": "LSTM"}, "from_torch"),
        ([1], "no description of a tokennet"),
        ({"format": "tokennet", "format_version": 7}, "newer tokennet"),
        ({"format": "tokennet", "format_version": 1}, "another text"),
    ],
)
def test_foreign_folders(config: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(json.dumps(config))
    save_file({"weight": torch.ones(2)}, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not downloaded"):
        load(tmp_path / "none")
    with pytest.raises(ValueError, match=r"without model\.safetensors"):
        load(tmp_path)
