"""`GATConv`, `GATv2Conv` and `TransformerConv`."""

from typing import Any

from tokennet.interop.options import Options
from tokennet.interop.pyg_models.parts import Piece, linear
from tokennet.interop.pyg_models.sums import aggregation, check_size, in_channels
from tokennet.interop.translation import Line, rows, same, shaped
from tokennet.mixers import Attention, GraphAttention, GraphAttentionV2, Heads, Mixer, Parallel
from tokennet.topology import EdgeList

GAT = ("out_channels", "heads", "concat", "negative_slope", "dropout", "add_self_loops", "edge_dim")


def describe_gat(module: Any, where: str) -> dict[str, Any]:
    """Without `fill_value`: it tells of edge features, which are refused."""
    v2 = type(module).__name__ == "GATv2Conv"
    maps = module.lin_l if v2 else (module.lin or module.lin_src)
    found = {name: getattr(module, name) for name in (*GAT, "residual")}
    if v2:
        found["share_weights"] = module.share_weights
    return {
        "in_channels": in_channels(module, maps), "bias": module.bias is not None, **found,
        "aggr": aggregation(module, where),
    }  # fmt: skip


def make_gat(options: Options, theirs: str) -> Piece:
    """`GraphAttention`, beside a linear map where there is a residual."""
    v2 = options.name.endswith("GATv2Conv")
    dim, out = check_size(options, "in_channels"), check_size(options, "out_channels")
    heads, concat = options.take("heads", 1), options.take("concat", True)
    options.fixed(aggr="add", edge_dim=None)
    options.ignore("fill_value")
    if v2:
        options.fixed(share_weights=False, bias=True)
    bias = options.take("bias", True)
    mixer: Mixer = (GraphAttentionV2 if v2 else GraphAttention)(
        dim, heads, out_dim=heads * out if concat else out,
        self_loops=options.take("add_self_loops", True), mean_heads=not concat,
        slope=options.take("negative_slope", 0.2), dropout=options.take("dropout", 0.0), bias=bias,
    )  # fmt: skip
    lines = _v2_lines(theirs, heads, out) if v2 else _v1_lines(theirs, heads, out)
    if bias:
        lines.append(same(f"{theirs}bias", "bias"))
    piece = Piece(mixer, lines)
    if not options.take("residual", False):
        return piece
    width = heads * out if concat else out
    return _beside(piece, linear(dim, width, False, f"{theirs}res."))


def _v1_lines(theirs: str, heads: int, out: int) -> list[Line]:
    scores = [
        rows(f"{theirs}att_{end}", "score", i, i + 1, (1, heads, out))
        for i, end in enumerate(("src", "dst"))
    ]
    return [*scores, same(f"{theirs}lin.weight", "value.weight")]


def _v2_lines(theirs: str, heads: int, out: int) -> list[Line]:
    maps = [
        same(f"{theirs}{their}.{n}", f"{own}.{n}")
        for their, own in (("lin_l", "value"), ("lin_r", "target"))
        for n in ("weight", "bias")
    ]
    return [shaped(f"{theirs}att", "score", (1, heads, out)), *maps]


def _beside(*pieces: Piece) -> Piece:
    """Their sum."""
    lines = [line for i, p in enumerate(pieces) for line in p.within(f"mixers.{i}")]
    return Piece(Parallel(*(p.mixer for p in pieces)), lines)


def describe_transformer(module: Any, where: str) -> dict[str, Any]:
    names = ("out_channels", "heads", "concat", "beta", "dropout", "edge_dim", "root_weight")
    return {
        "in_channels": in_channels(module, module.lin_query),
        **{name: getattr(module, name) for name in names},
        "bias": module.lin_query.bias is not None,
        "aggr": aggregation(module, where),
    }


def make_transformer(options: Options, theirs: str) -> Piece:
    """`Attention` over the edges, beside a linear map of the token itself."""
    dim, out = check_size(options, "in_channels"), check_size(options, "out_channels")
    heads, edge_dim = options.take("heads", 1), options.take("edge_dim", None)
    root = options.take("root_weight", True)
    options.fixed(aggr="add")
    if root:
        options.fixed(beta=False)
    else:
        options.ignore("beta")  # without the map there is nothing to weigh
    if heads > 1:  # the mean of one head is that head
        options.fixed(concat=True)
    else:
        options.ignore("concat")
    bias = options.take("bias", True)
    mixer = Attention(
        dim, Heads(heads, head_dim=out, bias=bias, output=False), EdgeList(), edge_dim=edge_dim,
        dropout=options.take("dropout", 0.0),
    )  # fmt: skip
    lines = [
        same(f"{theirs}lin_{own}.{n}", f"{own}.{n}")
        for own in ("key", "query", "value")
        for n in (("weight", "bias") if bias else ("weight",))
    ]
    if edge_dim is not None:
        lines.append(same(f"{theirs}lin_edge.weight", "edge.weight"))
    skip = f"{theirs}lin_skip."
    if not root:
        return Piece(mixer, lines, (skip,))
    return _beside(Piece(mixer, lines), linear(dim, heads * out, bias, skip))


MAKE = {"GATConv": make_gat, "GATv2Conv": make_gat, "TransformerConv": make_transformer}
DESCRIBE = {
    "GATConv": describe_gat,
    "GATv2Conv": describe_gat,
    "TransformerConv": describe_transformer,
}
