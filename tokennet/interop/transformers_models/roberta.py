"""RoBERTa: BERT with places behind the row of padding, and other heads.

The original counts ids other than `pad_token_id` as places, here they are those of the real tokens:
both are one where padding has that id and real tokens have others.
"""

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.transformers_models.bert import (
    Encoder,
    MaskedNames,
    base,
    classifier_dropout,
    encoder,
    masked,
)
from tokennet.interop.transformers_models.common import num_labels
from tokennet.interop.translation import module
from tokennet.net import ClassReadout


def _encoder(options: Options, prefix: str) -> Encoder:
    padding = options.take_int("pad_token_id", 1, least=0)
    return encoder(options, prefix, first=padding + 1)


def _model(options: Options) -> Draft:
    return base(options, _encoder(options, ""))


def _masked(options: Options) -> Draft:
    names = MaskedNames("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "lm_head.bias")
    return masked(options, _encoder(options, "roberta."), names, nn.GELU())


def _sequence(options: Options) -> Draft:
    found = _encoder(options, "roberta.")
    options.ignore("tie_word_embeddings")
    dropout = classifier_dropout(options, found.dropout)
    labels, dim = num_labels(options), found.dim
    head = nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(dim, dim),
        nn.Tanh(),
        nn.Dropout(dropout),
        nn.Linear(dim, labels),
    )
    lines = module("classifier.dense", "readout.map.1")
    lines += module("classifier.out_proj", "readout.map.4")
    return found.draft(ClassReadout(dim, labels, norm=None, map=head), lines)


READ = {
    "RobertaForMaskedLM": _masked,
    "RobertaForSequenceClassification": _sequence,
    "RobertaModel": _model,
}
