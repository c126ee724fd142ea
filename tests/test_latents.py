"""Latents: what flows through them, and what a Perceiver is in their words.

Axes: B samples, N tokens, L latents, D channels.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

import tokennet as tn
from tokennet.laws import closure

D = 8


def memory(dim: int = D, **more: int) -> tn.Attention:
    return tn.Attention(dim, 2, tn.Memory(), **more)


def latents(*mixers: tn.Mixer, count: int = 3) -> tn.Latents:
    return tn.Latents(D, count, *mixers, read=memory(), write=memory())


def test_no_pair_of_tokens_is_compared() -> None:
    """The rank of what tokens tell each other is at most L: the Jacobian between two halves."""
    mixer = tn.Latents(D, 1, read=memory(), write=memory()).double()
    structure = tn.Structure.dense(1, 12)
    x = torch.randn(1, 12, D, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: mixer(x, structure), x)
    between = jacobian[0, :6, :, 0, 6:].reshape(6 * D, 6 * D)
    values = torch.linalg.svdvals(between)
    assert values[0] > 1e-3
    assert values[D:].max() < 1e-12, "one latent has D channels"
    whole = tn.Attention(D, 2).double()
    jacobian = torch.autograd.functional.jacobian(lambda x: whole(x, structure), x)
    between = jacobian[0, :6, :, 0, 6:].reshape(6 * D, 6 * D)
    assert torch.linalg.svdvals(between)[D] > 1e-4


def test_summary_counts_latents() -> None:
    net = tn.TokenNet(tn.FeatureTokenizer(D), [latents()], tn.AttentionReadout(D, 2, memory()))
    assert "Latents" in str(net.summary(torch.randn(2, 5, D)))


def test_cost_is_linear() -> None:
    """Four times the tokens, four times the multiplications; full attention takes more."""
    from torch.utils.flop_counter import FlopCounterMode

    def flops(mixer: tn.Mixer, tokens: int) -> int:
        x = torch.randn(1, tokens, D)
        plain = tn.backend("reference")  # fused kernels are not counted on every device
        with plain, torch.no_grad(), FlopCounterMode(display=False) as counter:
            mixer(x, tn.Structure.dense(1, tokens))
        return counter.get_total_flops()

    mixer = latents()
    fixed = 2 * flops(mixer, 256) - flops(mixer, 512)
    assert flops(mixer, 1024) - fixed == 4 * (flops(mixer, 256) - fixed)
    full = tn.Attention(D, 2)
    assert flops(full, 1024) > 8 * flops(full, 256)


def _explicit(readout: tn.AttentionReadout, x: Tensor, valid: Tensor) -> Tensor:
    """The same Perceiver with torch's attention, sample by sample, on real tokens alone."""
    answers = []
    for b in range(len(x)):
        h, tokens = readout.learned[None], x[b][valid[b]][None]
        for block in readout.mixers:
            for place, source in zip(block.mixers, (tokens, None, None), strict=True):
                z = place.norm(h)
                if isinstance(place.mixer, tn.Attention):
                    a, k = place.mixer, z if source is None else source
                    q, k, v = (
                        m(t).unflatten(-1, (2, -1)).transpose(1, 2)
                        for m, t in ((a.query, z), (a.key, k), (a.value, k))
                    )
                    y = F.scaled_dot_product_attention(q, k, v)
                    h = h + a.output(y.transpose(1, 2).flatten(2))
                else:
                    h = h + place.mixer.map(z)
        answers.append(readout.map(h.flatten(1)))
    return torch.cat(answers)


def test_attention_readout_is_a_perceiver() -> None:
    """Latents that read the tokens, think, read again; then all of them give the answer."""
    blocks = [tn.Block(D, memory(memory_dim=5), tn.Attention(D, 2)) for _ in range(2)]
    readout = tn.AttentionReadout(D, 4, *blocks, num_seeds=6).double()
    valid = torch.rand(3, 9) < 0.6
    valid[:, 2] = True
    x = torch.randn(3, 9, D, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"memory.x.shape\[-1\] is 8, expected 5"):
        readout(x, tn.Structure.padded(valid))
    blocks = [tn.Block(D, memory(), tn.Attention(D, 2)) for _ in range(2)]
    readout = tn.AttentionReadout(D, 4, *blocks, num_seeds=6).double()
    y = readout(x.masked_fill(~valid[..., None], torch.nan), tn.Structure.padded(valid))
    torch.testing.assert_close(y, _explicit(readout, x, valid), rtol=1e-11, atol=1e-11)
    assert tn.Permutation() in readout.claims


