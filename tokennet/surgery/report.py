"""What a surgery did to a net, to read and to ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from tokennet.laws import Law
from tokennet.mixers import Mixer
from tokennet.mixers.combine import Composite
from tokennet.net import TokenNet
from tokennet.surgery.fit import Fit
from tokennet.surgery.optimizer import Carried

Weights = Literal["kept", "kept in part", "fitted", "fresh", "given", "unchanged", "none"]
_WIDTH = 32  # of a part's name in the table


@dataclass(frozen=True)
class Swapped:
    """One place of a net.

    `weights`: "kept" (all that the new part has are those of the old one), "kept in part",
    "fitted" (to what the old part does on the example), "fresh" (none of the old ones means the
    same), "given" (a ready module came with its own), "unchanged" (the old part stays), "none"
    (the new part has none). `kept` and `fresh` are names of parameters of the new part, `dropped`
    those of the old part that are no longer there.
    """

    paths: tuple[str, ...]
    old: str
    new: str
    weights: Weights
    kept: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    fit: Fit | None = None
    note: str = ""

    @property
    def path(self) -> str:
        return self.paths[0]


@dataclass(frozen=True)
class Facts:
    """What a net promises and costs; FLOPs are those of the example, None without one."""

    claims: frozenset[Law]
    reads: frozenset[str]
    max_tokens: int | None
    parameters: int
    flops: int | None = None

    @staticmethod
    def of(net: TokenNet, flops: int | None) -> "Facts":
        count = sum(p.numel() for p in net.parameters())
        return Facts(net.claims, net.reads, net.max_tokens, count, flops)


@dataclass(frozen=True)
class Change:
    """How far the answers to the example moved, over their root mean square before: the root mean
    square of the differences, and the largest."""

    rms: float
    max: float


@dataclass(frozen=True, eq=False)
class SurgeryReport:
    """The net after the surgery, and what was done; `print` it.

    `change` is None without an example, `optimizer` without an optimizer.
    """

    net: TokenNet
    places: tuple[Swapped, ...]
    before: Facts
    after: Facts
    change: Change | None = None
    optimizer: Carried | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Of all parts that were exchanged: `distill(..., only=report)` trains these."""
        return tuple(path for place in self.places for path in place.paths)

    @property
    def lost(self) -> frozenset[str]:
        """Names of the laws that the net no longer claims."""
        return frozenset(c.name for c in self.before.claims - self.after.claims)

    def __str__(self) -> str:
        count = f"{len(self.places)} place{'s' if len(self.places) != 1 else ''}"
        lines = [f"surgery on {type(self.net).__name__}: {count}"]
        rows = [("place", "was", "is", "weights")]
        rows += [(p.path, _cut(p.old), _cut(p.new), _weights(p)) for p in self.places]
        lines += _table(rows)
        lines += [f"    {p.path}: {note}" for p in self.places if (note := _note(p))]
        lines += ["", *_table([("", "before", "after"), *self._facts()])]
        if self.change is not None:
            rms, largest = self.change.rms, self.change.max
            lines.append(
                f"  answers moved by {rms:.2g} rms, {largest:.2g} at most (over their rms)"
            )
        if self.optimizer is not None:
            c = self.optimizer
            lines.append(f"  optimizer: {c.kept} tensors go on, {c.dropped} left, {c.added} came")
        return "\n".join(lines)

    def _facts(self) -> list[tuple[str, str, str]]:
        def row(name: str, f: Facts) -> str:
            if name == "claims":
                implied = {law for claim in f.claims for law in claim.implied}
                return _names(c.name for c in f.claims if type(c) not in implied)
            if name == "reads":
                return _names(f.reads)
            value = f.flops if name == "FLOPs" else getattr(f, name.replace(" ", "_"))
            return "-" if value is None else f"{value:,}"

        names = ("claims", "reads", "max tokens", "parameters", "FLOPs")
        return [(name, row(name, self.before), row(name, self.after)) for name in names]


def title(module: nn.Module) -> str:
    """The class, with its topology or the parts that it is made of."""
    topology = getattr(module, "topology", None)
    if topology is not None:
        return f"{type(module).__name__} {topology}"
    inner = getattr(module, "mixer", None)  # a residual's
    if isinstance(inner, Mixer):
        return title(inner)
    if isinstance(module, Composite):
        return f"{type(module).__name__}: {', '.join(map(title, module.parts))}"
    return type(module).__name__


def _weights(place: Swapped) -> str:
    if place.fit is not None:
        return f"fitted, error {place.fit.error:.1%}"
    if place.weights == "kept in part":
        return f"kept {len(place.kept)} of {len(place.kept) + len(place.fresh)}"
    return place.weights


def _note(place: Swapped) -> str:
    """What the table has no room for."""
    said = []
    if len(place.paths) > 1:
        said.append("also at " + ", ".join(place.paths[1:]))
    if place.weights == "kept in part":
        said.append("fresh are " + ", ".join(place.fresh))
    if place.fit is not None and place.fit.mean is not None:
        said.append(f"the mean attention itself: error {place.fit.mean:.1%}")
    if place.note:
        said.append(place.note)
    return "; ".join(said)


def _names(names: object) -> str:
    return ", ".join(sorted(names)) or "-"  # type: ignore[call-overload]


def _cut(name: str) -> str:
    return name if len(name) <= _WIDTH else name[: _WIDTH - 1] + "…"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        ("  " + "  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
