"""CLIP's towers of transformers beside their imports."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from parity import Audited, Case
from torch import Tensor, nn

import tokennet as tn

END = 12


def text_config(seed: int, **more: Any) -> Any:
    import transformers

    return transformers.CLIPTextConfig(
        **{
            "vocab_size": 14, "hidden_size": (8, 12)[seed % 2], "num_hidden_layers": 1 + seed % 2,
            "num_attention_heads": (2, 4)[seed // 2 % 2], "intermediate_size": 10 + seed % 4,
            "hidden_act": ("quick_gelu", "gelu")[seed // 3 % 2], "projection_dim": 5 + seed % 3,
            "max_position_embeddings": 9 + seed % 3, "bos_token_id": 0, "pad_token_id": 1,
            "eos_token_id": END, "layer_norm_eps": (1e-5, 1e-3)[seed % 2], **more,
        }
    )  # fmt: skip


def vision_config(seed: int, **more: Any) -> Any:
    import transformers

    return transformers.CLIPVisionConfig(
        **{
            "hidden_size": (8, 12)[seed % 2], "num_hidden_layers": 1 + seed % 2,
            "num_attention_heads": (2, 4)[seed // 2 % 2], "intermediate_size": 10 + seed % 4,
            "hidden_act": ("quick_gelu", "gelu")[seed // 3 % 2], "projection_dim": 5 + seed % 3,
            "image_size": 6 + 2 * (seed % 2), "patch_size": 2, "num_channels": 1 + seed % 3,
            **more,
        }
    )  # fmt: skip


def make(kind: str, attention: str = "sdpa", **more: Any) -> Callable[[int], nn.Module]:
    import transformers

    def build(seed: int) -> nn.Module:
        config = (text_config if "Text" in kind else vision_config)(seed, **more)
        config._attn_implementation = attention
        return getattr(transformers, kind)(config)

    return build


def texts(seed: int, model: Any) -> dict[str, Tensor]:
    """Ids with an end token among the real ones, in some samples a second; padding behind."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (4,), generator=g)
    valid = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.randint(3, END, valid.shape, generator=g)
    for b, n in enumerate(lengths.tolist()):
        ids[b, torch.randint(0, n, (1 + b % 2,), generator=g)] = END
    return {"input_ids": ids.masked_fill(~valid, 1), "attention_mask": valid.long()}


def images(seed: int, model: Any) -> dict[str, Tensor]:
    config = model.config
    g = torch.Generator().manual_seed(seed)
    size = config.image_size
    return {"pixel_values": torch.randn(3, config.num_channels, size, size, generator=g)}


def real(given: Mapping[str, Tensor], *, ended: bool) -> Tensor:
    """The rows that are compared: up to the first end token, where the model reads that."""
    valid = given["attention_mask"].bool()
    if not ended:
        return valid
    end = (given["input_ids"] == END).int()
    return valid & (end.cumsum(1) - end == 0)


def theirs(model: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = model(**given, output_hidden_states=True)
    y = next((found[n] for n in ("text_embeds", "image_embeds") if n in found), None)
    rows: Any = slice(None)
    if "input_ids" in given:
        rows = real(given, ended=y is not None)
    hidden = {f"hidden {i}": x[rows] for i, x in enumerate(found["hidden_states"])}
    return {"output": found["last_hidden_state"][rows] if y is None else y, **hidden}


def ours(net: "tn.TokenNet", given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if "pixel_values" in given:
        states = tn.inspect.hidden_states(net, given["pixel_values"])[2:]
        y = net(given["pixel_values"])
        return {"output": y, **{f"hidden {i}": x for i, x in enumerate(states)}}
    ids, structure = given["input_ids"], tn.Structure.padded(given["attention_mask"].bool())
    rows = real(given, ended=net.pooled)
    y, states = net(ids, structure), tn.inspect.hidden_states(net, ids, structure)[1:]
    hidden = {f"hidden {i}": x[rows] for i, x in enumerate(states)}
    return {"output": y if net.pooled else y[rows], **hidden}


class _Text(nn.Module):
    """Both called with ids and a mask; the first output alone."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        if isinstance(self.module, tn.TokenNet):
            return self.module(ids, tn.Structure.padded(mask.bool()))
        return self.module(input_ids=ids, attention_mask=mask)[0]


class _Image(nn.Module):
    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        y = self.module(images)
        return y if isinstance(y, Tensor) else y[0]


def audited_texts(one: nn.Module, two: nn.Module) -> Audited:
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    ids = torch.randint(3, END, mask.shape)
    ids[:, 2] = END
    return Audited(_Text(one), _Text(two), (ids, mask), {"tokens": 0, "mask": 1})


def audited_images(one: nn.Module, two: nn.Module) -> Audited:
    given = images(0, one)["pixel_values"]
    return Audited(_Image(one), _Image(two), (given,), {"tokens": 0})


COLUMNS = dict.fromkeys(
    ("LeftPadding", "GradientOf(LeftPadding)"), "positions count columns, not tokens"
)
POOLED = {**COLUMNS, "Padding": "the end token is looked for among the padding too"}


def _case(kind: str, words: str = "", differs: Mapping[str, str] | None = None, **o: Any) -> Case:
    text = "Text" in kind
    return Case(
        f"{kind}{words}", "transformers", make(kind, **o), tn.interop.from_transformers,
        texts if text else images, theirs, ours, audited_texts if text else audited_images,
        differs or {},
    )  # fmt: skip


CASES = {
    "CLIPTextModel": _case("CLIPTextModel", ", padded", COLUMNS),
    "CLIPTextModelWithProjection": _case("CLIPTextModelWithProjection", ", padded", POOLED),
    "CLIPTextModelWithProjection, first files": _case(
        "CLIPTextModelWithProjection", ", first files", POOLED, eos_token_id=2
    ),
    "CLIPVisionModel": _case("CLIPVisionModel"),
    "CLIPVisionModelWithProjection": _case("CLIPVisionModelWithProjection"),
}
EAGER = _case("CLIPTextModel", ", eager", attention="eager")
"""Its softmax is computed in float32 also in a model of float64."""
