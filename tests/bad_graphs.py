"""Bad calls of: graph operators."""

import torch
from bad import Bad, D, T, V, common, dense, x
from torch import nn

import tokennet as tn
from tokennet import ops

DEGREES = torch.tensor([1, 2])
NO_FEATURES = r"channels of edges.attr is None, expected 3, the edge_dim of {}; Edges\(index"


def _pna(degrees: object) -> tn.Mixer:
    return tn.PNAConvolution(D, degrees)


GRAPHS: dict[str, list[Bad]] = {
    "SAGEConvolution": [
        Bad(lambda: tn.SAGEConvolution(0), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.SAGEConvolution(D, out_dim=0), V, r"out_dim is 0, expected at least 1"),
        Bad(lambda: tn.SAGEConvolution(D, pool="max"), T, r"pool is 'max', expected a function"),
        Bad(
            lambda: tn.SAGEConvolution(D, pool=ops.segment_max).weights(x(), dense()),
            V,
            r"pool is segment_max, expected segment_mean or segment_sum; others have no matrix",
        ),
        *common(lambda: tn.SAGEConvolution(D)),
    ],
    "GINConvolution": [
        Bad(lambda: tn.GINConvolution(0), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.GINConvolution(D, 3), T, r"mlp is int, expected a module that maps each"),
        Bad(lambda: tn.GINConvolution(D, nn.ReLU), T, r"mlp is the class ReLU, expected a module"),
        Bad(
            lambda: tn.GINConvolution(D, tn.Pointwise(D)), T, r"mlp is Pointwise, expected a module"
        ),
        Bad(lambda: tn.GINConvolution(D, eps="0"), T, r"eps is '0', expected a number"),
        Bad(
            lambda: tn.GINConvolution(D, nn.Linear(D, 3))(x(), dense()),
            V,
            r"channels of mlp's output is 3, expected 8; pass out_dim",
        ),
        *common(lambda: tn.GINConvolution(D)),
    ],
    "GINEConvolution": [
        Bad(lambda: tn.GINEConvolution(D, 0), V, r"edge_dim is 0, expected at least 1"),
        Bad(
            lambda: tn.GINEConvolution(D, 3)(x(), dense()),
            V,
            NO_FEATURES.format("GINEConvolution"),
        ),
        *common(lambda: tn.GINEConvolution(D, 3)),
    ],
    "PNAConvolution": [
        Bad(lambda: tn.PNAConvolution(0, DEGREES), V, r"dim is 0, expected at least 1"),
        Bad(lambda: _pna([1, 2]), T, r"degrees is list, expected a tensor \[T\] of whole"),
        Bad(lambda: _pna(torch.ones(3)), T, r"degrees.dtype is torch.float32, expected whole"),
        Bad(lambda: _pna(DEGREES[None]), V, r"degrees.shape is \(1, 2\), expected \[T\]"),
        Bad(lambda: _pna(DEGREES * 0), V, r"degrees is \[0, 0\], expected numbers of edges, at"),
        Bad(lambda: _pna(DEGREES - 2), V, r"degrees is \[-1, 0\], expected numbers of edges"),
        Bad(
            lambda: tn.PNAConvolution(D, DEGREES, edge_dim=3)(x(), dense()),
            V,
            NO_FEATURES.format("PNAConvolution"),
        ),
        *common(lambda: tn.PNAConvolution(D, DEGREES)),
    ],
    "GatedGraphConvolution": [
        Bad(lambda: tn.GatedGraphConvolution(0, 1), V, r"dim is 0, expected at least 1"),
        Bad(lambda: tn.GatedGraphConvolution(D, 0), V, r"num_steps is 0, expected at least 1"),
        *common(lambda: tn.GatedGraphConvolution(D, 1)),
    ],
    "VirtualToken": [
        Bad(lambda: tn.VirtualToken(nn.Linear(3, D)), T, r"tokenizer is Linear, expected a Tok"),
    ],
    "expander_edges": [
        Bad(
            lambda: tn.expander_edges(x(), degree=2, seed=0),
            T,
            r"structure is Tensor, expected a Structure; e.g. Structure.padded",
        ),
        Bad(
            lambda: tn.expander_edges(dense(), degree=3, seed=0),
            V,
            r"degree is 3, expected an even number; each cycle",
        ),
        Bad(lambda: tn.expander_edges(dense(), degree=0, seed=0), V, r"degree is 0, expected at"),
        Bad(lambda: tn.expander_edges(dense(), degree=2, seed=-1), V, r"seed is -1, expected at"),
    ],
}
