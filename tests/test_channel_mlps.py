"""Channel MLPs with a gate and with experts: formulas, peers, and who computes what.

Axes: B samples, N tokens, T rows, D channels, H hidden, E experts.
"""

import types

import pytest
import torch
import torch.nn.functional as F
from exactness import DTYPES, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=8)
sizes, seeds = st.integers(1, 7), st.integers(0, 2**31)


class Llama(nn.Module):
    """SwiGLU as equation 6 of Shazeer 2020 has it."""

    def __init__(self, dim: int, hidden: int, out: int, act, bias: bool):
        super().__init__()
        self.w, self.v = nn.Linear(dim, hidden, bias=bias), nn.Linear(dim, hidden, bias=bias)
        self.w2, self.act = nn.Linear(hidden, out, bias=bias), act

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(self.act(self.w(x)) * self.v(x))


ACTIVATIONS = [(nn.SiLU, F.silu), (nn.GELU, F.gelu), (nn.Sigmoid, torch.sigmoid), (nn.ReLU, F.relu)]
ACTIVATIONS.append((nn.Identity, lambda x: x))


@each_dtype
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=["Swi", "GE", "", "Re", "bilinear"])
@settings(max_examples=4)
@given(seeds, sizes, sizes, sizes, sizes)
def test_gated_mlp_by_hand(dtype, bias, activation, seed, tokens, dim, hidden, out):
    torch.manual_seed(seed)
    module, function = activation
    ours = tn.GatedMLP(dim, hidden, activation=module, out_dim=out, bias=bias)
    theirs = Llama(dim, hidden, out, function, bias)
    kinds = ("weight", "bias") if bias else ("weight",)
    pairs = {"gate": "w", "value": "v", "output": "w2"}
    names = {f"{a}.{k}": f"{b}.{k}" for a, b in pairs.items() for k in kinds}
    structure = tn.Structure.dense(2, tokens)
    x = torch.randn(2, tokens, dim, dtype=dtype)
    assert_exact(ours, theirs, names, lambda x: ours(x, structure), theirs, [x])


@each_dtype
@draws
@given(seeds, sizes, sizes, sizes)
def test_gated_mlp_is_llama_mlp(dtype, seed, tokens, dim, hidden):
    modeling = pytest.importorskip("transformers.models.llama.modeling_llama")
    torch.manual_seed(seed)
    config = types.SimpleNamespace(
        hidden_size=dim, intermediate_size=hidden, mlp_bias=False, hidden_act="silu"
    )
    ours, theirs = tn.GatedMLP(dim, hidden), modeling.LlamaMLP(config)
    names = {"gate": "gate_proj", "value": "up_proj", "output": "down_proj"}
    names = {f"{a}.weight": f"{b}.weight" for a, b in names.items()}
    structure = tn.Structure.dense(2, tokens)
    x = torch.randn(2, tokens, dim, dtype=dtype)
    assert_exact(ours, theirs, names, lambda x: ours(x, structure), theirs, [x])


class Mixtral(nn.Module):
    """One token after the other: the softmax of the chosen logits times what the experts say."""

    def __init__(self, dim: int, hidden: int, count: int, top_k: int):
        super().__init__()
        self.gate, self.top_k = nn.Linear(dim, count, bias=False), top_k
        self.experts = nn.ModuleList(Llama(dim, hidden, dim, F.silu, False) for _ in range(count))

    def token(self, x: Tensor) -> Tensor:
        logits, chosen = self.gate(x).topk(self.top_k)
        weights = logits.exp() / logits.exp().sum()
        said = torch.stack([self.experts[int(e)](x) for e in chosen])
        return (weights[:, None] * said).sum(0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.token(row) for row in x.flatten(0, -2)]).view(x.shape)


@each_dtype
@pytest.mark.parametrize("reference", [True, False], ids=["dense", "each its own"])
@draws
@given(seeds, sizes, sizes, sizes, sizes, st.data())
def test_mixture_of_experts_by_hand(dtype, reference, seed, tokens, dim, hidden, count, data):
    """Output and all gradients, those of the router too; many experts get no token at all."""
    torch.manual_seed(seed)
    top_k = data.draw(st.integers(1, count))
    ours = tn.MixtureOfExperts(dim, hidden, count, top_k=top_k)
    theirs = Mixtral(dim, hidden, count, top_k)
    pairs = {"gate": "w", "value": "v", "output": "w2"}
    names = {
        f"experts.{e}.{a}.weight": f"experts.{e}.{b}.weight"
        for e in range(count)
        for a, b in pairs.items()
    }
    names["router.weight"] = "gate.weight"
    structure = tn.Structure.dense(2, tokens)
    x = torch.randn(2, tokens, dim, dtype=dtype)
    with tn.backend("reference" if reference else "auto"):
        assert_exact(ours, theirs, names, lambda x: ours(x, structure), theirs, [x])


class Counting(tn.Pointwise):
    """Counts the tokens that it gets."""

    seen = 0

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        self.seen += structure.layout.rows
        return super().forward(x, structure)


def test_experts_work_on_their_own_tokens_only() -> None:
    mixer = tn.MixtureOfExperts(8, 4, 5, top_k=2, expert=Counting)
    structure = tn.Structure.packed([9, 0, 4])
    x = torch.randn(13, 8)
    mixer(x, structure)
    assert [e.seen for e in mixer.experts] == (mixer.shares(x, structure) > 0).sum(0).tolist()
    assert sum(e.seen for e in mixer.experts) == 2 * 13


def test_shares() -> None:
    """Of each token they sum to 1 over `top_k` experts; the output is their mixture."""
    mixer = tn.MixtureOfExperts(8, 4, 5, top_k=3).double()
    x, structure = torch.randn(2, 6, 8).double(), tn.Structure.dense(2, 6)
    p = mixer.shares(x, structure)
    assert p.shape == (2, 6, 5)
    assert ((p > 0).sum(-1) == 3).all()
    assert (p.sum(-1) - 1).abs().max() < 1e-12
    said = torch.stack([e(x, structure) for e in mixer.experts], -1)
    assert (mixer(x, structure) - (said * p[..., None, :]).sum(-1)).abs().max() < 1e-12


def test_ties_go_to_the_expert_listed_first() -> None:
    """Wherever the token stands: a token of zeros has equal scores for all experts."""
    mixer = tn.MixtureOfExperts(8, 4, 40, top_k=2)
    p = mixer.shares(torch.zeros(1, 100, 8), tn.Structure.dense(1, 100))
    assert torch.equal(p[..., :2], torch.full((1, 100, 2), 0.5))


def test_padding_is_never_read() -> None:
    """NaN there reaches no output and no gradient, and no expert."""
    mixer = tn.MixtureOfExperts(8, 4, 3).double()
    valid = torch.tensor([[False, True, True], [True, False, False]])
    x = torch.randn(2, 3, 8).double().masked_fill(~valid[..., None], torch.nan).requires_grad_()
    y = mixer(x, tn.Structure.padded(valid))
    grads = torch.autograd.grad(y[valid].square().sum(), [x, *mixer.parameters()])
    assert all(t.isfinite().all() for t in (y, *grads))
    alone = mixer(x.detach()[valid], tn.Structure.packed([2, 1]))
    assert (y[valid] - alone).abs().max() < 1e-12
