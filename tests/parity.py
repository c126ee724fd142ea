"""An original and its import, side by side: outputs, hidden states, every gradient, and back.

Axes: B samples, N tokens, D channels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.interop.bring import tensors
from tokennet.interop.draft import draft_of

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
Results = Mapping[str, Tensor]
"""Named tensors: "output", and any hidden states. Real rows only, so that both sides have them."""


@dataclass(frozen=True)
class Case:
    """One model: how it is made, brought in, and called on both sides.

    Args:
        name: as in the table, "BertForMaskedLM, padded".
        make: the original with random weights and a random small configuration, by a seed;
            dropout 0, so that train mode is comparable.
        bring: `tn.interop.from_*`.
        inputs: what both are called with, by a seed and the original; floats in float32.
        theirs, ours: the calls: (model, inputs) to results of the same names.
        audit: both as plain modules that are called alike, for `tn.audit`.
        differs: where the original has a defect: the names of the properties on which audits of
            the two disagree, and what is different on purpose, in words.
        imprecise: why float32 of the original is no measure (its own rounding errors are larger
            than the tolerance); then float64 is compared only.
    """

    name: str
    library: str
    make: Callable[[int], nn.Module]
    bring: Callable[[Any], "tn.TokenNet"]
    inputs: Callable[[int, nn.Module], Any]
    theirs: Callable[[nn.Module, Any], Results]
    ours: Callable[["tn.TokenNet", Any], Results]
    audit: "Callable[[nn.Module, tn.TokenNet], Audited] | None" = None
    differs: Mapping[str, str] = field(default_factory=dict)
    imprecise: str = ""

    @property
    def dtypes(self) -> list[torch.dtype]:
        """Those in which the two are compared."""
        return [torch.float64] if self.imprecise else list(TOLERANCE)


@dataclass(frozen=True)
class Audited:
    """Two modules for `tn.audit(module, example, **roles)`: plain tensors in, `[B, N, D]` out."""

    theirs: nn.Module
    ours: nn.Module
    example: Any
    roles: Mapping[str, Any]


@dataclass
class Errors:
    """Largest differences, in units of the larger of one and the largest number."""

    output: float = 0.0
    hidden: float = 0.0
    gradient: float = 0.0
    where: dict[str, str] = field(default_factory=dict)

    def note(self, kind: str, name: str, one: Tensor, two: Tensor) -> None:
        assert one.shape == two.shape, f"{name}: {tuple(one.shape)} and {tuple(two.shape)}"
        if not one.numel():
            return
        one, two = one.detach(), two.detach()
        assert one.isfinite().all(), f"{name} of the import is not finite"
        size = max(1.0, float(two.abs().max()))
        error = float((one.double() - two.double()).abs().max()) / size
        if error >= getattr(self, kind):
            setattr(self, kind, error)
            self.where[kind] = name

    @property
    def worst(self) -> float:
        return max(self.output, self.hidden, self.gradient)


def randomise(model: nn.Module) -> nn.Module:
    """Weights of about the size that keeps numbers near one: no zeros, no ones that hide errors."""
    with torch.no_grad():
        for p in model.parameters():
            fan = p[0].numel() if p.ndim > 1 else 1
            p.normal_(std=fan**-0.5 if p.ndim > 1 else 0.3)
            if p.ndim == 1:
                p.add_(0.5)
        for name, b in model.named_buffers():
            if name.endswith("running_var"):
                b.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                b.normal_(std=0.3)
    return model


def compare(
    case: Case, seed: int, dtype: torch.dtype, *, train: bool = False, bits: bool = True
) -> Errors:
    """Both sides on the same inputs; asserts that there is something to compare.

    `bits`: that the state dict given back is the original's, too.
    """
    torch.manual_seed(seed)
    theirs = randomise(case.make(seed)).to(dtype).train(train)
    inputs = cast(case.inputs(seed, theirs), dtype)
    state = {n: t.clone() for n, t in theirs.state_dict().items()}
    net = case.bring(theirs)
    assert net.training == train
    errors = Errors()
    expected, found = case.theirs(theirs, inputs), case.ours(net, inputs)
    assert set(expected) == set(found)
    assert "output" in expected
    for name, y in expected.items():
        assert y.abs().max() > 1e-3, f"{name}: nothing to compare"
        errors.note("output" if name == "output" else "hidden", name, found[name], y)
    _backward(expected)
    _backward(found)
    _gradients(errors, theirs, net)
    if bits:
        assert_given_back(net, state, trained=train)
    return errors


def _backward(results: Results) -> None:
    total = torch.zeros((), dtype=torch.float64)
    for y in results.values():
        wave = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(y.dtype)
        total = total + ((y * wave).sum() / max(y.shape[0], 1) ** 0.5).double()
    total.backward()


def _gradients(errors: Errors, theirs: nn.Module, net: "tn.TokenNet") -> None:
    """Every parameter of theirs that has a gradient, or none: ours translated to its place."""
    own = {n: _grad(t) for n, t in tensors(net).items()}
    lines = {line.theirs: line for line in lines_of(net)}
    moved = 0
    for name, p in theirs.named_parameters():
        if name not in lines:
            assert name in net.origin.kept, name
            continue
        mine = lines[name].write([own[n] for n in lines[name].ours])
        moved += int(bool(_grad(p).any()))
        errors.note("gradient", name, mine, _grad(p))
    assert moved > 0.5 * len(lines) / 2, "hardly any weight had a gradient"


def _grad(t: Tensor) -> Tensor:
    return torch.zeros_like(t) if t.grad is None else t.grad


def lines_of(net: "tn.TokenNet") -> Sequence[Any]:
    origin = net.origin
    return draft_of(origin.library, origin.kind, origin.config).lines


def assert_given_back(net: "tn.TokenNet", state: Results, *, trained: bool = False) -> None:
    """The state dict of the original again: names, order, shapes, bits."""
    back = tn.interop.export_state(net)
    assert list(back) == list(state)
    for name, t in state.items():
        if trained and ("running" in name or "num_batches" in name):
            continue  # batch statistics have moved since
        assert back[name].dtype == t.dtype
        assert torch.equal(back[name], t), name


def assert_parity(case: Case, seed: int, dtype: torch.dtype, *, train: bool = False) -> None:
    errors = compare(case, seed, dtype, train=train)
    assert errors.worst <= TOLERANCE[dtype], f"{case.name}, seed {seed}: {errors}"


def assert_misread_is_seen(case: Case, seed: int = 0) -> None:
    """The comparison can fail: with one weight of the import moved, the outputs differ."""

    def bring(model: Any) -> "tn.TokenNet":
        net = case.bring(model)
        with torch.no_grad():
            max(net.parameters(), key=lambda p: p.ndim and p.numel()).mul_(1.01)
        return net

    errors = compare(replace(case, bring=bring), seed, torch.float64, bits=False)
    assert errors.worst > 100 * TOLERANCE[torch.float64], f"a moved weight was not seen: {errors}"


def cast(value: Any, dtype: torch.dtype) -> Any:
    """Floats in the dtype, in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {k: cast(v, dtype) for k, v in value.items()}
    if hasattr(value, "_fields"):  # a NamedTuple
        return type(value)(*(cast(v, dtype) for v in value))
    if isinstance(value, tuple | list):
        return type(value)(cast(v, dtype) for v in value)
    return value
