"""The gradients of attention over sparse pairs, in Triton: `ops.bag.attend_backward`.

Axes: T rows, E edges, H heads, D channels of a key, C of a value, F features of an edge, I pieces
of long rows, P programs.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tokennet.ops.kernel import Gradients, Inputs, Result
from tokennet.ops.triton.attend_atomic import attend_atomic
from tokennet.ops.triton.attend_columns import attend_columns
from tokennet.ops.triton.attend_edges import attend_edges
from tokennet.ops.triton.attend_inputs import (
    Shape,
    Strides,
    constants,
    factor,
    for_pieces,
    laid_out,
    share,
    side,
)
from tokennet.ops.triton.attend_rows import attend_rows
from tokennet.ops.triton.attend_rows_merge import merge_rows
from tokennet.ops.triton.plan import Plan, atomics, launches, plan_of, power_of_2, tile_of
from tokennet.ops.triton.slots import sum_pieces
from tokennet.structure import Compressed

ROWS = {"dot": 256, "gat": 512, "gatv2": 256}
"""Numbers of an accumulator in a warp of the row pass, which has two of them but for "gat": 91, 72
and 115 registers a thread for sm_90, four heads of 32 and bfloat16; with 512, 128 and 162."""
COLUMNS = {"dot": 512, "gat": 512, "gatv2": 256}
"""In the column pass: 80, 64 and 80 registers. For "dot" 37 instructions an edge, 42 with 256."""
STAGES = {"dot": 1, "gat": 1, "gatv2": 3}
"""Of the pipeline of the row pass, see `attend`: 16 warps of 115 registers have too little on their
way by themselves. It costs 11 instructions an edge of 65; not measured on a GPU."""
PROGRAMS = 4096
"""Programs at most where each leaves a part of the vector's gradient: several rows a program then.

Not a number of the device: the order of the sums would be one too.
"""


class Pass(NamedTuple):
    """What the passes have in common: what they are given, and what is asked of them."""

    inputs: Inputs
    result: Result
    grad: Tensor
    grad_edge: Tensor | None
    shape: Shape
    needs: "Needs"
    mean: Tensor
    """`[T, H]`: the gradients of a row's weights, averaged with the weights."""
    pair: Tensor | None
    """`[E, H, 2]`: the weight of an edge, and its product with its gradient."""
    vectors: list[Tensor]
    """Parts `[P, H, D]` of the gradient of the vector of "gatv2"."""


class Needs(NamedTuple):
    """Which gradients are asked for: never of what is not there."""

    q: bool
    k: bool
    v: bool
    vector: bool
    bias: bool
    edge_query: bool
    attr: bool

    @staticmethod
    def of(inputs: Inputs, needs: list[bool]) -> "Needs":
        each = zip(Gradients._fields, needs, strict=True)
        return Needs(*(need and getattr(inputs, name) is not None for name, need in each))


def attend_backward(
    inputs: Inputs,
    result: Result,
    grad: Tensor,
    grad_edge: Tensor | None,
    rows: Compressed,
    columns: Compressed,
    needs: list[bool],
) -> Gradients:
    """Gradients of `attend`; `needs` says which, in the order of `Gradients`."""
    asked = Needs.of(inputs, needs)
    if not any(asked):
        return Gradients()
    with torch.cuda.device_of(inputs.q):  # Triton launches on the current device
        return _gradients(laid_out(inputs), result, grad, grad_edge, rows, columns, asked)


def _gradients(
    inputs: Inputs,
    result: Result,
    grad: Tensor,
    grad_edge: Tensor | None,
    rows: Compressed,
    columns: Compressed,
    asked: Needs,
) -> Gradients:
    assert rows.index is not None
    num_edges, heads = rows.index.shape[0], inputs.values.shape[1]
    atomic = atomics()
    for_edges = asked.bias or asked.attr
    for_columns = (asked.k or asked.v or asked.vector) and not atomic
    here = Pass(
        inputs,
        result,
        grad.contiguous(),
        None if grad_edge is None or inputs.attr is None else grad_edge.contiguous(),
        Shape.of(inputs),
        asked,
        grad.new_empty(rows.num_rows, heads, dtype=torch.float32),
        grad.new_empty(num_edges, heads, 2, dtype=torch.float32)
        if for_edges or for_columns
        else None,
        [],
    )
    plan = plan_of(rows, num_edges)
    k = v = bias = attr = None
    if atomic:
        q, edge_query, k, v = _atomically(here, rows, plan)
    else:
        q, edge_query = _by_rows(here, rows, plan)
    if for_columns:
        k, v = _by_columns(here, columns)
    if for_edges:
        bias, attr = _by_edges(here, rows, plan)
    vector = None
    if asked.vector and inputs.vector is not None:
        parts = here.vectors or [inputs.vector.new_zeros(1, *inputs.vector.shape)]  # no tokens
        vector = torch.cat(parts).sum(0).to(inputs.vector.dtype)
    return Gradients(
        q if asked.q else None, k if asked.k else None, v, vector, bias, edge_query, attr
    )


