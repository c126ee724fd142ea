"""What a graph operator of PyG says of itself: channels, edge features, how many hops it reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from tokennet.audit.presets.known import known_as, number

PACKAGE = "torch_geometric.nn"
ANY_WIDTH = 6  # for operators without parameters
POSITIONS = 3
# documented to depend on the order of what they aggregate
ORDERED = (
    "LSTMAggregation",
    "GRUAggregation",
    "MLPAggregation",
    "LCMAggregation",
    "PatchTransformerAggregation",
)
SELECTING = ("TopKPooling", "SAGPooling", "ASAPooling", "EdgePooling", "ClusterPooling")
Count = Callable[[Any], int | None]


@dataclass(frozen=True)
class Operator:
    """Channels of the tokens, and how far an output reads; None where that is not known."""

    width: Count
    hops: Count = lambda module: 1


def first_layer(module: Any) -> int | None:
    """Channels that the first layer inside reads."""
    if not isinstance(module, nn.Module):
        return None  # a function
    found = (number(m, "in_features", "in_channels") for m in module.modules())
    return next((width for width in found if width is not None), None)


def in_channels(module: Any) -> int | None:
    """`in_channels`; of a pair the two must agree; a lazy module takes any."""
    for name in ("in_channels", "channels"):
        value = getattr(module, name, None)
        if isinstance(value, (tuple, list)):
            value = value[0] if len(set(value)) == 1 else None
        if value == -1:
            return ANY_WIDTH
        if isinstance(value, int):
            return value
    return None


def _any(module: Any) -> int:
    return ANY_WIDTH


def _of(name: str, *, less: int = 0, share: int = 1) -> Count:
    """Channels from the first layer of a part, which also reads `less` others."""

    def width(module: Any) -> int | None:
        part = getattr(module, name)
        if part is None:
            return ANY_WIDTH
        found = first_layer(part)
        return None if found is None or found <= less else (found - less) // share

    return width


def _number(name: str) -> Count:
    return lambda module: number(module, name)


def _polynomial(module: Any) -> int:
    return len(module.lins) - 1  # the first term is the token itself


def _powers(module: Any) -> int:
    return int(max(module.powers))


def _inside(module: Any) -> int | None:
    return width_of(module.conv_in)


def _antisymmetric_hops(module: Any) -> int | None:
    within = hops_of(module.phi)
    return None if within is None else within * int(module.num_iters)


def _one_way(module: Any) -> int | None:
    return 1 if getattr(module, "directed_msg", True) else None


def _none(module: Any) -> None:
    return None


_PLAIN = (
    "GCNConv",
    "SAGEConv",
    "GraphConv",
    "ResGatedGraphConv",
    "GATConv",
    "GATv2Conv",
    "TransformerConv",
    "MFConv",
    "RGCNConv",
    "FastRGCNConv",
    "RGATConv",
    "GMMConv",
    "NNConv",
    "CGConv",
    "FeaStConv",
    "PointTransformerConv",
    "LEConv",
    "PNAConv",
    "ClusterGCNConv",
    "GENConv",
    "GCN2Conv",
    "FiLMConv",
    "SuperGATConv",
    "FAConv",
    "EGConv",
    "PDNConv",
)
OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(_PLAIN, Operator(in_channels)),
    "SimpleConv": Operator(_any),
    "LGConv": Operator(_any),
    "AGNNConv": Operator(_any),
    "WLConvContinuous": Operator(_any),
    "APPNP": Operator(_any, _number("K")),
    "ChebConv": Operator(in_channels, _polynomial),
    "TAGConv": Operator(in_channels, _number("K")),
    "SGConv": Operator(in_channels, _number("K")),
    "SSGConv": Operator(in_channels, _number("K")),
    "MixHopConv": Operator(in_channels, _powers),
    "ARMAConv": Operator(in_channels, _number("num_layers")),
    "GatedGraphConv": Operator(_number("out_channels"), _number("num_layers")),
    "GINConv": Operator(_of("nn")),
    "GINEConv": Operator(_of("nn")),
    "EdgeConv": Operator(_of("nn", share=2)),
    "PointNetConv": Operator(_of("local_nn", less=POSITIONS)),
    "PPFConv": Operator(_of("local_nn", less=4)),
    "PointGNNConv": Operator(_of("mlp_h")),
    "GeneralConv": Operator(in_channels, _one_way),
    "DirGNNConv": Operator(_inside, _none),  # reads both directions
    "AntiSymmetricConv": Operator(in_channels, _antisymmetric_hops),
    "GPSConv": Operator(in_channels, _none),  # attention over the sample
}


def width_of(module: Any) -> int | None:
    """Channels of the tokens that a known graph operator reads."""
    operator = OPERATORS.get(known_as(module, PACKAGE) or "")
    return None if operator is None else operator.width(module)


def hops_of(module: Any) -> int | None:
    """How many edges away an output reads, if that is known, against the edges' direction."""
    operator = OPERATORS.get(known_as(module, PACKAGE) or "")
    if operator is None or getattr(module, "flow", "source_to_target") != "source_to_target":
        return None
    return operator.hops(module)


