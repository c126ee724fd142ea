"""The checks of facts against a layout: values are read once, when a structure is made."""

import math
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import type_error, value_error
from tokennet.structure.edges import Edges
from tokennet.structure.layout import Layout, Padded


def check_edges(edges: Any, layout: Layout, *, known: bool) -> None:
    """Raises where edges leave the layout or a sample; `known`: their values were seen before."""
    if not isinstance(edges, Edges):
        raise type_error("edges", type(edges).__name__, "Edges or an integer tensor [2, E]")
    index, rows = edges.index, layout.rows
    if index.device != layout.device:
        raise value_error("edges.index.device", index.device, f"the layout's ({layout.device})")
    if torch.compiler.is_compiling() or not edges.num_edges or known:
        return
    check_rows(index, rows)
    sample = layout.sample
    if layout.batch > 1 and not torch.equal(sample[index[0]], sample[index[1]]):
        e = int((sample[index[0]] != sample[index[1]]).nonzero()[0])
        raise value_error(
            f"edges.index[:, {e}]", index[:, e].tolist(), "two tokens of one sample",
            "in a batch, add each sample's first row to its edges",
        )  # fmt: skip
    if isinstance(layout, Padded) and not layout.dense:
        real = layout.valid.flatten()[index.long()].all(0)
        if not real.all():
            e = int((~real).nonzero()[0])
            raise value_error(
                f"edges.index[:, {e}]", index[:, e].tolist(), "real tokens",
                "one end is padding (valid is False there)",
            )  # fmt: skip
    for name, values in (("weight", edges.weight), ("attr", edges.attr)):
        if values is not None and not bool(torch.isfinite(values).all()):
            bad = values.flatten()[int((~torch.isfinite(values)).flatten().nonzero()[0])]
            raise value_error(f"edges.{name}", f"{bad:g} somewhere", "finite numbers")


def check_rows(index: Tensor, rows: int) -> None:
    """Raises where an entry is the number of no row."""
    low, high = (int(v) for v in torch.aminmax(index)) if index.numel() else (0, -1)
    if low < 0 or high >= rows:
        allowed = f"entries from 0 to {rows - 1}" if rows else "no edge, as there is no token"
        value, hint = low if low < 0 else high, "they address rows of x.flatten(0, -2)"
        raise value_error("edges.index", value, allowed, hint)


def checked_grid(grid: Any, layout: Layout) -> tuple[int, ...]:
    """The grid, if every sample fills it."""
    allowed = "one or two whole numbers, each at least 1, e.g. (H, W) or (N,)"
    if not isinstance(grid, (tuple, list, torch.Size)):
        raise type_error("grid", repr(grid), allowed)
    whole = all(isinstance(n, (int, torch.SymInt)) and not isinstance(n, bool) for n in grid)
    if not whole or not 1 <= len(grid) <= 2 or any(n < 1 for n in grid):
        raise value_error("grid", tuple(grid), allowed)
    cells = math.prod(grid)
    if isinstance(layout, Padded) and layout.dense:
        fits = cells == layout.max_length or not layout.batch
    else:
        fits = torch.compiler.is_compiling() or bool((layout.lengths == cells).all())
    if not fits:
        lengths = sorted(set(layout.lengths.tolist()))
        held = f"the samples have {', '.join(map(str, lengths[:5]))} tokens"
        raise value_error("grid", tuple(grid), "as many cells as every sample has tokens", held)
    return tuple(grid)


def check_memory(memory: Any, layout: Layout) -> None:
    """Raises where memory tokens are not one set for each sample, on the same device."""
    if memory.structure.batch != layout.batch:
        raise value_error(
            "memory", f"{memory.structure.batch} samples", f"{layout.batch} samples",
            "one set of memory tokens for each sample",
        )  # fmt: skip
    if memory.structure.device != layout.device:
        device = memory.structure.device
        raise value_error("memory.device", device, f"the layout's ({layout.device})")
