"""Our module against another library's with the same weights: output and every gradient."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
DTYPES = list(TOLERANCE)


def assert_exact(
    ours: nn.Module,
    theirs: nn.Module,
    names: dict[str, str],
    run_ours: Callable[..., Tensor],
    run_theirs: Callable[..., Tensor],
    inputs: Sequence[Tensor],
) -> None:
    """With random weights, results and all gradients of the two differ by rounding only.

    `names` pairs our parameters with theirs, several joined by spaces: one after the other, both
    sides hold the same numbers. Every parameter of both has to appear once.
    """
    dtype = inputs[0].dtype
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    groups = [(own.split(), other.split()) for own, other in names.items()]
    assert sorted(n for own, _ in groups for n in own) == sorted(dict(ours.named_parameters()))
    assert sorted(n for _, o in groups for n in o) == sorted(dict(theirs.named_parameters()))
    pairs = [
        ([ours.get_parameter(n) for n in own], [theirs.get_parameter(n) for n in other])
        for own, other in groups
    ]
    with torch.no_grad():
        for own, other in pairs:
            for p in own:
                p.normal_(std=p[0].numel() ** -0.5 if p.ndim > 1 else 0.5).add_(0.1)
            for p, values in zip(
                other, _joined(own).split([p.numel() for p in other]), strict=True
            ):
                p.copy_(values.view_as(p))

    y, grads = _results(ours, run_ours, inputs)
    z, other_grads = _results(theirs, run_theirs, inputs)
    assert y.shape == z.shape
    assert z.numel() == 0 or z.abs().max() > 1e-3, "nothing to compare"
    _assert_close("output", y, z)
    for i, (mine, other) in enumerate(zip(grads, other_grads, strict=True)):
        _assert_close(f"gradient of input {i}", mine, other)
    for (own, other), name in zip(pairs, names, strict=True):
        _assert_close(f"gradient of {name}", _joined(_grads(own)), _joined(_grads(other)))


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


def _grads(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]


def _results(
    module: nn.Module, run: Callable[..., Tensor], inputs: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    module.zero_grad()
    y = run(*leaves)
    wave = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(y.dtype)
    ((y * wave).sum() / max(len(y), 1) ** 0.5).backward()  # gradients of about unit size
    return y.detach(), _grads(leaves)


def _assert_close(what: str, one: Tensor, two: Tensor) -> None:
    assert one.isfinite().all(), f"{what} is not finite"
    if not one.numel():
        return
    error, size = float((one - two).abs().max()), max(1.0, float(two.abs().max()))
    # rounding grows with the numbers: a gradient through a short vector made a unit one is large
    assert error <= TOLERANCE[one.dtype] * size, f"{what} of size {size:.1g} differs by {error:.1e}"