def _gine_width(module: Any) -> int | None:
    return module.lin.in_channels if module.lin is not None else width_of(module)


_EDGE_CHANNELS: dict[str, Count] = {
    "GINEConv": _gine_width,
    "NNConv": _of("nn"),
    "GMMConv": _number("dim"),
    "CGConv": _number("dim"),
    "GeneralConv": _number("in_edge_channels"),
}


def edge_channels(module: Any) -> int | None:
    """Channels of `edge_attr`, if the operator was built for some."""
    count = _EDGE_CHANNELS.get(known_as(module, PACKAGE) or "", _number("edge_dim"))
    return count(module)


def has_order(module: nn.Module) -> bool:
    """Whether something inside is documented to depend on the order of edges or tokens."""
    return any(known_as(m, PACKAGE) in ORDERED for m in module.modules() if m is not module) or (
        known_as(module, PACKAGE) in ORDERED
    )


def selects(module: nn.Module) -> bool:
    """Whether tokens are chosen by their scores: equal scores are decided by places in the batch,
    so nothing is promised of order or company."""
    return any(known_as(m, PACKAGE + ".pool") in SELECTING for m in module.modules())


def sees_whole_sample(norm: nn.Module) -> bool:
    """Whether a norm takes statistics over all tokens of a sample."""
    name = known_as(norm, PACKAGE + ".norm")
    if name == "LayerNorm":
        return norm.mode == "graph"
    return name not in (None, "BatchNorm")


# why an operator of `torch_geometric.nn.conv` has no preset
WITHOUT_PRESET: dict[str, str] = {
    "CuGraphSAGEConv": "needs a GPU and cugraph",
    "CuGraphGATConv": "needs a GPU and cugraph",
    "CuGraphRGCNConv": "needs a GPU and cugraph",
    "FusedGATConv": "takes the graph as three sorted forms and needs a GPU",
    "GravNetConv": "makes its own graph with torch_cluster or pyg_lib",
    "DynamicEdgeConv": "makes its own graph with torch_cluster or pyg_lib",
    "XConv": "makes its own graph with torch_cluster or pyg_lib",
    "SplineConv": "needs torch_spline_conv or pyg_lib",
    "PANConv": "gives a sparse matrix of torch_sparse",
    "SignedConv": "takes two edge lists",
    "DNAConv": "tokens have an axis of layers",
    "HypergraphConv": "edges join any number of tokens",
    "WLConv": "numbers its colours as they appear: no function of its input alone",
    "HGTConv": "takes a dictionary of token types",
    "HANConv": "takes a dictionary of token types",
    "HeteroConv": "takes a dictionary of token types",
    "HEATConv": "takes types of tokens, types of edges and edge features",
    "MeshCNNConv": "every edge has exactly four neighbours",
    "MessagePassing": "is the base of the others",
}
