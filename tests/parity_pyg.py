"""Models and convolutions of PyG beside their imports, on batches of ragged random graphs.

Axes: T tokens of all samples, E edges, D channels.
"""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import torch
from parity import Audited, Case
from torch import Tensor, nn

import tokennet as tn
from tokennet.audit import Adapter
from tokennet.interop.pyg_models.convolutions import Stack
from tokennet.verify.plans import Domain

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script at import
    import torch_geometric.nn as pyg

EDGE_DIM = 2
DEGREES = torch.tensor([2, 5, 4, 3, 1, 1])
SUMMARIES = ["mean", "min", "max", "std"], ["identity", "amplification", "attenuation"]


def _dim(seed: int) -> int:
    return 6 + seed % 3


def _graphs(seed: int, *, loops: bool) -> tuple[list[int], Tensor]:
    """Two to four graphs, each with a hub, repeated edges, self-loops and a last isolated token.

    `loops`: a token may have several self-loops.
    """
    g = torch.Generator().manual_seed(seed)
    lengths, parts, offset = torch.randint(4, 12, (2 + seed % 3,), generator=g).tolist(), [], 0
    for n in lengths:
        index = torch.randint(n - 1, (2, 2 * n), generator=g)
        hub = torch.stack([torch.arange(n - 1), torch.zeros(n - 1, dtype=torch.int64)])
        index = torch.cat([index, index[:, : n // 2], hub, hub[:, 1:3].flip(0)], 1)
        if not loops:
            index = index[:, index[0] != index[1]]
            index = torch.cat([index, torch.ones(2, 1, dtype=torch.int64)], 1)
        parts.append(index[:, torch.randperm(index.shape[1], generator=g)] + offset)
        offset += n
    return lengths, torch.cat(parts, 1)


def _inputs(*facts: str, loops: bool = True) -> Callable[[int, nn.Module], dict[str, Any]]:
    def inputs(seed: int, model: nn.Module) -> dict[str, Any]:
        lengths, index = _graphs(seed, loops=loops)
        g = torch.Generator().manual_seed(seed + 1)
        count = index.shape[1]
        known = {
            "edge_weight": torch.rand(count, generator=g) + 0.1,
            "edge_attr": torch.randn(count, EDGE_DIM, generator=g),
            "batch": torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)),
        }
        given = {name: value for name, value in known.items() if name in facts}
        x = torch.randn(sum(lengths), _dim(seed), generator=g)
        return {"x": x, "edge_index": index, **given, "lengths": lengths}

    return inputs


def _theirs(model: nn.Module, inputs: dict[str, Any]) -> dict[str, Tensor]:
    given = {k: v for k, v in inputs.items() if k != "lengths"}
    if not hasattr(model, "convs") or hasattr(model, "jk"):
        return {"output": model(**given)}
    found: list[Tensor] = []
    hooks = [c.register_forward_hook(lambda *call: found.append(call[2])) for c in model.convs]
    results = {"output": model(**given)}
    for hook in hooks:
        hook.remove()
    return {**results, **{f"convs.{i}": y for i, y in enumerate(found)}}


def _ours(net: "tn.TokenNet", inputs: dict[str, Any]) -> dict[str, Tensor]:
    edges = tn.Edges(inputs["edge_index"], inputs.get("edge_weight"), inputs.get("edge_attr"))
    structure = tn.Structure.packed(inputs["lengths"], edges=edges)
    states = tn.inspect.hidden_states(net, inputs["x"], structure)
    results = {"output": net.readout(states[-1], structure)}
    models = ("GCN", "GAT", "GraphSAGE", "GIN", "PNA")
    if net.origin.kind in models and net.origin.config["jk"] in (None, "last"):
        steps = [i for i, m in enumerate(net.mixers, 1) if "edges" in m.reads]
        results |= {f"convs.{i}": states[step] for i, step in enumerate(steps)}
    return results


class _Theirs(nn.Module):
    """A model of PyG, called with all that a batch has."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        known = inspect.signature(self.module.forward).parameters
        return self.module(x, edge_index, **({"batch": batch} if "batch" in known else {}))


class _Ours(nn.Module):
    """The import, called alike: tokens of all samples in any order, the structure wants one."""

    def __init__(self, net: "tn.TokenNet"):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        lengths = torch.bincount(batch, minlength=batch_size).tolist()
        order = batch.argsort(stable=True)
        place = order.argsort()
        structure = tn.Structure.packed(lengths, edges=tn.Edges(place[edge_index]))
        return self.net(x[order], structure)[place]


def _audit(theirs: nn.Module, ours: "tn.TokenNet") -> Audited:
    lengths, index = _graphs(0, loops=False)
    batch = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    example = torch.randn(sum(lengths), ours.dim), index, batch, len(lengths)
    adapter = Adapter("x", edges="edge_index", batch="batch", count="batch_size")
    # batch statistics couple samples and tokens in train mode, on both sides
    domain = Domain(num_tokens=(1, 9), batch=(1, 4), train=not ours.couples_samples)
    roles = {"adapter": adapter, "domain": domain}
    return Audited(_Theirs(theirs), _Ours(ours), example, roles)


def _mlp(dim: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, 5), nn.Tanh(), nn.Linear(5, out))


def _model(kind: str, most: int = 3, **options: Any) -> Callable[[int], nn.Module]:
    """One to `most` layers, with `out_channels` or without."""

    def make(seed: int) -> nn.Module:
        out = [None, 6][seed // 3 % 2]
        return getattr(pyg, kind)(_dim(seed), 8, 1 + seed % most, out, **options)

    return make


def _gps(norm: str | None, conv: Callable[[int], nn.Module] | None = None, **more: Any) -> Any:
    def make(seed: int) -> nn.Module:
        dim, heads = _dim(seed), 1 if _dim(seed) % 2 else 2
        inner = None if conv is None else conv(dim)
        return pyg.GPSConv(dim, inner, heads, norm=norm, **more)

    return make


def _sized(make: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    return lambda seed: make(_dim(seed))


def _row(name: str, make: Any, *facts: str, loops: bool = True, imprecise: str = "") -> Case:
    audit = None if "edge_attr" in facts else _audit
    return Case(
        name, "pyg", make, tn.interop.from_pyg, _inputs(*facts, loops=loops), _theirs, _ours,
        audit, imprecise=imprecise,
    )  # fmt: skip


CANCELS = "PyG's deviation is the root of a difference of means, gradients up to 8e-2 off"
NODE = {"norm": "layer_norm", "norm_kwargs": {"mode": "node"}}
ROWS = [
    _row("GCN, edge weights", _model("GCN"), "edge_weight", loops=False),
    _row(
        "GCN, batch norm, jumping to the last",
        _model("GCN", norm="batch_norm", jk="last", act="elu", act_first=True), loops=False,
    ),
    _row("GAT", _model("GAT", heads=2), loops=False),
    _row("GAT v2, layer norm", _model("GAT", heads=2, v2=True, **NODE), loops=False),
    _row("GraphSAGE", _model("GraphSAGE", act=torch.tanh)),
    _row("GraphSAGE, maximum, unit length", _model("GraphSAGE", aggr="max", normalize=True)),
    _row(
        "GraphSAGE, graph norm, joined layers",
        _model("GraphSAGE", norm="graph_norm", jk="cat", dropout=0.0), "batch",
    ),
    _row(
        "GCN, norm over graphs, maximum of layers",
        _model("GCN", norm="layer_norm", jk="max"), "batch", loops=False,
    ),
    _row("GIN", _model("GIN", train_eps=True, eps=0.5)),
    _row("GIN, batch norm", _model("GIN", 2, norm="batch_norm", act="tanh")),
    _row(
        "PNA, edge features",
        _model("PNA", aggregators=SUMMARIES[0], scalers=SUMMARIES[1], deg=DEGREES, edge_dim=2),
        "edge_attr", imprecise=CANCELS,
    ),
    _row("GCNConv", _sized(lambda d: pyg.GCNConv(d, 5, add_self_loops=False)), "edge_weight"),
    _row(
        "GATConv, mean of heads, residual",
        _sized(lambda d: pyg.GATConv(d, 5, 3, concat=False, residual=True, negative_slope=0.1)),
        loops=False,
    ),
    _row(
        "GATv2Conv, residual",
        _sized(lambda d: pyg.GATv2Conv(d, 5, 3, residual=True, add_self_loops=False)),
    ),
    _row("TransformerConv", _sized(lambda d: pyg.TransformerConv(d, 4, 3))),
    _row(
        "TransformerConv, edge features, no root",
        _sized(lambda d: pyg.TransformerConv(d, 4, 3, edge_dim=2, root_weight=False, bias=False)),
        "edge_attr",
    ),
    _row("SAGEConv, sum", _sized(lambda d: pyg.SAGEConv(d, 5, aggr="add", bias=False))),
    _row("GINConv", _sized(lambda d: pyg.GINConv(_mlp(d, 6), eps=0.3))),
    _row(
        "GINEConv, edge features",
        _sized(lambda d: pyg.GINEConv(_mlp(d, 6), train_eps=True, edge_dim=2)), "edge_attr",
    ),
    _row("PNAConv", _sized(lambda d: pyg.PNAConv(d, 5, *SUMMARIES, DEGREES)), imprecise=CANCELS),
    _row(
        "GPSConv with GINEConv, batch norm",
        _gps("batch_norm", lambda d: pyg.GINEConv(_mlp(d, d), edge_dim=2)), "edge_attr", "batch",
    ),
    _row(
        "GPSConv with GCNConv, no norm",
        _gps(None, lambda d: pyg.GCNConv(d, d), act="gelu"), "batch", "edge_weight", loops=False,
    ),
    _row(
        "GPSConv without a convolution, layer norm",
        _gps("layer_norm", norm_kwargs={"mode": "node"}, attn_kwargs={"bias": False}), "batch",
    ),
    _row(
        "GPSConv with GATConv, norm over graphs",
        _gps("layer_norm", lambda d: pyg.GATConv(d, d)), "batch", loops=False,
    ),
    _row(
        "stack of GCNConv and GATConv",
        _sized(
            lambda d: Stack(
                pyg.GCNConv(d, 8), pyg.BatchNorm(8), nn.ELU(0.5), pyg.GATConv(8, 3, 2),
                nn.LeakyReLU(), nn.Linear(6, 4),
            )
        ),
        "edge_weight", loops=False,
    ),
]  # fmt: skip
CASES = {case.name: case for case in ROWS}
