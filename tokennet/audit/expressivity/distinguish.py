"""`distinguishes`: which pairs of graphs a module tells apart, without training.

Axes: N tokens, E edges, D channels in, C out, K random directions.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.expressivity.pairs import Graph, graph_of, graph_pairs
from tokennet.audit.expressivity.result import Distinguished, PairFinding, Status
from tokennet.audit.symmetry.module import first_tensor, ready, takes_structure, working_dtype
from tokennet.checks import positive, type_error, value_error
from tokennet.structure import Edges, Structure
from tokennet.verify.check import REFUTED, relative_error
from tokennet.verify.noise import noise

RELABELLINGS = 3  # of each graph, for each set of weights
INVARIANT = 1e-8  # up to here relabelling counts as rounding: solvers of eigenvectors are no better
DIRECTIONS = 8

Features = Callable[[Tensor, int], Tensor]

__all__ = ["Distinguished", "PairFinding", "distinguishes"]


def distinguishes(
    module: nn.Module,
    pairs: Mapping[str, tuple[Any, Any]] | None = None,
    *,
    features: Features | None = None,
    dim: int | None = None,
    seeds: int = 8,
    seed: int = 0,
) -> Distinguished:
    """Which pairs of graphs get different outputs from a module with random weights.

    A mixer or a `TokenNet` is called with a structure that holds the edges; any other module as
    `module(x, edge_index)`, with `batch=` where its `forward` has that argument. Rows of tokens are
    compared as a set. A pair counts as separated only if the outputs differ by more than 64 times
    the rounding noise and more than 64 times what relabelling the tokens of one graph changes: what
    depends on labels tells equal graphs apart too, and gets no credit anywhere. Not separated
    means: by none of these weights.

    Args:
        pairs: graphs by name, two of a size each, of networkx, as `edge_index` or as (number of
            tokens, edges); None: `graph_pairs()`.
        features: gives x `[N, D]` from (edge_index, number of tokens), e.g. a position code; None:
            all tokens are equal.
        dim: channels of equal tokens, for a module that does not say.
        seeds: sets of random weights.
        seed: the first of them.

    Raises:
        TypeError, ValueError: what can't be called or compared; an output that is not finite, or
            that is another at each call.
    """
    if not isinstance(module, nn.Module):
        raise type_error("module", type(module).__name__, "an nn.Module")
    positive("seeds", seeds)
    graphs = _checked(graph_pairs() if pairs is None else pairs)
    width = None if features is not None else _width(module, dim)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = next(iter(graphs.values()))[0]
        dtype = working_dtype(
            module, lambda c, to: _Probe(c, features, width, to, seed).rows(first)
        )
        probes = [
            _Probe(ready(module, seed + k, dtype, True), features, width, dtype, seed + k)
            for k in range(seeds)
        ]
        findings = tuple(_pair(name, pair, probes) for name, pair in graphs.items())
        reads = any(_reads_edges(probe, first) for probe in probes)
    return Distinguished(type(module).__name__, findings, reads, seeds, seed)


def _checked(pairs: Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[Graph, Graph]]:
    if not isinstance(pairs, Mapping):
        hint = "e.g. {'rings': (one, two)}"
        raise type_error("pairs", type(pairs).__name__, "a mapping from names to two graphs", hint)
    if not pairs:
        raise value_error("pairs", "{}", "at least one pair")
    found = {}
    for name, pair in pairs.items():
        one, two = (graph_of(g, f"pairs[{name!r}]") for g in pair)
        if one[0] != two[0]:
            hint = "counting tokens would tell them apart"
            raise value_error(f"pairs[{name!r}]", (one[0], two[0]), "equally many tokens", hint)
        found[name] = (one, two)
    return found


def _width(module: nn.Module, dim: int | None) -> int:
    if dim is not None:
        return positive("dim", dim)
    for name in ("dim", "in_channels"):
        value = getattr(module, name, None)
        if isinstance(value, int) and value > 0:
            return value
    raise value_error("dim", None, "the number of channels", "distinguishes(module, dim=8)")


@dataclass(frozen=True, eq=False)
class _Probe:
    """The module with one set of weights."""

    module: nn.Module
    features: Features | None
    width: int | None
    dtype: torch.dtype
    seed: int

    def rows(self, graph: Graph) -> Tensor:
        """The output on a graph, `[N, C]`, or `[1, C]` of a pooled one."""
        n, index = graph
        with torch.no_grad():
            y = first_tensor(self._call(self._input(n, index), index))
        if getattr(self.module, "pooled", False):
            return y.reshape(1, -1)
        y = y[0] if y.ndim > 2 and len(y) == 1 else y
        return y.reshape(n, -1) if y.ndim and len(y) == n else y.reshape(1, -1)

    def _input(self, n: int, index: Tensor) -> Tensor:
        if self.features is None:
            assert self.width is not None
            rng = torch.Generator().manual_seed(32_452_843 + self.seed)
            return (
                torch.randn(self.width, generator=rng, dtype=torch.float64)
                .to(self.dtype)
                .repeat(n, 1)
            )
        x = self.features(index, n)
        if not isinstance(x, Tensor) or x.ndim != 2 or len(x) != n:
            shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise value_error("features(edge_index, num_tokens)", shape, f"a tensor [{n}, D]")
        return x.detach().to(self.dtype)

    def _call(self, x: Tensor, index: Tensor) -> Any:
        if takes_structure(self.module):
            structure = Structure.packed([len(x)], edges=Edges(index))
            return getattr(self.module, "mix", self.module)(x, structure)
        if "batch" in inspect.signature(self.module.forward).parameters:
            return self.module(x, index, batch=torch.zeros(len(x), dtype=torch.int64))
        return self.module(x, index)

    def floor(self, graph: Graph, scale: Tensor) -> float:
        """Rounding noise of what is compared."""
        plain = _summary(self.rows(graph), scale)
        seen = noise(
            self.module,
            [plain],
            lambda: [_summary(self.rows(graph), scale)],
            lambda a, b: [_error(a[0], b[0])],
        )
        return max(_least(self.dtype), *seen)


def _least(dtype: torch.dtype) -> float:
    return 16 * torch.finfo(dtype).eps


def _summary(y: Tensor, scale: Tensor) -> Tensor:
    """What does not depend on the order of the rows: along some directions, sorted."""
    if len(y) == 1:
        return y / scale
    rng = torch.Generator().manual_seed(49_979_687)
    look = torch.randn(y.shape[1], DIRECTIONS, generator=rng, dtype=torch.float64)
    return ((y / scale) @ look.to(y)).sort(0).values


def _error(a: Tensor, b: Tensor) -> float:
    """Relative to the largest of all, since channels are scaled already; not finite: unknown."""
    return relative_error(a, b, by_channel=False)


def _scale(*outputs: Tensor) -> Tensor:
    """The size of each channel, and no less than 1e-6 of the largest."""
    size = torch.cat(outputs).abs().amax(0)
    return size.maximum(1e-6 * size.max()).clamp_min(1e-300)


def _relabelled(graph: Graph, rng: torch.Generator) -> Graph:
    """The same graph, its tokens renamed, its edges in another order, by target."""
    n, index = graph
    new = torch.randperm(n, generator=rng)[index]
    new = new[:, torch.randperm(new.shape[1], generator=rng)]
    return n, new[:, new[1].argsort(stable=True)]


def _pair(name: str, pair: tuple[Graph, Graph], probes: list[_Probe]) -> PairFinding:
    """One pair, over all weights: the seed that shows most is reported."""
    separating, broken, shown = 0, False, (-1.0, 0.0, 0.0, 0.0)
    for k, probe in enumerate(probes):
        outputs = [probe.rows(g) for g in pair]
        if not all(bool(y.isfinite().all()) for y in outputs):
            raise value_error("output", "not finite", "finite numbers", f"on the pair {name!r}")
        if k == 0 and not _same(outputs[0], probe.rows(pair[0])):
            hint = "make it deterministic in eval mode"
            raise value_error("output", "another at each call", "the same for the same input", hint)
        if outputs[0].shape != outputs[1].shape:
            shapes = " and ".join(str(list(y.shape)) for y in outputs)
            raise value_error("output.shape", shapes, "one shape", f"on the pair {name!r}")
        scale = _scale(*outputs)
        one, two = (_summary(y, scale) for y in outputs)
        difference = _error(one, two)
        least = _least(probe.dtype)
        if k and difference <= REFUTED * least:
            continue  # no noise and no relabelling could make that a separation
        rng = torch.Generator().manual_seed(67_867_967 + probe.seed)
        copies = [(_relabelled(g, rng), s) for g, s in zip(pair, (one, two), strict=True)]
        copies += [(_relabelled(g, rng), s) for g, s in copies * (RELABELLINGS - 1)]
        control = max(_error(s, _summary(probe.rows(g), scale)) for g, s in copies)
        floor = max(probe.floor(g, scale) for g in pair)
        apart = difference / max(floor, control)
        broken |= control > max(REFUTED * floor, INVARIANT)
        separating += apart > REFUTED
        shown = max(shown, (apart, difference, floor, control))
    status: Status = "separated" if separating else "not separated"
    status = "not invariant" if broken else status
    return PairFinding(name, status, *shown[1:], separating, len(probes))


def _same(one: Tensor, two: Tensor) -> bool:
    return relative_error(one, two, by_channel=True) < 1000 * torch.finfo(one.dtype).eps


def _reads_edges(probe: _Probe, graph: Graph) -> bool:
    """Whether the output moves when an edge is left out."""
    n, index = graph
    ends = index[:, 0]
    kept = ((index != ends[:, None]) & (index != ends.flip(0)[:, None])).any(0)
    whole = probe.rows(graph)
    try:
        less = probe.rows((n, index[:, kept]))
    except (RuntimeError, ValueError):  # it checks its edges: so it reads them
        return True
    if whole.shape != less.shape:
        return True
    scale = _scale(whole, less)
    return _error(_summary(whole, scale), _summary(less, scale)) > 1e-9
