"""`GCNConv`, `SAGEConv`, `GINConv`, `GINEConv` and `PNAConv`."""

from typing import Any

import torch
from torch import nn

from tokennet.checks import value_error
from tokennet.interop.options import Options
from tokennet.interop.pyg_models.parts import Piece, chained, describe_part, make_part, origin_of
from tokennet.interop.translation import Line, constant, same, shaped
from tokennet.mixers import (
    GINConvolution,
    GINEConvolution,
    GraphConvolution,
    PNAConvolution,
    Pointwise,
    SAGEConvolution,
    TokenWise,
)
from tokennet.ops import segment_max, segment_mean, segment_min, segment_sum

POOLS = {
    "mean": segment_mean, "max": segment_max, "min": segment_min,
    "sum": segment_sum, "add": segment_sum,
}  # fmt: skip
AGGREGATORS, SCALERS = ["mean", "min", "max", "std"], ["identity", "amplification", "attenuation"]


def in_channels(module: Any, linear: Any) -> Any:
    """The channels of a convolution; one that was made for -1 knows them after its first call."""
    size = module.in_channels
    return linear.weight.shape[1] if isinstance(size, int) and size < 1 else size


def check_size(options: Options, key: str) -> int:
    """A number of channels; pairs of them, for two kinds of tokens, are refused."""
    value = options.take(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise options.refused(key, value, "a whole number above 0")
    return value


def aggregation(module: Any, where: str) -> str:
    """`aggr` of a live convolution, told by the module that does it."""
    kind = origin_of(module.aggr_module, f"{where}.aggr")
    names = {f"{name.capitalize()}Aggregation": name for name in POOLS}
    return {**names, "SumAggregation": "add"}.get(kind, kind)


# -- GCN -----------------------------------------------------------------------------------------


def describe_gcn(module: Any, where: str) -> dict[str, Any]:
    names = ("out_channels", "improved", "cached", "add_self_loops", "normalize")
    return {
        "in_channels": in_channels(module, module.lin),
        **{name: getattr(module, name) for name in names},
        "bias": module.bias is not None,
        "aggr": aggregation(module, where),
    }


def make_gcn(options: Options, theirs: str) -> Piece:
    dim, out = check_size(options, "in_channels"), check_size(options, "out_channels")
    options.fixed(improved=False, cached=False, normalize=True, aggr="add")
    loops, bias = options.take("add_self_loops", None), options.take("bias", True)
    mixer = GraphConvolution(dim, out_dim=out, self_loops=loops is not False, bias=bias)
    lines = [same(f"{theirs}lin.weight", "map.weight")]
    return Piece(mixer, [*lines, same(f"{theirs}bias", "bias")] if bias else lines)


# -- SAGE ----------------------------------------------------------------------------------------


def describe_sage(module: Any, where: str) -> dict[str, Any]:
    names = ("out_channels", "normalize", "root_weight", "project")
    return {
        "in_channels": in_channels(module, module.lin_l),
        **{name: getattr(module, name) for name in names},
        "bias": module.lin_l.bias is not None,
        "aggr": aggregation(module, where),
    }


def make_sage(options: Options, theirs: str) -> Piece:
    dim, out = check_size(options, "in_channels"), check_size(options, "out_channels")
    options.fixed(root_weight=True, project=False)
    aggr, bias = options.take("aggr", "mean", among=tuple(POOLS)), options.take("bias", True)
    mixer = SAGEConvolution(
        dim, out_dim=out, pool=POOLS[aggr], normalize=options.take("normalize", False), bias=bias
    )
    names = ("weight", "bias") if bias else ("weight",)
    lines = [same(f"{theirs}lin_l.{n}", f"heard.{n}") for n in names]
    return Piece(mixer, [*lines, same(f"{theirs}lin_r.weight", "own.weight")])


# -- GIN -----------------------------------------------------------------------------------------


def describe_gin(module: Any, where: str) -> dict[str, Any]:
    learned = isinstance(module.eps, nn.Parameter)
    found = {
        "nn": describe_part(module.nn, f"{where}.nn"),
        "eps": float(module.initial_eps if learned else module.eps),
        "train_eps": learned,
        "aggr": aggregation(module, where),
    }
    if type(module).__name__ == "GINEConv":
        found["edge_dim"] = None if module.lin is None else module.lin.weight.shape[1]
    return found


def make_gin(options: Options, theirs: str) -> Piece:
    """With a norm that is a mixer inside, the MLP comes after the sum and not in it."""
    options.fixed(aggr="add")
    steps = make_part(options.take("nn"), f"{options.name}.nn", f"{theirs}nn.", told=False)
    dim = next((p.mixer.dim for p in steps if p.mixer.dim is not None), None)
    if dim is None:
        raise options.refused("nn", "without a linear map", "one that tells its channels")
    maps = [p.mixer.map for p in steps if isinstance(p.mixer, Pointwise | TokenWise)]
    plain = len(maps) == len(steps)
    mlp = nn.Sequential(*maps) if plain else nn.Identity()
    out = dim
    for piece in steps if plain else ():
        out = piece.mixer.width(out) or out
    eps, learned = float(options.take("eps", 0.0)), options.take("train_eps", False)
    more: dict[str, Any] = {"out_dim": out, "eps": eps, "learn_eps": learned}
    mixer: GINConvolution | GINEConvolution
    if options.name.endswith("GINEConv"):
        if options.take("edge_dim", None) is None:
            raise options.refused("edge_dim", None, "a whole number: features get a linear map")
        mixer = GINEConvolution(dim, check_size(options, "edge_dim"), mlp, **more)
        lines = [same(f"{theirs}lin.{n}", f"edge.{n}") for n in ("weight", "bias")]
    else:
        mixer, lines = GINConvolution(dim, mlp, **more), []
    lines.append(_eps_line(f"{theirs}eps", eps, learned))
    if not plain:
        return chained([Piece(mixer, lines), *steps])
    for i, piece in enumerate(steps):
        lines += [same(n.theirs, n.ours[0].replace("map.", f"mlp.{i}.", 1)) for n in piece.lines]
    return Piece(mixer, lines)


def _eps_line(theirs: str, eps: float, learned: bool) -> Line:
    if learned:
        return shaped(theirs, "eps", (1,))
    return constant(theirs, torch.tensor([eps], dtype=torch.float64))


# -- PNA -----------------------------------------------------------------------------------------


def describe_pna(module: Any, where: str) -> dict[str, Any]:
    """Without the histogram of degrees: of it the weights hold all that is needed."""
    scaler, names = module.aggr_module, ("out_channels", "edge_dim", "towers", "divide_input")
    if origin_of(scaler, f"{where}.aggr") != "DegreeScalerAggregation":
        raise value_error(f"{where}.aggr", type(scaler).__name__, "DegreeScalerAggregation")
    kinds = [type(aggr).__name__ for aggr in getattr(scaler.aggr, "aggrs", [scaler.aggr])]
    return {
        "in_channels": module.in_channels,
        **{name: getattr(module, name) for name in names},
        "aggregators": [kind.removesuffix("Aggregation").lower() for kind in kinds],
        "scalers": list(scaler.scaler),
        "pre_layers": (len(module.pre_nns[0]) + 1) // 2,
        "post_layers": (len(module.post_nns[0]) + 1) // 2,
        "train_norm": isinstance(scaler.avg_deg_log, nn.Parameter),
    }


def make_pna(options: Options, theirs: str) -> Piece:
    dim, out = check_size(options, "in_channels"), check_size(options, "out_channels")
    options.fixed(aggregators=AGGREGATORS, scalers=SCALERS)
    options.fixed(towers=1, pre_layers=1, post_layers=1, train_norm=False)
    # with one tower and one layer there is nothing to divide and no activation
    options.ignore("divide_input", "act", "act_kwargs", "deg")
    edge_dim = options.take("edge_dim", None)
    mixer = PNAConvolution(dim, torch.ones(1, dtype=torch.int64), out_dim=out, edge_dim=edge_dim)
    pairs = [("pre_nns.0.0", "message"), ("post_nns.0.0", "update"), ("lin", "output")]
    if edge_dim is not None:
        pairs.append(("edge_encoder", "edge"))
    scale = f"{theirs}aggr_module.avg_deg_"
    lines = [
        same(f"{theirs}{their}.{name}", f"{own}.{name}")
        for their, own in pairs
        for name in ("weight", "bias")
    ]
    return Piece(mixer, [*lines, shaped(f"{scale}log", "mean_log_degree", (1,))], (f"{scale}lin",))


MAKE = {
    "GCNConv": make_gcn,
    "GINConv": make_gin,
    "GINEConv": make_gin,
    "PNAConv": make_pna,
    "SAGEConv": make_sage,
}
DESCRIBE = {
    "GCNConv": describe_gcn,
    "GINConv": describe_gin,
    "GINEConv": describe_gin,
    "PNAConv": describe_pna,
    "SAGEConv": describe_sage,
}
