"""Modules of PyG that build with plain arguments."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

Build = Callable[[], nn.Module]
DIM, OUT, EDGE = 8, 6, 3


def _mlp(read: int, give: int = OUT) -> nn.Module:
    return nn.Sequential(nn.Linear(read, 10), nn.ReLU(), nn.Linear(10, give))


def _convolutions() -> Iterator[tuple[str, Build]]:
    from torch_geometric.nn import conv as c

    degrees = torch.tensor([1, 3, 4, 2, 1])
    for name in ("GCNConv", "SAGEConv", "GraphConv", "ResGatedGraphConv", "GATConv", "GATv2Conv"):
        yield name, partial(getattr(c, name), DIM, OUT)
    for name in ("TransformerConv", "TAGConv", "ARMAConv", "SGConv", "MFConv", "FeaStConv"):
        yield name, partial(getattr(c, name), DIM, OUT)
    for name in ("LEConv", "ClusterGCNConv", "GENConv", "FiLMConv", "SuperGATConv", "GeneralConv"):
        yield name, partial(getattr(c, name), DIM, OUT)
    for name in ("MixHopConv", "PointTransformerConv"):
        yield name, partial(getattr(c, name), DIM, OUT)
    for name in ("SimpleConv", "AGNNConv", "LGConv", "WLConvContinuous"):
        yield name, partial(getattr(c, name))
    for name in ("GATConv", "GATv2Conv", "TransformerConv", "ResGatedGraphConv", "GENConv"):
        yield f"{name}, edges", partial(getattr(c, name), DIM, OUT, edge_dim=EDGE)
    for name in ("GATConv", "GATv2Conv", "TransformerConv", "FeaStConv", "SuperGATConv"):
        yield f"{name}, heads", partial(getattr(c, name), DIM, OUT, heads=2)
    for name in ("RGCNConv", "FastRGCNConv", "RGATConv", "FiLMConv"):
        yield f"{name}, relations", partial(getattr(c, name), DIM, OUT, num_relations=3)
    for kind in ("lstm", "median", "softmax", "max", "std", "powermean"):
        yield f"SAGEConv, {kind}", lambda k=kind: c.SAGEConv(DIM, OUT, aggr=k)
    yield from {
        "GCNConv, improved": lambda: c.GCNConv(DIM, OUT, improved=True),
        "GCNConv, not normalised": lambda: c.GCNConv(DIM, OUT, normalize=False),
        "GCNConv, reversed": lambda: c.GCNConv(DIM, OUT, flow="target_to_source"),
        "GATConv, residual": lambda: c.GATConv(DIM, OUT, residual=True),
        "TransformerConv, beta": lambda: c.TransformerConv(DIM, OUT, heads=2, beta=True),
        "SAGEConv, normalised": lambda: c.SAGEConv(DIM, OUT, normalize=True, project=True),
        "GeneralConv, attention": lambda: c.GeneralConv(DIM, DIM, EDGE, attention=True, heads=2),
        "GENConv, norm": lambda: c.GENConv(DIM, OUT, aggr="powermean", msg_norm=True),
        "SuperGATConv, SD": lambda: c.SuperGATConv(DIM, OUT, attention_type="SD"),
        "SimpleConv, root": lambda: c.SimpleConv("mean", combine_root="self_loop"),
        "ARMAConv, stacks": lambda: c.ARMAConv(DIM, OUT, num_stacks=2, num_layers=2),
        "ChebConv": lambda: c.ChebConv(DIM, OUT, 3),
        "GatedGraphConv": lambda: c.GatedGraphConv(DIM, 2),
        "GINConv": lambda: c.GINConv(_mlp(DIM)),
        "GINEConv": lambda: c.GINEConv(_mlp(DIM), edge_dim=EDGE),
        "EdgeConv": lambda: c.EdgeConv(_mlp(2 * DIM)),
        "SSGConv": lambda: c.SSGConv(DIM, OUT, 0.1, K=2),
        "APPNP": lambda: c.APPNP(2, 0.1),
        "GMMConv": lambda: c.GMMConv(DIM, OUT, EDGE, 2),
        "GMMConv, separate": lambda: c.GMMConv(DIM, OUT, EDGE, 2, separate_gaussians=True),
        "NNConv": lambda: c.NNConv(DIM, OUT, _mlp(EDGE, DIM * OUT)),
        "CGConv": lambda: c.CGConv(DIM, EDGE),
        "CGConv, norm": lambda: c.CGConv(DIM, EDGE, batch_norm=True),
        "PointNetConv": lambda: c.PointNetConv(_mlp(DIM + 3)),
        "PPFConv": lambda: c.PPFConv(_mlp(DIM + 4)),
        "PointGNNConv": lambda: c.PointGNNConv(_mlp(DIM, 3), _mlp(DIM + 3, 5), _mlp(5, DIM)),
        "PNAConv": lambda: c.PNAConv(
            DIM, OUT, ["mean", "max", "std"], ["identity", "amplification"], degrees
        ),
        "PNAConv, edges": lambda: c.PNAConv(
            DIM, OUT, ["sum", "min", "var"], ["attenuation", "linear"], degrees, edge_dim=EDGE
        ),
        "GCN2Conv": lambda: c.GCN2Conv(DIM, 0.1),
        "FAConv": lambda: c.FAConv(DIM),
        "PANConv": lambda: c.PANConv(DIM, OUT, 2),
        "EGConv": lambda: c.EGConv(DIM, 8, num_heads=4),
        "EGConv, many": lambda: c.EGConv(DIM, 8, ["sum", "max", "std", "symnorm"], num_heads=4),
        "PDNConv": lambda: c.PDNConv(DIM, OUT, EDGE, 5),
        "GPSConv": lambda: c.GPSConv(DIM, c.GCNConv(DIM, DIM), heads=2),
        "GPSConv, GINE, no norm": lambda: c.GPSConv(DIM, c.GINConv(_mlp(DIM, DIM)), 2, norm=None),
        "GPSConv, layer norm": lambda: c.GPSConv(DIM, None, 2, norm="layer_norm"),
        "GPSConv, performer": lambda: c.GPSConv(DIM, c.GCNConv(DIM, DIM), 2, attn_type="performer"),
        "AntiSymmetricConv": lambda: c.AntiSymmetricConv(DIM, num_iters=2),
        "DirGNNConv": lambda: c.DirGNNConv(c.SAGEConv(DIM, OUT)),
    }.items()


def _aggregations() -> Iterator[tuple[str, Build]]:
    from torch_geometric.nn import aggr as a

    for name in ("Sum", "Mean", "Max", "Min", "Mul", "Var", "Std", "Softmax", "PowerMean"):
        yield f"{name}Aggregation", getattr(a, f"{name}Aggregation")
    degrees = torch.tensor([0, 1, 3, 4, 2, 1])
    yield from {
        "SoftmaxAggregation, learned": lambda: a.SoftmaxAggregation(learn=True, channels=DIM),
        "MedianAggregation": a.MedianAggregation,
        "QuantileAggregation": lambda: a.QuantileAggregation([0.25, 0.6]),
        "VariancePreservingAggregation": a.VariancePreservingAggregation,
        "MultiAggregation": lambda: a.MultiAggregation(["mean", "max", "std"]),
        "MultiAggregation, attention": lambda: a.MultiAggregation(
            ["mean", "max"],
            mode="attn",
            mode_kwargs={"in_channels": DIM, "out_channels": DIM, "num_heads": 2},
        ),
        "LSTMAggregation": lambda: a.LSTMAggregation(DIM, OUT),
        "GRUAggregation": lambda: a.GRUAggregation(DIM, OUT),
        "Set2Set": lambda: a.Set2Set(DIM, 3),
        "DegreeScalerAggregation": lambda: a.DegreeScalerAggregation(
            ["mean", "max"], ["identity", "amplification"], degrees
        ),
        "SortAggregation": lambda: a.SortAggregation(3),
        "GraphMultisetTransformer": lambda: a.GraphMultisetTransformer(DIM, 3, heads=2),
        "AttentionalAggregation": lambda: a.AttentionalAggregation(_mlp(DIM, 1), _mlp(DIM)),
        "EquilibriumAggregation": lambda: a.EquilibriumAggregation(DIM, OUT, [10]),
        "MLPAggregation": lambda: a.MLPAggregation(DIM, OUT, 12, hidden_channels=10, num_layers=2),
        "DeepSetsAggregation": lambda: a.DeepSetsAggregation(_mlp(DIM), _mlp(OUT)),
        "SetTransformerAggregation": lambda: a.SetTransformerAggregation(DIM, 2, heads=2),
        "LCMAggregation": lambda: a.LCMAggregation(DIM, OUT),
        "PatchTransformerAggregation": lambda: a.PatchTransformerAggregation(DIM, OUT, 4, DIM),
    }.items()


def _norms() -> Iterator[tuple[str, Build]]:
    from torch_geometric.nn import norm as n

    for name in ("BatchNorm", "InstanceNorm", "LayerNorm", "GraphNorm"):
        yield f"{name} (graphs)", partial(getattr(n, name), DIM)
    for name in ("GraphSizeNorm", "PairNorm", "MeanSubtractionNorm", "MessageNorm"):
        yield name, getattr(n, name)
    yield "LayerNorm, node", lambda: n.LayerNorm(DIM, mode="node")
    yield "PairNorm, individually", lambda: n.PairNorm(scale_individually=True)
    yield "DiffGroupNorm", lambda: n.DiffGroupNorm(DIM, 2)


def _nets() -> Iterator[tuple[str, Build]]:
    from torch_geometric.nn import models as m

    for name in ("GCN", "GraphSAGE", "GIN", "GAT", "EdgeCNN"):
        kind = getattr(m, name)
        yield name, lambda k=kind: k(DIM, 6, 2, OUT)
        yield f"{name}, graph norm", lambda k=kind: k(DIM, 6, 2, OUT, norm="GraphNorm", jk="cat")
        yield f"{name}, batch norm", lambda k=kind: k(DIM, 6, 3, norm="BatchNorm", jk="lstm")
    extra = {
        "aggregators": ["mean", "max"],
        "scalers": ["identity", "amplification"],
        "deg": torch.tensor([1, 3, 4, 2]),
    }
    yield from {
        "PNA": lambda: m.PNA(DIM, 6, 2, OUT, **extra),
        "GAT, edges": lambda: m.GAT(DIM, 6, 2, OUT, heads=2, edge_dim=EDGE, v2=True),
        "MLP": lambda: m.MLP([DIM, 10, OUT]),
        "MLP, instance norm": lambda: m.MLP([DIM, 10, OUT], norm="instance_norm"),
        "GraphUNet": lambda: m.GraphUNet(DIM, 6, OUT, 2),
        "AttentiveFP": lambda: m.AttentiveFP(DIM, 6, OUT, EDGE, 2, 2),
        "NeuralFingerprint": lambda: m.NeuralFingerprint(DIM, 6, OUT, 2),
        "RECT_L": lambda: m.RECT_L(DIM, 6),
        "PMLP": lambda: m.PMLP(DIM, 6, OUT, 2),
        "SGFormer": lambda: m.SGFormer(DIM, 6, OUT),
        "Polynormer": lambda: m.Polynormer(DIM, 6, OUT, 2, 1),
    }.items()


def _others() -> Iterator[tuple[str, Build]]:
    from torch_geometric.nn import attention as t
    from torch_geometric.nn import dense as d
    from torch_geometric.nn import pool as p

    for name in ("TopKPooling", "SAGPooling", "ASAPooling", "EdgePooling", "ClusterPooling"):
        yield name, partial(getattr(p, name), DIM)
    for name in ("DenseGCNConv", "DenseGraphConv", "DenseSAGEConv", "DenseGATConv"):
        yield name, partial(getattr(d, name), DIM, OUT)
    for name in ("PerformerAttention", "SGFormerAttention", "PolynormerAttention"):
        yield name, partial(getattr(t, name), DIM, 2, head_channels=4)
    yield from {
        "DenseGINConv": lambda: d.DenseGINConv(_mlp(DIM)),
        "DMoNPooling": lambda: d.DMoNPooling(DIM, 3),
        "MemPooling": lambda: p.MemPooling(DIM, OUT, 2, 3),
        "QFormer": lambda: t.QFormer(DIM, 16, OUT, 2, 1),
    }.items()


def pyg_modules() -> Iterator[tuple[str, Build]]:
    """Convolutions, aggregations, norms, nets, poolings, dense operators, attention."""
    for family in (_convolutions, _aggregations, _norms, _nets, _others):
        yield from family()
