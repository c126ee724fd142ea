"""The opposite questions: does it mix, do the edges matter, the memory, the grid, the position?"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tokennet.structure import Tokens
from tokennet.structure.transform import permute
from tokennet.verify.check import flat_output_no_grad, relative_error
from tokennet.verify.plans import Domain, Plan, build, without_edges

MATTERS = 1e-6  # relative change of the output; rounding is far below in float64


def _moved(
    module: nn.Module, one: Tokens, two: Tokens, pooled: bool, rows: Tensor | None = None
) -> bool:
    a, b = flat_output_no_grad(module, one, pooled), flat_output_no_grad(module, two, pooled)
    keep = slice(None) if pooled else one.structure.layout.valid.flatten()
    a, b = (a[rows], b[rows]) if rows is not None else (a[keep], b[keep])
    return relative_error(a, b, by_channel=False) > MATTERS


def _edges_matter(module: nn.Module, tokens: Tokens, pooled: bool) -> bool:
    return _moved(module, tokens, without_edges(tokens), pooled)


def changed_memory(tokens: Tokens) -> Tokens:
    """The same tokens with other memory tokens."""
    memory = tokens.structure.memory
    assert memory is not None
    other = Tokens(memory.x.flip(-1) + 1, memory.structure)
    return Tokens(tokens.x, tokens.structure.with_facts(memory=other))


def _memory_matters(module: nn.Module, tokens: Tokens, pooled: bool) -> bool:
    return _moved(module, tokens, changed_memory(tokens), pooled)


def _grid_matters(module: nn.Module, tokens: Tokens, pooled: bool) -> bool:
    """Whether the same tokens as a grid turned on its side, or in another order, give the same."""
    grid = tokens.structure.grid
    assert grid is not None
    if len(grid) == 2 and grid[0] != grid[1]:
        turned = tokens.structure.with_facts(grid=grid[::-1])
        return _moved(module, tokens, Tokens(tokens.x, turned), pooled)
    return _position_matters(module, tokens, pooled)


def _position_matters(module: nn.Module, tokens: Tokens, pooled: bool) -> bool:
    """Whether relabelling tokens and edges does more than relabel the output."""
    size = math.prod(tokens.x.shape[:-1])
    order = torch.randperm(size, generator=torch.Generator().manual_seed(size))  # no mere shift
    a = flat_output_no_grad(module, tokens, pooled)
    b = flat_output_no_grad(module, permute(tokens, order), pooled)
    return relative_error(a if pooled else a[order], b, by_channel=False) > MATTERS


def mixed_tokens(tokens: Tokens, pooled: bool) -> tuple[Tokens, Tensor]:
    """One token changed (for a pooled output all but the first), and which rows were not."""
    layout = tokens.structure.layout
    flat = layout.flat(tokens.x).clone()
    places = torch.arange(len(flat))
    moved = places > 0 if pooled else places == len(flat) // 2
    flat[moved] += torch.cos(torch.arange(flat.shape[1], dtype=flat.dtype)) + 1
    return Tokens(layout.unflat(flat), tokens.structure), ~moved


def _mixes(module: nn.Module, tokens: Tokens, pooled: bool) -> bool:
    """Whether other outputs move when one token does; a readout, when all but the first do."""
    new, kept = mixed_tokens(tokens, pooled)
    return _moved(module, tokens, new, pooled, None if pooled else kept)


_QUESTIONS: dict[str, Callable[[nn.Module, Tokens, bool], bool]] = {
    "edges": _edges_matter,
    "memory": _memory_matters,
    "grid": _grid_matters,
    "position": _position_matters,
    "mixing": _mixes,
}


def asked_plans(domain: Domain) -> list[Plan]:
    """A few plain samples, alone in their batch, rich enough for every fact to show."""
    low, high = domain.num_tokens
    found = []
    for seed, size in enumerate((6, 9, 4, 12, 2)):
        n = min(max(size, low), high)
        grid = None
        if "grid" in domain.facts:
            axes = domain.grids[seed % len(domain.grids)]
            shape = (n,) if axes == 1 else ((2, 3), (3, 4), (1, 4), (3, 2), (1, 2))[seed]
            grid = shape if math.prod(shape) <= high else (high,) + (1,) * (axes - 1)
            n = math.prod(grid)
        graph = (
            ("cycle", "random", "complete", "star", "path")[seed] if "edges" in domain.facts else ""
        )
        memory = (3,) if "memory" in domain.facts else None
        found.append(Plan((n,), graph=graph, grid=grid, memory=memory, seed=seed))
    return found


def used_facts(module: nn.Module, domain: Domain, *, pooled: bool) -> frozenset[str]:
    """Which of edges, memory, grid and position the output depends on; "mixing": on other tokens.

    The grid counts, not the position, where order matters only through the grid.
    """
    found = set()
    for plan in asked_plans(domain):
        tokens = build(plan, domain)
        if tokens.structure.layout.rows < 2:
            continue
        for name, question in _QUESTIONS.items():
            known = name in ("position", "mixing") or name in domain.facts
            if not known or name in found:
                continue
            if question(module, tokens, pooled):
                found.add(name)
    return frozenset(found)
