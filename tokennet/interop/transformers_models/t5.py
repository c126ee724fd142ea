"""T5: relative positions, of which the layers share one table, and an encoder with a decoder."""

from collections.abc import Callable
from functools import partial

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.common import (
    ACTIVATIONS,
    attention_lines,
    no_labels,
    plain,
)
from tokennet.interop.translation import Line, same
from tokennet.mixers import (
    Attention,
    DotScore,
    GatedMLP,
    Heads,
    Mixer,
    Pointwise,
    RelativeBias,
    TokenWise,
)
from tokennet.mixers.rounded_norm import RoundedRMSNorm
from tokennet.mixers.scaling import Scale
from tokennet.net import (
    Block,
    EmbeddingTokenizer,
    EncodedMemory,
    PreNorm,
    TokenNet,
    TokenReadout,
)
from tokennet.topology import Causal, Full, Memory, Topology


class _Stack:
    """What encoder and decoder are both made of."""

    def __init__(self, options: Options):
        self.dim = options.take_int("d_model", 512)
        self.size = options.take_int("vocab_size", 32128)
        self.num_heads = options.take_int("num_heads", 8)
        self.dropout = options.take_rate("dropout_rate", 0.1)
        self.buckets = options.take_int("relative_attention_num_buckets", 32)
        self.distance = options.take_int("relative_attention_max_distance", 128)
        self.heads = Heads(self.num_heads, head_dim=options.take_int("d_kv", 64), bias=False)
        eps = float(options.take_number("layer_norm_epsilon", 1e-6))
        self.norm = partial(RoundedRMSNorm, eps=eps, statistics_only=True)
        self.gated, self.mlp = _mlp(options, self.dim, self.dropout)

    def mixers(self, layers: int, *, decoder: bool) -> list[Mixer]:
        bias = RelativeBias(
            self.num_heads, num_buckets=self.buckets, max_distance=self.distance, causal=decoder
        )  # fmt: skip
        first: list[Mixer] = [TokenWise(nn.Dropout(self.dropout))] if self.dropout else []
        return first + [self._block(bias, decoder=decoder) for _ in range(layers)]

    def _block(self, bias: RelativeBias, *, decoder: bool) -> Mixer:
        own = [self._attention(Causal() if decoder else Full(), bias)]
        across = [self._attention(Memory())] if decoder else []
        return Block(
            self.dim, *own, *across, mlp=self.mlp(),
            residual=partial(PreNorm, norm=self.norm), dropout=self.dropout,
        )  # fmt: skip

    def _attention(self, topology: Topology, bias: RelativeBias | None = None) -> Mixer:
        dot = DotScore(power=0.0)  # the scale is in the weights
        score = dot if bias is None else dot + bias
        return Attention(self.dim, self.heads, topology, score=score, dropout=self.dropout)

    def end(self) -> list[nn.Module]:
        return [self.norm(self.dim), nn.Dropout(self.dropout)]

    def lines(self, theirs: str, ours: str, layers: int, *, decoder: bool) -> list[Line]:
        first = 1 if self.dropout else 0
        names = ("SelfAttention", "EncDecAttention")[: 2 if decoder else 1]
        table = f"{theirs}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        lines = [same(table, f"{ours}.{first}.mixers.0.mixer.score.biases.0.table")]
        for i in range(layers):
            layer, own = f"{theirs}.block.{i}.layer", f"{ours}.{first + i}.mixers"
            for j, name in enumerate(names):
                maps = [f"{layer}.{j}.{name}.{n}" for n in "qkvo"]
                lines += attention_lines(maps, f"{own}.{j}.mixer", bias=(False,) * 4)
            last = len(names)
            parts = {"wi": "map.0", "wo": "map.3"}
            if self.gated:
                parts = {"wi_0": "gate", "wi_1": "value", "wo": "output"}
            lines += [
                same(f"{layer}.{last}.DenseReluDense.{n}.weight", f"{own}.{last}.mixer.{p}.weight")
                for n, p in parts.items()
            ]
            lines += [
                same(f"{layer}.{j}.layer_norm.weight", f"{own}.{j}.norm.weight")
                for j in range(last + 1)
            ]
        return lines


