"""`nn.TransformerEncoder`, `nn.TransformerDecoder`, their layers, and `nn.Transformer`.

`causal=True`: self-attention looks back only, that of the decoder in `nn.Transformer`. Decoders
read `structure.memory`; `nn.Transformer` takes `(source, target)`.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.torch_models.attention import attention_lines
from tokennet.interop.torch_models.transformer_options import ACTIVATIONS, describe
from tokennet.interop.translation import Line, module
from tokennet.mixers import Attention, Heads, Pointwise, TokenWise
from tokennet.net import (
    Block,
    EncodedMemory,
    FeatureTokenizer,
    PostNorm,
    PreNorm,
    TokenNet,
)
from tokennet.topology import Causal, Full, Memory

__all__ = ["READ", "describe"]


@dataclass(frozen=True)
class Layer:
    """The options that all layers of a model share."""

    dim: int
    heads: int
    hidden: int
    dropout: float
    activation: str
    eps: float
    norm_first: bool
    bias: bool

    @classmethod
    def read(cls, options: Options) -> "Layer":
        options.ignore("batch_first")  # how inputs lie, which the structure tells here
        switches = {"among": (True, False)}
        return cls(
            options.take_int("d_model"),
            options.take_int("nhead"),
            options.take_int("dim_feedforward", 2048),
            options.take_rate("dropout", 0.1),
            options.take("activation", "relu", among=tuple(ACTIVATIONS)),
            options.take_number("layer_norm_eps", 1e-5),
            options.take("norm_first", False, **switches),
            options.take("bias", True, **switches),
        )

    def block(self, *, causal: bool, memory: bool) -> Block:
        """An encoder layer; with memory a decoder layer."""
        heads = Heads(self.heads, bias=self.bias)
        topologies = [Causal() if causal else Full(), *([Memory()] if memory else [])]
        return Block(
            self.dim,
            *(Attention(self.dim, heads, t, dropout=self.dropout) for t in topologies),
            mlp=Pointwise(
                self.dim, self.hidden, activation=ACTIVATIONS[self.activation],
                dropout=self.dropout, bias=self.bias,
            ),
            residual=functools.partial(
                PreNorm if self.norm_first else PostNorm,
                norm=functools.partial(nn.LayerNorm, eps=self.eps, bias=self.bias),
            ),
            dropout=self.dropout,
        )  # fmt: skip

    def lines(self, theirs: str, ours: str, *, memory: bool) -> list[Line]:
        """The weights of one layer."""
        names = ["self_attn", *(["multihead_attn"] if memory else [])]
        lines: list[Line] = []
        for i, name in enumerate(names):
            own = f"{ours}mixers.{i}.mixer."
            lines += attention_lines(f"{theirs}{name}.", own, bias=self.bias)
        parts = ("weight", "bias") if self.bias else ("weight",)
        last = len(names)
        for i in range(last + 1):
            lines += module(f"{theirs}norm{i + 1}", f"{ours}mixers.{i}.norm", *parts)
        for name, place in (("linear1", 0), ("linear2", 3)):
            lines += module(f"{theirs}{name}", f"{ours}mixers.{last}.mixer.map.{place}", *parts)
        return lines


@dataclass(frozen=True)
class Norm:
    """The norm after the last layer, if there is one."""

    eps: float
    bias: bool

    @classmethod
    def read(cls, options: Options) -> "Norm | None":
        eps = options.take_number("final_norm_eps", 1e-5)
        bias = options.take("final_norm_bias", True, among=(True, False))
        kept = options.take("final_norm", False, among=(True, False))
        return cls(eps, bias) if kept else None


def _net(layer: Layer, count: int, norm: Norm | None, *, causal: bool, memory: bool) -> TokenNet:
    blocks = [layer.block(causal=causal, memory=memory) for _ in range(count)]
    last = nn.LayerNorm(layer.dim, eps=norm.eps, bias=norm.bias) if norm else nn.Identity()
    return TokenNet(FeatureTokenizer(layer.dim), blocks, TokenWise(last))


def _lines(
    layer: Layer, count: int, norm: Norm | None, theirs: str = "", ours: str = "", *, memory: bool
) -> list[Line]:
    lines: list[Line] = []
    for i in range(count):
        lines += layer.lines(f"{theirs}layers.{i}.", f"{ours}mixers.{i}.", memory=memory)
    if norm:
        names = ("weight", "bias") if norm.bias else ("weight",)
        lines += module(f"{theirs}norm", f"{ours}readout.map", *names)
    return lines


def _layer(options: Options, *, memory: bool) -> Draft:
    layer = Layer.read(options)
    net = _net(layer, 1, None, causal=_causal(options), memory=memory)
    return Draft(net, layer.lines("", "mixers.0.", memory=memory))


def _stack(options: Options, *, memory: bool) -> Draft:
    layer, count, norm = Layer.read(options), options.take_depth("num_layers"), Norm.read(options)
    options.ignore("enable_nested_tensor", "mask_check")  # how padding is skipped
    net = _net(layer, count, norm, causal=_causal(options), memory=memory)
    return Draft(net, _lines(layer, count, norm, memory=memory))


def _transformer(options: Options) -> Draft:
    layer = Layer.read(options)
    counts = [options.take_depth(f"num_{part}_layers", 6) for part in ("encoder", "decoder")]
    norm = Norm(layer.eps, layer.bias)
    own = options.take("decoder_activation", layer.activation, among=tuple(ACTIVATIONS))
    encoder = _net(layer, counts[0], norm, causal=False, memory=False)
    net = _net(
        replace(layer, activation=own), counts[1], norm, causal=_causal(options), memory=True
    )
    net = TokenNet(EncodedMemory(encoder, net.tokenizer), net.parts[:-1], net.readout)
    lines: Sequence[Line] = [
        *_lines(layer, counts[0], norm, "encoder.", "tokenizer.encoder.", memory=False),
        *_lines(layer, counts[1], norm, "decoder.", memory=True),
    ]
    return Draft(net, lines)


def _causal(options: Options) -> bool:
    return options.take("causal", False, among=(True, False))


READ = {
    "Transformer": _transformer,
    "TransformerDecoder": functools.partial(_stack, memory=True),
    "TransformerDecoderLayer": functools.partial(_layer, memory=True),
    "TransformerEncoder": functools.partial(_stack, memory=False),
    "TransformerEncoderLayer": functools.partial(_layer, memory=False),
}
