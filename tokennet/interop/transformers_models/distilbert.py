"""DistilBERT: BERT without segments and pooler."""

from functools import partial

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.common import (
    OLD_NORMS,
    activation,
    attention_lines,
    mlp_lines,
    no_labels,
    norm_of,
    num_labels,
    plain,
    position_ids,
)
from tokennet.interop.translation import Line, module, same
from tokennet.mixers import Attention, Mixer, Pointwise, Sequential, TokenWise
from tokennet.net import (
    Block,
    ClassReadout,
    EmbeddingTokenizer,
    LearnedPosition,
    PostNorm,
    TokenNet,
    TokenReadout,
)

NORM = norm_of(1e-12)  # no option tells it


class _Encoder:
    """The part before the heads, and the names of its weights."""

    def __init__(self, options: Options, prefix: str):
        plain(options)
        # how places began (they are among the weights), and the head of another class
        options.ignore("sinusoidal_pos_embds", "qa_dropout")
        options.fixed(tie_weights_=True)
        self.vocabulary, self.dim = options.take_int("vocab_size"), options.take_int("dim")
        self.activation = activation(options, "activation", "gelu")
        places = options.take_int("max_position_embeddings")
        dropout = options.take_rate("dropout", 0.1)
        self.tokenizer = EmbeddingTokenizer(self.vocabulary, self.dim)
        self.mixers: list[Mixer] = [
            LearnedPosition(places, self.dim),
            TokenWise(NORM(self.dim), nn.Dropout(dropout)),
        ]
        at = f"{prefix}embeddings."
        self.lines = [
            same(f"{at}word_embeddings.weight", "tokenizer.embedding.weight"),
            same(f"{at}position_embeddings.weight", "mixers.0.code"),
            *module(f"{at}LayerNorm", "mixers.1.map.0"),
            position_ids(f"{at}position_ids", places),
        ]
        heads, hidden = options.take_int("n_heads"), options.take_int("hidden_dim")
        weights_dropout = options.take_rate("attention_dropout", 0.1)
        for i in range(options.take_depth("n_layers")):
            attention = Attention(self.dim, heads, dropout=weights_dropout)
            mlp = Pointwise(self.dim, hidden, activation=self.activation)
            # behind attention there is no dropout, so it is none of the block
            last = Sequential(mlp, TokenWise(nn.Dropout(dropout)))
            residual = partial(PostNorm, norm=NORM)
            self.mixers.append(Block(self.dim, attention, mlp=last, residual=residual))
            self.lines += _layer(f"{prefix}transformer.layer.{i}", f"mixers.{i + 2}.mixers")

    def draft(self, readout: Mixer, *lines: Line) -> Draft:
        """The whole net."""
        net = TokenNet(self.tokenizer, self.mixers, readout)
        return Draft(net, [*self.lines, *lines], older=OLD_NORMS)


def _layer(theirs: str, ours: str) -> list[Line]:
    maps = [f"{theirs}.attention.{name}_lin" for name in ("q", "k", "v", "out")]
    mlp = f"{ours}.1.mixer.mixers.0"
    return [
        *attention_lines(maps, f"{ours}.0.mixer"),
        *module(f"{theirs}.sa_layer_norm", f"{ours}.0.norm"),
        *mlp_lines(f"{theirs}.ffn.lin1", f"{theirs}.ffn.lin2", mlp),
        *module(f"{theirs}.output_layer_norm", f"{ours}.1.norm"),
    ]


def _model(options: Options) -> Draft:
    no_labels(options)
    options.ignore("seq_classif_dropout", "tie_word_embeddings")
    return _Encoder(options, "").draft(TokenWise(nn.Identity()))


def _masked(options: Options) -> Draft:
    no_labels(options)
    options.ignore("seq_classif_dropout")
    found = _Encoder(options, "distilbert.")
    dim, decoder = found.dim, nn.Linear(found.dim, found.vocabulary)
    tied = options.take("tie_word_embeddings", True, among=(True, False))
    if tied:
        decoder.weight = found.tokenizer.embedding.weight
    head = nn.Sequential(nn.Linear(dim, dim), found.activation(), NORM(dim), decoder)
    return found.draft(
        TokenReadout(dim, found.vocabulary, norm=None, map=head),
        *module("vocab_transform", "readout.map.0"),
        *module("vocab_layer_norm", "readout.map.2"),
        same("vocab_projector.weight", "readout.map.3.weight", again=tied),
        same("vocab_projector.bias", "readout.map.3.bias"),
    )


def _sequence(options: Options) -> Draft:
    options.ignore("tie_word_embeddings")
    found = _Encoder(options, "distilbert.")
    dim, labels = found.dim, num_labels(options)
    dropout = nn.Dropout(options.take_rate("seq_classif_dropout", 0.2))
    head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), dropout, nn.Linear(dim, labels))
    lines = module("pre_classifier", "readout.map.0") + module("classifier", "readout.map.3")
    return found.draft(ClassReadout(dim, labels, norm=None, map=head), *lines)


READ = {
    "DistilBertForMaskedLM": _masked,
    "DistilBertForSequenceClassification": _sequence,
    "DistilBertModel": _model,
}
