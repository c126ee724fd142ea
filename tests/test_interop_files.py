"""Weights and options from files as they are downloaded: whole, in parts, older, and broken."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import randomise
from parity_bert import inputs, make, ours, theirs
from parity_vit import inputs as images
from parity_vit import make as make_vit
from parity_vit import ours as ours_vit
from parity_vit import theirs as theirs_vit
from torch import Tensor, nn

import tokennet as tn

pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

KIND = "BertForMaskedLM"
WEIGHTS = "model.safetensors"


@pytest.fixture
def model() -> nn.Module:
    return randomise(make(KIND)(1)).eval()


@pytest.fixture
def folder(model: Any, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def same_outputs(net: "tn.TokenNet", model: Any) -> None:
    x = inputs(1, model)
    torch.testing.assert_close(ours(net, x)["output"], theirs(model, x)["output"])


def test_a_folder(folder: Path, model: Any) -> None:
    """Tied weights are not in the file, and back in the export."""
    assert not any("decoder" in name for name in safetensors.load_file(folder / WEIGHTS))
    net = tn.interop.from_transformers(folder)
    assert not net.training
    same_outputs(net, model)
    fresh = make(KIND)(1).eval()
    fresh.load_state_dict(tn.interop.export_state(net), strict=True)
    same_outputs(net, fresh)


def test_a_file_and_a_config(folder: Path, model: Any) -> None:
    same_outputs(tn.interop.from_transformers(folder / WEIGHTS), model)
    elsewhere = shutil.move(folder / "config.json", folder.parent / "other.json")
    same_outputs(tn.interop.from_transformers(str(folder), str(elsewhere)), model)
    same_outputs(tn.interop.from_transformers(folder / WEIGHTS, elsewhere), model)
    config = json.loads(Path(elsewhere).read_text())
    same_outputs(tn.interop.from_transformers(folder, config), model)
    with pytest.raises(ValueError, match=r"^config is .*config.json, expected a file that exists"):
        tn.interop.from_transformers(folder)


def test_several_files(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size="2KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    same_outputs(tn.interop.from_transformers(tmp_path), model)
    same_outputs(tn.interop.from_transformers(tmp_path / "model.safetensors.index.json"), model)


def test_pickled_tensors(folder: Path, model: Any) -> None:
    """`pytorch_model.bin`, as one file and as two."""
    (folder / WEIGHTS).unlink()
    state = model.state_dict()
    torch.save(state, folder / "pytorch_model.bin")
    same_outputs(tn.interop.from_transformers(folder), model)
    (folder / "pytorch_model.bin").unlink()
    names, index = list(state), {}
    for i, part in enumerate((names[:5], names[5:])):
        index |= dict.fromkeys(part, f"part{i}.bin")
        torch.save({n: state[n] for n in part}, folder / f"part{i}.bin")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    same_outputs(tn.interop.from_transformers(folder), model)


class _Code:
    """What a pickle runs when it is loaded: it makes a folder."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_not_run(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    code = {"a": _Code(folder / "made")}
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(code))
    with pytest.raises(ValueError, match=r"^content of pytorch_model.bin is unreadable \("):
        tn.interop.from_transformers(folder)
    torch.save(code, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"^content of pytorch_model.bin is unreadable \("):
        tn.interop.from_transformers(folder)
    assert not (folder / "made").exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)  # the test can fail
    assert (folder / "made").exists()


def test_names_of_tensorflow(folder: Path, model: Any) -> None:
    """gamma and beta, a table of places, the head of another class: as in the files of 2018."""
    state = {_tensorflow(n): t for n, t in model.state_dict().items() if "decoder" not in n}
    assert any(n.endswith("gamma") for n in state)
    count = model.config.max_position_embeddings
    state["bert.embeddings.position_ids"] = torch.arange(count)[None]
    state["cls.seq_relationship.weight"] = torch.ones(2, model.config.hidden_size)
    state["bert.pooler.dense.bias"] = torch.ones(model.config.hidden_size)
    safetensors.save_file(state, folder / WEIGHTS)
    net = tn.interop.from_transformers(folder)
    same_outputs(net, model)
    assert set(net.origin.kept) == {"cls.seq_relationship.weight", "bert.pooler.dense.bias"}
    state["bert.embeddings.position_ids"] = state["bert.embeddings.position_ids"] + 1
    with pytest.raises(ValueError, match=r"^numbers of bert.embeddings.position_ids is others"):
        tn.interop.from_transformers(state, folder)


