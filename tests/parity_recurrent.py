"""`nn.RNN`, `nn.LSTM`, `nn.GRU` beside their imports."""

from typing import Any

import torch
from parity import Audited, Case
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tokennet as tn

KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


def _make(kind: str) -> Any:
    def make(seed: int) -> nn.Module:
        return KINDS[kind](3 + seed % 4, 5 + seed % 3, num_layers=1 + seed % 2, batch_first=True)

    return make


def _inputs(seed: int, model: Any) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 8, (4,), generator=g)
    return torch.randn(4, int(lengths.max()), model.input_size, generator=g), lengths


def _valid(x: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(x.shape[1]) < lengths[:, None]


def _theirs(model: nn.Module, inputs: Any) -> dict[str, Tensor]:
    x, lengths = inputs
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, _ = pad_packed_sequence(model(packed)[0], batch_first=True)
    return {"output": y[_valid(x, lengths)]}


def _ours(net: "tn.TokenNet", inputs: Any) -> dict[str, Tensor]:
    x, lengths = inputs
    valid = _valid(x, lengths)
    return {"output": net(x, tn.Structure.padded(valid))[valid]}


class _First(nn.Module):
    """The outputs without the last states."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        y = self.module(x)
        return y[0] if isinstance(y, tuple) else y


def _audit(theirs: nn.Module, ours: "tn.TokenNet") -> Audited:
    x = torch.randn(2, 5, theirs.input_size)
    return Audited(_First(theirs), _First(ours), (x,), {"tokens": 0})


CASES = {
    kind: Case(
        f"nn.{kind}", "torch", _make(kind), tn.interop.from_torch, _inputs, _theirs, _ours, _audit
    )
    for kind in KINDS
}
