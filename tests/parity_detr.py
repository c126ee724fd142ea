"""DETR's encoder and decoder of transformers beside their imports."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from parity import Audited, Case
from torch import Tensor, nn

import tokennet as tn


def config_of(seed: int, **more: Any) -> Any:
    import transformers

    return transformers.DetrConfig(
        **{
            "use_timm_backbone": False, "backbone_config": transformers.ResNetConfig(),
            "d_model": (8, 12)[seed % 2], "encoder_layers": 1 + seed % 2,
            "decoder_layers": 1 + seed // 2 % 2, "encoder_attention_heads": (2, 4)[seed // 2 % 2],
            "decoder_attention_heads": (4, 2)[seed // 2 % 2], "encoder_ffn_dim": 9 + seed % 4,
            "decoder_ffn_dim": 10 + seed % 3, "dropout": 0.0,
            "activation_function": ("relu", "gelu")[seed // 3 % 2], **more,
        }
    )  # fmt: skip


def make(kind: str, attention: str = "sdpa", **more: Any) -> Callable[[int], nn.Module]:
    from transformers.models.detr import modeling_detr

    def build(seed: int) -> nn.Module:
        config = config_of(seed, **more)
        config._attn_implementation = attention
        return getattr(modeling_detr, kind)(config)

    return build


def _part(g: torch.Generator, dim: int, most: int) -> dict[str, Tensor]:
    """Features and codes with their mask: samples of any length, padding behind."""
    lengths = torch.randint(1, most, (3,), generator=g)
    valid = torch.arange(int(lengths.max())) < lengths[:, None]
    x, code = (torch.randn(*valid.shape, dim, generator=g) for _ in range(2))
    return {"x": x, "code": code, "valid": valid}


def inputs(seed: int, model: Any) -> dict[str, Any]:
    g = torch.Generator().manual_seed(seed)
    found: dict[str, Any] = _part(g, model.config.d_model, 8)
    if hasattr(model, "layernorm"):
        found["memory"] = _part(g, model.config.d_model, 7)
    return found


def theirs(model: nn.Module, given: Mapping[str, Any]) -> dict[str, Tensor]:
    names: dict[str, Any] = {"inputs_embeds": given["x"], "attention_mask": given["valid"].long()}
    if "memory" in given:
        memory = given["memory"]
        names["object_queries_position_embeddings"] = given["code"]
        names["encoder_hidden_states"] = memory["x"]
        names["encoder_attention_mask"] = memory["valid"].long()
        names["spatial_position_embeddings"] = memory["code"]
    else:
        names["spatial_position_embeddings"] = given["code"]
    found = model(**names, output_hidden_states=True)
    rows, states = given["valid"], found.hidden_states
    hidden = {f"hidden {i}": x[rows] for i, x in enumerate(states[:-1])}  # the last is the output
    return {"output": found.last_hidden_state[rows], **hidden}


def ours(net: "tn.TokenNet", given: Mapping[str, Any]) -> dict[str, Tensor]:
    memory, rows = None, given["valid"]
    if "memory" in given:
        part = given["memory"]
        both = torch.cat([part["x"], part["code"]], -1)
        memory = tn.Tokens(both, tn.Structure.padded(part["valid"]))
    structure = tn.Structure.padded(rows, memory=memory)
    x = torch.cat([given["x"], given["code"]], -1)
    states = tn.inspect.hidden_states(net, x, structure)
    blocks = sum(isinstance(mixer, tn.Block) for mixer in net.mixers)
    dim = given["x"].shape[-1]
    kept = [t[rows][:, :dim] for t in states[-blocks - 1 : -1]]
    hidden = {f"hidden {i}": t for i, t in enumerate(kept)}
    return {"output": net(x, structure)[rows], **hidden}


class _Both(nn.Module):
    """Called with content and code side by side, and a mask."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if isinstance(self.module, tn.TokenNet):
            return self.module(x, tn.Structure.padded(mask.bool()))
        content, code = x.chunk(2, -1)
        return self.module(
            inputs_embeds=content, attention_mask=mask, spatial_position_embeddings=code
        )[0]


def audited(one: Any, two: nn.Module) -> Audited:
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    x = torch.randn(2, 5, 2 * one.config.d_model)
    return Audited(_Both(one), _Both(two), (x, mask), {"tokens": 0, "mask": 1})


def _case(kind: str, words: str = "", **options: Any) -> Case:
    encoder = kind == "DetrEncoder"
    return Case(
        f"{kind}{words}", "transformers", make(kind, **options), tn.interop.from_transformers,
        inputs, theirs, ours, audited if encoder else None,
        {"NaNPadding": "NaN in padding reaches real tokens, through weights of zero"}
        if encoder
        else {},
    )  # fmt: skip


CASES = {kind: _case(kind, ", padded") for kind in ("DetrEncoder", "DetrDecoder")}
