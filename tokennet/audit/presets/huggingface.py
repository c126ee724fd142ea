"""Models of transformers: encoders, causal language models, encoder-decoders, image encoders.

All is read from `config` and from the names of the arguments.
"""

import inspect
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Adapter, Preset
from tokennet.audit.presets.known import (
    READ,
    SAMPLES,
    TOKENS,
    arguments,
    descends,
    domain,
    features,
    ids,
    masked_domain,
    number,
    promised,
    zeros,
)

_BASE = "transformers.modeling_utils.PreTrainedModel"
_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_seq_length")
_MOST = 32  # tokens
# documented to read the past only, though no part of them says so
_CAUSAL = (
    "bloom clip_text_model codegen ctrl doge falcon_mamba gpt_neo imagegpt mamba mamba2 mpt "
    "openai-gpt rwkv trocr xlstm"
)
_BOTH_WAYS = "cpmant xlm xlnet flaubert"  # as they are called here, whatever their heads are named
_LEAST = {"funnel": 8}  # tokens; it shortens its input from block to block
_HEADS = ("ForCausalLM", "LMHeadModel")
# tokens of these have an axis of choices, or the answer needs more than tokens
_OTHER_HEADS = ("ForMultipleChoice", "ForPreTraining", "ForNextSentencePrediction")
# kinds of model that take more than tokens or one image
WITHOUT_PRESET: dict[str, str] = {
    "bros": "takes the box of each token",
    "udop": "takes the box of each token",
    "lxmert": "takes features of an image's parts",
    "vilt": "takes words and an image",
    "seggpt": "takes a second image and its answer",
    "timesformer": "takes a video",
    "videomae": "takes a video",
    "vivit": "takes a video",
    "vjepa2": "takes a video",
}


def _text(config: Any) -> Any:
    """The settings of the language model inside a model of several inputs."""
    for name in ("text_config", "decoder", "text_encoder"):
        inner = getattr(config, name, None)
        if hasattr(inner, "vocab_size"):
            return inner
    return config


def _special(config: Any) -> set[int]:
    """Ids with a meaning of their own: padding, beginning, end, an image's place."""
    found: set[int] = set()
    for name, value in vars(config).items():
        if name.endswith(("_id", "_ids", "_token_index", "_index")):
            values = value if isinstance(value, (list, tuple)) else [value]
            found |= {v for v in values if isinstance(v, int) and not isinstance(v, bool)}
    return found


def vocabulary(config: Any) -> tuple[int, int] | None:
    """The longest range of ids without a special one."""
    text = _text(config)
    size = number(text, "vocab_size")
    if size is None:
        return None
    inside = {i for i in _special(config) | _special(text) if 0 <= i < size}
    edges = sorted({-1, *inside, size})
    gaps = [(after - before, before + 1, after - 1) for before, after in pairwise(edges)]
    longest = max(gaps, key=lambda gap: (gap[0], -gap[1]))
    return (longest[1], longest[2]) if longest[1] <= longest[2] else None


def _limits(config: Any) -> tuple[int, int]:
    """Numbers of tokens that the positions suffice for; RoBERTa's begin after the padding id."""
    text = _text(config)
    positions = number(text, *_POSITIONS)
    padding = getattr(text, "pad_token_id", None)
    offset = padding + 1 if isinstance(padding, int) and 0 <= padding < 8 else 0
    least = _LEAST.get(getattr(config, "model_type", ""), 1)
    return least, _MOST if positions is None else max(least, min(_MOST, positions - offset))


def is_causal(module: Any) -> bool:
    """Whether every self-attention says that it is; without any, the kind of model decides."""
    kind = str(getattr(module.config, "model_type", ""))
    is_decoder = getattr(module.config, "is_decoder", None)
    heads = type(module).__name__.endswith(_HEADS)
    if kind in _BOTH_WAYS.split():
        return bool(getattr(module.config, "causal", False))
    if kind in _CAUSAL.split() or (heads and is_decoder is True):
        return True
    said = [
        part.is_causal
        for name, part in module.named_modules()
        if isinstance(getattr(part, "is_causal", None), bool)
        and "cross" not in name
        and "encoder_attn" not in name
    ]
    if said:
        return all(said)
    return bool(is_decoder) or (heads and is_decoder is not False)


def _answer(result: Any) -> Tensor:
    for name in ("logits", "last_hidden_state"):
        if getattr(result, name, None) is not None:
            return getattr(result, name)
    return result[0]