def _by_rows(here: Pass, rows: Compressed, plan: Plan) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of q and of the edge queries; fills in what the other passes need."""
    inputs, shape, stride = here.inputs, here.shape, Strides.of(here.inputs)
    assert rows.index is not None
    q = _like(inputs.q, here.needs.q or here.needs.vector)
    edge_query = _like(inputs.edge_query, here.needs.edge_query)
    tile = shape.tile(plan.mean_degree, ROWS[inputs.score])
    blocks = -(-shape.heads // tile.heads)
    results = (q, edge_query, here.mean)
    for launch in launches(plan, rows.ptr, tile):
        to, vector, programs = results, None, launch.programs
        if launch.split:
            to = (
                for_pieces(q, launch.items, (2,)),
                for_pieces(edge_query, launch.items, (2,)),
                for_pieces(here.mean, launch.items, (2,)),
            )
        elif here.needs.vector:
            programs = min(programs, PROGRAMS)
            vector = _part(here, programs)
        attend_rows[programs, blocks](
            inputs.q, inputs.k, inputs.v, side(inputs), inputs.bias, inputs.attr, inputs.kept,
            launch.table, rows.index, here.result.log_sum, here.grad, here.grad_edge,
            *to, here.pair, vector, launch.items, plan.chunk, launch.programs,
            stride.q, stride.k, stride.v,
            factor(inputs), share(inputs),
            SCORE=inputs.score, UNIT=stride.unit, **constants(shape, tile, "H D C F BH BD BC BF"),
            ROWS=launch.rows, LANES=launch.lanes, SPLIT=launch.split, STAGES=STAGES[inputs.score],
            num_warps=tile.warps,
        )  # fmt: skip
        if launch.split and plan.pieces is not None:
            long_rows = plan.pieces.row.shape[0]
            merge_rows[long_rows, blocks](
                inputs.q, side(inputs), *to, plan.pieces.row, plan.pieces.first,
                *results, _part(here, long_rows) if here.needs.vector else None,
                launch.items, stride.q, factor(inputs),
                SCORE=inputs.score, UNIT=stride.unit, **constants(shape, tile, "H D F BH BD BF"),
                num_warps=tile.warps,
            )  # fmt: skip
    return q, edge_query


def _by_columns(here: Pass, columns: Compressed) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of k and v."""
    inputs, shape, stride = here.inputs, here.shape, Strides.of(here.inputs)
    assert columns.index is not None
    plan = plan_of(columns, columns.index.shape[0])
    k = _like(inputs.k, here.needs.k or here.needs.vector)
    v = _like(inputs.v, here.needs.v)
    tile = shape.tile(plan.mean_degree, COLUMNS[inputs.score])
    for launch in launches(plan, columns.ptr, tile):
        to, vector, programs = (k, v), None, launch.programs
        if launch.split:
            to = for_pieces(k, launch.items), for_pieces(v, launch.items)
        if here.needs.vector:
            programs = min(programs, PROGRAMS)
            vector = _part(here, programs)
        attend_columns[programs, -(-shape.heads // tile.heads)](
            inputs.q, inputs.k, side(inputs), inputs.kept,
            launch.table, columns.index, columns.place, here.grad, here.mean, here.pair,
            *to, vector, launch.items, plan.chunk, launch.programs,
            stride.q, stride.k, factor(inputs), share(inputs),
            SCORE=inputs.score, UNIT=stride.unit, **constants(shape, tile, "H D C BH BD BC"),
            ROWS=launch.rows, LANES=launch.lanes, SPLIT=launch.split, STAGES=1,
            OVER_KEYS=inputs.v is None, num_warps=tile.warps,
        )  # fmt: skip
        if launch.split:
            _add_pieces(plan, to[0], k)
            _add_pieces(plan, to[1], v)
    return k, v


def _by_edges(here: Pass, rows: Compressed, plan: Plan) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of the biases and of the edges' features; 0 where no row reaches an edge."""
    inputs, shape = here.inputs, here.shape
    assert rows.index is not None
    covered = plan.covers(rows.index.shape[0])
    bias, attr = _like(inputs.bias, here.needs.bias), _like(inputs.attr, here.needs.attr)
    for x in (bias, attr):
        if x is not None and not covered:
            x.zero_()
    heads = power_of_2(shape.heads)
    features = 1 if attr is None else power_of_2(shape.features)
    tile = tile_of(1, heads * features, plan.mean_degree)
    for launch in launches(plan, rows.ptr, tile):
        attend_edges[(launch.programs,)](
            inputs.edge_query, inputs.kept, launch.table, here.mean, here.pair, here.grad_edge,
            bias, attr, launch.items, plan.chunk, factor(inputs), share(inputs),
            SCORE=inputs.score, H=shape.heads, F=shape.features, BH=heads, BF=features,
            ROWS=launch.rows, LANES=launch.lanes, SPLIT=launch.split, num_warps=tile.warps,
        )  # fmt: skip
    return bias, attr


def _atomically(here: Pass, rows: Compressed, plan: Plan) -> tuple[Tensor | None, ...]:
    """The gradients of q, the edge queries, k and v."""
    inputs, shape, stride = here.inputs, here.shape, Strides.of(here.inputs)
    assert rows.index is not None
    q, edge_query = (
        _like(inputs.q, here.needs.q),
        _like(inputs.edge_query, here.needs.edge_query),
    )
    k = torch.zeros_like(inputs.k, dtype=torch.float32) if here.needs.k else None
    v = None
    if here.needs.v and inputs.v is not None:
        v = torch.zeros_like(inputs.v, dtype=torch.float32)
    tile = shape.tile(plan.mean_degree, 128 if shape.features else 256)
    edge_out = None if here.grad_edge is None else here.result.edge_out
    for launch in launches(plan, rows.ptr, tile):
        to, vector, programs = (q, edge_query), None, launch.programs
        if launch.split:
            to = for_pieces(q, launch.items), for_pieces(edge_query, launch.items)
        if here.needs.vector:
            programs = min(programs, PROGRAMS)
            vector = _part(here, programs)
        attend_atomic[programs, -(-shape.heads // tile.heads)](
            inputs.q, inputs.k, inputs.v, side(inputs), inputs.bias, inputs.attr, inputs.kept,
            launch.table, rows.index, here.result.log_sum, here.grad, here.grad_edge,
            here.result.out, edge_out, *to, here.mean, here.pair, vector, k, v,
            launch.items, plan.chunk, launch.programs,
            stride.q, stride.k, stride.v,
            factor(inputs), share(inputs),
            SCORE=inputs.score, UNIT=stride.unit, **constants(shape, tile, "H D C F BH BD BC BF"),
            ROWS=launch.rows, LANES=launch.lanes, SPLIT=launch.split, num_warps=tile.warps,
        )  # fmt: skip
        if launch.split:
            _add_pieces(plan, to[0], q)
            _add_pieces(plan, to[1], edge_query)
    k = None if k is None else k.to(inputs.k.dtype)
    return q, edge_query, k, None if v is None else v.to(inputs.values.dtype)


def _like(x: Tensor | None, needed: bool) -> Tensor | None:
    """Where a gradient goes: contiguous, not filled in."""
    return x.new_empty(x.shape) if needed and x is not None else None


def _part(here: Pass, programs: int) -> Tensor:
    """Where programs leave their parts of the gradient of the vector."""
    part = here.grad.new_empty(programs, here.shape.heads, here.shape.keys, dtype=torch.float32)
    here.vectors.append(part)
    return part


def _add_pieces(plan: Plan, part: Tensor | None, to: Tensor | None) -> None:
    """Sums of the pieces of long rows, each in the order of its row."""
    if part is None or to is None or plan.pieces is None:
        return
    width = to[0].numel()
    block = power_of_2(min(width, 128))
    sum_pieces[plan.pieces.row.shape[0], -(-width // block)](
        part, plan.pieces.row, plan.pieces.first, to, WIDTH=width, BLOCK=block, num_warps=1
    )
