"""Attention over sparse pairs, in Triton: `ops.bag.attend`.

Axes: T rows, H heads, C channels of a value, F features of an edge.
"""

import torch

from tokennet.ops.kernel import Inputs, Result
from tokennet.ops.triton.attend_forward import attend_forward, merge_forward
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
from tokennet.ops.triton.plan import launches, plan_of
from tokennet.structure import Compressed

ELEMENTS = 512
"""Numbers of the accumulator in a warp: for sm_90, four heads of 32 and bfloat16 64 registers a
thread and 45 instructions an edge for dot products; 80 registers of "gatv2", 96 with features."""
STAGES = 1
"""Of the pipeline. With one, a warp waits for its rows, of which 32 warps have 64 KB on their way,
and only an index is asked for a step ahead. Two have no more on their way, since a row needs its
index first, and cost 4 instructions an edge; three have twice as much, and cost 8."""


def attend(inputs: Inputs, rows: Compressed) -> Result:
    """Softmax over the edges into each row, times the messages."""
    with torch.cuda.device_of(inputs.q):  # Triton launches on the current device
        return _attend(laid_out(inputs), rows)


def _attend(inputs: Inputs, rows: Compressed) -> Result:
    assert rows.index is not None
    shape, stride = Shape.of(inputs), Strides.of(inputs)
    values = inputs.values
    out = values.new_empty(rows.num_rows, shape.heads, shape.values)
    log_sum = values.new_empty(rows.num_rows, shape.heads, dtype=torch.float32)
    edge_out = None
    if inputs.attr is not None:
        edge_out = values.new_empty(rows.num_rows, shape.heads, shape.features)
    plan = plan_of(rows, rows.index.shape[0])
    tile = shape.tile(plan.mean_degree, ELEMENTS)
    blocks = -(-shape.heads // tile.heads)
    results = (out, edge_out, log_sum)
    for launch in launches(plan, rows.ptr, tile):
        to = results
        if launch.split:
            to = tuple(for_pieces(x, launch.items) for x in results)
        attend_forward[launch.programs, blocks](
            inputs.q, inputs.k, inputs.v, side(inputs), inputs.bias, inputs.attr, inputs.kept,
            launch.table, rows.index, *to, launch.items, plan.chunk,
            stride.q, stride.k, stride.v,
            factor(inputs), share(inputs),
            SCORE=inputs.score, UNIT=stride.unit, **constants(shape, tile, "H D C F BH BD BC BF"),
            ROWS=launch.rows, LANES=launch.lanes, SPLIT=launch.split, STAGES=STAGES,
            num_warps=tile.warps,
        )  # fmt: skip
        if launch.split and plan.pieces is not None:
            merge_forward[plan.pieces.row.shape[0], blocks](
                *to, plan.pieces.row, plan.pieces.first, *results,
                **constants(shape, tile, "H C F BH BC BF"), num_warps=tile.warps,
            )  # fmt: skip
    return Result(out, values.new_empty(0) if edge_out is None else edge_out, log_sum)
