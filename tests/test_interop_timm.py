"""Image models of timm as nets: outputs, hidden states, every gradient; options; files; and back.

What needs timm is skipped by name where it is not installed; `make test-timm` runs it.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_misread_is_seen, assert_parity, randomise
from parity_laws import assert_audits_agree, assert_claims_hold
from parity_timm import CASES
from timm_support import import_timm
from torch import nn

import tokennet as tn

each = pytest.mark.parametrize("name", CASES)


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, case in CASES.items() for dtype in case.dtypes]
)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_parity(name: str, dtype: torch.dtype, train: bool, seed: int) -> None:
    assert_parity(CASES[name], seed, dtype, train=train)


@pytest.mark.parametrize(
    "name",
    ["vit tokens", "vit registers", "deit", "mixer", "gmlp", "convmixer", "poolformer"],
)
def test_laws(name: str) -> None:
    import_timm()
    found = assert_claims_hold(CASES[name], examples=2)
    assert ("Permutation" in found) == (name == "vit tokens")  # the one without positions
    assert_audits_agree(CASES[name])


@each
def test_a_moved_weight_is_seen(name: str) -> None:
    import_timm()
    assert_misread_is_seen(CASES[name])


@each
def test_timm_takes_the_state_back(name: str) -> None:
    import_timm()
    case = CASES[name]
    theirs = randomise(case.make(5)).eval()
    net = case.bring(theirs)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(0.9)
    images = case.inputs(5, theirs)
    other = case.make(5).eval()
    other.load_state_dict(tn.interop.export_state(net), strict=True)
    torch.testing.assert_close(other(images), net(images), rtol=1e-5, atol=1e-5)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(theirs(images), net(images), rtol=1e-5, atol=1e-5)


def test_statistics_of_batches_move_alike() -> None:
    import_timm()
    case = CASES["convmixer"]
    theirs = randomise(case.make(1)).train()
    net = case.bring(theirs)
    images = case.inputs(1, theirs)
    before = {n: t.clone() for n, t in theirs.state_dict().items()}
    for _ in range(2):
        theirs(images)
        net(images)
    ours = tn.interop.export_state(net)
    for name, t in theirs.state_dict().items():
        if "running" in name:
            assert not torch.equal(t, before[name])
            torch.testing.assert_close(ours[name], t)
    counts = [n for n in ours if n.endswith("num_batches_tracked")]
    assert counts
    assert all(ours[n] == before[n] for n in counts)  # kept: with a momentum nobody reads them


def test_probabilities_are_taken_over() -> None:
    import_timm()
    from timm.models.vision_transformer import VisionTransformer

    rates = {
        "drop_rate": 0.1, "pos_drop_rate": 0.2, "proj_drop_rate": 0.3, "attn_drop_rate": 0.4,
        "drop_path_rate": 0.5,
    }  # fmt: skip
    model = VisionTransformer(8, 4, embed_dim=4, depth=3, num_heads=2, **rates).train()
    net = tn.interop.from_timm(model)
    found = sorted(m.p for m in net.modules() if isinstance(m, nn.Dropout) and m.p)
    # a rate of dropped paths rises from 0 over the blocks, and holds for both branches
    expected = [0.1, 0.2, *[0.3] * 9, *[0.25] * 2, *[0.5] * 2]
    assert found == pytest.approx(sorted(expected))
    attention = [m for m in net.modules() if isinstance(m, tn.Attention)]
    assert [m.dropout for m in attention] == [0.4] * 3
    assert {k: net.origin.config[k] for k in rates} == pytest.approx(rates)
    theirs = model.eval()(images := torch.randn(2, 3, 8, 8))
    torch.testing.assert_close(net.eval()(images), theirs)


def test_live_modules_that_would_differ_are_refused() -> None:
    import_timm()
    from timm.models.convmixer import ConvMixer
    from timm.models.deit import VisionTransformerDistilled
    from timm.models.metaformer import MetaFormer
    from timm.models.mlp_mixer import Affine, MlpMixer, ResBlock
    from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer

    def vit(**more: Any) -> nn.Module:
        return VisionTransformer(8, 4, embed_dim=4, depth=2, num_heads=2, **more)

    changed = vit()
    changed.blocks[1].mlp.act = nn.ReLU()
    distilled = VisionTransformerDistilled(8, 4, embed_dim=4, depth=1, num_heads=2)
    distilled.set_distilled_training()
    fewer = vit(drop_path_rate=0.3)
    fewer.blocks[1].drop_path2 = nn.Identity()
    residual = {"block_layer": ResBlock, "norm_layer": Affine, "mlp_ratio": 4.0}
    for model, message in (
        (vit(dynamic_img_size=True), r"^VisionTransformer\.dynamic_img_size is True, expected"),
        (vit(patch_drop_rate=0.2), r"^VisionTransformer\.patch_drop_rate is 0\.2, expected 0\.0"),
        (vit(scale_attn_norm=True), r"^VisionTransformer\.scale_attn_norm is True, expected False"),
        (vit(scale_mlp_norm=True), r"^VisionTransformer\.scale_mlp_norm is True, expected False"),
        (vit(global_pool="map"), r"^global_pool is map, expected token, avg or ''"),
        (vit(global_pool="max"), r"^VisionTransformer\.global_pool is 'max', expected one of"),
        (vit(act_layer="mish"), r"^VisionTransformer\.act_layer is 'Mish', expected one of"),
        (vit(norm_layer="rmsnorm"), r"^VisionTransformer\.norm_layer is 'RmsNorm', expected one"),
        (vit(embed_norm_layer="layernorm"), r"^VisionTransformer\.embed_norm_layer is 'layernorm'"),
        (vit(block_fn=ParallelScalingBlock), r"^block_fn is 'ParallelScalingBlock', exp"),
        (changed, r"^blocks\[1\] is different, expected like blocks\[0\]"),
        (fewer, r"^drop_path_rate is \[.*\], expected rates"),
        (distilled, r"^distilled_training is True, expected False"),
        (MlpMixer(3, 8, 3, 4, 1, 4, **residual), r"^block_layer is 'ResBlock', expected one"),
        (MlpMixer(3, 8, 3, 4, 1, 4, proj_drop_rate=0.1), r"^MlpMixer\.proj_drop_rate is 0\.1"),
        (ConvMixer(4, 1, 4, 4), r"^ConvMixer\.kernel_size is 4, expected an odd number"),
        (ConvMixer(4, 1, 3, 4, global_pool="max"), r"^ConvMixer\.global_pool is 'max', expected"),
        (MetaFormer(depths=(1,), dims=(4,), res_scale_init_values=(None,)), r"^MetaFormer\.\w+ is"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            tn.interop.from_timm(model)


def test_a_subclass_is_not_its_parent() -> None:
    import_timm()
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    class Mine(VisionTransformer):
        pass

    sizes = {"embed_dim": 4, "depth": 1, "num_heads": 2}
    with pytest.raises(TypeError, match=r"^source is Mine of test_interop_timm, expected"):
        tn.interop.from_timm(Mine(8, 4, **sizes))
    with pytest.raises(ValueError, match=r"^the model's class in timm is Eva, expected one of"):
        tn.interop.from_timm(Eva(8, 4, **sizes))


def test_a_folder_as_timm_writes_it(tmp_path: Path) -> None:
    timm = import_timm()
    from safetensors.torch import save_file

    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, depth=1, img_size=32).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "vit_tiny_patch16_224", "num_classes": 3, "num_features": 192,
        "global_pool": "token", "model_args": {"depth": 1, "img_size": 32},
        "pretrained_cfg": {"tag": "x", "input_size": [3, 32, 32]},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    net = tn.interop.from_timm(tmp_path)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(net(images), model(images), rtol=1e-5, atol=1e-5)
