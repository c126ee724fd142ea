"""What a net is made of, and how far it sees: measured on an example.

Axes: B samples, N tokens, D channels.
"""

import copy
import math
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tokennet.laws import Law
from tokennet.mixers import Mixer
from tokennet.mixers.combine import Composite
from tokennet.ops.backend import backend, sparse_flops
from tokennet.structure import Edges, Structure, Tokens
from tokennet.structure.transform import select

if TYPE_CHECKING:
    from tokennet.net.tokennet import TokenNet

_PROBES = 5  # tokens of one sample whose receptive field is measured
_COLUMNS = 100


@dataclass(frozen=True)
class Row:
    """One part of a net.

    `field` tokens can influence one output token of this part, `field_so_far` through all parts up
    to this one: the largest of a few tokens. None: the part has no tokens before it, or none came.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    flops: int
    claims: frozenset[Law] | None = None
    reads: frozenset[str] = frozenset()
    field: int | None = None
    field_so_far: int | None = None


@dataclass(frozen=True)
class Summary:
    """The parts of a net in order, and the total last; `print` it."""

    rows: tuple[Row, ...]

    @property
    def total(self) -> Row:
        return self.rows[-1]

    def __str__(self) -> str:
        blocks = _aligned([_HEAD, *map(_cells, self.rows)])
        rule = "-" * max(len(line) for block in blocks for line in block.split("\n"))
        return "\n".join([blocks[0], rule, *blocks[1:-1], rule, blocks[-1]])


def summarise(net: "TokenNet", inputs: Any, structure: Structure | None = None) -> Summary:
    """Runs the parts one by one on copies of the net, which itself is left as it is.

    FLOPs are those of one forward pass in eval mode, attention and sparse products counted, two for
    a multiplication with an addition; what is kept with the structure (degrees, position codes) is
    not. Receptive fields come from the Jacobian for random tokens in float64, on one sample, the
    longest. A maximum passes gradients to the largest token only, so its field may be larger.
    """
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.no_grad(),
        backend("auto"),
    ):
        twin = copy.deepcopy(net).eval()
        rows, tokens, dims = _forward(twin, inputs, structure)
        with torch.enable_grad():
            fields = _fields(twin, tokens, dims)
    for i, (part, (field, so_far)) in enumerate(zip(net.parts, fields, strict=True), start=1):
        rows[i] = replace(
            rows[i], claims=part.claims, reads=part.reads, field=field, field_so_far=so_far
        )
    last = replace(
        rows[-1],
        name="total",
        parameters=_count(net),
        flops=sum(row.flops for row in rows),
        claims=net.claims,
        reads=net.reads,
        field=rows[-1].field_so_far,
    )
    return Summary((*rows, last))


def _forward(
    net: "TokenNet", inputs: Any, structure: Structure | None
) -> tuple[list[Row], Tokens, list[int]]:
    """Rows without promises and fields; the tokens, and the channels that enter each part."""
    (x, facts), flops = _counted(net.tokens, inputs, structure)
    rows = [Row(_name(net.tokenizer), tuple(x.shape), _count(net.tokenizer), flops)]
    tokens, dims = Tokens(x, facts), []
    for part in net.parts:
        dims.append(x.shape[-1])
        x, flops = _counted(part, x, facts)
        rows.append(Row(_name(part), tuple(x.shape), _count(part), flops))
    return rows, tokens, dims


def _counted(call: Any, *args: Any) -> tuple[Any, int]:
    """The result, and the FLOPs of a second call: the first fills what the structure keeps."""
    call(*args)
    # the fused kernels of attention are not counted on every device, plain products are
    plain = sdpa_kernel(SDPBackend.MATH)
    with FlopCounterMode(display=False) as dense, sparse_flops() as sparse, plain:
        result = call(*args)
    return result, dense.get_total_flops() + sum(sparse)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# -- receptive fields -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """One sample in float64, the output tokens whose field is measured, and the real rows."""

    structure: Structure
    probes: list[int]
    real: Tensor

    @staticmethod
    def longest(tokens: Tokens) -> "_Sample":
        structure = select(tokens, [int(tokens.structure.lengths.argmax())]).structure
        structure = _double(structure)
        real = structure.layout.valid.flatten()
        rows = real.nonzero().squeeze(1)
        places = torch.linspace(0, len(rows) - 1, min(_PROBES, len(rows))).round().long()
        probes = set(rows[places].tolist())
        if structure.grid is not None:  # its middle, away from the borders
            middle = sum(
                n // 2 * math.prod(structure.grid[i + 1 :]) for i, n in enumerate(structure.grid)
            )
            probes.add(int(rows[middle]))
        if structure.edges is not None and structure.edges.num_edges:
            probes.add(int(structure.sorted_edges.ptr.diff().argmax()))  # the token that hears most
        return _Sample(structure, sorted(probes), real)

    def random(self, dim: int) -> Tensor:
        x = torch.randn(*self.structure.layout.shape, dim, dtype=torch.float64)
        return self.structure.layout.clear(x).requires_grad_()

    def influence(self, y: Tensor, x: Tensor, *, pooled: bool) -> list[Tensor]:
        """For each probe the rows of x on which y there depends: one backward pass each."""
        found = []
        flat = y if pooled else self.structure.layout.flat(y)
        for row in [0] if pooled else self.probes:
            cotangent = torch.zeros_like(flat)
            cotangent[row] = torch.randn(flat.shape[1:], dtype=flat.dtype)
            (grad,) = torch.autograd.grad(
                flat, x, cotangent, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            found.append((self.structure.layout.flat(grad) != 0).any(-1) & self.real)
        return found


def _fields(
    net: "TokenNet", tokens: Tokens, dims: list[int]
) -> list[tuple[int | None, int | None]]:
    """How many tokens reach one output of each part: of the part alone, of all parts so far."""
    if not tokens.num_tokens:
        return [(None, None)] * len(dims)
    net = net.to("cpu", torch.float64).requires_grad_(False)
    for p in net.parameters():
        if not p.any():  # a zero would hide what passes through it
            nn.init.normal_(p, std=0.1)
    sample = _Sample.longest(tokens)
    found: list[tuple[int | None, int | None]] = []
    start = through = sample.random(dims[0])
    reached: list[Tensor] = []
    for part, dim in zip(net.parts, dims, strict=True):
        x = sample.random(dim)
        own = sample.influence(part(x, sample.structure), x, pooled=part.pooled)
        through = part(through, sample.structure)
        full = not part.pooled and any(
            torch.equal(before, sample.real) and now[p]
            for before, now, p in zip(reached, own, sample.probes, strict=False)
        )  # all tokens reached this probe before, and do through itself now
        if not full:
            reached = sample.influence(through, start, pooled=part.pooled)
        found.append((max(int(m.sum()) for m in own), max(int(m.sum()) for m in reached)))
    return found


def _double(structure: Structure) -> Structure:
    """The same facts on the CPU, numbers in float64."""
    structure, wide = structure.to("cpu"), lambda t: None if t is None else t.detach().double()
    edges, memory = structure.edges, structure.memory
    if edges is not None:
        edges = Edges(edges.index, wide(edges.weight), wide(edges.attr))
    if memory is not None:
        memory = Tokens(memory.x.detach().double(), memory.structure)
    return Structure(structure.layout, edges, structure.grid, memory)


# -- the table ------------------------------------------------------------------------------------

_HEAD = ("part", "output", "parameters", "FLOPs", "field", "so far", "reads", "claims")


def _name(module: nn.Module) -> str:
    """The class, with its topology or the mixers that it is made of."""
    topology = getattr(module, "topology", None)
    if topology is not None:
        return f"{type(module).__name__} {topology}"
    inner = getattr(module, "mixer", None)  # a residual's
    if isinstance(inner, Mixer):
        return _name(inner)
    if isinstance(module, Composite):
        return f"{type(module).__name__}: {', '.join(map(_name, module.parts))}"
    return type(module).__name__


def _cells(row: Row) -> tuple[str, ...]:
    claims = row.claims or frozenset()
    implied = {law for claim in claims for law in claim.implied}
    names = sorted(c.name for c in claims if type(c) not in implied)
    return (
        row.name,
        str(list(row.shape)),
        f"{row.parameters:,}",
        _short(row.flops),
        "-" if row.field is None else str(row.field),
        "-" if row.field_so_far is None else str(row.field_so_far),
        ", ".join(sorted(row.reads)) or "-",
        ", ".join(names) or "-",
    )


def _short(number: float) -> str:
    """Three digits and a unit: 1.84 G."""
    for unit in ("", " k", " M", " G", " T"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} P"


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    """Numbers to the right, words to the left and wrapped: at most 100 columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    widths[6:] = min(widths[6], 9), min(widths[7], 18)
    widths[0] = max(12, min(widths[0], _COLUMNS - sum(widths[1:]) - 2 * (len(widths) - 1)))
    blocks = []
    for row in table:
        cells = [textwrap.wrap(text, width) for text, width in zip(row, widths, strict=True)]
        lines = []
        for i in range(max(map(len, cells))):
            line = [cell[i] if i < len(cell) else "" for cell in cells]
            parts = (
                t.rjust(w) if 1 < c < 6 else t.ljust(w)
                for c, (t, w) in enumerate(zip(line, widths, strict=True))
            )
            lines.append("  ".join(parts).rstrip())
        blocks.append("\n".join(lines))
    return blocks
