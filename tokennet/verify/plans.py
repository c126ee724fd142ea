"""What a module is tried on: the domain, plans, and the tokens of a plan.

Axes: B samples, N tokens of the longest sample, D channels, E edges.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tokennet.checks import positive, value_error
from tokennet.structure import Edges, Packed, Structure, Tokens
from tokennet.structure.transform import pad_into

LAYOUTS = ("dense", "right", "packed", "left", "holes")
VALUES = ("normal", "ties", "small", "large", "constant", "mixed", "spike")
TIED = ("ties", "constant", "coarse")
GRAPHS = ("random", "none", "path", "cycle", "star", "complete", "loops", "repeated")
# around powers of two, where implementations change their path
SIZES = (2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)


@dataclass(frozen=True)
class Domain:
    """What a module may be given; nothing outside it is tried.

    Args:
        dim, memory_dim, edge_dim: channels of tokens, of memory tokens, of edges; `audit` takes
            them from its example.
        num_tokens: fewest and most tokens of a sample.
        multiple_of: of which the number of tokens is a multiple (`audit` only).
        batch: fewest and most samples.
        facts: what the structure holds, of "edges", "grid", "memory".
        grids: numbers of axes that a grid may have.
        dtypes: of features; errors are judged against each one's rounding. Empty: float64 and
            float32, for `audit` bfloat16 too.
        train: whether train mode is tried too.
        empty_samples: whether a sample may have no token.
        max_abs: the largest magnitude of features.
    """

    dim: int = 1
    memory_dim: int | None = None
    edge_dim: int | None = None
    num_tokens: tuple[int, int] = (1, 66)
    multiple_of: int = 1
    batch: tuple[int, int] = (1, 18)
    facts: frozenset[str] = frozenset({"edges"})
    grids: tuple[int, ...] = (1, 2)
    dtypes: tuple[torch.dtype, ...] = ()
    train: bool = True
    empty_samples: bool = True
    max_abs: float = 1e3

    def __post_init__(self) -> None:
        positive("dim", self.dim)
        positive("multiple_of", self.multiple_of)
        for name, (low, high) in (("num_tokens", self.num_tokens), ("batch", self.batch)):
            if not 0 <= low <= high:
                raise value_error(f"domain.{name}", (low, high), "(fewest, most), both at least 0")


@dataclass(frozen=True)
class Plan:
    """The description of one input: small enough to print, to shrink and to build again."""

    lengths: tuple[int, ...]
    layout: str = "dense"
    values: str = "normal"
    graph: str = "random"
    weighted: bool = False
    grid: tuple[int, ...] | None = None
    memory: tuple[int, ...] | None = None
    train: bool = False
    no_grad: bool = False
    strided: bool = False
    dtype: torch.dtype = torch.float64
    seed: int = 0
    change: int = 0

    def __str__(self) -> str:
        words = [f"lengths {self.lengths}", self.layout]
        words += [f"{self.values} values"] if self.values != "normal" else []
        words += [f"grid {self.grid}"] if self.grid else []
        words += [f"{self.graph} edges"] if self.graph else []
        words += [f"memory {self.memory}"] if self.memory else []
        words += ["train" if self.train else "eval"]
        words += [w for w, on in (("no_grad", self.no_grad), ("strided", self.strided)) if on]
        return ", ".join([*words, str(self.dtype).removeprefix("torch.")])


def build(plan: Plan, domain: Domain) -> Tokens:
    """The tokens of a plan: the same ones every time."""
    rng = torch.Generator().manual_seed(7919 + plan.seed)
    total = sum(plan.lengths)
    x = _features(plan.values, total, domain, rng).to(plan.dtype)
    edges = _edges(plan, domain, rng) if plan.graph else None
    tokens = Tokens(x, Structure(Packed.of(list(plan.lengths)), edges, plan.grid))
    if plan.memory is not None:
        tokens = _with_memory(tokens, plan, domain, rng)
    if plan.layout == "dense":
        tokens = tokens.padded() if total else tokens
    elif plan.layout != "packed":
        tokens = _scattered(tokens, plan.layout, rng)
    return _strided(tokens) if plan.strided else tokens


def _features(kind: str, count: int, domain: Domain, rng: torch.Generator) -> Tensor:
    normal = torch.randn(count, domain.dim, generator=rng, dtype=torch.float64)
    if kind == "ties":  # few different tokens, so that many are equal
        return normal[torch.randint(0, 2, (count,), generator=rng)] if count > 1 else normal
    if kind == "small":
        return normal * 1e-3
    if kind == "large":
        return normal.clamp(-4, 4) * (min(domain.max_abs, 1e3) / 4)
    if kind == "constant":
        return normal[:1].expand(count, -1).clone() if count else normal
    if kind == "mixed":
        return normal * 10.0 ** torch.linspace(-2, 2, domain.dim, dtype=torch.float64)
    if kind in ("zeros", "tiny", "positive", "negative", "coarse"):
        return _plain_numbers(kind, normal, rng)
    if kind == "spike" and count:
        normal[int(torch.randint(0, count, (), generator=rng))] *= min(domain.max_abs / 4, 50)
    return normal


def _plain_numbers(kind: str, normal: Tensor, rng: torch.Generator) -> Tensor:
    """Some tokens exactly zero; numbers near zero, on one side of it, or whole (many are equal)."""
    if kind == "coarse":
        return normal.round()
    if kind == "zeros":
        return normal * (torch.rand(len(normal), 1, generator=rng) < 0.6)
    return normal * 1e-8 if kind == "tiny" else normal.abs() * (1 if kind == "positive" else -1)


def _edges(plan: Plan, domain: Domain, rng: torch.Generator) -> Edges:
    """Edges inside each sample, of the plan's kind."""
    parts, start = [torch.zeros(2, 0, dtype=torch.int64)], 0
    for n in plan.lengths:
        if n:
            parts.append(_graph(plan.graph, n, rng) + start)
        start += n
    index = torch.cat(parts, 1)
    count = index.shape[1]
    weight = attr = None
    if plan.weighted:
        weight = torch.rand(count, generator=rng, dtype=torch.float64).to(plan.dtype) + 0.1
    if domain.edge_dim:
        attr = torch.randn(count, domain.edge_dim, generator=rng, dtype=torch.float64).to(
            plan.dtype
        )
    return Edges(index, weight, attr)