def test_a_mixer_may_read_the_tokens_again() -> None:
    """With `Memory()` among the mixers x is read once more: another result than without."""
    again = tn.Block(D, memory())
    one, two = latents(again), latents(again)
    two.load_state_dict(one.state_dict())
    x, structure = torch.randn(2, 5, D), tn.Structure.dense(2, 5)
    y = one(x, structure)
    assert torch.equal(y, two(x, structure))
    with torch.no_grad():
        again.mixers[0].mixer.value.weight.zero_()
    assert (one(x, structure) - y).abs().max() > 1e-3


class _FirstOfMemory(tn.Mixer):
    """Adds the first memory token: it minds the order of the memory, so it promises less."""

    claims = closure({tn.Permutation()})
    reads = frozenset({"memory"})

    def forward(self, x: Float[Tensor, "*tokens D"], structure: tn.Structure) -> Tensor:
        tokens = structure.memory
        assert tokens is not None
        first = tokens.structure.layout.compact(tokens.x)[:, 0]
        layout = structure.layout
        return x + layout.unflat(first[layout.sample])


def test_claims_follow_from_the_parts() -> None:
    all_shifts = closure({tn.Permutation()})
    assert latents().claims == all_shifts
    assert latents(tn.LearnedPosition(3, D), tn.TokenMLP(3)).claims == all_shifts
    assert latents().reads == frozenset()
    spoiled = latents(_FirstOfMemory())
    assert spoiled.claims == frozenset()
    assert spoiled.reads == {"position"}
    ring = tn.Sequential(tn.Convolution(D, tn.Window(1, wrap=True)), memory())
    shifts = tn.Latents(D, 3, read=memory(), write=ring)
    assert shifts.claims == {tn.CyclicShift()}
    assert shifts.reads == {"position"}
    assert tn.AttentionReadout(D, 2, memory(), _FirstOfMemory()).claims == frozenset()
    domain = tn.Domain(D, num_tokens=(1, 9), batch=(1, 4), empty_samples=False)
    for mixer in (spoiled, shifts):
        tn.verify(mixer, domain=domain, examples=5).raise_if_broken()


def test_the_structure_of_the_caller_is_kept() -> None:
    """Its memory is not read, its edges reach `write`; it is the same afterwards."""
    write = tn.Sequential(tn.GraphConvolution(D), memory())
    mixer = tn.Latents(D, 3, read=memory(), write=write)
    edges, other = tn.Edges(torch.tensor([[0], [1]])), torch.randn(1, 2, D)
    structure = tn.Structure.dense(1, 4, edges=edges, memory=other)
    x = 10 * torch.randn(1, 4, D)
    y = mixer(x, structure)
    assert structure.memory is not None
    assert torch.equal(structure.memory.x, other)
    assert torch.equal(y, mixer(x, structure.with_facts(memory=other + 1)))
    assert mixer.reads == {"edges"}
    moved = mixer(x, structure.with_facts(edges=tn.Edges(torch.tensor([[1], [0]]))))
    assert (y - moved).detach().abs().max() > 1e-3


def test_more_latents_than_tokens_and_half_precision() -> None:
    mixer = latents(tn.Block(D, tn.Attention(D, 2)), count=20)
    x, structure = torch.randn(2, 3, D), tn.Structure.packed([2, 0, 1])
    y = mixer(x[0], structure)
    half = copy.deepcopy(mixer).bfloat16()(x[0].bfloat16(), structure)
    assert half.dtype == torch.bfloat16
    assert (half.float() - y).abs().max() < 0.05
    assert isinstance(mixer.latents, nn.Parameter)
    grads = torch.autograd.grad(y.square().sum(), mixer.parameters())
    assert grads[0].abs().max() > 1e-5, "latents are learned"
