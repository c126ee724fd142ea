"""Options of timm's image models: read, refused by name, and told by names of architectures.

But for the comparison of architectures nothing here needs timm.
"""

from typing import Any

import pytest
import torch
from parity import randomise
from timm_support import import_timm
from torch import Tensor

import tokennet as tn
from tokennet.interop.bring import tensors
from tokennet.interop.draft import draft_of
from tokennet.interop.timm_models import describe
from tokennet.interop.timm_models.architectures import ARCHITECTURES, spelled_out

SMALL: dict[str, dict[str, Any]] = {
    "vit": {
        "kind": "VisionTransformer", "img_size": 8, "patch_size": 4, "embed_dim": 6, "depth": 2,
        "num_heads": 2, "num_classes": 3,
    },
    "deit": {
        "kind": "VisionTransformerDistilled", "img_size": [8, 4], "patch_size": 4, "embed_dim": 6,
        "depth": 1, "num_heads": 3, "num_classes": 3,
    },
    "mixer": {
        "kind": "MlpMixer", "img_size": 8, "patch_size": 4, "embed_dim": 6, "num_blocks": 2,
        "num_classes": 3,
    },
    "gmlp": {
        "kind": "MlpMixer", "img_size": 8, "patch_size": 4, "embed_dim": 6, "num_blocks": 1,
        "mlp_ratio": 2, "block_layer": "SpatialGatingBlock", "mlp_layer": "GatedMlp",
        "num_classes": 3,
    },
    "convmixer": {
        "kind": "ConvMixer", "dim": 6, "depth": 2, "kernel_size": 3, "patch_size": 4,
        "num_classes": 3,
    },
    "poolformer": {
        **ARCHITECTURES["poolformer_s12"], "depths": [1, 2], "dims": [4, 6], "num_classes": 3,
    },
}  # fmt: skip
"""Configurations as `net.origin.config` has them, and their class."""


def without_timm(name: str, **more: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A configuration, and a state dict under timm's names made from our own net."""
    config = {**SMALL[name], **more}
    options = {key: value for key, value in config.items() if key != "kind"}
    draft = draft_of("timm", config["kind"], options)
    own = tensors(randomise(draft.net))  # type: ignore[arg-type]
    state = {line.theirs: line.write([own[n] for n in line.ours]) for line in draft.lines}
    return config, {n: t.detach().clone() for n, t in state.items()}


@pytest.mark.parametrize("name", SMALL)
def test_from_a_state_dict(name: str) -> None:
    config, state = without_timm(name)
    net = tn.interop.from_timm(state, config)
    assert not net.training
    side = 32 if name == "poolformer" else 8
    images = torch.randn(2, 3, side, 4 if name == "deit" else side)
    assert net(images).shape == (2, 3)
    again = tn.interop.from_timm(tn.interop.export_state(net), config)
    assert torch.equal(again(images), net(images))
    assert all(torch.equal(t, state[n]) for n, t in tn.interop.export_state(net).items())
    tn.verify(net, examples=4).raise_if_broken()
    lacking = dict(state)
    first = next(iter(lacking))
    del lacking[first]
    kind = config["kind"]
    with pytest.raises(ValueError, match=f"^the state dict of {kind} is without '{first}'"):
        tn.interop.from_timm(lacking, config)
    with pytest.raises(ValueError, match=f"^the state dict of {kind} is with 'head_extra'"):
        tn.interop.from_timm({**state, "head_extra": torch.ones(1)}, config)
    with pytest.raises(ValueError, match=rf"^{kind}\.colour is 'red', expected an option that"):
        tn.interop.from_timm(state, {**config, "colour": "red"})


def test_weights_are_where_their_names_say() -> None:
    """Hand-made numbers: the thirds of qkv, the token in front, its position."""
    config, state = without_timm("vit", reg_tokens=1)
    net = tn.interop.from_timm(state, config)
    attention = net.mixers[1].parts[0].mixer
    weight = state["blocks.0.attn.qkv.weight"]
    for i, map in enumerate((attention.query, attention.key, attention.value)):
        assert torch.equal(map.weight, weight[6 * i : 6 * (i + 1)])
    x, structure = net.tokens(torch.zeros(1, 3, 8, 8))
    x = net.mixers[0](x, structure)
    assert torch.equal(x[0, 0], state["cls_token"][0, 0] + state["pos_embed"][0, 0])
    assert torch.equal(x[0, 1], state["reg_token"][0, 0] + state["pos_embed"][0, 1])
    bias = state["patch_embed.proj.bias"]
    torch.testing.assert_close(x[0, 2], bias + state["pos_embed"][0, 2])


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("vit", {"qk_normalised": True}, r"^VisionTransformer\.qk_normalised is True, expected an"),
        (
            "vit",
            {"img_size": 10},
            r"^VisionTransformer\.img_size is \[10, 10\], expected multiples",
        ),
        ("vit", {"patch_size": [4, 2]}, r"^VisionTransformer\.patch_size is \[4, 2\], expected a"),
        ("vit", {"attn_layer": "AttentionRope"}, r"^VisionTransformer\.attn_layer is 'AttentionR"),
        ("vit", {"mlp_layer": "SwiGLU"}, r"^VisionTransformer\.mlp_layer is 'SwiGLU', expected"),
        ("deit", {"reg_tokens": 2}, r"^VisionTransformerDistilled\.reg_tokens is 2, expected 0"),
        ("deit", {"no_embed_class": True}, r"^VisionTransformerDistilled\.no_embed_class is True"),
        ("deit", {"fc_norm": True}, r"^VisionTransformerDistilled\.fc_norm is True, expected"),
        ("deit", {"global_pool": "avg"}, r"^VisionTransformerDistilled\.fc_norm is True"),
        ("gmlp", {"mlp_ratio": [2, 4]}, r"^MlpMixer\.mlp_ratio is \[2, 4\], expected one number"),
        ("gmlp", {"gate_norm_eps": 1e-6}, r"^MlpMixer\.gate_norm_eps is 1e-06, expected 1e-05"),
        ("mixer", {"mlp_layer": "GluMlp"}, r"^MlpMixer\.mlp_layer is 'GluMlp', expected 'Mlp'"),
        ("convmixer", {"kernel_size": 4}, r"^ConvMixer\.kernel_size is 4, expected an odd number"),
        ("poolformer", {"token_mixers": "SepConv"}, r"^MetaFormer\.token_mixers is 'SepConv'"),
        ("poolformer", {"use_mlp_head": True}, r"^MetaFormer\.use_mlp_head is True, expected"),
        ("poolformer", {"pool_size": 2}, r"^MetaFormer\.pool_size is 2, expected an odd number"),
        ("poolformer", {"depths": [1]}, r"^MetaFormer\.depths is \[1\], expected a number for"),
    ],
)
def test_options_are_refused_by_name(name: str, more: dict[str, Any], message: str) -> None:
    config, state = without_timm(name)
    with pytest.raises(ValueError, match=message):
        tn.interop.from_timm(state, {**config, **more})