def _graph(kind: str, n: int, rng: torch.Generator) -> Tensor:
    one = torch.arange(n)
    if kind == "none":
        return torch.zeros(2, 0, dtype=torch.int64)
    if kind == "path":
        return torch.stack([one[:-1], one[1:]])
    if kind == "cycle":
        return torch.cat([torch.stack([one, one.roll(-1)]), torch.stack([one.roll(-1), one])], 1)
    if kind == "star":
        return torch.stack([one[1:], torch.zeros_like(one[1:])])
    if kind == "complete":
        return torch.cartesian_prod(one, one).T
    random = torch.randint(0, n, (2, 2 * n), generator=rng)
    random = random[:, random[0] != random[1]]
    if kind == "loops":
        return torch.cat([random, torch.stack([one, one])], 1)
    if kind == "repeated":
        return torch.cat([random, random[:, ::2]], 1)
    return random


def _with_memory(tokens: Tokens, plan: Plan, domain: Domain, rng: torch.Generator) -> Tokens:
    assert plan.memory is not None
    dim = domain.memory_dim or domain.dim
    x = torch.randn(sum(plan.memory), dim, generator=rng, dtype=torch.float64).to(plan.dtype)
    memory = Tokens(x, Structure.packed(list(plan.memory)))
    if plan.layout == "dense":
        memory = memory.padded()
    elif plan.layout != "packed":
        memory = _scattered(memory, plan.layout, rng)
    return Tokens(tokens.x, tokens.structure.with_facts(memory=memory))


def _scattered(tokens: Tokens, kind: str, rng: torch.Generator) -> Tokens:
    """Padded tokens with padding behind, before or between the real ones; padding holds noise."""
    lengths = tokens.structure.lengths
    size = (int(lengths.max()) if len(lengths) else 0) + (kind == "holes")
    valid = torch.arange(size)[None] < lengths[:, None]
    if kind == "left":
        valid = valid.flip(1)
    elif kind == "holes":
        valid = (
            torch.stack([row[torch.randperm(size, generator=rng)] for row in valid])
            if len(valid)
            else valid
        )
    padded = pad_into(tokens, valid)
    noise = torch.randn(padded.x.shape, generator=rng, dtype=torch.float64).to(padded.x)
    return Tokens(torch.where(valid[..., None], padded.x, noise), padded.structure)


def _strided(tokens: Tokens) -> Tokens:
    """The same values in memory that is not contiguous."""
    wide = torch.stack([tokens.x, tokens.x], -1).flatten(-2)[..., ::2]
    return Tokens(wide, tokens.structure)


def without_edges(tokens: Tokens) -> Tokens:
    """The same tokens with no edge."""
    index = torch.zeros(2, 0, dtype=torch.int64)
    edges = tokens.structure.edges
    attr = None if edges is None or edges.attr is None else edges.attr[:0]
    return Tokens(tokens.x, tokens.structure.with_facts(edges=Edges(index, None, attr)))
