"""Options of a wrong kind or size are refused by their names, before memory is taken for them."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import randomise
from parity_bert import make as make_bert
from parity_decoders import CASES
from test_interop_pretrained import load, net_of, save, text_net
from torch import nn

import tokennet as tn

KIND = "BertForSequenceClassification"
HUGE = 10**13


def _refused(model: Any, kind: str, change: dict[str, Any], said: str) -> None:
    config = {**model.config.to_dict(), "architectures": [kind], **change}
    with pytest.raises(ValueError, match=said):
        tn.interop.from_transformers(model.state_dict(), config)


BERT: list[tuple[str, Any]] = [
    *[("num_hidden_layers", v) for v in ("1", None, -1, 10**6, 1.0, True)],
    *[("vocab_size", v) for v in (HUGE, "12", 0, [12])],
    *[("layer_norm_eps", v) for v in (None, "abc", float("nan"), -1e-5, float("inf"), True)],
    *[("classifier_dropout", v) for v in ("a", 1.0, -0.1, [])],
    *[("hidden_dropout_prob", v) for v in ("a", None, 1.5)],
    *[("id2label", v) for v in (5, ["a", "b"], "ab")],
    *[("intermediate_size", v) for v in (None, "24", 2.5)],
    ("num_attention_heads", None),
    ("hidden_act", ["gelu"]),
    ("type_vocab_size", -2),
]


@pytest.mark.parametrize(("key", "value"), BERT, ids=str)
def test_kinds_of_options(key: str, value: Any) -> None:
    pytest.importorskip("transformers")
    _refused(make_bert(KIND)(1), KIND, {key: value}, rf"^{KIND}\.{key} is .*, expected ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rms_norm_eps", "1e-6"), ("num_key_value_heads", "1"), ("rope_parameters", 5),
        ("head_dim", 0), ("sliding_window", "3"), ("layer_types", 5), ("max_window_layers", "1"),
    ],
)  # fmt: skip
def test_kinds_of_options_of_decoders(key: str, value: Any) -> None:
    pytest.importorskip("transformers")
    model: Any = CASES["Qwen2ForCausalLM"].make(1)
    config = {**model.config.to_dict(), "architectures": ["Qwen2ForCausalLM"], key: value}
    with pytest.raises((ValueError, TypeError), match=rf"{key} is .*, expected|config is int"):
        tn.interop.from_transformers(model.state_dict(), config)


@pytest.mark.parametrize("found", [5, "BertModel", [], None, ["BertModel", "GPT2Model"], [3]])
def test_architectures_are_one_name_in_a_list(found: Any) -> None:
    with pytest.raises(ValueError, match=r"^config\.architectures is .*in a list; e\.g\."):
        tn.interop.from_transformers({"a": torch.ones(1)}, {"architectures": found})


@pytest.mark.parametrize(
    ("key", "value"), [("input_size", "3"), ("hidden_size", None), ("num_layers", 2.0)]
)
def test_kinds_of_options_of_torch(key: str, value: Any) -> None:
    config = {"kind": "LSTM", "input_size": 3, "hidden_size": 5, "num_layers": 2, key: value}
    state = nn.LSTM(3, 5, num_layers=2, batch_first=True).state_dict()
    with pytest.raises(ValueError, match=rf"^LSTM\.{key} is .*, expected a whole number from"):
        tn.interop.from_torch(state, config)


@pytest.mark.parametrize(
    ("key", "value"),
    [("depths", 2), ("depths", [1.0]), ("dims", ["8"]), ("dims", [HUGE]), ("drop_rate", "a")],
)
def test_kinds_of_options_of_timm(key: str, value: Any) -> None:
    from tokennet.interop.draft import draft_of
    from tokennet.interop.timm_models.poolformer import PLAIN, STATED

    given = {**dict.fromkeys(STATED), **PLAIN, "dims": [8], "depths": [1], key: value}
    with pytest.raises(ValueError, match=rf"^MetaFormer\.{key} is .*, expected "):
        draft_of("timm", "MetaFormer", given)


@pytest.mark.parametrize("key", ["vocab_size", "intermediate_size", "max_position_embeddings"])
def test_sizes_beside_the_tensors_first(key: str) -> None:
    """2 * 10**9 rows would be over 90 GB: refused by the shape in the state dict instead."""
    pytest.importorskip("transformers")
    tracemalloc.start()
    _refused(make_bert(KIND)(1), KIND, {key: 2 * 10**9}, r"^shape of .* is \[.*2000000000.*say$")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_sizes_whose_product_is_none() -> None:
    """More bytes than a number of 64 bits counts."""
    config = {"kind": "LSTM", "input_size": 2**31 - 1, "hidden_size": 2**31 - 1, "num_layers": 1}
    with pytest.raises(ValueError, match=r"^(options of LSTM is no net|shape of weight_ih_l0)"):
        tn.interop.from_torch(nn.LSTM(3, 5).state_dict(), config)


def test_weights_that_are_no_numbers_stay() -> None:
    model = nn.LSTM(3, 5, batch_first=True)
    with torch.no_grad():
        model.weight_ih_l0[0, 0] = float("nan")
    state = tn.interop.export_state(tn.interop.from_torch(model))
    assert state["weight_ih_l0"].isnan().sum() == 1


# -- stored nets -----------------------------------------------------------------------------------


def test_a_file_where_the_folder_shall_be(tmp_path: Path) -> None:
    (tmp_path / "net").write_text("a note")
    for folder in (tmp_path / "net", tmp_path / "net" / "inner"):
        with pytest.raises(ValueError, match=r"^folder is .*net is a file, expected a folder; cho"):
            save(text_net(), folder)
    assert (tmp_path / "net").read_text() == "a note"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_folder_where_the_file_shall_be(name: str, tmp_path: Path) -> None:
    save(text_net(), tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=rf"^{name} in .* is a folder, expected a file that save"):
        load(tmp_path)
    with pytest.raises(ValueError, match=rf"^{name} in .* is a folder, expected a file, or not"):
        save(text_net(), tmp_path)


ORIGIN = {"library": "torch", "kind": "LSTM", "config": {"dict": {}}, "names": []}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, r"^frozen of the description is None, expected a list of names"),
        ({"frozen": None}, r"^frozen of the description is None, expected a list of names"),
        ({"frozen": "all"}, r"^frozen of the description is 'all', expected a list of names"),
        ({"frozen": [3]}, r"^frozen of the description is \[3\], expected a list of names"),
        ({"tied": 5}, r"^tied of the description is int, expected a list of lists"),
        ({"tied": [5]}, r"^tied of the description is 5, expected a list of names, at least 2"),
        ({"tied": [[]]}, r"^tied of the description is \[\], expected a list of names, at least 2"),
        ({"origin": 5}, r"^origin of the description is int, expected null or an object"),
        ({"origin": {**ORIGIN, "library": ["torch"]}}, r"^origin\.library is \['torch'\], expecte"),
        ({"origin": {**ORIGIN, "kind": 3}}, r"^origin\.kind is 3, expected a name"),
        ({"origin": {**ORIGIN, "config": 3}}, r"^origin\.config is int, expected an object"),
        ({"origin": {**ORIGIN, "names": "ab"}}, r"^origin\.names of the description is 'ab', "),
        ({"origin": {"library": "torch"}}, r"^origin\.kind is None, expected a name"),
    ],
)
def test_resealed_descriptions(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Entries of another kind, sealed by somebody who knows how."""
    from safetensors.torch import load_file, save_file

    from tokennet.interop.stored import _seal

    save(net_of(tn.Attention(8, 2)), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= change
    if change == {}:
        del config["frozen"]
    config["checksum"] = _seal(config)
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = tmp_path / "model.safetensors"
    save_file(load_file(weights), weights)
    with pytest.raises(TypeError, match=said):
        load(tmp_path)


# -- PyG -------------------------------------------------------------------------------------------


def test_the_eps_of_a_norm_over_one_graph() -> None:
    """Without `batch` PyG divides by std + eps, with it by sqrt(var + eps), as here always."""
    pyg = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    model: Any = randomise(pyg.GraphSAGE(3, 8, 2, norm="layer_norm")).double().eval()
    net = tn.interop.from_pyg(model)
    x, index = torch.randn(6, 3).double(), torch.randint(0, 6, (2, 12))
    y = net(x, tn.Structure.packed([6], edges=tn.Edges(index)))
    batch = torch.zeros(6, dtype=torch.long)
    assert (y - model(x, index, batch=batch)).abs().max() <= 1e-10
    assert 1e-6 < (y - model(x, index)).abs().max() < 5e-5


def test_shared_weights_of_gatv2_are_refused() -> None:
    pyg = pytest.importorskip("torch_geometric.nn")
    with pytest.raises(
        ValueError, match=r"^the weights of lin_r.weight .*, so such a model has no"
    ):
        tn.interop.from_pyg(pyg.GATv2Conv(3, 4, share_weights=True))
