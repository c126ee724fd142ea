"""CLIP's towers: a causal encoder of texts, and one of images."""

from collections.abc import Callable
from functools import partial

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.common import (
    activation,
    attention_lines,
    mlp_lines,
    no_decoder,
    no_labels,
    norm_of,
    plain,
    position_ids,
)
from tokennet.interop.translation import Line, module, same
from tokennet.mixers import Attention, Mixer, Pointwise, TokenWise
from tokennet.net import (
    Block,
    ClassReadout,
    ClassToken,
    EmbeddingTokenizer,
    LearnedPosition,
    PatchTokenizer,
    PreNorm,
    TokenNet,
)
from tokennet.net.ending import EndedTokenizer, LastReadout
from tokennet.topology import Causal, Full


def _blocks(
    options: Options, first: int, at: str, *, causal: bool
) -> tuple[list[Mixer], list[Line]]:
    """The layers and their lines; `first`: the number of mixers before them."""
    dim, heads = options.take_int("hidden_size"), options.take_int("num_attention_heads")
    hidden = options.take_int("intermediate_size")
    act = activation(options, "hidden_act", "quick_gelu")
    dropout, norm = options.take_rate("attention_dropout", 0.0), _norm(options)
    blocks: list[Mixer] = []
    lines: list[Line] = []
    for i in range(options.take_depth("num_hidden_layers")):
        attention = Attention(dim, heads, Causal() if causal else Full(), dropout=dropout)
        mlp = Pointwise(dim, hidden, activation=act)
        blocks.append(Block(dim, attention, mlp=mlp, residual=partial(PreNorm, norm=norm)))
        theirs, ours = f"{at}encoder.layers.{i}", f"mixers.{first + i}.mixers"
        names = [f"{theirs}.self_attn.{n}_proj" for n in ("q", "k", "v", "out")]
        lines += attention_lines(names, f"{ours}.0.mixer")
        lines += module(f"{theirs}.layer_norm1", f"{ours}.0.norm")
        lines += mlp_lines(f"{theirs}.mlp.fc1", f"{theirs}.mlp.fc2", f"{ours}.1.mixer")
        lines += module(f"{theirs}.layer_norm2", f"{ours}.1.norm")
    return blocks, lines


def _plain(options: Options) -> None:
    """Reads what both towers have, also what the published files spell out."""
    plain(options)
    no_labels(options)
    no_decoder(options)
    options.ignore("tie_word_embeddings")  # no scores of ids here
    options.fixed(dropout=0.0, tie_encoder_decoder=False)


def _norm(options: Options) -> Callable[[int], nn.Module]:
    return norm_of(options.take_number("layer_norm_eps", 1e-5))


def _text(options: Options, at: str) -> tuple[EmbeddingTokenizer, list[Mixer], list[Line]]:
    _plain(options)
    dim, places = options.take_int("hidden_size"), options.take_int("max_position_embeddings", 77)
    tokenizer = EmbeddingTokenizer(options.take_int("vocab_size", 49408), dim)
    blocks, lines = _blocks(options, 1, at, causal=True)
    lines.append(same(f"{at}embeddings.position_embedding.weight", "mixers.0.code"))
    lines.append(position_ids(f"{at}embeddings.position_ids", places))
    return tokenizer, [LearnedPosition(places, dim), *blocks], lines


def _text_model(options: Options) -> Draft:
    """The hidden states behind the last norm."""
    options.ignore("projection_dim")  # for the model that has one
    tokenizer, mixers, lines = _text(options, "")
    net = TokenNet(tokenizer, mixers, TokenWise(_norm(options)(tokenizer.dim)))
    lines.append(same("embeddings.token_embedding.weight", "tokenizer.embedding.weight"))
    lines += module("final_layer_norm", "readout.map")
    return Draft(net, lines, (), ((r"^text_model\.", ""),))


def _text_projection(options: Options) -> Draft:
    """The state of the end token, projected."""
    at = "text_model."
    tokenizer, mixers, lines = _text(options, at)
    end, size = options.take("eos_token_id", 49407), options.take_int("projection_dim", 512)
    for key, value in (("eos_token_id", end), ("projection_dim", size)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise options.refused(key, value, "a number")
    # of the first files the id was a wrong one, so there the largest id counts, as it does here
    ended = EndedTokenizer(tokenizer, None if end == 2 else end)
    head = nn.Linear(tokenizer.dim, size, bias=False)
    readout = LastReadout(tokenizer.dim, size, norm=_norm(options), map=head)
    name = "tokenizer.tokenizer.embedding.weight"
    lines.append(same(f"{at}embeddings.token_embedding.weight", name))
    lines += module(f"{at}final_layer_norm", "readout.norm")
    lines.append(same("text_projection.weight", "readout.map.weight"))
    return Draft(TokenNet(ended, mixers, readout), lines)


def _vision(options: Options, at: str) -> tuple[ClassToken, list[Mixer], list[Line]]:
    _plain(options)
    dim, channels = options.take_int("hidden_size"), options.take_int("num_channels", 3)
    image, patch = options.take_int("image_size", 224), options.take_int("patch_size", 32)
    for key, value in (("image_size", image), ("patch_size", patch)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise options.refused(key, value, "a number, the side of a square")
    count = (image // patch) ** 2
    if image % patch:
        raise options.refused("image_size", image, f"a multiple of patch_size ({patch})")
    patches = PatchTokenizer(channels, patch, dim, bias=False, size=(image, image))
    blocks, lines = _blocks(options, 2, at, causal=False)
    lines += [
        same(f"{at}embeddings.class_embedding", "tokenizer.token"),
        same(f"{at}embeddings.patch_embedding.weight", "tokenizer.tokenizer.map.weight"),
        same(f"{at}embeddings.position_embedding.weight", "mixers.0.code"),
        position_ids(f"{at}embeddings.position_ids", count + 1),
        *module(f"{at}pre_layrnorm", "mixers.1.map"),
    ]
    before = [LearnedPosition(count + 1, dim), TokenWise(_norm(options)(dim))]
    return ClassToken(patches), [*before, *blocks], lines


def _vision_model(options: Options) -> Draft:
    """The hidden states; the norm behind them is of the class token alone, and kept."""
    options.ignore("projection_dim")
    tokenizer, mixers, lines = _vision(options, "")
    net = TokenNet(tokenizer, mixers, TokenWise(nn.Identity()))
    return Draft(net, lines, ("post_layernorm.",), ((r"^vision_model\.", ""),))


def _vision_projection(options: Options) -> Draft:
    """The state of the class token, projected."""
    at = "vision_model."
    tokenizer, mixers, lines = _vision(options, at)
    size = options.take_int("projection_dim", 512)
    head = nn.Linear(tokenizer.dim, size, bias=False)
    readout = ClassReadout(tokenizer.dim, size, norm=_norm(options), map=head)
    lines += module(f"{at}post_layernorm", "readout.norm")
    lines.append(same("visual_projection.weight", "readout.map.weight"))
    return Draft(TokenNet(tokenizer, mixers, readout), lines)


READ = {
    "CLIPTextModel": _text_model,
    "CLIPTextModelWithProjection": _text_projection,
    "CLIPVisionModel": _vision_model,
    "CLIPVisionModelWithProjection": _vision_projection,
}