def _tensorflow(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"
    )


@pytest.mark.parametrize("kind", ["ViTModel", "ViTForImageClassification"])
def test_files_of_vit(kind: str, tmp_path: Path) -> None:
    """transformers writes other names to files than its modules have."""
    model: Any = randomise(make_vit(kind)(1)).eval()
    model.save_pretrained(tmp_path)
    assert set(safetensors.load_file(tmp_path / WEIGHTS)) != set(model.state_dict())
    net, x = tn.interop.from_transformers(tmp_path), images(1, model)
    torch.testing.assert_close(ours_vit(net, x)["output"], theirs_vit(model, x)["output"])
    model.load_state_dict(tn.interop.export_state(net), strict=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_the_dtype_is_that_of_the_file(folder: Path, model: Any, dtype: torch.dtype) -> None:
    model.to(dtype).save_pretrained(folder)
    net = tn.interop.from_transformers(folder)
    assert {p.dtype for p in net.parameters()} == {dtype}
    assert torch.equal(net.readout.map[3].weight, model.cls.predictions.decoder.weight)


def _edited(folder: Path, edit: Callable[[dict[str, Tensor]], Any]) -> Path:
    state = safetensors.load_file(folder / WEIGHTS)
    edit(state)
    safetensors.save_file(state, folder / WEIGHTS)
    return folder


NORM = "bert.embeddings.LayerNorm.weight"
BROKEN: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "missing": (
        lambda s: s.pop(NORM),
        rf"^the state dict of {KIND} is without '{NORM}', expected a tensor for every weight; 1 ",
    ),
    "left over": (
        lambda s: s.update({"bert.adapter.weight": torch.ones(2)}),
        rf"^the state dict of {KIND} is with 'bert.adapter.weight', expected only weights",
    ),
    "shape": (
        lambda s: s.update({NORM: torch.ones(5)}),
        rf"^shape of {NORM} is \[5\], expected \[12\] as the options of {KIND} say",
    ),
    "turned": (
        lambda s: s.update({"bert.embeddings.word_embeddings.weight": torch.ones(12, 14)}),
        r"^shape of bert.embeddings.word_embeddings.weight is \[12, 14\], expected \[12, 12\]",
    ),
    "a layer too many": (
        lambda s: s.update(
            {n.replace("layer.0", "layer.9"): t + 0 for n, t in s.items() if "layer.0" in n}
        ),
        rf"^the state dict of {KIND} is with 'bert.encoder.layer.9\..*; 16 are left over",
    ),
    "two dtypes": (
        lambda s: s.update({NORM: s[NORM].half()}),
        rf"^dtypes of the weights of {KIND} is torch.float16, torch.float32, expected one dtype",
    ),
    "whole numbers": (
        lambda s: s.update({NORM: s[NORM].to(torch.int8)}),
        rf"^dtype of {NORM} is torch.int8, expected torch.float32; quantised weights",
    ),
    "untied": (
        lambda s: s.update({"cls.predictions.decoder.bias": torch.ones(12)}),
        r"^numbers of cls.predictions.decoder.bias is others, expected those of the weights that",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_other_tensors_are_refused(folder: Path, name: str) -> None:
    edit, words = BROKEN[name]
    with pytest.raises(ValueError, match=words):
        tn.interop.from_transformers(_edited(folder, edit))


def test_damaged_files_are_refused(folder: Path) -> None:
    """Cut off anywhere, or something else altogether."""
    whole = (folder / WEIGHTS).read_bytes()
    for content in (whole[:-100], whole[:100], whole[:4], b"", b"<html>not found</html>" * 50):
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(ValueError, match=r"^content of model.safetensors is unreadable \(.*ag"):
            tn.interop.from_transformers(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"^source is .*, expected a folder with model.safetens"):
        tn.interop.from_transformers(folder)
    for content in (whole, b"", b"PK\x03\x04"):
        (folder / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(ValueError, match=r"^content of pytorch_model.bin is unreadable \("):
            tn.interop.from_transformers(folder)
    torch.save([torch.ones(1)], folder / "pytorch_model.bin")
    with pytest.raises(TypeError, match=r"pytorch_model.bin is .*, expected a state dict"):
        tn.interop.from_transformers(folder)
    torch.save({"state_dict": {}}, folder / "pytorch_model.bin")
    with pytest.raises(TypeError, match=r"pytorch_model.bin\['state_dict'\] is .*, expected a ten"):
        tn.interop.from_transformers(folder)


CONFIGS: dict[str, tuple[str, str]] = {
    "no json": ("{", r"^content of .*config.json is no JSON"),
    "too deep": ("[" * 200_000, r"^content of .*config.json is no JSON \(maximum recursion"),
    "too long a number": ("1" * 5_000, r"^content of .*config.json is no JSON \(Exceeds the lim"),
    "a list": ("[]", r"^content of .*config.json is list, expected an object of options"),
    "no class": ("{}", r"^config.architectures is None, expected the name of the model's class"),
    "another class": (
        '{"architectures": ["BertForQuestionAnswering"]}',
        r"^the model's class in transformers is BertForQuestionAnswering, expected one of BertFor",
    ),
    "no size": ('{"architectures": ["BertModel"]}', r"^BertModel.vocab_size is missing, expected"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_other_configurations_are_refused(folder: Path, name: str) -> None:
    text, words = CONFIGS[name]
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        tn.interop.from_transformers(folder)


def test_a_broken_index_is_refused(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size="2KB")
    path = tmp_path / "model.safetensors.index.json"
    good = json.loads(path.read_text())
    names = good["weight_map"]
    first, last = next(iter(names)), sorted(names.values())[-1]
    refused: list[tuple[Any, str]] = [
        ([], r"^content of model.safetensors.index.json is without weight_map"),
        ({"weight_map": {}}, r"^content of model.safetensors.index.json is without weight_map"),
        ({"weight_map": {**names, first: "../a.safetensors"}}, r"is '../a.safetensors', expected "),
        ({"weight_map": {**names, first: ".."}}, r"is '\.\.', expected names of files of weights"),
        ({"weight_map": {**names, first: 3}}, r"is 3, expected names of files of weights beside"),
        ({"weight_map": {**names, "more": last}}, r"^tensors of .* is without more, expected all"),
        (
            {"weight_map": {n: f for n, f in names.items() if n != first}},
            rf"^content of {names[first]} is with '{first}', expected what the index lists",
        ),
    ]
    for content, words in refused:
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=words):
            tn.interop.from_transformers(tmp_path)
    path.write_text(json.dumps(good))
    (tmp_path / last).unlink()
    with pytest.raises(ValueError, match=rf"^source is .*{last}, expected a file or folder that"):
        tn.interop.from_transformers(tmp_path)


def test_sources_of_other_kinds_are_refused(tmp_path: Path, model: Any) -> None:
    with pytest.raises(ValueError, match=r"^source is .*nowhere, expected a file or folder that"):
        tn.interop.from_transformers(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"^source is google/some-model.*; models are not downl"):
        tn.interop.from_transformers("google/some-model")
    with pytest.raises(TypeError, match=r"^source is .*, expected a module, a state dict, a file"):
        tn.interop.from_transformers(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^config is None, expected the options of the model"):
        tn.interop.from_transformers(model.state_dict())
    with pytest.raises(ValueError, match=r"^config is given, expected None; a live module tells"):
        tn.interop.from_transformers(model, {})
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [KIND]}))
    with pytest.raises(ValueError, match=r"^source is .*config.json, expected a folder or a file"):
        tn.interop.from_transformers(tmp_path / "config.json")
    state, config = model.state_dict(), {**model.config.to_dict(), "architectures": [KIND]}
    name = next(iter(state))
    for t in (state[name].to("meta"), state[name].to_sparse()):
        with pytest.raises(ValueError, match=rf"^source\['{name}'\] is .*, expected a plain tens"):
            tn.interop.from_transformers({**state, name: t}, config)
