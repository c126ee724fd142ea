"""Live models that are not what their options say: refused by name, each way there is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tokennet as tn

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def llama() -> Any:
    config = transformers.LlamaConfig(
        hidden_size=16, num_attention_heads=2, num_key_value_heads=2, intermediate_size=8,
        num_hidden_layers=2, vocab_size=11, head_dim=8,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def bert() -> Any:
    config = transformers.BertConfig(
        hidden_size=8, num_attention_heads=2, intermediate_size=8, num_hidden_layers=2,
        vocab_size=11,
    )  # fmt: skip
    return transformers.BertModel(config).eval()


def t5() -> Any:
    config = transformers.T5Config(
        d_model=8, d_kv=4, num_heads=2, d_ff=8, num_layers=1, vocab_size=11
    )
    return transformers.T5EncoderModel(config).eval()


class Linear(nn.Linear):
    """Of the name of torch's, and twice as much."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def _set(path: str, value: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        *owner, name = path.split(".")
        part = model.get_submodule(".".join(owner))
        found = value(model) if callable(value) and value is not F.relu else value
        if name in part._modules and not isinstance(found, nn.Module):
            del part._modules[name]  # a function in the place of a module
        setattr(part, name, found)
        model.eval()

    return change


def _first(model: Any) -> torch.Tensor:
    return model.encoder.layer[0].output.dense.weight


CHANGES = {
    "mask": (llama, _set("model.layers.0.self_attn.is_causal", False), "self_attn.is_causal is F"),
    "scale": (llama, _set("model.layers.0.self_attn.scaling", 1.0), "self_attn.scaling is 1.0"),
    "angles": (llama, _set("model.rotary_emb.attention_scaling", 2.0), "attention_scaling is 2.0"),
    "one layer twice": (
        llama, lambda m: m.model.layers.__setitem__(1, m.model.layers[0]),
        r"self_attn\.layer_idx is 0, expected 1",
    ),
    "function": (
        bert, _set("encoder.layer.0.intermediate.intermediate_act_fn", F.relu),
        "intermediate_act_fn",
    ),
    "same name": (
        bert, _set("encoder.layer.0.output.dense", lambda m: Linear(8, 8)),
        "output.dense is another class Linear",
    ),
    "eps": (t5, _set("encoder.block.0.layer.0.layer_norm.variance_epsilon", 0.5), "variance_eps"),
    "shared weight": (
        bert,
        _set("encoder.layer.1.output.dense.weight", _first),
        r"weights of encoder\.layer\.1\.output\.dense\.weight is those of encoder\.layer\.0",
    ),
    "modes": (bert, lambda m: m.encoder.train(), "mode of encoder is train, expected eval, as of"),
    "backward hook": (
        bert, lambda m: m.encoder.register_full_backward_hook(print),
        "backward hooks of encoder is there",
    ),
    "hook of a weight": (
        bert, lambda m: m.embeddings.word_embeddings.weight.register_hook(print),
        "backward hooks of embeddings.word_embeddings is there",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_model_is_refused(name: str) -> None:
    make, change, message = CHANGES[name]
    tn.interop.from_transformers(make())
    model = make()
    change(model)
    with pytest.raises(ValueError, match=message):
        tn.interop.from_transformers(model)


def test_a_replaced_method_is_refused() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    layer._sa_block = lambda x, *more, **names: 0 * x  # type: ignore[method-assign]
    with pytest.raises(
        ValueError, match="_sa_block of the model is replaced, expected that of its"
    ):
        tn.interop.from_torch(layer)


def test_shared_weights_of_recurrent_layers_are_refused() -> None:
    lstm = nn.LSTM(4, 4, num_layers=2)
    lstm.weight_hh_l1 = lstm.weight_hh_l0
    with pytest.raises(ValueError, match="weights of weight_hh_l1 is those of weight_hh_l0"):
        tn.interop.from_torch(lstm)


def test_a_net_with_hooks_is_not_given_back() -> None:
    net = tn.interop.from_torch(nn.LSTM(4, 4))
    assert tn.interop.export_state(net)
    handle = net.mixers[0].register_forward_hook(lambda module, given, y: 2 * y)
    with pytest.raises(ValueError, match=r"hooks of mixers\.0 is there, expected none"):
        tn.interop.export_state(net)
    handle.remove()
    assert tn.interop.export_state(net)
