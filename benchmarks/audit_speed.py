"""How long an audit takes: small blocks with all properties, a look, an encoder, a group.

    python benchmarks/audit_speed.py

Seconds are of one core (CPU time of the process), of the second call: imports do not count. Blocks
are the operators of the tests' list, and attention, encoders, convolutions of torch and PyG.
Exits with 1 where a time misses its target.
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measure import markdown, write_whole
from torch import nn

import tokennet as tn

RESULTS = Path(__file__).parent / "results" / "audit_speed.md"
DIM = 16


def blocks() -> dict[str, Callable[[], nn.Module]]:
    """Small blocks of the usual kinds."""
    from torch_geometric import nn as pyg

    return {
        "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(DIM, 2, 32, batch_first=True),
        "TransformerDecoderLayer": lambda: nn.TransformerDecoderLayer(DIM, 2, 32, batch_first=True),
        "MultiheadAttention": lambda: nn.MultiheadAttention(DIM, 2, batch_first=True),
        "LSTM": lambda: nn.LSTM(DIM, DIM, batch_first=True),
        "GRU": lambda: nn.GRU(DIM, DIM, batch_first=True),
        "GCNConv": lambda: pyg.GCNConv(DIM, DIM),
        "GATConv": lambda: pyg.GATConv(DIM, 8, heads=2),
        "TransformerConv": lambda: pyg.TransformerConv(DIM, 8, heads=2),
        "GPSConv": lambda: pyg.GPSConv(DIM, pyg.GCNConv(DIM, DIM), heads=2),
        "MeanAggregation": pyg.MeanAggregation,
        "Block of Attention": lambda: tn.Block(DIM, tn.Attention(DIM, 2)),
        "Block of GraphAttention": lambda: tn.Block(DIM, tn.GraphAttention(DIM, 2)),
        "Block of TokenMLP": lambda: tn.Block(DIM, tn.TokenMLP(16)),
        "Block of GRU": lambda: tn.Block(DIM, tn.GRU(DIM)),
    }


def bert() -> nn.Module:
    """An encoder of BERT-tiny's size: 2 layers, width 128."""
    from transformers import BertConfig, BertModel

    return BertModel(
        BertConfig(
            hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512,
            vocab_size=1000,
        ),
        add_pooling_layer=False,
    )  # fmt: skip


def seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def row(name: str, found: float, asked: float) -> list[str]:
    return [name, f"{found:.2f}", f"{asked:g}", "reached" if found <= asked else "MISSED"]


def main() -> None:
    torch.set_num_threads(1)
    made = {name: make() for name, make in blocks().items()}
    every = list(tn.audit(made["TransformerEncoderLayer"], quick=True).verdicts)
    full, quick = {}, {}
    for name, module in made.items():
        tn.audit(module, quick=True)  # what is imported on the way
        quick[name] = seconds(lambda m=module: tn.audit(m, quick=True))
        full[name] = seconds(lambda m=module: tn.audit(m, properties=every))
        print(f"{name}: {full[name]:.2f} s, a look {quick[name]:.2f} s", flush=True)
    ordered = sorted(full.values())
    encoder = bert()
    tn.audit(encoder, quick=True)
    attention = tn.Attention(DIM, 2)
    group = lambda: tn.symmetry_group(attention, num_tokens=5)  # noqa: E731
    group()
    rows = [
        row("small block, all properties, median", statistics.median(ordered), 5),
        row("small block, all properties, p95", ordered[int(0.95 * len(ordered))], 30),
        row("small block, quick, median", statistics.median(quick.values()), 0.5),
        row("encoder of BERT-tiny's size", seconds(lambda: tn.audit(encoder)), 20),
        row("symmetry_group, 5 tokens", seconds(group), 2),
    ]
    each = [[name, f"{full[name]:.2f}", f"{quick[name]:.2f}"] for name in full]
    page = [
        "# How long an audit takes", "", "    python benchmarks/audit_speed.py", "",
        f"Python {platform.python_version()}, torch {torch.__version__}, one thread, CPU seconds.",
        "", markdown(["what", "seconds", "at most", ""], rows), "",
        markdown(["block", "all properties", "quick"], each), "",
    ]  # fmt: skip
    text = "\n".join(page)
    write_whole(RESULTS, text)
    print(text)
    sys.exit(any(r[-1] == "MISSED" for r in rows))


if __name__ == "__main__":
    main()
