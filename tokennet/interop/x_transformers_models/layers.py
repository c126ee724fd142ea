"""`Encoder`, `Decoder`, and `TransformerWrapper` around one of them, with plain options."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.translation import Line, module, same
from tokennet.interop.x_transformers_models.parts import Attentions, ChannelMLPs, Norms
from tokennet.interop.x_transformers_models.tree import describe
from tokennet.mixers import Mixer, Pointwise, TokenWise
from tokennet.mixers.scaling import Scale
from tokennet.net import (
    Block,
    EmbeddingTokenizer,
    FeatureTokenizer,
    LearnedPosition,
    MeanReadout,
    TokenNet,
    TokenReadout,
)
from tokennet.topology import Causal, Full, Memory

__all__ = ["READ", "describe"]

PLAIN: dict[str, Any] = {
    "layer_dropout": 0.0,  # leaves layers out for the whole batch, and does not make up for it
    "attn_sublayer_dropout": 0.0, "ff_sublayer_dropout": 0.0, "cross_attn_tokens_dropout": 0.0,
    "attn_qk_norm": False, "attn_num_mem_kv": 0, "ff_relu_squared": False, "macaron": False,
    "num_residual_streams": 1, "only_cross": False, "residual_attn": False, "rotary_xpos": False,
    "shift_tokens": 0, "use_scalenorm": False,
}  # fmt: skip
PLAIN_WRAPPER: dict[str, Any] = {
    "emb_frac_gradient": 1.0, "l2norm_embed": False, "num_memory_tokens": None,
    "num_output_heads": 1, "scaled_sinu_pos_emb": False, "use_cls_token": False,
    "attn_pool": False, "recycling": False,
}  # fmt: skip


@dataclass(frozen=True)
class _Layers:
    """The blocks and the norm behind them."""

    dim: int
    depth: int
    cross: bool
    memory_dim: int | None
    causal: bool
    norms: Norms
    attentions: Attentions
    mlps: ChannelMLPs
    final_norm: bool

    @staticmethod
    def read(options: Options, *, causal: bool) -> "_Layers":
        options.fixed(**PLAIN)
        options.ignore("verbose", "attn_flash")
        dim, cross = options.take("dim"), options.take("cross_attend", False)
        norms = Norms.read(options)
        final = options.take("pre_norm_has_final_norm", True) and norms.places.keys() != {2}
        return _Layers(
            dim, options.take("depth"), cross,
            options.take("cross_attn_dim_context", None) if cross else None, causal, norms,
            Attentions.read(options, dim, causal=causal), ChannelMLPs.read(options, dim), final,
        )  # fmt: skip

    def blocks(self) -> list[Mixer]:
        residual = partial(self.norms.residual, norm=self.norms.make)
        found: list[Mixer] = []
        for _ in range(self.depth):
            mixers = [self.attentions.make(Causal() if self.causal else Full())]
            if self.cross:
                mixers.append(self.attentions.make(Memory(), self.memory_dim))
            found.append(Block(self.dim, *mixers, mlp=self.mlps.make(), residual=residual))
        return found

    def lines(self, theirs: str, first: int, norm: str) -> list[Line]:
        """`first`: the number of mixers before the blocks; `norm`: our name of the one behind."""
        found: list[Line] = []
        count = 3 if self.cross else 2
        for b in range(self.depth):
            for j in range(count):
                layer, ours = f"{theirs}layers.{b * count + j}", f"mixers.{first + b}.mixers.{j}"
                for place, name in self.norms.places.items():
                    found += self.norms.lines(f"{layer}.0.{place}", f"{ours}.{name}")
                mixer = f"{ours}.mixer"
                if j == count - 1:
                    found += self.mlps.lines(f"{layer}.1.ff", mixer)
                else:
                    turning = 0 if j else self.attentions.turning
                    found += self.attentions.lines(f"{layer}.1", mixer, turning=turning)
        found += self.attentions.shared_lines(theirs, f"mixers.{first}.mixers.0.mixer")
        return found + (self.norms.lines(f"{theirs}final_norm", norm) if self.final_norm else [])


def read_layers(options: Options) -> Draft:
    layers = _Layers.read(options, causal=options.name == "Decoder")
    options.ignore("disable_abs_pos_emb")  # for the wrapper, of which there is none
    last = layers.norms.make(layers.dim) if layers.final_norm else nn.Identity()
    net = TokenNet(FeatureTokenizer(layers.dim), layers.blocks(), TokenWise(last))
    return Draft(net, layers.lines("", 0, "readout.map"))


def read_wrapper(options: Options) -> Draft:
    options.fixed(**PLAIN_WRAPPER)
    options.ignore("max_mem_len", "attn_z_loss_weight", "input_not_include_cache")
    inner = dict(options.take("attn_layers"))
    kind = inner.pop("kind", None)
    if kind not in ("Encoder", "Decoder"):
        raise options.refused("attn_layers.kind", kind, "'Encoder' or 'Decoder'")
    given = Options(kind, inner)
    layers = _Layers.read(given, causal=kind == "Decoder")
    dim = layers.dim
    width = options.take("emb_dim", None) or dim
    tokenizer = EmbeddingTokenizer(options.take("num_tokens"), width)
    lines = [same("token_emb.emb.weight", "tokenizer.embedding.weight")]
    mixers: list[Mixer] = []
    places = _places(options, given)
    if places:
        lines.append(same("pos_emb.emb.weight", "mixers.0.code"))
        mixers.append(LearnedPosition(places, width, scale=width**-0.5))
    if options.take("post_emb_norm", False):
        lines.append(same("post_emb_norm.gamma", f"mixers.{len(mixers)}.map.weight"))
        mixers.append(TokenWise(nn.LayerNorm(width, bias=False)))
    if dropout := options.take("emb_dropout", 0.0):
        mixers.append(TokenWise(nn.Dropout(dropout)))
    if width != dim:
        lines += module("project_emb", f"mixers.{len(mixers)}.map")
        mixers.append(Pointwise(width, out_dim=dim))
    lines += layers.lines("attn_layers.", len(mixers), "readout.norm")
    head, size, more = _head(options, tokenizer, dim)
    readout = MeanReadout if options.take("average_pool_embed", False) else TokenReadout
    norm = layers.norms.make if layers.final_norm else None
    last = readout(dim, size, norm=norm, map=head)
    given.finish()
    return Draft(TokenNet(tokenizer, [*mixers, *layers.blocks()], last), lines + more)


def _places(options: Options, inner: Options) -> int:
    """How many positions have a learned vector; 0: none has."""
    off, other = inner.take("disable_abs_pos_emb", None), ("rel_pos_bias", "rotary_pos_emb")
    if off is None:
        off = any(inner.take(key, False) for key in other)
    on, places = options.take("use_abs_pos_emb", True), options.take("max_seq_len")
    return places if on and not off else 0


def _head(
    options: Options, tokenizer: EmbeddingTokenizer, dim: int
) -> tuple[nn.Module, int, list[Line]]:
    """The map to scores, how many there are, and its lines."""
    size = options.take("logits_dim", None) or tokenizer.num_embeddings
    tied, scale = options.take("tie_embedding", False), options.take("tie_embedding_scale", None)
    if options.take("return_only_embed", False):
        return nn.Identity(), dim, []
    if not tied:
        line = same("to_logits.weight", "readout.map.weight")
        return nn.Linear(dim, size, bias=False), size, [line]
    if tokenizer.dim != dim:
        raise options.refused("emb_dim", tokenizer.dim, f"{dim} with tie_embedding")
    head = nn.Linear(dim, tokenizer.num_embeddings, bias=False)
    head.weight = tokenizer.embedding.weight
    factor = Scale(dim**-0.5 if scale is None else scale)
    return nn.Sequential(factor, head), tokenizer.num_embeddings, []


READ = {"Decoder": read_layers, "Encoder": read_layers, "TransformerWrapper": read_wrapper}
