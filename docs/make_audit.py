"""The picture of the page on audits: properties and modules of five kinds.

python docs/make_audit.py
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import nn

import tokennet as tn

PICTURE = Path(__file__).parent / "pictures" / "audit.png"
NAMES = (
    "Permutation", "CyclicShift", "EdgeOrder", "Locality", "Padding", "NaNPadding", "LeftPadding",
    "BatchIndependence", "Causality", "Prefix", "TrainEval", "MemoryLayout", "Repeatability",
    "NoState", "Purity", "Finite",
)  # fmt: skip


def modules() -> dict[str, nn.Module]:
    from torch_geometric.nn import GCNConv, LSTMAggregation, PerformerAttention

    return {
        "TransformerEncoderLayer": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        "LSTM": nn.LSTM(8, 8, batch_first=True),
        "Conv1d": nn.Conv1d(8, 8, 3, padding=1),
        "PyG GCNConv": GCNConv(8, 8),
        "PyG LSTMAggregation": LSTMAggregation(8, 8),
        "PyG PerformerAttention": PerformerAttention(8, 2),
        "tokennet Attention": tn.Attention(8, 2),
        "tokennet GraphConvolution": tn.GraphConvolution(8),
    }


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    reports = {
        name: tn.audit(module, properties=NAMES, budget=6) for name, module in modules().items()
    }
    axes = tn.draw_matrix(reports)
    axes.figure.savefig(PICTURE, dpi=110, bbox_inches="tight")
    plt.close(axes.figure)


if __name__ == "__main__":
    main()