def test_a_default_of_another_model_is_not_assumed() -> None:
    config, state = without_timm("poolformer")
    del config["norm_layers"]
    with pytest.raises(ValueError, match=r"^MetaFormer\.norm_layers is missing, expected a value"):
        tn.interop.from_timm(state, config)


def test_names_of_architectures() -> None:
    given = {"architecture": "vit_small_patch16_224.augreg", "model_args": {"depth": 2}}
    options = spelled_out({**given, "num_classes": 5, "num_features": 384})
    assert (options["kind"], options["depth"], options["num_classes"]) == (
        "VisionTransformer", 2, 5,
    )  # fmt: skip
    assert spelled_out(SMALL["vit"]) == SMALL["vit"]
    with pytest.raises(ValueError, match=r"^config\.architecture is resnet50, expected one of"):
        tn.interop.from_timm({"w": torch.ones(1)}, {"architecture": "resnet50"})
    with pytest.raises(ValueError, match=r"^config\.global_pool is avg, expected 'token'"):
        spelled_out({**given, "global_pool": "avg"})


def test_heads_are_averaged() -> None:
    """DeiT's answer is the mean of two: with equal heads and tokens it is each of them."""
    config, state = without_timm("deit", pos_embed="none")
    for name in ("weight", "bias"):
        state[f"head_dist.{name}"] = state[f"head.{name}"]
    state["dist_token"] = state["cls_token"]
    net = tn.interop.from_timm(state, config)
    x, structure = net.tokens(torch.randn(2, 3, 8, 4))
    for mixer in net.mixers:
        x = mixer(x, structure)
    expected = net.readout.maps[0](net.readout.norm(x[:, 0]))
    torch.testing.assert_close(net.readout(x, structure), expected)
    assert not torch.equal(expected[0], expected[1])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_are_those_of_timm(name: str) -> None:
    """Names and shapes of all weights at full size, without memory for any."""
    timm = import_timm()
    options = spelled_out({"architecture": name, "num_classes": 10})
    with torch.device("meta"):
        theirs = timm.create_model(name, num_classes=10)
        draft = draft_of("timm", options.pop("kind"), options)
    own = tensors(draft.net)
    found = {line.theirs: line.write([own[n] for n in line.ours]).shape for line in draft.lines}
    expected = {n: t.shape for n, t in theirs.state_dict().items() if n not in draft.kept}
    assert found == expected
    kind, described = describe(theirs)
    assert kind == ARCHITECTURES[name]["kind"]
    again = draft_of("timm", kind, described)
    assert repr(again.net) == repr(draft.net)  # activations, eps, sizes
