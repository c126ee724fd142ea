"""With the same weights, our operators and blocks are torch's: output and every gradient.

Axes: B samples, N tokens, M memory tokens, D channels.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from exactness import DTYPES, TOLERANCE, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=12, deadline=None)
seeds, sizes = st.integers(0, 10_000), st.integers(1, 7)
heads, head_dims = st.integers(1, 4), st.sampled_from([1, 3, 4, 8])


def _valid(batch: int, tokens: int, *, anywhere: bool = True) -> Tensor:
    """Random padding with at least one real token in every sample."""
    valid = torch.rand(batch, tokens) < 0.7
    if not anywhere:
        valid = valid.long().cumprod(1).bool()
    valid[:, 0] = True
    return valid


def _attention_names(own: str = "", other: str = "", split: bool = False) -> dict[str, str]:
    """`Attention` beside `nn.MultiheadAttention`; `split`: with kdim and vdim of its own."""
    qkv = [f"{own}{n}" for n in ("query", "key", "value")]
    if split:
        weights = {
            f"{n}.weight": f"{other}{p}_proj_weight" for n, p in zip(qkv, "qkv", strict=True)
        }
    else:
        weights = {" ".join(f"{n}.weight" for n in qkv): f"{other}in_proj_weight"}
    return {
        **weights,
        " ".join(f"{n}.bias" for n in qkv): f"{other}in_proj_bias",
        f"{own}output.weight": f"{other}out_proj.weight",
        f"{own}output.bias": f"{other}out_proj.bias",
    }


@each_dtype
@pytest.mark.parametrize("kind", ["self", "padded", "causal", "causal and padded"])
@draws
@given(seeds, sizes, sizes, heads, head_dims)
def test_attention_is_multihead_attention(dtype, kind, seed, batch, tokens, num_heads, head_dim):
    torch.manual_seed(seed)
    dim = num_heads * head_dim
    valid = torch.ones(batch, tokens, dtype=torch.bool)
    structure = tn.Structure.dense(batch, tokens)
    if "padded" in kind:
        # with padding in front, nn.MultiheadAttention has nobody to listen to under a causal mask
        valid = _valid(batch, tokens, anywhere="causal" not in kind)
        structure = tn.Structure.padded(valid)
    mask = torch.ones(tokens, tokens, dtype=torch.bool).triu(1) if "causal" in kind else None
    ours = tn.Attention(dim, num_heads, tn.Causal() if "causal" in kind else None)
    theirs = nn.MultiheadAttention(dim, num_heads, batch_first=True)

    def run_theirs(x: Tensor) -> Tensor:
        y, _ = theirs(x, x, x, key_padding_mask=~valid, attn_mask=mask, need_weights=False)
        return y[valid]

    x = torch.randn(batch, tokens, dim, dtype=dtype)
    run = lambda x: ours(x, structure)[valid]  # noqa: E731
    assert_exact(ours, theirs, _attention_names(), run, run_theirs, [x])


@each_dtype
@draws
@given(seeds, sizes, sizes, sizes, heads, head_dims)
def test_attention_to_memory_is_multihead_attention(
    dtype, seed, batch, tokens, sources, num_heads, head_dim
):
    torch.manual_seed(seed)
    dim, memory_dim = num_heads * head_dim, num_heads * head_dim + 3
    valid, memory_valid = _valid(batch, tokens), _valid(batch, sources)
    ours = tn.Attention(dim, num_heads, tn.Memory(), memory_dim=memory_dim)
    theirs = nn.MultiheadAttention(
        dim, num_heads, kdim=memory_dim, vdim=memory_dim, batch_first=True
    )

    def run(x: Tensor, memory: Tensor) -> Tensor:
        facts = tn.Tokens(memory, tn.Structure.padded(memory_valid))
        return ours(x, tn.Structure.padded(valid, memory=facts))[valid]

    assert_exact(
        ours, theirs, _attention_names(split=True), run,
        lambda x, m: theirs(x, m, m, key_padding_mask=~memory_valid, need_weights=False)[0][valid],
        [
            torch.randn(batch, tokens, dim, dtype=dtype),
            torch.randn(batch, sources, memory_dim, dtype=dtype),
        ],
    )  # fmt: skip


@each_dtype
def test_weights_are_those_of_multihead_attention(dtype):
    torch.manual_seed(0)
    valid = _valid(3, 6)
    ours, theirs = tn.Attention(12, 3).to(dtype), nn.MultiheadAttention(12, 3, batch_first=True)
    theirs = theirs.to(dtype)
    x, structure = torch.randn(3, 6, 12, dtype=dtype), tn.Structure.padded(valid)
    names = _attention_names()
    assert_exact(
        ours, theirs, names,
        lambda x: ours.weights(x, structure).transpose(1, 2)[valid],
        lambda x: theirs(x, x, x, key_padding_mask=~valid, average_attn_weights=False)[1]
        .transpose(1, 2)[valid],
        [x],
    )  # fmt: skip


@each_dtype
def test_a_sample_without_tokens_is_finite_where_multihead_attention_is_not(dtype):
    torch.manual_seed(0)
    valid = torch.tensor([[True, True, False], [False, False, False]])
    ours, theirs = tn.Attention(8, 2).to(dtype), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs = theirs.to(dtype)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat([m.weight for m in (ours.query, ours.key, ours.value)])
        )
        theirs.in_proj_bias.copy_(torch.cat([m.bias for m in (ours.query, ours.key, ours.value)]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    x = torch.randn(2, 3, 8, dtype=dtype).requires_grad_()
    z, _ = theirs(x, x, x, key_padding_mask=~valid)
    assert z[1].isnan().all(), "else there is nothing to do better"
    y = ours(x, tn.Structure.padded(valid))
    assert (y - z)[0, :2].abs().max() <= TOLERANCE[dtype]
    assert torch.equal(y[1], ours.output.bias.expand(3, 8))
    grads = torch.autograd.grad(y.square().sum(), [x, *ours.parameters()])
    assert all(g.isfinite().all() for g in grads)
    assert grads[0][1].abs().max() == 0


@each_dtype
@pytest.mark.parametrize("topology", [tn.Causal(), tn.Causal() & tn.Window(1)], ids=str)
def test_a_token_without_sources_is_finite(dtype, topology):
    """Padding in front: under a causal mask it has no real token to listen to."""
    torch.manual_seed(0)
    valid = torch.tensor([[False, False, True, True], [True, False, False, True]])
    ours = tn.Attention(8, 2, topology).to(dtype)
    x = torch.randn(2, 4, 8, dtype=dtype).masked_fill(~valid[..., None], math.nan).requires_grad_()
    y = ours(x, tn.Structure.padded(valid))
    grads = torch.autograd.grad(y.square().sum(), [x, *ours.parameters()])
    assert all(t.isfinite().all() for t in (y, *grads))
    packed = ours(x.detach()[valid], tn.Structure.packed([2, 2]))
    assert (y[valid] - packed).abs().max() <= TOLERANCE[dtype]


def _mlp_names(own: str) -> dict[str, str]:
    return {
        f"{own}map.{i}.{kind}": f"linear{j}.{kind}"
        for i, j in ((0, 1), (3, 2))
        for kind in ("weight", "bias")
    }


def _norm_names(count: int) -> dict[str, str]:
    return {
        f"mixers.{i}.norm.{kind}": f"norm{i + 1}.{kind}"
        for i in range(count)
        for kind in ("weight", "bias")
    }


placements = pytest.mark.parametrize("residual", [tn.PreNorm, tn.PostNorm])
activations = pytest.mark.parametrize(
    "activation", [(nn.ReLU, F.relu), (nn.GELU, F.gelu)], ids=["relu", "gelu"]
)


@each_dtype
@placements
@activations
@draws
@given(seeds, sizes, sizes, heads, head_dims, sizes)
def test_block_is_encoder_layer(
    dtype, residual, activation, seed, batch, tokens, num_heads, head_dim, hidden
):
    torch.manual_seed(seed)
    dim, valid = num_heads * head_dim + num_heads, _valid(batch, tokens)
    module, function = activation
    ours = tn.Block(
        dim,
        tn.Attention(dim, num_heads),
        mlp=tn.Pointwise(dim, hidden, activation=module),
        residual=residual,
    )
    theirs = nn.TransformerEncoderLayer(
        dim, num_heads, hidden, 0.0, function, batch_first=True, norm_first=residual is tn.PreNorm
    )
    names = {
        **_attention_names("mixers.0.mixer.", "self_attn."),
        **_mlp_names("mixers.1.mixer."),
        **_norm_names(2),
    }
    structure = tn.Structure.padded(valid)
    assert_exact(
        ours, theirs, names,
        lambda x: ours(x, structure)[valid],
        lambda x: theirs(x, src_key_padding_mask=~valid)[valid],
        [torch.randn(batch, tokens, dim, dtype=dtype)],
    )  # fmt: skip


@each_dtype
@placements
@activations
@draws
@given(seeds, sizes, sizes, sizes, heads, head_dims, sizes)
def test_block_is_decoder_layer(
    dtype, residual, activation, seed, batch, tokens, sources, num_heads, head_dim, hidden
):
    torch.manual_seed(seed)
    dim = num_heads * head_dim + num_heads
    valid, memory_valid = _valid(batch, tokens, anywhere=False), _valid(batch, sources)
    module, function = activation
    ours = tn.Block(
        dim, tn.Attention(dim, num_heads, tn.Causal()), tn.Attention(dim, num_heads, tn.Memory()),
        mlp=tn.Pointwise(dim, hidden, activation=module), residual=residual,
    )  # fmt: skip
    theirs = nn.TransformerDecoderLayer(
        dim, num_heads, hidden, 0.0, function, batch_first=True, norm_first=residual is tn.PreNorm
    )
    names = {
        **_attention_names("mixers.0.mixer.", "self_attn."),
        **_attention_names("mixers.1.mixer.", "multihead_attn."),
        **_mlp_names("mixers.2.mixer."),
        **_norm_names(3),
    }
    mask = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)

    def run(x: Tensor, memory: Tensor) -> Tensor:
        facts = tn.Tokens(memory, tn.Structure.padded(memory_valid))
        return ours(x, tn.Structure.padded(valid, memory=facts))[valid]

    def run_theirs(x: Tensor, memory: Tensor) -> Tensor:
        return theirs(
            x,
            memory,
            tgt_mask=mask,
            tgt_key_padding_mask=~valid,
            memory_key_padding_mask=~memory_valid,
        )[valid]

    inputs = [torch.randn(batch, n, dim, dtype=dtype) for n in (tokens, sources)]
    assert_exact(ours, theirs, names, run, run_theirs, inputs)


@each_dtype
@draws
@given(seeds, st.lists(sizes, min_size=1, max_size=4), heads, head_dims)
def test_a_transformer_is_the_graph_network_on_the_complete_graph(
    dtype, seed, lengths, num_heads, head_dim
):
    """One set of weights: padded, packed, and over the complete edge list with self-loops."""
    torch.manual_seed(seed)
    dim, total = num_heads * head_dim, sum(lengths)
    full = tn.Attention(dim, num_heads)
    sparse = tn.Attention(dim, num_heads, tn.EdgeList())
    names = {n: n for n, _ in full.named_parameters()}
    structure = tn.Structure.packed(lengths)
    sample = structure.layout.sample
    index = (sample[:, None] == sample).nonzero().T[:, torch.randperm(sum(n * n for n in lengths))]
    complete = structure.with_facts(edges=tn.Edges(index))
    padded = tn.Tokens(torch.zeros(total, 1), structure).padded().structure
    valid, x = padded.layout.valid, torch.randn(total, dim, dtype=dtype)

    def run_padded(x: Tensor) -> Tensor:
        rows = x.new_zeros(*valid.shape, dim).index_put(tuple(valid.nonzero().T), x)
        return full(rows, padded)[valid]

    assert_exact(
        sparse, full, names, lambda x: sparse(x, complete), lambda x: full(x, structure), [x]
    )
    assert_exact(sparse, full, names, lambda x: sparse(x, complete), run_padded, [x])


def test_the_complete_graph_without_self_loops_is_another_operator():
    torch.manual_seed(0)
    full, x = tn.Attention(8, 2), torch.randn(5, 8)
    sparse = tn.Attention(8, 2, tn.EdgeList())
    sparse.load_state_dict(full.state_dict())
    index = (~torch.eye(5, dtype=torch.bool)).nonzero().T
    structure = tn.Structure.packed([5], edges=tn.Edges(index))
    assert (full(x, structure) - sparse(x, structure)).abs().max() > 1e-2
