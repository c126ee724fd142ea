"""Tiny modules of other libraries, built when asked for: the field on which an audit is run.

`torch_modules()`, `pyg_modules()` and `transformers_modules()` give pairs (name, function that
builds the module). What cannot be built is told by `python benchmarks/field_zoo.py`.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from field_zoo_pyg import pyg_modules
from field_zoo_transformers import transformers_modules

Build = Callable[[], nn.Module]
DIM, HEADS = 8, 2


def _encoder(first: bool, *, norm_first: bool = False) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        DIM, HEADS, 16, dropout=0.0, batch_first=first, norm_first=norm_first
    )


def _decoder(first: bool) -> nn.TransformerDecoderLayer:
    return nn.TransformerDecoderLayer(DIM, HEADS, 16, dropout=0.0, batch_first=first)


def _transformer(first: bool) -> nn.Transformer:
    return nn.Transformer(DIM, HEADS, 1, 1, 16, dropout=0.0, batch_first=first)


def torch_modules() -> Iterator[tuple[str, Build]]:
    """Transformers, attention, recurrent nets, convolutions, norms and pointwise layers."""
    for first in (True, False):
        axes = "batch first" if first else "tokens first"
        yield f"TransformerEncoderLayer, {axes}", lambda f=first: _encoder(f)
        yield (
            f"TransformerEncoderLayer, norm first, {axes}",
            lambda f=first: _encoder(f, norm_first=True),
        )
        yield f"TransformerEncoder, {axes}", lambda f=first: nn.TransformerEncoder(_encoder(f), 2)
        yield f"TransformerDecoderLayer, {axes}", lambda f=first: _decoder(f)
        yield f"TransformerDecoder, {axes}", lambda f=first: nn.TransformerDecoder(_decoder(f), 2)
        yield f"Transformer, {axes}", lambda f=first: _transformer(f)
        yield (
            f"MultiheadAttention, {axes}",
            lambda f=first: nn.MultiheadAttention(DIM, HEADS, batch_first=f),
        )
        for kind in (nn.LSTM, nn.GRU, nn.RNN):
            for both in (False, True):
                way = "both ways, " if both else ""
                yield (
                    f"{kind.__name__}, {way}{axes}",
                    lambda k=kind, f=first, b=both: k(DIM, 6, 2, batch_first=f, bidirectional=b),
                )
    plain: list[Build] = [
        lambda: nn.MultiheadAttention(DIM, HEADS, kdim=6, vdim=4, batch_first=True),
        lambda: nn.MultiheadAttention(DIM, HEADS, add_bias_kv=True, batch_first=True),
        lambda: nn.MultiheadAttention(DIM, HEADS, add_zero_attn=True, batch_first=True),
        lambda: nn.LSTM(DIM, 6, proj_size=4, batch_first=True),
        lambda: nn.Conv1d(3, 4, 3, padding=1),
        lambda: nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"),
        lambda: nn.Conv1d(3, 4, 3, padding="same", dilation=2),
        lambda: nn.Conv1d(3, 4, 1),
        lambda: nn.Conv2d(3, 4, 3, padding=1),
        lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
        lambda: nn.Linear(3, 4),
        lambda: nn.LayerNorm(5),
        lambda: nn.RMSNorm(5),
        lambda: nn.Embedding(10, 4),
        lambda: nn.Embedding(10, 4, padding_idx=0),
        lambda: nn.BatchNorm1d(5),
        lambda: nn.InstanceNorm1d(5),
        lambda: nn.InstanceNorm1d(5, affine=True, track_running_stats=True),
        lambda: nn.GroupNorm(2, 4),
        *(getattr(nn, name) for name in ("GELU", "ReLU", "SiLU", "Softplus", "Tanh", "Dropout")),
    ]
    for build in plain:
        yield repr(quietly(build)), build


def quietly(build: Build) -> nn.Module:
    """The module, with the same weights each time, in evaluation; libraries' warnings are kept
    back, the global seed as it was."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build().eval()
    finally:
        torch.random.set_rng_state(state)


def main() -> None:
    from tokennet.audit.presets import recognise

    families = {
        "torch": torch_modules,
        "PyG": pyg_modules,
        "transformers": transformers_modules,
    }
    asked = sys.argv[1:] or list(families)
    print("| library | listed | built | recognised | its example runs |\n|---|---|---|---|---|")
    for library in asked:
        family = families[library]
        counts, told = [0, 0, 0, 0], []
        for name, build in family():
            counts[0] += 1
            try:
                module = quietly(build)
                counts[1] += 1
                preset = recognise(module)
                if preset is None:
                    told.append(f"{name}: no preset")
                    continue
                counts[2] += 1
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    module(**preset.example)
                counts[3] += 1
            except Exception as error:  # any failure of somebody's module is a line of the table
                told.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[:1]}")
        print(f"| {library} | {' | '.join(map(str, counts))} |", flush=True)
        print("\n".join(f"  {line[:150]}" for line in told), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
