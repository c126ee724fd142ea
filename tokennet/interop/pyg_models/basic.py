"""`GCN`, `GAT`, `GraphSAGE`, `GIN` and `PNA` of `torch_geometric.nn.models`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from tokennet.checks import value_error
from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.pyg_models.activations import act_of, take_act
from tokennet.interop.pyg_models.convolutions import describe_module, draft, make_module
from tokennet.interop.pyg_models.parts import (
    Piece,
    chained,
    linear,
    listed,
    make_norm,
    norm_of,
    take_norm,
)
from tokennet.interop.pyg_models.sums import check_size
from tokennet.mixers import TokenWise
from tokennet.mixers.jumping import JumpingKnowledge

PASSED = {
    "GCN": ("improved", "cached", "add_self_loops", "normalize", "bias"),
    "GAT": (
        "heads", "concat", "negative_slope", "add_self_loops", "edge_dim", "fill_value", "bias",
        "residual", "share_weights",
    ),
    "GraphSAGE": ("normalize", "root_weight", "project", "bias"),
    "GIN": ("eps", "train_eps"),
    "PNA": (
        "aggregators", "scalers", "deg", "edge_dim", "towers", "pre_layers", "post_layers",
        "divide_input", "train_norm",
    ),
}  # fmt: skip
"""Options that go to the convolutions; those of all convolutions come with them."""
EVERY = ("aggr", "flow", "decomposed_layers", "node_dim")
CONVOLUTIONS = {"GCN": "GCNConv", "GraphSAGE": "SAGEConv", "GIN": "GINConv", "PNA": "PNAConv"}


def describe(model: Any) -> dict[str, Any]:
    """The options that the constructor takes; parts that it would not have made are refused."""
    kind = type(model).__name__
    convs = [describe_module(conv, f"{kind}.convs.{i}") for i, conv in enumerate(model.convs)]
    act, act_kwargs = act_of(model.act, f"{kind}.act")
    norms = [norm_of(norm, f"{kind}.norms.{i}") for i, norm in enumerate(model.norms)]
    norm, norm_kwargs = norms[0]
    if norm is None and kind == "GIN":  # of one layer only the MLP has the norm
        norm, norm_kwargs = (convs[0]["nn"].get(key) for key in ("norm", "norm_kwargs"))
    jk, to_conv = model.jk_mode, hasattr(model, "_is_conv_to_out")
    options = {
        "in_channels": _width(convs[0], "in"), "hidden_channels": model.hidden_channels,
        "num_layers": model.num_layers, "dropout": model.dropout.p, "act": act,
        "act_kwargs": act_kwargs, "act_first": model.act_first, "norm": norm,
        "norm_kwargs": norm_kwargs, "jk": jk,
        "out_channels": model.out_channels if to_conv or jk is not None else None,
    }  # fmt: skip
    options |= {k: convs[0][k] for k in (*PASSED[kind], *EVERY) if k in convs[0]}
    if kind == "GAT":
        options["v2"] = convs[0]["kind"] == "GATv2Conv"
        # of one layer to `out_channels` the heads are averaged whatever was asked for
        options["concat"] = convs[0]["concat"] or (to_conv and len(convs) == 1)
    _check_parts(kind, options, convs, norms)
    return options


def _width(conv: Mapping[str, Any], end: str) -> Any:
    if conv["kind"] != "GINConv":
        return conv[f"{end}_channels"]
    return conv["nn"]["channel_list"][0 if end == "in" else -1]


def _check_parts(kind: str, options: Mapping[str, Any], convs: list[Any], norms: list[Any]) -> None:
    """Raises where a convolution or norm is not the one of the options: it was put there later."""
    expected = _convolutions(Options(kind, options))
    for i, (plan, conv) in enumerate(zip(expected, convs, strict=True)):
        for key in {**plan, **conv}:
            if plan.get(key) != conv.get(key):
                name = f"{kind}.convs.{i}.{key}"
                raise value_error(name, repr(conv.get(key))[:60], repr(plan.get(key))[:60])
    norm: tuple[Any, Any] = (options["norm"], options["norm_kwargs"])
    last = (None, {}) if options["jk"] is None else norm
    if norms != [*([norm] * (len(norms) - 1)), last]:
        raise value_error(f"{kind}.norms", "of several kinds", "norms that are alike")


def _convolutions(options: Options) -> list[dict[str, Any]]:
    """The descriptions of the convolutions."""
    kind, hidden = options.name, check_size(options, "hidden_channels")
    count, out = check_size(options, "num_layers"), options.take("out_channels", None)
    sizes = [check_size(options, "in_channels"), *([hidden] * count)]
    to_out = out is not None and options.take("jk", None) is None
    if to_out:
        sizes[-1] = check_size(options, "out_channels")
    passed = {k: options.take(k) for k in (*PASSED[kind], *EVERY) if options.has(k)}
    if kind == "GIN":
        return [_gin(options, sizes[i : i + 2], passed) for i in range(count)]
    found = []
    for i in range(count):
        conv = {"kind": CONVOLUTIONS.get(kind), **passed, "in_channels": sizes[i]}
        conv["out_channels"] = sizes[i + 1]
        if kind == "GAT":
            conv["kind"] = "GATv2Conv" if options.take("v2", False) else "GATConv"
            conv["dropout"] = options.take("dropout", 0.0)
            conv["concat"] = options.take("concat", True) and not (to_out and i == count - 1)
            heads = options.take("heads", 1)
            if conv["concat"] and sizes[i + 1] % heads:
                raise options.refused("heads", heads, f"a divisor of {sizes[i + 1]} channels")
            conv["out_channels"] = sizes[i + 1] // (heads if conv["concat"] else 1)
        found.append(conv)
    return found


def _gin(options: Options, sizes: list[int], passed: Mapping[str, Any]) -> dict[str, Any]:
    act, norm = options.take("act", "relu"), options.take("norm", None)
    mlp = {
        "kind": "MLP", "channel_list": [sizes[0], sizes[1], sizes[1]], "dropout": [0.0, 0.0],
        "act": act, "act_kwargs": options.take("act_kwargs", None) or {},
        "act_first": options.take("act_first", False), "norm": norm,
        "norm_kwargs": options.take("norm_kwargs", None) or {}, "plain_last": True,
        "bias": [True, True],
    }  # fmt: skip
    return {"kind": "GINConv", "nn": mlp, **passed}


def read(options: Options) -> Draft:
    """The convolutions, norms and activations in one list, as they follow on each other.

    With `jk` "cat" or "max" the layers are in one `JumpingKnowledge`.
    """
    kind, jk = options.name, options.take("jk", None, among=(None, "last", "cat", "max"))
    convs, act = _convolutions(options), take_act(options)
    norm, norm_kwargs = take_norm(options)
    first, dropout = options.take("act_first", False), options.take("dropout", 0.0)
    hidden, layers = options.take("hidden_channels"), []
    for i, conv in enumerate(convs):
        layer = make_module(conv, f"{kind}.convs.{i}", f"convs.{i}.")
        layers.append(layer)
        if i == len(convs) - 1 and jk is None:
            break
        step = [] if act is None else [Piece(TokenWise(act()))]
        if norm is not None:
            made = make_norm(norm, norm_kwargs, hidden, f"{kind}.norm_kwargs", f"norms.{i}.")
            step = [*step, made] if first else [made, *step]
        layer += step
        if dropout:
            layer.append(Piece(TokenWise(nn.Dropout(dropout))))
    dim, out = options.take("in_channels"), options.take("out_channels", None) or hidden
    pieces = [piece for layer in layers for piece in layer]
    if jk is None:
        return draft(pieces, dim)
    if jk == "last":
        return draft(pieces, dim, linear(hidden, out, True, "lin."))
    joined = [chained(layer) for layer in layers]
    mixer = JumpingKnowledge(*(p.mixer for p in joined), maximum=jk == "max")
    wide = hidden if jk == "max" else len(convs) * hidden
    return draft([Piece(mixer, *listed(joined, "mixers"))], dim, linear(wide, out, True, "lin."))


READ = dict.fromkeys((*CONVOLUTIONS, "GAT"), read)