def _mlp(options: Options, dim: int, dropout: float) -> tuple[bool, Callable[[], Mixer]]:
    """Whether it has a gate, and the maker of it."""
    name = options.take("feed_forward_proj", "relu")
    kind, _, inner = str(name).rpartition("-")
    act = "gelu_new" if name == "gated-gelu" else inner
    if kind not in ("", "gated") or act not in ACTIVATIONS:
        raise options.refused("feed_forward_proj", name, "relu, gated-gelu or gated-silu")
    # what the first option says, once more
    gated = options.take("is_gated_act", kind == "gated", among=(True, False))
    act = options.take("dense_act_fn", act, among=ACTIVATIONS)
    hidden, made = options.take_int("d_ff", 2048), ACTIVATIONS[act]
    if gated:
        return True, partial(GatedMLP, dim, hidden, activation=made, dropout=dropout)
    return False, partial(
        Pointwise, dim, hidden, activation=made, dropout=dropout, bias=False
    )  # fmt: skip


def read(options: Options) -> Draft:
    """Ids `(source, target)` to hidden states of the target, or to scores of the next id."""
    encoder_only = options.name == "T5EncoderModel"
    whole = True
    if encoder_only:  # or the options are those of the model that it was taken from
        whole = options.take("is_encoder_decoder", False, among=(True, False))
        options.ignore("num_decoder_layers")
    plain(options, encoder_decoder=whole)
    no_labels(options)
    options.fixed(is_decoder=False)
    options.ignore("classifier_dropout", "n_positions")  # places are relative, and many
    stack, layers = _Stack(options), options.take_depth("num_layers", 6)
    tokenizer = EmbeddingTokenizer(stack.size, stack.dim)
    encoder = TokenNet(
        tokenizer, stack.mixers(layers, decoder=False), TokenWise(*stack.end())
    )  # fmt: skip
    tied = options.take("tie_word_embeddings", True, among=(True, False))
    scaled = options.take("scale_decoder_outputs", tied, among=(True, False))
    if encoder_only:
        lines = _ends("tokenizer", "encoder", "readout.map.0")
        lines += stack.lines("encoder", "mixers", layers, decoder=False)
        return Draft(encoder, lines, ("decoder.", "lm_head.weight"))
    count = options.take_depth("num_decoder_layers", None) or layers
    readout: Mixer = TokenWise(*stack.end())
    has_head = options.name == "T5ForConditionalGeneration"
    if has_head:
        readout = _scores(stack, tokenizer, scaled=scaled, tied=tied)
    net = TokenNet(
        EncodedMemory(encoder, tokenizer), stack.mixers(count, decoder=True), readout
    )  # fmt: skip
    inner = "tokenizer.encoder"
    lines = _ends("tokenizer.tokenizer", "encoder", f"{inner}.readout.map.0")
    lines.append(same("decoder.embed_tokens.weight", lines[0].ours[0], again=True))
    lines.append(
        same("decoder.final_layer_norm.weight",
             "readout.norm.weight" if has_head else "readout.map.0.weight")
    )  # fmt: skip
    lines += stack.lines("encoder", f"{inner}.mixers", layers, decoder=False)
    lines += stack.lines("decoder", "mixers", count, decoder=True)
    if has_head:
        last = len(readout.map) - 1  # type: ignore[arg-type]
        lines.append(same("lm_head.weight", f"readout.map.{last}.weight", again=tied))
    # the first files have a table for the attention to the source, which nobody reads
    unread = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    return Draft(net, lines, (unread,))


def _scores(
    stack: _Stack, tokenizer: EmbeddingTokenizer, *, scaled: bool, tied: bool
) -> TokenReadout:
    head = nn.Linear(stack.dim, stack.size, bias=False)
    if tied:
        head.weight = tokenizer.embedding.weight
    _, dropout = stack.end()
    size = [Scale(stack.dim**-0.5)] if scaled else []
    return TokenReadout(
        stack.dim, stack.size, norm=stack.norm, map=nn.Sequential(dropout, *size, head)
    )  # fmt: skip


def _ends(tokenizer: str, theirs: str, norm: str) -> list[Line]:
    ids = f"{tokenizer}.embedding.weight"
    return [
        same("shared.weight", ids),
        same(f"{theirs}.embed_tokens.weight", ids, again=True),
        same(f"{theirs}.final_layer_norm.weight", f"{norm}.weight"),
    ]


READ = dict.fromkeys(("T5Model", "T5ForConditionalGeneration", "T5EncoderModel"), read)
