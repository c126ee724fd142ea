"""Attention over samples of different lengths without padding, beside its oracle and padding.

Axes: T tokens of all samples, H heads, D channels.
"""

import pytest
import torch

import tokennet as tn
from tokennet import ops
from tokennet.pairs import Ragged
from tokennet.structure import Packed

LENGTHS = [[], [0], [1], [3, 0, 5, 1], [7, 7, 7], [65, 64, 63, 2], [0, 0, 9]]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("backend", ["auto", "bag"])
def test_ragged_attention(lengths: list[int], causal: bool, backend: str) -> None:
    layout = Packed.of(lengths)
    sources = layout if causal else Packed.of([n + 2 if n else 0 for n in lengths])
    q = torch.randn(layout.num_tokens, 2, 5, requires_grad=True)
    k = torch.randn(sources.num_tokens, 2, 5, requires_grad=True)
    v = torch.randn(sources.num_tokens, 2, 3, requires_grad=True)
    pairs = Ragged(layout, sources, causal)
    results = []
    for name in (backend, "reference"):
        leaves = [q, k, v] if name == backend else [t.double() for t in (q, k, v)]
        with tn.backend(name):
            y = ops.attend_ragged(*leaves, pairs, scale=0.4)
        wave = torch.cos(torch.arange(y.numel())).view(y.shape).to(y.dtype)
        grads = torch.autograd.grad(y, [q, k, v], wave, allow_unused=True, materialize_grads=True)
        results.append([y.double(), *(g.double() for g in grads)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("topology", [tn.Full(), tn.Causal()], ids=str)
@pytest.mark.parametrize("rotary", [False, True])
def test_packed_attention_runs_without_padding(topology: tn.Topology, rotary: bool) -> None:
    """And gives what padding gives."""
    score = tn.DotScore(tn.Rotary(4)) if rotary else None
    mixer = tn.Attention(8, 2, topology, score=score)
    structure = tn.Structure.packed([3, 0, 5, 1])
    x = torch.randn(9, 8, requires_grad=True)
    found = tn.backend.explain(mixer, x, structure)
    assert {c.operation for c, _ in found.choices} <= {"ragged_attend", "attend_ragged"}
    assert found.choices
    y = mixer(x, structure)
    with tn.backend("torch"):
        assert not tn.backend.explain(mixer, x, structure).choices
        expected = mixer(x, structure)
    torch.testing.assert_close(y, expected)
    wave = torch.randn_like(y)
    torch.testing.assert_close(
        torch.autograd.grad(y, x, wave), torch.autograd.grad(expected, x, wave),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip
