"""Modules of torch: transformers, attention, recurrent nets, convolutions, pointwise layers.

A causal decoder needs a mask of the size of its input, which no fixed argument holds: `is_causal`
alone is refused by `MultiheadAttention`. So decoders are asked what holds without a mask.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from tokennet.audit.adapter import Adapter, Layout, Preset
from tokennet.audit.presets.known import (
    POINTWISE,
    READ,
    SAMPLES,
    TOKENS,
    arguments,
    domain,
    features,
    ids,
    known_as,
    masked_domain,
    promised,
    zeros,
)

SET = ("Permutation", "Padding", "LeftPadding", "BatchIndependence")  # tokens without positions
CAUSAL = ("Causality", "Prefix", "Cache", "BatchIndependence")
SAME_TOKENS = ("Permutation", "CyclicShift", "BatchIndependence")


def _layout(batch_first: bool) -> Layout:
    return "bnd" if batch_first else "nbd"


def _tokens(module: nn.Module, batch_first: bool, count: int, dim: int) -> Tensor:
    return features(module, *((SAMPLES, count) if batch_first else (count, SAMPLES)), dim)


def _attention_of(module: nn.Module) -> nn.MultiheadAttention | None:
    return next((m for m in module.modules() if isinstance(m, nn.MultiheadAttention)), None)


def _encoder(module: nn.Module) -> Preset | None:
    attention = _attention_of(module)
    if attention is None:
        return None
    first = attention.batch_first
    example = {
        "src": _tokens(module, first, TOKENS, attention.embed_dim),
        "src_key_padding_mask": zeros(module, SAMPLES, TOKENS),
    }
    adapter = Adapter(
        tokens="src", layout=_layout(first), mask="src_key_padding_mask", mask_kind="ignore"
    )
    return Preset(example, adapter, promised(module, *SET), masked_domain(module))


def _decoder(module: nn.Module) -> Preset | None:
    attention = _attention_of(module)
    if attention is None:
        return None
    first, dim = attention.batch_first, attention.embed_dim
    example = {
        "tgt": _tokens(module, first, TOKENS, dim),
        "memory": _tokens(module, first, READ, dim),
        "tgt_key_padding_mask": zeros(module, SAMPLES, TOKENS),
        "memory_key_padding_mask": zeros(module, SAMPLES, READ),
    }
    adapter = Adapter(
        tokens="tgt",
        layout=_layout(first),
        mask="tgt_key_padding_mask",
        mask_kind="ignore",
        memory="memory",
        memory_mask="memory_key_padding_mask",
        memory_mask_kind="ignore",
    )
    return Preset(example, adapter, promised(module, *SET), masked_domain(module))


def _transformer(module: Any) -> Preset | None:
    # a memory mask would have to be given twice, to the encoder and to the decoder
    first, dim = module.batch_first, module.d_model
    example = {
        "src": _tokens(module, first, READ, dim),
        "tgt": _tokens(module, first, TOKENS, dim),
        "tgt_key_padding_mask": zeros(module, SAMPLES, TOKENS),
    }
    adapter = Adapter(
        tokens="tgt",
        layout=_layout(first),
        mask="tgt_key_padding_mask",
        mask_kind="ignore",
        memory="src",
    )
    return Preset(example, adapter, promised(module, *SET), masked_domain(module))


def _attention(module: Any) -> Preset | None:
    first = module.batch_first
    query = _tokens(module, first, TOKENS, module.embed_dim)
    # one tensor three times is self-attention, which has a path of its own
    alone = module.kdim == module.embed_dim == module.vdim
    example = {
        "query": query,
        "key": query if alone else _tokens(module, first, TOKENS, module.kdim),
        "value": query if alone else _tokens(module, first, TOKENS, module.vdim),
        "key_padding_mask": zeros(module, SAMPLES, TOKENS),
    }
    adapter = Adapter(
        tokens="query",
        layout=_layout(first),
        mask="key_padding_mask",
        mask_kind="ignore",
        alongside=() if alone else ("key", "value"),
        output=0,
    )
    return Preset(example, adapter, promised(module, *SET), masked_domain(module))


def _step(module: nn.Module, tokens: Tensor, state: Any) -> tuple[Any, Any]:
    answer = module(tokens, state)
    return answer, answer[1]  # `output` of the adapter takes the tokens out of the answer


def _recurrent(module: Any) -> Preset | None:
    example = {"input": _tokens(module, module.batch_first, TOKENS, module.input_size)}
    kept = ("BatchIndependence",) if module.bidirectional else CAUSAL
    adapter = Adapter(
        tokens="input",
        layout=_layout(module.batch_first),
        output=0,
        cache=None if module.bidirectional else _step,
    )
    return Preset(example, adapter, promised(module, *kept), domain(module))


def _extent(module: Any, axis: int = 0) -> int:
    return int(module.dilation[axis] * (module.kernel_size[axis] - 1))


def _pads(module: Any, axis: int) -> int:
    """Places added before and after together: as many as the kernel takes away keep the size."""
    if isinstance(module.padding, str):
        return _extent(module, axis) if module.padding == "same" else 0
    return int(2 * module.padding[axis])


def _pixels(image: Tensor) -> Tensor:
    return image.flatten(2).transpose(1, 2)


def _convolution(module: Any) -> Preset | None:
    axes = len(module.kernel_size)
    same = all(
        module.stride[a] == 1 and _pads(module, a) == _extent(module, a) for a in range(axes)
    )
    if axes > 2 or not same:
        return None  # as many outputs as inputs, else no output belongs to a token
    ring = module.padding_mode == "circular"
    kept: tuple[str, ...]
    least = max(_extent(module, a) for a in range(axes)) + 1
    if axes == 1:
        example = {"input": features(module, SAMPLES, module.in_channels, max(least, TOKENS))}
        kept = ("CyclicShift",) if ring else ()
        limits = domain(module, num_tokens=(least, least + 32))
        layout: Layout = "bdn"
    else:
        side = max(least, 4)
        example = {"input": features(module, SAMPLES, module.in_channels, side, side)}
        kept = ("GridShift",) if ring else ()
        limits = domain(module, num_tokens=(side * side, 4 * side * side))
        layout = "bchw"
    if module.kernel_size == (1,) * axes:
        kept = POINTWISE if axes == 1 else ("Permutation",)
    names = promised(module, "BatchIndependence", *kept)
    adapter = Adapter(tokens="input", layout=layout, output=None if axes == 1 else _pixels)
    return Preset(example, adapter, names, limits)


def _pointwise(dim: Callable[[Any], int | None]) -> Callable[[Any], Preset | None]:
    def make(module: Any) -> Preset | None:
        width = dim(module)
        if width is None:
            return None
        first = next(iter(arguments(module)))  # `input` for most, `x` for RMSNorm
        example = {first: features(module, SAMPLES, TOKENS, width)}
        adapter = Adapter(tokens=first, layout="bnd")
        return Preset(example, adapter, promised(module, *POINTWISE), domain(module))

    return make


def _embedding(module: Any) -> Preset | None:
    if module.max_norm is not None:
        return None  # documented to change its own weights in forward
    vocabulary = (0, module.num_embeddings - 1)
    example = {"input": ids(module, vocabulary, SAMPLES, TOKENS)}
    adapter = Adapter(tokens="input", layout="bn", vocabulary=vocabulary)
    return Preset(example, adapter, promised(module, *POINTWISE), domain(module))


def _over_tokens(names: tuple[str, ...], *channels: str) -> Callable[[Any], Preset | None]:
    """Norms of [B, D, N]."""

    def make(module: Any) -> Preset | None:
        width = next(getattr(module, c) for c in channels if hasattr(module, c))
        example = {"input": features(module, SAMPLES, width, TOKENS)}
        adapter = Adapter(tokens="input", layout="bdn")
        limits = domain(module, num_tokens=(2, 32))  # one number has no variance
        return Preset(example, adapter, promised(module, *names), limits)

    return make


def _last_axis(module: Any) -> int | None:
    shape = module.normalized_shape
    return int(shape[0]) if len(shape) == 1 else None


_ACTIVATIONS = (
    "CELU",
    "ELU",
    "GELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "Dropout",
)
_KINDS: dict[str, Callable[[Any], Preset | None]] = {
    "TransformerEncoder": _encoder,
    "TransformerEncoderLayer": _encoder,
    "TransformerDecoder": _decoder,
    "TransformerDecoderLayer": _decoder,
    "Transformer": _transformer,
    "MultiheadAttention": _attention,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "Linear": _pointwise(lambda m: m.in_features),
    "LayerNorm": _pointwise(_last_axis),
    "RMSNorm": _pointwise(_last_axis),
    "Embedding": _embedding,
    "BatchNorm1d": _over_tokens(SAME_TOKENS, "num_features"),
    "InstanceNorm1d": _over_tokens(SAME_TOKENS, "num_features"),
    "GroupNorm": _over_tokens(SAME_TOKENS, "num_channels"),
    **dict.fromkeys(_ACTIVATIONS, _pointwise(lambda m: 6)),
}


def recognise(module: nn.Module) -> Preset | None:
    """The preset of a module of torch.nn."""
    if known_as(module, "torch.nn") is None:
        return None
    # BatchNorm1d and InstanceNorm1d have their forward from a base
    inside = (c.__name__ for c in type(module).__mro__ if c.__module__.startswith("torch.nn."))
    name = next((n for n in inside if n in _KINDS), None)
    preset = None if name is None else _KINDS[name](module)
    if preset is None:
        return None
    return replace(preset, source=f"torch {type(module).__name__}")
