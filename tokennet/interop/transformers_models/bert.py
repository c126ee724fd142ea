"""BERT: post-norm encoders over ids with segments, and their heads.

The original counts the columns of padding in front of a sample as places; here places are those of
the real tokens. At an id `pad_token_id` among the real tokens, its embedding gets a gradient here.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.common import (
    OLD_NORMS,
    activation,
    attention_lines,
    mlp_lines,
    no_decoder,
    no_labels,
    norm_of,
    num_labels,
    plain,
    position_ids,
)
from tokennet.interop.translation import Line, module, same
from tokennet.mixers import Attention, Mixer, Pointwise, TokenWise
from tokennet.net import (
    Block,
    ClassReadout,
    EmbeddingTokenizer,
    LearnedPosition,
    PostNorm,
    TokenNet,
    TokenReadout,
)
from tokennet.net.token_types import TypedTokenizer

EMBEDDING = "tokenizer.tokenizer.embedding.weight"


@dataclass(frozen=True, eq=False)
class Encoder:
    """The part before the heads; `lines` name its weights after the prefix of the original."""

    prefix: str
    dim: int
    vocabulary: int
    dropout: float
    tokenizer: TypedTokenizer
    mixers: list[Mixer]
    lines: list[Line]

    def draft(self, readout: Mixer, lines: list[Line], *kept: str) -> Draft:
        """The whole net."""
        net = TokenNet(self.tokenizer, self.mixers, readout)
        return Draft(net, [*self.lines, *lines], (f"{self.prefix}pooler.", *kept), OLD_NORMS)


def encoder(options: Options, prefix: str, *, first: int = 0) -> Encoder:
    """Reads all options but those of the heads; `first`: the row of the first place."""
    plain(options)
    no_decoder(options)
    options.fixed(position_embedding_type="absolute")
    options.ignore(
        "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
        "pooler_size_per_head", "pooler_type",
    )  # fmt: skip
    vocabulary, dim = options.take_int("vocab_size"), options.take_int("hidden_size")
    places = options.take_int("max_position_embeddings")
    dropout = options.take_rate("hidden_dropout_prob", 0.1)
    norm = norm_of(options.take_number("layer_norm_eps", 1e-12))
    heads, hidden = options.take_int("num_attention_heads"), options.take_int("intermediate_size")
    act = activation(options, "hidden_act", "gelu")
    weights_dropout = options.take_rate("attention_probs_dropout_prob", 0.1)
    types = options.take_int("type_vocab_size", 2)
    tokenizer = TypedTokenizer(EmbeddingTokenizer(vocabulary, dim), types)
    mixers: list[Mixer] = [
        LearnedPosition(places - first, dim, first=first),
        TokenWise(norm(dim), nn.Dropout(dropout)),
    ]
    at = f"{prefix}embeddings."
    lines = [
        same(f"{at}word_embeddings.weight", EMBEDDING),
        same(f"{at}token_type_embeddings.weight", "tokenizer.types.weight"),
        same(f"{at}position_embeddings.weight", "mixers.0.code"),
        *module(f"{at}LayerNorm", "mixers.1.map.0"),
        position_ids(f"{at}position_ids", places),
    ]
    for i in range(options.take_depth("num_hidden_layers")):
        mixers.append(
            Block(
                dim,
                Attention(dim, heads, dropout=weights_dropout),
                mlp=Pointwise(dim, hidden, activation=act),
                residual=partial(PostNorm, norm=norm),
                dropout=dropout,
            )
        )
        lines += _layer(f"{prefix}encoder.layer.{i}", f"mixers.{i + 2}.mixers")
    return Encoder(prefix, dim, vocabulary, dropout, tokenizer, mixers, lines)


def _layer(theirs: str, ours: str) -> list[Line]:
    attention = f"{theirs}.attention"
    maps = [f"{attention}.self.{name}" for name in ("query", "key", "value")]
    return [
        *attention_lines([*maps, f"{attention}.output.dense"], f"{ours}.0.mixer"),
        *module(f"{attention}.output.LayerNorm", f"{ours}.0.norm"),
        *mlp_lines(f"{theirs}.intermediate.dense", f"{theirs}.output.dense", f"{ours}.1.mixer"),
        *module(f"{theirs}.output.LayerNorm", f"{ours}.1.norm"),
    ]


def classifier_dropout(options: Options, otherwise: float) -> float:
    """Of the heads that classify."""
    given = options.take_rate("classifier_dropout", None)
    return otherwise if given is None else given


def base(options: Options, found: Encoder) -> Draft:
    """The hidden states of the last layer; the pooler is kept for the way back."""
    no_labels(options)
    options.ignore("classifier_dropout", "tie_word_embeddings")
    return found.draft(TokenWise(nn.Identity()), [])


def tokens(options: Options, found: Encoder) -> Draft:
    """A score for each label at each token."""
    options.ignore("tie_word_embeddings")
    dropout = classifier_dropout(options, found.dropout)
    labels = num_labels(options)
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(found.dim, labels))
    readout = TokenReadout(found.dim, labels, norm=None, map=head)
    return found.draft(readout, module("classifier", "readout.map.1"))


def masked(options: Options, found: Encoder, names: "MaskedNames", act: nn.Module) -> Draft:
    """A score for each id at each token, from the embedding's own vectors where they are tied."""
    no_labels(options)
    options.ignore("classifier_dropout")
    dim, norm = found.dim, norm_of(options.take_number("layer_norm_eps", 1e-12))
    decoder = nn.Linear(dim, found.vocabulary)
    tied = options.take("tie_word_embeddings", True, among=(True, False))
    if tied:
        decoder.weight = found.tokenizer.tokenizer.embedding.weight  # type: ignore[union-attr, assignment]
    head = nn.Sequential(nn.Linear(dim, dim), act, norm(dim), decoder)
    lines = [
        *module(names.map, "readout.map.0"),
        *module(names.norm, "readout.map.2"),
        same(f"{names.decoder}.weight", "readout.map.3.weight", again=tied),
        same(f"{names.decoder}.bias", "readout.map.3.bias", again=tied),
    ]
    if tied:
        lines.append(same(names.bias, "readout.map.3.bias"))
    readout = TokenReadout(dim, found.vocabulary, norm=None, map=head)
    kept = (*names.kept, *(() if tied else (names.bias,)))  # without ties nothing reads it
    return found.draft(readout, lines, *kept)


