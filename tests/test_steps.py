"""Token by token is the same as all at once, for every causal operator."""

import pytest
import torch
from operators import DIM, OPERATORS, Operator, memory_dim
from torch import Tensor

import tokennet as tn
from tokennet.laws import closure


def _causal(operator: Operator) -> bool:
    mixer = operator.make()
    return tn.Causality() in closure(mixer.claims) and not mixer.pooled


CAUSAL = [o for o in OPERATORS if _causal(o)]
ABLE = [o for o in CAUSAL if not o.make().reads - {"position", "memory"}]
UNABLE = [o for o in OPERATORS if o not in ABLE]


def stepwise(mixer: tn.Mixer, x: Tensor, structure: tn.Structure) -> Tensor:
    """`[B, N, O]`, one token after the other."""
    state, rows = mixer.start(structure), []
    for token in x.unbind(1):
        y, state = mixer.step(token, state)
        rows.append(y)
    return torch.stack(rows, 1)


@pytest.mark.parametrize("operator", ABLE, ids=lambda o: o.name)
def test_stepwise_equals_parallel(operator: Operator) -> None:
    """Outputs and all gradients; the batch has a memory of ragged samples where one is read."""
    mixer = operator.make().double().eval()
    memory = None
    if "memory" in mixer.reads:
        samples = [torch.randn(n, memory_dim(mixer) or DIM).double() for n in (2, 0, 3)]
        memory = tn.Tokens.from_list(samples)
    structure = tn.Structure.dense(3, 9, memory=memory)
    x = torch.randn(3, 9, DIM, dtype=torch.float64, requires_grad=True)
    inputs = [x, *mixer.parameters()]
    results = []
    for y in (mixer(x, structure), stepwise(mixer, x, structure)):
        wave = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
        loss = (y * wave).sum()
        results.append(
            [y, *torch.autograd.grad(loss, inputs, materialize_grads=True, allow_unused=True)]
        )
    for whole, steps in zip(*results, strict=True):
        torch.testing.assert_close(steps, whole, rtol=1e-10, atol=1e-10)
    assert results[0][1].abs().max() > 1e-3


@pytest.mark.parametrize("operator", UNABLE, ids=lambda o: o.name)
def test_what_is_not_causal_does_not_step(operator: Operator) -> None:
    mixer = operator.make()
    structure = tn.Structure.dense(1, 2)
    with pytest.raises(ValueError, match=r"expected (Causality|position and memory at most)"):
        mixer.check_steps(structure)
    if not isinstance(mixer, (tn.Pointwise, tn.TokenWise)):
        with pytest.raises(ValueError, match=r"expected (Causality|position and memory at most)"):
            mixer.start(structure)


def test_the_lists_are_not_empty() -> None:
    assert len(ABLE) > 15
    assert len(UNABLE) > 15


def test_a_cache_costs_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step maps one token, not all so far; only the cache grows."""
    attention = tn.Attention(DIM, tn.Heads(4, kv_heads=2), tn.Causal())
    seen: list[tuple[int, ...]] = []
    attention.key.register_forward_hook(lambda m, args, y: seen.append(tuple(args[0].shape)))
    structure = tn.Structure.dense(2, 6)
    stepwise(attention, torch.randn(2, 6, DIM), structure)
    assert seen == [(2, DIM)] * 6
    state = attention.start(structure)
    for _ in range(6):
        _, state = attention.step(torch.randn(2, DIM), state)
    assert state.k.shape == (2, 6, 2, 2), "keys of the shared heads only"


def test_bad_steps() -> None:
    mixer = tn.Attention(DIM, 2, tn.Causal() & tn.Window(2))
    state = mixer.start(tn.Structure.dense(2, 3))
    with pytest.raises(ValueError, match=r"x is \(3, 8\), expected one token for each sample, \[2"):
        mixer.step(torch.randn(3, DIM), state)
    with pytest.raises(
        TypeError, match=r"state is NoneType, expected what start\(structure\) gave"
    ):
        mixer.step(torch.randn(2, DIM), None)
    with pytest.raises(TypeError, match="structure is NoneType, expected a Structure"):
        mixer.start(None)