def _step(module: Any, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
    result = module(input_ids=tokens, past_key_values=state, use_cache=True)
    return _answer(result), result.past_key_values


def _recurrent_step(module: Any, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
    # with a state, such models are documented to take one token at a time
    parts = [tokens] if state is None else tokens.split(1, dim=1)
    answers = []
    for part in parts:
        result = module(input_ids=part, cache_params=state, use_cache=True)
        answers.append(_answer(result))
        state = result.cache_params
    return torch.cat(answers, 1), state


def _cache(module: Any, accepted: dict[str, inspect.Parameter]) -> Any:
    if "use_cache" not in accepted or getattr(module.config, "model_type", "") == "prophetnet":
        return None  # ProphetNet takes single tokens only, with or without a state
    if "past_key_values" in accepted:
        return _step
    return _recurrent_step if "cache_params" in accepted else None


def _real(module: nn.Module, count: int) -> Tensor:
    return zeros(module, SAMPLES, count, dtype=torch.long) + 1


def _language_model(module: Any, accepted: dict[str, inspect.Parameter]) -> Preset | None:
    words = vocabulary(module.config)
    if words is None:
        return None
    causal = is_causal(module)
    cache = _cache(module, accepted) if causal else None
    example = {"input_ids": ids(module, words, SAMPLES, TOKENS)}
    roles: dict[str, Any] = {}
    kept = ["BatchIndependence"]
    if "attention_mask" in accepted and module.config.model_type != "rwkv":  # there unused, it says
        example["attention_mask"] = _real(module, TOKENS)
        roles |= {"mask": "attention_mask", "mask_kind": "keep"}
        kept.append("Padding")
    if causal:
        kept += ["Causality", "Prefix", *(["Cache"] if cache is not None else [])]
    adapter = Adapter(tokens="input_ids", layout="bn", vocabulary=words, cache=cache, **roles)
    limits = masked_domain(module, num_tokens=_limits(module.config))
    return Preset(example, adapter, promised(module, *kept), limits)


def _encoder_decoder(module: Any, accepted: dict[str, inspect.Parameter]) -> Preset | None:
    words = vocabulary(module.config)
    if words is None:
        return None
    example = {
        "input_ids": ids(module, words, SAMPLES, READ),
        "decoder_input_ids": ids(module, words, SAMPLES, TOKENS),
    }
    roles: dict[str, Any] = {}
    kept = ["BatchIndependence", "Causality", "Prefix"]
    if "attention_mask" in accepted:
        example["attention_mask"] = _real(module, READ)
        roles |= {"memory_mask": "attention_mask", "memory_mask_kind": "keep"}
    if "decoder_attention_mask" in accepted:
        example["decoder_attention_mask"] = _real(module, TOKENS)
        roles |= {"mask": "decoder_attention_mask", "mask_kind": "keep"}
        kept.append("Padding")
    adapter = Adapter(
        tokens="decoder_input_ids", layout="bn", vocabulary=words, memory="input_ids", **roles
    )
    limits = masked_domain(module, num_tokens=_limits(module.config))
    return Preset(example, adapter, promised(module, *kept), limits)


def _image(module: Any) -> Preset | None:
    config = getattr(module.config, "vision_config", module.config)
    channels, size = number(config, "num_channels") or 3, getattr(config, "image_size", None)
    if isinstance(size, int):
        size = (size, size)
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        return None
    height, width = int(size[0]), int(size[1])
    example = {"pixel_values": features(module, SAMPLES, channels, height, width)}
    adapter = Adapter(tokens="pixel_values", layout="bchw", grid=(height, width))
    limits = domain(module, num_tokens=(height * width, height * width))
    return Preset(example, adapter, promised(module, "BatchIndependence"), limits)


def recognise(module: nn.Module) -> Preset | None:
    """The preset of a model of transformers, or of somebody's subclass of `PreTrainedModel`."""
    if not descends(module, _BASE):
        return None
    config: Any = module.config
    accepted = arguments(module)
    kind = type(module).__name__
    if getattr(config, "model_type", "") in WITHOUT_PRESET:
        return None
    pairs = hasattr(config, "text_config") and hasattr(config, "vision_config")
    if kind.endswith(_OTHER_HEADS) or (pairs and "Generation" not in kind and "Causal" not in kind):
        return None
    if {"input_ids", "decoder_input_ids"} <= set(accepted) and config.is_encoder_decoder:
        preset = _encoder_decoder(module, accepted)
    elif "input_ids" in accepted:
        preset = _language_model(module, accepted)
    elif "pixel_values" in accepted:
        preset = _image(module)
    else:
        preset = None
    if preset is None:
        return None
    source = f"transformers {kind}"
    return Preset(preset.example, preset.adapter, preset.promises, preset.domain, source)
