"""`nn.RNN`, `nn.LSTM`, `nn.GRU`: the sequence of outputs, from zero states."""

from typing import Any

from torch import nn

from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.translation import same
from tokennet.mixers import GRU, LSTM, RNN, TokenWise
from tokennet.net import FeatureTokenizer, TokenNet

KINDS: dict[str, type[RNN] | type[LSTM] | type[GRU]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}


def describe(module: nn.Module) -> dict[str, Any]:
    """The options of a live module."""
    names = (
        "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
        "bidirectional", "proj_size",
    )  # fmt: skip
    found = {name: getattr(module, name) for name in names}
    if isinstance(module, nn.RNN):
        found["nonlinearity"] = module.nonlinearity
    return found


def read(options: Options) -> Draft:
    size, hidden = options.take_int("input_size"), options.take_int("hidden_size")
    layers = options.take_depth("num_layers", 1)
    options.fixed(bias=True, bidirectional=False, proj_size=0, dropout=0.0)
    options.ignore("batch_first")  # how inputs lie, which the structure tells here
    if options.name == "RNN":
        options.fixed(nonlinearity="tanh")
    mixer = KINDS[options.name](size, hidden, num_layers=layers)
    net = TokenNet(FeatureTokenizer(size), [mixer], TokenWise(nn.Identity()))
    names = [name for name, _ in mixer.named_parameters()]
    return Draft(net, [same(name, f"mixers.0.{name}") for name in names])


READ = dict.fromkeys(KINDS, read)
