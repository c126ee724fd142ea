"""One parametrised test over all operators: laws, oracle, layouts, gradients."""

import inspect

import pytest
import torch
from operators import DIM, OPERATORS, Operator, memory_dim, ragged_tokens

import tokennet as tn
from tokennet.laws import CLAIMABLE, closure

each = pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)


FIRST = {type(o.make()): o.name for o in reversed(OPERATORS)}


@each
def test_laws(operator: Operator) -> None:
    """Contract and claims hold; what is not claimed breaks, and by how much.

    The first operator of a class is tried on as many inputs as a user's, its variants on half.
    """
    mixer = operator.make()
    examples = 60 if operator.name in FIRST.values() else 30
    report = tn.verify(mixer, dim=DIM, examples=examples)
    report.raise_if_broken()
    assert report.mixes == operator.mixes
    claimed = {law.name for law in closure(mixer.claims)}
    measured = {v.law for v in report.verdicts if v.role == "measured"}
    assert claimed & measured == set()
    assert set(operator.breaks) == measured, "each law is claimed, or known to break"
    for law in operator.breaks:
        assert report[law].status == "broken"
        assert report[law].error > 1e-3
    for verdict in report.verdicts:
        if verdict.role in ("contract", "claim", "locality"):
            assert verdict.bites >= 5


def test_every_mixer_is_in_the_list() -> None:
    listed = {type(p) for o in OPERATORS for p in o.make().modules() if isinstance(p, tn.Mixer)}
    public = {c for c in vars(tn).values() if isinstance(c, type) and issubclass(c, tn.Mixer)}
    assert {c for c in public - listed if not inspect.isabstract(c)} == set()
    assert {tn.Mixer, tn.Position} <= public


def results(mixer: tn.Mixer, tokens: tn.Tokens) -> list[torch.Tensor]:
    """Output at real rows, gradient of the input there, gradients of all parameters."""
    x = tokens.x.detach().requires_grad_()
    y = mixer(x, tokens.structure)
    real = slice(None) if mixer.pooled else tokens.structure.layout.valid
    rows = y[real]
    wave = torch.cos(torch.arange(rows.numel(), dtype=torch.float64)).view(rows.shape).to(rows)
    grads = torch.autograd.grad(
        (rows * wave).sum(), [x, *mixer.parameters()], allow_unused=True, materialize_grads=True
    )
    return [rows.detach(), grads[0][tokens.structure.layout.valid], *grads[1:]]


@each
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("packed", [True, False])
def test_fast_path_equals_oracle(operator: Operator, dtype: torch.dtype, packed: bool) -> None:
    mixer = operator.make().to(dtype).eval()
    tokens = ragged_tokens(mixer, dtype, packed=packed)
    fast = results(mixer, tokens)
    with tn.backend("reference"):
        slow = results(mixer, tokens)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for a, b in zip(fast, slow, strict=True):
        assert a.isfinite().all()
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@each
def test_padded_equals_packed(operator: Operator) -> None:
    """Outputs and gradients, with an empty sample, isolated tokens, a loop and a repeated edge."""
    mixer = operator.make().double().eval()
    tokens = ragged_tokens(mixer, torch.float64)
    for a, b in zip(results(mixer, tokens), results(mixer, tokens.padded()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@each
def test_gradcheck(operator: Operator) -> None:
    mixer = operator.make().double().eval()
    tokens = ragged_tokens(mixer, torch.float64)
    x = tokens.x.requires_grad_()
    weights = [p for p in mixer.parameters() if p.numel() <= 64]
    agrees = torch.autograd.gradcheck(
        lambda x, *_: mixer(x, tokens.structure),
        (x, *weights),
        fast_mode=True,
        raise_exception=operator.smooth,
    )
    assert agrees == operator.smooth


@each
@pytest.mark.parametrize("lengths", [[], [0], [1], [0, 2, 0]], ids=str)
def test_small_batches_are_defined(operator: Operator, lengths: list[int]) -> None:
    """No sample, an empty one, one token: finite outputs, and gradients where there are rows."""
    mixer = operator.make()
    grid = None
    if "grid" in mixer.reads:
        lengths = [n for n in lengths if n] and [1] * len(lengths)
        grid = (1,) * getattr(mixer, "axes", 2)
    memory = tn.Structure.packed([2] * len(lengths))
    width = memory_dim(mixer) or DIM
    structure = tn.Structure.packed(
        lengths,
        edges=tn.Edges(torch.zeros(2, 0, dtype=torch.int64), None, torch.zeros(0, 3)),
        grid=grid,
        memory=tn.Tokens(torch.randn(2 * len(lengths), width), memory),
    )
    tokens = tn.Tokens(torch.randn(sum(lengths), DIM), structure)
    for case in (tokens, tokens.padded()):
        x = case.x.clone().requires_grad_()
        y = mixer(x, case.structure)
        assert len(y) == len(lengths) if mixer.pooled else y.shape[:-1] == x.shape[:-1]
        assert y.isfinite().all()
        y.sum().backward()
        assert x.grad is None or x.grad.isfinite().all()


def test_claims_are_claimable() -> None:
    for operator in OPERATORS:
        assert operator.make().claims <= frozenset(CLAIMABLE)
