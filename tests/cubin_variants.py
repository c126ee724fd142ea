"""Calls of the Triton kernels that the compiler is asked about, on CPU tensors.

Axes: T rows of the flat view, E edges, H heads, D channels of a head, K channels of an edge.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from tokennet.ops import triton as kernels
from tokennet.ops.kernel import Inputs
from tokennet.ops.triton import plan
from tokennet.structure import Compressed, Edges, SortedEdges

SHAPES = [(4, 32), (8, 16), (1, 128)]
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
TOKENS, DEGREE, FEATURES = 16, 32, 16
ODD = "odd shape"
"""In the names of variants whose rows are not aligned to 16 bytes."""
Calls = dict[str, Callable[[], object]]


def graph() -> SortedEdges:
    """As many edges a token as let every kernel put all its lanes on one row."""
    index = torch.arange(TOKENS * DEGREE)
    return SortedEdges.of(Edges(torch.stack([index % TOKENS, index // DEGREE])), TOKENS)


def row_calls(heads: int, channels: int, dtype: torch.dtype) -> Calls:
    """Everything but attention."""
    edges = graph()
    rows, columns, count = edges.rows, edges.columns, edges.num_edges
    x = torch.zeros(TOKENS, heads, channels, dtype=dtype)
    weight, flat = torch.zeros(count, heads, dtype=dtype), x.flatten(1)
    sent = torch.zeros(count, heads, channels, dtype=dtype)
    return {
        "weighted sum": lambda: kernels.gather_sum(x, weight, rows),
        "weighted sum by columns": lambda: kernels.gather_sum(x, weight, columns),
        "sum": lambda: kernels.gather_sum(x, None, rows),
        "dots": lambda: kernels.sddmm(x, x, rows, count),
        "maximum": lambda: kernels.gather_max(flat, rows),
        "maximum, backward": lambda: kernels.gather_max_backward(flat, flat, flat, flat, columns),
        "softmax": lambda: kernels.segment_softmax(weight, rows),
        "softmax, backward": lambda: kernels.segment_softmax_backward(weight, weight, rows),
        "sum of segments": lambda: kernels.gather_sum(sent, None, Compressed(rows.ptr)),
    }


def attention_calls(heads: int, channels: int, dtype: torch.dtype) -> Calls:
    """Forward and backward of each score."""
    x = torch.zeros(TOKENS, heads, channels, dtype=dtype)
    edges = graph().num_edges
    bias, vector = torch.zeros(edges, heads, dtype=dtype), torch.zeros(heads, channels, dtype=dtype)
    query = torch.zeros(TOKENS, heads, FEATURES, dtype=dtype)
    attr = torch.zeros(edges, FEATURES, dtype=dtype)
    number = torch.zeros(TOKENS, heads, dtype=dtype)
    kept = torch.ones(edges, heads, dtype=torch.bool)
    variants = {
        "dot": Inputs("dot", x, x, x),
        "dot, bias": Inputs("dot", x, x, x, bias=bias),
        "dot, dropout": Inputs("dot", x, x, x, kept=kept, dropout=0.1),
        "dot, features": Inputs("dot", x, x, x, edge_query=query, attr=attr),
        "gat": Inputs("gat", number, number, x),
        "gatv2": Inputs("gatv2", x, x, None, vector=vector),
    }
    return {name: lambda given=given: both(given) for name, given in variants.items()}


def both(inputs: Inputs) -> None:
    edges = graph()
    result = kernels.attend(inputs, edges.rows)
    grad_edge = None if inputs.attr is None else result.edge_out
    needs = [True] * 7
    kernels.attend_backward(inputs, result, result.out, grad_edge, edges.rows, edges.columns, needs)


def variants() -> Iterator[tuple[int, str, Callable[[], object]]]:
    """(compute capability, name, call): all shapes on an H100, the first on what else there is."""
    some = ("weighted sum", "dots", "dot", "gat", "gatv2")
    for heads, channels in SHAPES:
        for name, dtype in DTYPES.items():
            shape = (heads, channels, dtype)
            for what, call in {**row_calls(*shape), **attention_calls(*shape)}.items():
                if (heads, channels) == SHAPES[0] or what in some:
                    yield 90, f"{what}, H{heads} D{channels} {name}", call
    first = (*SHAPES[0], torch.bfloat16)
    rows, attention = row_calls(*first), attention_calls(*first)
    for what, call in {**rows, "gatv2": attention["gatv2"]}.items():
        for arch in (80, 100):
            yield arch, f"{what}, sm_{arch}", call
    for shape in ((3, 20), (70, 3), (2, 600)):
        for what, call in row_calls(*shape, torch.float16).items():
            yield 90, f"{what}, {ODD}: H{shape[0]} D{shape[1]} fp16", call
    for what, call in attention_calls(3, 20, torch.float16).items():
        yield 90, f"{what}, {ODD}: H3 D20 fp16", call
    for what in ("sum", "dots", "maximum", "maximum, backward", "softmax", "softmax, backward"):
        yield 90, f"{what}, long rows", with_long_rows(rows[what])
    for what in ("dot, features", "gat", "gatv2"):
        yield 90, f"{what}, long rows", with_long_rows(attention[what])
        yield 90, f"{what}, atomics", by_atomics(attention[what])


def by_atomics(call: Callable[[], object]) -> Callable[[], object]:
    """The same with the backward pass that adds up by atomic additions."""

    def run() -> None:
        plan.use_atomics(True)
        try:
            call()
        finally:
            plan.use_atomics(False)

    return run


def with_long_rows(call: Callable[[], object]) -> Callable[[], object]:
    """The same, where every row is split."""

    def run() -> None:
        plan.use_chunk(DEGREE // 2)
        try:
            call()
        finally:
            plan.use_chunk(None)

    return run


def planted() -> Iterator[tuple[int, str, Callable[[], object]]]:
    """What the gates must not let through: a tile that is too large, and rows that lie askew."""
    from tokennet.ops.triton import gather

    edges = graph()

    def huge() -> None:
        fitting = gather.tile_of
        gather.tile_of = lambda *given: fitting(*given, elements=16384)
        try:
            kernels.gather_sum(torch.zeros(TOKENS, 4, 1024), None, edges.rows)
        finally:
            gather.tile_of = fitting

    def askew() -> Tensor:
        x = torch.zeros(TOKENS, 129, dtype=torch.bfloat16)[:, :128].unflatten(1, (4, 32))
        return kernels.gather_sum(x, None, edges.rows)

    yield 90, "a huge tile", huge
    yield 90, "rows askew", askew
    yield 90, "nothing wrong", row_calls(4, 32, torch.bfloat16)["sum"]