@dataclass(frozen=True)
class MaskedNames:
    """Of the weights of the head that guesses masked ids."""

    map: str
    norm: str
    decoder: str
    bias: str
    kept: tuple[str, ...] = ()


def _model(options: Options) -> Draft:
    return base(options, encoder(options, ""))


def _masked(options: Options) -> Draft:
    at = "cls.predictions."
    names = MaskedNames(
        f"{at}transform.dense", f"{at}transform.LayerNorm", f"{at}decoder", f"{at}bias",
        ("cls.seq_relationship.",),
    )  # fmt: skip
    found = encoder(options, "bert.")
    return masked(options, found, names, activation(options, "hidden_act", "gelu")())


def _sequence(options: Options) -> Draft:
    found = encoder(options, "bert.")
    options.ignore("tie_word_embeddings")
    dropout = classifier_dropout(options, found.dropout)
    labels, dim = num_labels(options), found.dim
    head = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Dropout(dropout))
    head.append(nn.Linear(dim, labels))
    lines = module("bert.pooler.dense", "readout.map.0") + module("classifier", "readout.map.3")
    return found.draft(ClassReadout(dim, labels, norm=None, map=head), lines)


def _tokens(options: Options) -> Draft:
    return tokens(options, encoder(options, "bert."))


READ = {
    "BertForMaskedLM": _masked,
    "BertForSequenceClassification": _sequence,
    "BertForTokenClassification": _tokens,
    "BertModel": _model,
}
