"""Codes of graphs: relabelling, signs and bases of eigenvectors, which graphs they tell apart.

Axes: B samples, N tokens, T rows of the flat view, E edges, D channels.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tokennet.mixers import Mixer
from tokennet.structure import Edges, Structure
from tokennet.verify.position_measure import (
    TOLERANCE,
    at_precision,
    difference,
    equality,
    measured,
    size_finding,
)
from tokennet.verify.position_report import PositionFinding

Graph = tuple[int, list[tuple[int, int]]]


def _cycle(n: int, start: int = 0) -> list[tuple[int, int]]:
    return [(start + i, start + (i + 1) % n) for i in range(n)]


def _circulant(n: int, *steps: int) -> Graph:
    return n, [(i, (i + s) % n) for s in steps for i in range(n)]


def _torus(*steps: tuple[int, int]) -> Graph:
    """The graph on 4 x 4 places that joins those these steps apart."""
    cells = [(r, c) for r in range(4) for c in range(4)]
    return 16, [(4 * r + c, (r + a) % 4 * 4 + (c + b) % 4) for a, b in steps for r, c in cells]


CYCLE: Graph = (6, _cycle(6))
COMPLETE: Graph = (5, [(i, j) for i in range(5) for j in range(i)])
PATH: Graph = (7, [(i, i + 1) for i in range(6)])
BRANCHED: Graph = (9, [(i, i + 1) for i in range(7)] + [(0, 2), (1, 5), (4, 8), (3, 6)])
PAIRS: dict[str, tuple[Graph, Graph]] = {
    "path and star": (PATH, (7, [(0, i) for i in range(1, 7)])),
    "hexagon and two triangles": (CYCLE, (6, _cycle(3) + _cycle(3, 3))),
    "decalin and bicyclopentyl": (
        (10, [*_cycle(10), (0, 5)]),
        (10, [*_cycle(5), *_cycle(5, 5), (0, 5)]),
    ),
    "skips of 2 and of 3": (_circulant(11, 1, 2), _circulant(11, 1, 3)),
    "rook and Shrikhande": (
        _torus((0, 1), (0, 2), (1, 0), (2, 0)),
        _torus((0, 1), (1, 0), (1, 1)),
    ),
}


def graph_findings(position: Mixer, rng: torch.Generator) -> list[PositionFinding]:
    """What was found about a code of graphs."""
    mixer = at_precision(position, torch.float64)
    graphs = (PATH, BRANCHED, CYCLE, COMPLETE)
    plain = [_codes(mixer, [g]) for g in graphs]
    scale = max(float(c.abs().max()) for c in plain)
    varies = any(float((c - c[:1]).abs().max()) > 1e-9 * scale for c in plain[:2])
    again = max(
        difference(_codes(mixer, [g]), c, scale) for g, c in zip(graphs, plain, strict=True)
    )
    layouts = difference(_codes(mixer, list(graphs)), torch.cat(plain), scale)
    layouts = max(layouts, difference(_padded(mixer, graphs, rng), torch.cat(plain), scale))
    x = 3 * torch.randn(BRANCHED[0], position.dim or 1, generator=rng, dtype=torch.float64)
    inputs = difference(measured(mixer, _packed([BRANCHED]), x, dtype=x.dtype), plain[1], scale)
    moved = max(_relabelled(mixer, g, c, scale, rng) for g, c in zip(graphs, plain, strict=True))
    return [
        equality("repeatable", again, varies, "two calls"),
        equality("any layout", layouts, varies, "packed, padded, NaN"),
        equality("any input", inputs, varies, "random content"),
        equality("relabelling", moved, varies, "largest change"),
        _vectors(mixer, "signs", (PATH, BRANCHED), scale, rng),
        _vectors(mixer, "bases", (CYCLE, COMPLETE), scale, rng),
        size_finding(torch.cat(plain)),
        _apart(mixer, scale, moved <= TOLERANCE),
    ]


def _edges(graph: Graph, start: int = 0) -> Tensor:
    """Both directions, each edge once: a step of half a turn is listed twice."""
    both = {(int(i), int(j)) for i, j in graph[1]} | {(int(j), int(i)) for i, j in graph[1]}
    return torch.tensor(sorted(both)).T + start


def _packed(graphs: list[Graph]) -> Structure:
    starts = torch.tensor([0, *(n for n, _ in graphs)]).cumsum(0).tolist()
    index = torch.cat([_edges(g, s) for g, s in zip(graphs, starts, strict=False)], 1)
    return Structure.packed([n for n, _ in graphs], edges=Edges(index))


def _codes(mixer: Mixer, graphs: list[Graph]) -> Tensor:
    return measured(mixer, _packed(graphs), dtype=torch.float64)


def _padded(mixer: Mixer, graphs: tuple[Graph, ...], rng: torch.Generator) -> Tensor:
    """The same with padding anywhere, which holds NaN."""
    packed, most = _packed(list(graphs)), max(n for n, _ in graphs) + 3
    short = torch.arange(most) < packed.lengths[:, None]
    valid = torch.stack([row[torch.randperm(most, generator=rng)] for row in short])
    row = valid.flatten().nonzero().squeeze(1)
    assert packed.edges is not None
    structure = Structure.padded(valid, edges=Edges(row[packed.edges.index]))
    x = torch.zeros(*valid.shape, mixer.dim or 1, dtype=torch.float64)
    x[~valid] = torch.nan
    return measured(mixer, structure, x, dtype=x.dtype)


def _relabelled(
    mixer: Mixer, graph: Graph, codes: Tensor, scale: float, rng: torch.Generator
) -> float:
    """How far codes do not go along with four relabellings."""
    errors = []
    for _ in range(4):
        order = torch.randperm(graph[0], generator=rng)
        structure = Structure.packed([graph[0]], edges=Edges(order[_edges(graph)]))
        moved = measured(mixer, structure, dtype=torch.float64)
        errors.append(difference(moved[order], codes, scale))
    return max(errors)


class _OtherVectors(TorchDispatchMode):
    """Inside, `torch.linalg.eigh` gives eigenvectors that are as right: other signs or bases."""

    def __init__(self, kind: str, rng: torch.Generator):
        super().__init__()
        self.kind, self.rng, self.calls = kind, rng, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch loads its compiler, many seconds

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is not torch.ops.aten._linalg_eigh.default:
            return out
        self.calls += 1
        return out[0], self.other(out[0], out[1])

    def other(self, values: Tensor, vectors: Tensor) -> Tensor:
        """Eigenvectors of the same matrices."""
        if self.kind == "signs":
            sign = torch.randint(0, 2, values.shape, generator=self.rng) * 2 - 1
            return vectors * sign[..., None, :].to(vectors)
        noise = torch.randn(vectors.shape, generator=self.rng, dtype=vectors.dtype)
        near = (values[..., :, None] - values[..., None, :]).abs() < 1e-7
        turn = torch.linalg.qr(noise * near).Q  # one rotation inside each eigenspace
        return vectors @ turn


def _vectors(
    mixer: Mixer, kind: str, graphs: tuple[Graph, ...], scale: float, rng: torch.Generator
) -> PositionFinding:
    """How far the code depends on which eigenvectors one happens to get."""
    worst, seen = 0.0, 0
    for graph in graphs * 3:
        structure = _packed([graph])
        plain = measured(mixer, structure, dtype=torch.float64)
        mode, fresh = _OtherVectors(kind, rng), _packed([graph])
        memo = structure.sorted_edges.memo
        kept = {k: (v[0], mode.other(*v)) for k, v in memo.items() if _is_spectrum(v)}
        with mode:
            worst = max(worst, difference(measured(mixer, fresh, dtype=plain.dtype), plain, scale))
        again = _packed([graph])
        again.sorted_edges.memo.update(kept)  # what a code remembers with the edges
        worst = max(worst, difference(measured(mixer, again, dtype=plain.dtype), plain, scale))
        seen += mode.calls + len(kept)
    if not seen:
        note = "reads no eigenvectors"
        return PositionFinding(kind, "required", "idle", worst, note)
    note = "other signs" if kind == "signs" else "other bases of repeated eigenvalues"
    return equality(kind, worst, True, note)


def _is_spectrum(value: Any) -> bool:
    """Whether it is eigenvalues `[.., N]` and eigenvectors `[.., N, N]`."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    one, two = value
    if not isinstance(one, Tensor) or not isinstance(two, Tensor):
        return False
    return two.ndim >= 2 and two.shape[:-1] == one.shape and two.shape[-1] == one.shape[-1]


def _apart(mixer: Mixer, scale: float, sound: bool) -> PositionFinding:
    """Which pairs of graphs have other codes, as sets."""
    name = "tells graphs apart"
    if not sound:
        note = "codes that depend on the labels tell all graphs apart, equal ones too"
        return PositionFinding(name, "information", "untested", 0.0, note)
    found = []
    for pair, graphs in PAIRS.items():
        one, two = (_codes(mixer, [g]) for g in graphs)
        generator = torch.Generator().manual_seed(7)
        look = torch.randn(one.shape[1], 9, generator=generator, dtype=one.dtype)
        if difference((one @ look).sort(0).values, (two @ look).sort(0).values, scale) > 1e-6:
            found.append(pair)
    note = f"of {len(PAIRS)} pairs: {', '.join(found) or 'none'}"
    status = "held" if found else "broken"
    return PositionFinding(name, "information", status, float(len(found)), note)  # type: ignore[arg-type]
