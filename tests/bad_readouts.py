"""Bad calls of: readouts."""

from typing import Any

from bad import Bad, D, T, V, common, dense, x
from bad_latents import memory
from bad_nets import readout
from torch import nn

import tokennet as tn


def attention(*mixers: Any, **more: Any) -> tn.Mixer:
    return tn.AttentionReadout(D, 3, *(mixers or (memory(),)), **more)


def answers(*mixers: Any) -> tn.Mixer:
    return tn.SetReadout(D, 3, 4, *(mixers or (memory(),)))


READOUTS: dict[str, list[Bad]] = {
    "SumReadout": readout(tn.SumReadout),
    "MaxReadout": readout(tn.MaxReadout),
    "GatedReadout": [
        *readout(tn.GatedReadout),
        Bad(
            lambda: tn.GatedReadout(D, 3, gate=nn.Linear),
            T,
            r"gate is the class Linear, expected a module or None; e.g. nn.Linear\(dim, 1\)",
        ),
        Bad(
            lambda: tn.GatedReadout(D, 3, gate=nn.Linear(D, 2))(x(), dense()),
            V,
            r"channels that gate gives is 2, expected 1 or 8",
        ),
    ],
    "AttentionReadout": [
        *common(attention),
        Bad(lambda: tn.AttentionReadout(D, 0, memory()), V, r"out_dim is 0, expected at least 1"),
        Bad(lambda: attention(num_seeds=0), V, r"num_seeds is 0, expected at least 1"),
        Bad(
            lambda: tn.AttentionReadout(D, 3),
            V,
            r"mixers is \(\), expected at least one that reads memory: the tokens; e.g. tn.Att",
        ),
        Bad(lambda: attention(tn.Pooling()), V, r"mixers is Pooling, expected at least one that"),
        Bad(lambda: attention(nn.Linear(D, D)), T, r"mixers\[0\] is Linear, expected a Mixer"),
        Bad(
            lambda: attention(memory(), tn.Pooling(tn.EdgeList())),
            V,
            r"reads of mixers\[1\] is \['edges'\], expected position and memory; learned",
        ),
    ],
    "SetReadout": [
        *common(answers),
        Bad(lambda: tn.SetReadout(D, 3, 0, memory()), V, r"num_queries is 0, expected at least 1"),
        Bad(lambda: answers(tn.Attention(D, 2)), V, r"mixers is Attention, expected at least one"),
        Bad(
            lambda: answers(memory(), tn.Attention(5, 1)),
            V,
            r"mixers\[1\].dim is 5, expected 8, the channels that reach it",
        ),
    ],
}
