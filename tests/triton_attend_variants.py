"""The variants of the attention kernels that matter: every score, with what it may be given.

Needs no GPU: see `triton_launches`. Run with triton compiled, not interpreted.
"""

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import torch
from triton_attend_cases import Case
from triton_launches import Launched, recorded

import tokennet.ops.triton  # noqa: F401
from tokennet.ops.kernel import Result
from tokennet.ops.triton import plan

BF16 = torch.bfloat16
NAMES = {
    "attend": ("attend_forward", "merge_forward"),
    "attend_backward": (
        "attend_rows", "merge_rows", "attend_columns", "attend_edges", "attend_atomic",
        "sum_pieces",
    ),
}  # fmt: skip
SHAPES = [
    Case("dot", "dot", 4, 32, 32, dtype=BF16),
    Case("dot, bias, dropout", "dot", 4, 32, 32, dtype=BF16, bias=True, dropout=0.1),
    Case("dot, 16 features", "dot", 4, 32, 32, 16, dtype=BF16),
    Case("dot, H8 D64, 16 features", "dot", 8, 64, 64, 16, dtype=BF16),
    Case("dot, 64 features", "dot", 4, 32, 32, 64, dtype=BF16),
    Case("dot, float32", "dot", 4, 32, 32),
    Case("dot, H8 D8", "dot", 8, 8, 8, dtype=BF16),
    Case("dot, H8 D64", "dot", 8, 64, 64, dtype=BF16),
    Case("dot, H1 D128", "dot", 1, 128, 128, dtype=BF16),
    Case("dot, H2 D256", "dot", 2, 256, 256, dtype=BF16),
    Case("dot, H3 D20", "dot", 3, 20, 20, dtype=BF16),
    Case("gat", "gat", 4, 32, 32, dtype=BF16),
    Case("gat, bias, dropout", "gat", 4, 32, 32, dtype=BF16, bias=True, dropout=0.1),
    Case("gatv2 over keys", "gatv2", 4, 32, 0, dtype=BF16),
    Case("gatv2", "gatv2", 4, 32, 32, dtype=BF16, bias=True),
    Case("gatv2 over keys, H8 D64", "gatv2", 8, 64, 0, dtype=BF16),
]
DEGREE = 16


def launches(case: Case, *, atomic: bool = False, split: bool = False) -> list[Launched]:
    """What attention and its gradients launch for a case, all of them asked for."""
    case = dataclasses.replace(case, tokens=32, edges=32 * DEGREE, hub=split)
    edges, found = case.graph(), []
    inputs = case.inputs(edges.num_edges)
    grad = torch.empty(inputs.values.shape, dtype=case.dtype)
    plan.use_atomics(atomic)
    plan.use_chunk(64 if split else None)
    try:
        with ExitStack() as stack:
            modules = {n: sys.modules[f"tokennet.ops.triton.{n}"] for n in NAMES}
            lists = [stack.enter_context(recorded(m, *NAMES[n])) for n, m in modules.items()]
            result: Result = modules["attend"].attend(inputs, edges.rows)
            grad_edge = torch.empty_like(result.edge_out) if case.features else None
            modules["attend_backward"].attend_backward(
                inputs, result, grad, grad_edge, edges.rows, edges.columns, [True] * 7
            )
            found = [launched for each in lists for launched in each]
    finally:
        plan.use_atomics(False)
        plan.use_chunk(None)
    return found


def variants() -> Iterator[tuple[str, Launched]]:
    """Every kernel that a case launches, named."""
    for case in SHAPES:
        for launched in launches(case):
            yield f"{launched.name}, {case.name}", launched
    for case in (SHAPES[2], SHAPES[12], SHAPES[13]):
        for launched in launches(case, split=True):
            if launched.name.startswith(("merge", "sum")) or launched.constants.get("SPLIT"):
                yield f"{launched.name}, {case.name}, split", launched
        for launched in launches(case, atomic=True):
            if launched.name == "attend_atomic":
                yield f"{launched.name}, {case.name}", launched
