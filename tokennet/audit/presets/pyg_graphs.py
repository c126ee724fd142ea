"""Graph operators and graph nets of PyG: `(x, edge_index, ...) -> x`.

Axes: T tokens of all samples, E edges, D channels.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Adapter, Preset
from tokennet.audit.presets.known import (
    ORDERLESS,
    SAMPLES,
    TOKENS,
    arguments,
    descends,
    domain,
    features,
    ids,
    known_as,
    number,
    promised,
    sample_of_each,
    weights,
)
from tokennet.audit.presets.pyg_facts import (
    OPERATORS,
    PACKAGE,
    POSITIONS,
    edge_channels,
    first_layer,
    has_order,
    hops_of,
    in_channels,
    sees_whole_sample,
    selects,
    width_of,
)

TOTAL = SAMPLES * TOKENS
# arguments that no preset gives: their defaults are meant
LEFT_OUT = {
    "size",
    "return_attention_weights",
    "neg_edge_index",
    "num_sampled_nodes_per_hop",
    "num_sampled_edges_per_hop",
    "args",
    "kwargs",
}


def edges(module: nn.Module) -> Tensor:
    """[2, E]: in each sample a ring in one direction and a chord; the last token sends nothing."""
    one = torch.tensor([[0, 1, 2, 3, 0, 2], [1, 2, 3, 4, 2, 0]])
    found = torch.cat([one + TOKENS * sample for sample in range(SAMPLES)], 1)
    return found.to(sample_of_each(module).device)


@dataclass
class Call:
    """The arguments of one call and which is which, filled in name by name."""

    module: nn.Module
    width: int
    example: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, Any] = field(default_factory=dict)
    alongside: tuple[str, ...] = ()

    def add_graph(self) -> None:
        """Tokens and edges."""
        self.example["x"] = features(self.module, TOTAL, self.width)
        self.example["edge_index"] = edges(self.module)
        self.roles |= {"tokens": "x", "layout": "nd", "edges": "edge_index"}

    def add_edge_facts(self, *, weighted: bool, attribute: int | None, types: int | None) -> None:
        """What is known of each edge, where the module was built for it."""
        count = self.example["edge_index"].shape[1]
        if weighted:
            self.example["edge_weight"] = weights(self.module, count)
            self.roles["edge_weight"] = "edge_weight"
        if attribute is not None:
            self.example["edge_attr"] = weights(self.module, count, attribute)
            self.roles["edge_attr"] = "edge_attr"
        if types is not None:
            self.example["edge_type"] = ids(self.module, (0, types - 1), count)
            self.roles["edge_attr"] = "edge_type"

    def add_beside(self, name: str, width: int) -> None:
        """Another argument with a row for each token."""
        self.example[name] = features(self.module, TOTAL, width) + 0.5
        self.alongside = (*self.alongside, name)

    def add_batch(self, accepted: Any) -> None:
        """The sample of each token, and how many samples there are, where it can be given."""
        if "batch" in accepted:
            self.example["batch"] = sample_of_each(self.module)
            self.roles |= {"batch": "batch", "batch_kind": "vector"}
            for name in ("batch_size", "dim_size"):
                if name in accepted:
                    self.example[name] = SAMPLES
                    self.roles["count"] = name

    def preset(self, *names: str, output: Any = None, **settings: Any) -> Preset:
        """All of it."""
        adapter = Adapter(**self.roles, alongside=self.alongside, output=output)
        limits = domain(self.module, **settings)
        kept = promised(self.module, *names)
        if not limits.get("train", True):
            kept = tuple(name for name in kept if name != "TrainEval")
        return Preset(self.example, adapter, kept, limits)


def _local(hops: int | None) -> tuple[str, ...]:
    return () if hops is None else (f"Locality(hops={hops})",)


def _operator(module: Any, name: str) -> Preset | None:
    width = width_of(module)
    # a cached graph is documented to be the only one; an LSTM wants edges sorted by their target
    if width is None or getattr(module, "cached", False) or has_order(module):
        return None
    accepted = arguments(module)
    call = Call(module, width)
    call.add_graph()
    relations = number(module, "num_relations") if "edge_type" in accepted else None
    many = name != "FiLMConv" or (relations or 0) > 1
    # Of several loops of one token, an operator that adds loops keeps the last weight, so weights
    # go with simple graphs only; FAConv takes them where it does not make its own.
    adds = getattr(module, "add_self_loops", False) or (name == "FAConv" and module.normalize)
    weighs = "edge_weight" in accepted and not adds
    attribute = edge_channels(module) if "edge_attr" in accepted else None
    if name == "PDNConv" and adds:
        attribute = None  # it makes weights of them
    if relations is not None and attribute is not None:
        return None  # an adapter holds one table of edge features
    call.add_edge_facts(
        weighted=weighs,
        attribute=attribute,
        types=relations if many else None,
    )
    for beside, channels in (("pos", POSITIONS), ("normal", POSITIONS), ("x_0", width)):
        if beside in accepted:
            call.add_beside(beside, channels)
    if name in ("GPSConv", "ChebConv"):
        call.add_batch(accepted)
    if name == "ChebConv" and module.normalization != "sym":
        return None  # wants the largest eigenvalue of each sample's Laplacian
    together = ("BatchIndependence",) if "batch" in call.roles else ()
    # in training SuperGATConv draws pairs that are no edges
    settings = {"train": False} if name == "SuperGATConv" else {}
    return call.preset(*ORDERLESS, *_local(hops_of(module)), *together, **settings)


def _net(module: Any) -> Preset | None:
    """GCN, GraphSAGE, GIN, GAT, PNA, EdgeCNN: convolutions one after the other."""
    width = in_channels(module)
    if width is None or has_order(module):
        return None
    if any(getattr(conv, "cached", False) for conv in module.convs):
        return None
    call = Call(module, width)
    call.add_graph()
    attribute = edge_channels(module.convs[0]) if module.supports_edge_attr else None
    adds = any(getattr(conv, "add_self_loops", False) for conv in module.convs)
    weighs = module.supports_edge_weight and not adds
    call.add_edge_facts(weighted=weighs, attribute=attribute, types=None)
    call.add_batch(arguments(module))
    reads = [hops_of(conv) for conv in module.convs]
    known = [r for r in reads if r is not None]
    whole = any(sees_whole_sample(norm) for norm in module.norms)
    hops = sum(known) if len(known) == len(reads) and not whole else None
    return call.preset(*ORDERLESS, *_local(hops), "BatchIndependence")


def _widths(module: Any) -> int | None:
    name = known_as(module, PACKAGE)
    if name == "SGFormer":
        return number(module.trans_conv.fcs[0], "in_features")
    if name == "Polynormer":
        return number(module.lin_in, "in_features")
    return in_channels(module)


def _whole_graph(module: Any) -> Preset | None:
    """Nets with an answer for each token or for each sample."""
    width = _widths(module)
    accepted = arguments(module)
    if width is None:
        return None
    call = Call(module, width)
    call.add_graph()
    attribute = edge_channels(module) if "edge_attr" in accepted else None
    adds = any(getattr(part, "add_self_loops", False) for part in module.modules())
    weighs = "edge_weight" in accepted and not adds
    call.add_edge_facts(weighted=weighs, attribute=attribute, types=None)
    call.add_batch(accepted)
    together = ("BatchIndependence",) if "batch" in call.roles else ()
    # PMLP is documented to be an MLP in training, a graph net in evaluation
    settings = {"train": False} if known_as(module, PACKAGE) == "PMLP" else {}
    return call.preset(*(() if selects(module) else (*ORDERLESS, *together)), **settings)


def _own_message_passing(module: Any) -> Preset | None:
    """Somebody's subclass of MessagePassing: its base promises that order does not matter."""
    accepted = arguments(module)
    required = {n for n, p in accepted.items() if p.default is p.empty and n not in LEFT_OUT}
    width = in_channels(module) or first_layer(module)
    if required != {"x", "edge_index"} or width is None or has_order(module):
        return None
    call = Call(module, width)
    call.add_graph()
    return call.preset(*ORDERLESS)


NETS = ("GCN", "GraphSAGE", "GIN", "GAT", "PNA", "EdgeCNN")
WHOLE = (
    "GraphUNet",
    "AttentiveFP",
    "NeuralFingerprint",
    "RECT_L",
    "PMLP",
    "SGFormer",
    "Polynormer",
)
_BASE = "torch_geometric.nn.conv.message_passing.MessagePassing"


def recognise(module: nn.Module) -> Preset | None:
    """The preset of a graph operator or graph net."""
    name = known_as(module, PACKAGE)
    bases = {c.__name__ for c in type(module).__mro__ if c.__module__.startswith(PACKAGE)}
    if name in OPERATORS:
        return _operator(module, name)
    if name == "BasicGNN" and bases & set(NETS):
        return _net(module)
    if name in WHOLE:
        return _whole_graph(module)
    if name is None and descends(module, _BASE):
        return _own_message_passing(module)
    return None
